"""Documents know since when they are unused; indexes find what refers to a document, and what has been deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_REFERENCES = (
    ("repositories", "policy_hash"),
    ("repository_policy_history", "policy_hash"),
    ("registry_policies", "policy_hash"),
    ("registry_policy_history", "policy_hash"),
    ("roles", "trust_hash"),
    ("inline_policies", "policy_hash"),
    ("policy_versions", "policy_hash"),
    ("pull_tokens", "policy_hash"),
    ("sessions", "policy_hash"),
    ("identity_history", "value"),
)
_IN_TRASH = sa.text("deleted_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("policy_documents", sa.Column("unused_since", sa.Float()))
    op.add_column("repositories", sa.Column("policies", sa.Integer(), nullable=False, server_default="0"))
    unused = sa.text("unused_since IS NOT NULL")
    _index("ix_policy_documents_unused_since", "policy_documents", ["unused_since"], unused)
    for table, column in _REFERENCES:
        op.create_index(f"ix_{table}_{column}", table, [column])
    _index("ix_repositories_trash", "repositories", ["account", "region", "deleted_at"], _IN_TRASH)
    _index("ix_manifests_trash_by_time", "manifests", ["repository_id", "deleted_at"], _IN_TRASH)
    op.create_index("ix_access_keys_deleted_at", "access_keys", ["account", "deleted_at"])
    op.create_index("ix_pull_tokens_account", "pull_tokens", ["account"])
    op.execute(
        "INSERT INTO usage (scope, amount) SELECT 'sessions of ' || COALESCE(identity_id, 'root ' || account), count(*)"
        " FROM sessions GROUP BY COALESCE(identity_id, 'root ' || account)"
    )


def _index(name: str, table: str, columns: list[str], of: sa.TextClause) -> None:
    """An index of some of the rows."""
    op.create_index(name, table, columns, sqlite_where=of, postgresql_where=of)
