"""Repositories know how many images they have, and what is in the trash is indexed apart: a push reads neither."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_IN_TRASH = sa.text("deleted_at IS NOT NULL")
_REMOVED = sa.text("digest IS NULL")


def upgrade() -> None:
    op.add_column("repositories", sa.Column("images", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE repositories SET images = (SELECT count(*) FROM manifests"
        " WHERE manifests.repository_id = repositories.id AND manifests.deleted_at IS NULL)"
    )
    op.drop_index("ix_manifests_deleted_at", "manifests")
    _index("ix_manifests_deleted_at", "manifests", ["deleted_at"], _IN_TRASH)
    _index("ix_manifests_trash", "manifests", ["repository_id", "digest"], _IN_TRASH)
    _index("ix_tag_history_removed", "tag_history", ["repository_id", "at"], _REMOVED)


def _index(name: str, table: str, columns: list[str], of: sa.TextClause) -> None:
    """An index of some of the rows."""
    op.create_index(name, table, columns, sqlite_where=of, postgresql_where=of)
