"""What may be sold to whom, when and for how much: limits, meals, tariffs, sessions, fares, stand-in. Pure.

Terminal and node decide by the same functions: facts and instants are arguments, nothing here reads a clock,
a file or a card. docs/limits.md
"""
