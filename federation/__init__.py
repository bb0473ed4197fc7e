"""The scheme: the words and rules that all members sign, and the link between them."""
