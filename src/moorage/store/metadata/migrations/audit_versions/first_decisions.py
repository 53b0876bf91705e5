"""The audit record of decisions."""

import sqlalchemy as sa
from alembic import op

revision = "audit0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=25), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("principal_account", sa.String(length=12), nullable=True),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=128), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("allowed", sa.Boolean(), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("policies", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
    )
    op.create_index("ix_decisions_at", "decisions", ["at"], unique=False)
    op.create_index("ix_decisions_principal", "decisions", ["principal", "at"], unique=False)
    op.create_index("ix_decisions_resource", "decisions", ["resource", "at"], unique=False)


def downgrade() -> None:
    op.drop_table("decisions")
