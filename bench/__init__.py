"""Benchmarks: each figure is a ratio against a reference run in the same minutes on the same server."""
