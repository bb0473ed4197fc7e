"""The purse on the card: commands, MACs, files and readers of the PBOC 2.0 electronic purse and its PSAM."""
