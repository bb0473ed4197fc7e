"""People who pay at once: a client process of its own, whose knowledge survives it."""
