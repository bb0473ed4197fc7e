"""House rules that a machine can check. Every rule is a function over text, with a test that it can fail."""
