"""The time that servers have observed is stored, so that a jump of the clock expires nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "observed_clock",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.Column("gaps", sa.Text(), nullable=False),
    )
