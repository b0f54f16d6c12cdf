"""Alembic's entry: runs migrations on the connection that `migrate` hands over, or writes them as SQL."""

from alembic import context

from gateway.store.tables import metadata

if context.is_offline_mode():
    dialect = context.config.attributes["dialect"]
    context.configure(dialect_name=dialect, target_metadata=metadata, literal_binds=True)
else:
    context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
