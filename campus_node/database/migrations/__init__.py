"""The schema's history: one file a revision, applied in order by `campus_node.database.migrate`."""
