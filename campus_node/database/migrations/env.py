"""Runs revisions on the connection that `campus_node.database.migrate` opened, inside its transaction."""

from alembic import context

from campus_node.database.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
)
with context.begin_transaction():
    context.run_migrations()
