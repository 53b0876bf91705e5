"""Registry policies with their history, and the organization that accounts are members of."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "registry_policies",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=25), nullable=False),
        sa.Column("policy_hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_hash"], ["policy_documents.hash"], name="fk_registry_policies_policy_hash_policy_documents"
        ),
        sa.PrimaryKeyConstraint("account", "region", name="pk_registry_policies"),
    )
    op.create_table(
        "registry_policy_history",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=25), nullable=False),
        sa.Column("policy_hash", sa.String(length=64), nullable=True),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_hash"], ["policy_documents.hash"], name="fk_registry_policy_history_policy_hash_policy_documents"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_registry_policy_history"),
    )
    op.create_index("ix_registry_policy_history_account", "registry_policy_history", ["account", "region", "id"])
    op.create_table(
        "organization_history",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("document", sa.Text(), nullable=True),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_organization_history"),
    )
