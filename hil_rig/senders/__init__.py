"""Plain terminals: each a process of its own that stores and sends records; it sells nothing (B3, A15)."""
