"""The card and the PSAM in software: a card operating system with its own copy of the cryptography.

It shares no code with what talks to it: published vectors and captured bytes are what joins the two.
"""
