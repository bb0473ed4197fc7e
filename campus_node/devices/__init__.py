"""How gateways, lines and devices are, ours and those of others: topology and health, kept as facts."""
