"""Tests: what is promised, stated so that it can fail."""
