"""Firmware of terminals: signed images, and rollouts ring by ring (B4.4).

`image` is the file format, `meals` when nothing is distributed, `rollout` decides what happens next without
any I/O, `store` keeps it, `conductor` carries it out through the notice desk.
"""
