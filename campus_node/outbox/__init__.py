"""What must be told to somebody because of something that was committed: stored with it, delivered later."""
