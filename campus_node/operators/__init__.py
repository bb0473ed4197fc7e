"""People who work the system: what each may do and where, what takes two, and the trail they leave."""
