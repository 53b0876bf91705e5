"""Background jobs and their schedules."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=512)),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("run_at", sa.Float(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("leased_by", sa.String(length=64)),
        sa.Column("leased_until", sa.Float()),
        sa.Column("cancel", sa.Boolean(), nullable=False),
        sa.Column("progress", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("ended_at", sa.Float()),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    _index("uq_jobs_key", ["kind", "key"], "state IN ('queued', 'running')", unique=True)
    _index("ix_jobs_waiting", ["kind", "priority", "run_at"], "state = 'queued'")
    _index("ix_jobs_leased", ["leased_until"], "state = 'running'")
    op.create_index("ix_jobs_ended", "jobs", ["kind", "state", "ended_at"])
    op.create_table(
        "schedules",
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name="pk_schedules"),
    )


def _index(name: str, columns: list[str], of: str, *, unique: bool = False) -> None:
    """An index of some of the jobs."""
    rows = sa.text(of)
    op.create_index(name, "jobs", columns, unique=unique, sqlite_where=rows, postgresql_where=rows)
