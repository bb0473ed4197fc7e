"""One campus: an autonomous member of the scheme."""
