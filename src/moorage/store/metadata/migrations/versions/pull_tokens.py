"""Pull tokens: named passwords of the data plane with a scope and an end."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pull_tokens",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("identity_id", sa.String(length=32), nullable=True),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("name_folded", sa.String(length=32), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("policy_hash", sa.String(length=64), nullable=False),
        sa.Column("repositories", sa.Text(), nullable=False),
        sa.Column("actions", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_pull_tokens_account_accounts"),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name="fk_pull_tokens_identity_id_identities", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["policy_hash"], ["policy_documents.hash"], name="fk_pull_tokens_policy_hash_policy_documents"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_pull_tokens"),
    )
    op.create_index("ix_pull_tokens_identity_id", "pull_tokens", ["identity_id"], unique=False)
    op.create_index(
        "uq_pull_tokens_living",
        "pull_tokens",
        ["account", "name_folded"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )


def downgrade() -> None:
    raise NotImplementedError("tokens that are in use would be lost")
