"""One database a node: how it is reached, what schema it has, how that schema grows."""
