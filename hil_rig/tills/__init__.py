"""Tills of one line, real ones, with cards and PSAMs in software: one process a line (B1.1, A7)."""
