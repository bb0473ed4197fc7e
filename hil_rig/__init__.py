"""The rig: real processes and devices, faults as data, and a checker that trusts nobody."""
