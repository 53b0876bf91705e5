"""Positions in the outbox and cursors over them; suspects of the search for leftovers; when a job was started."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox", sa.Column("position", sa.BigInteger()))
    op.create_table(
        "outbox_cursors",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_outbox_cursors"),
    )
    # Nobody waits for the events of before: they count as delivered.
    op.execute("UPDATE outbox SET position = id")
    for cursor in ("newest", "log"):
        op.execute(
            f"INSERT INTO outbox_cursors (name, position) SELECT '{cursor}', coalesce(max(id), 0) FROM outbox"  # noqa: S608 - ours
        )
    _index("ix_outbox_new", ["id"], "position IS NULL")
    _index("uq_outbox_position", ["position"], "position IS NOT NULL", unique=True)
    op.create_table(
        "leftover_suspects",
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("modified_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name="pk_leftover_suspects"),
    )
    op.add_column("jobs", sa.Column("started_at", sa.Float()))


def _index(name: str, columns: list[str], of: str, *, unique: bool = False) -> None:
    """Create an index of some rows of the outbox."""
    rows = sa.text(of)
    op.create_index(name, "outbox", columns, unique=unique, sqlite_where=rows, postgresql_where=rows)
