"""Documents know since when they are unused; indexes find what refers to a document, and what has been deleted."""

import hashlib
from collections.abc import Iterator

import msgspec
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
_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# The policies that are attached everywhere: their documents are stored with every organization.
_EVERYWHERE = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}',
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}',
)
_IN_TRASH = sa.text("deleted_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("policy_documents", sa.Column("unused_since", sa.Float()))
    op.add_column("repositories", sa.Column("policies", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "organization_policies",
        sa.Column("entry_id", _BIG_ID, nullable=False),
        sa.Column("policy_hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", "policy_hash", name="pk_organization_policies"),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["organization_history.id"],
            name="fk_organization_policies_entry_id_organization_history",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["policy_hash"], ["policy_documents.hash"], name="fk_organization_policies_policy_hash_policy_documents"
        ),
    )
    op.create_index("ix_organization_policies_policy_hash", "organization_policies", ["policy_hash"])
    for entry_id, digest in list(_of_organizations()):
        statement = (
            "INSERT INTO organization_policies (entry_id, policy_hash)"
            " SELECT CAST(:entry AS BIGINT), hash FROM policy_documents WHERE hash = :hash"
        )
        op.get_bind().execute(sa.text(statement), {"entry": entry_id, "hash": digest})
    unused = sa.text("unused_since IS NOT NULL")
    _index("ix_policy_documents_unused_since", "policy_documents", ["unused_since"], unused)
    for table, column in _REFERENCES:
        op.create_index(f"ix_{table}_{column}", table, [column])
    _index("ix_repositories_trash", "repositories", ["account", "region", "deleted_at"], _IN_TRASH)
    _index("ix_manifests_trash_by_time", "manifests", ["repository_id", sa.text("(deleted_at + 0)")], _IN_TRASH)
    op.create_index("ix_access_keys_deleted_at", "access_keys", ["account", "deleted_at"])
    op.create_index("ix_pull_tokens_account", "pull_tokens", ["account"])
    op.execute(
        "INSERT INTO usage (scope, amount) SELECT 'sessions of ' || COALESCE(identity_id, 'root ' || account), count(*)"
        " FROM sessions GROUP BY COALESCE(identity_id, 'root ' || account)"
    )


def _of_organizations() -> Iterator[tuple[int, str]]:
    """The entries of the organization's history, with the hash of each policy that they hold."""
    found = op.get_bind().execute(sa.text("SELECT id, document FROM organization_history")).all()
    for entry_id, document in found:
        texts = set(_EVERYWHERE)
        if document is not None:
            members = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
            for name in ("serviceControlPolicies", "resourceControlPolicies"):
                policies = msgspec.json.decode(members.get(name, b"{}"), type=dict[str, msgspec.Raw])
                texts |= {bytes(each).decode() for each in policies.values()}
        for text in sorted(texts):
            yield entry_id, hashlib.sha256(text.encode()).hexdigest()


def _index(name: str, table: str, columns: list[str | sa.TextClause], of: sa.TextClause) -> None:
    """An index of some of the rows."""
    op.create_index(name, table, columns, sqlite_where=of, postgresql_where=of)
