"""The node's API: who may ask for what, how messages become requests, and how much may be under way."""
