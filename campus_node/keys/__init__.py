"""Keys of the e-purse: where they come from, where they are kept, how they are renewed."""
