"""What alembic runs: the migrations of one history, over the connection that `upgrade` hands it."""

from alembic import context

from moorage.store.metadata.audit.tables import audit_metadata
from moorage.store.metadata.tables import metadata

connection = context.config.attributes["connection"]
history = context.config.attributes["history"]
context.configure(
    connection=connection,
    target_metadata=metadata if history.folder == "versions" else audit_metadata,
    version_table=history.version_table,
    transactional_ddl=True,
)
context.run_migrations()
