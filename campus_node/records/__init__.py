"""Records of terminals at the node: taken once, answered alike for ever, asked for if they are missing."""
