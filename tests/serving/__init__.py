"""The node's API against real mTLS on loopback."""
