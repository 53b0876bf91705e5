"""Users become identities, beside groups and roles; managed policies, boundaries, tags; sessions of roles."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("accounts", sa.Column("alias", sa.String(length=63), nullable=True))
    op.create_index("uq_accounts_alias", "accounts", ["alias"], unique=True)
    _make_tables()
    op.execute(
        "INSERT INTO identities (id, account, kind, name, name_folded, path, created_at)"
        " SELECT id, account, 'user', name, name_folded, path, created_at FROM users"
    )
    op.execute(
        "INSERT INTO inline_policies (identity_id, name, policy_hash)"
        " SELECT user_id, name, policy_hash FROM user_policies"
    )
    op.execute(
        "INSERT INTO identity_history (account, owner_id, aspect, name, value, at, by)"
        " SELECT account, user_id, 'inline', name, policy_hash, at, by FROM user_policy_history ORDER BY id"
    )
    with op.batch_alter_table("access_keys") as keys:
        keys.drop_constraint("fk_access_keys_user_id_users", type_="foreignkey")
        keys.create_foreign_key("fk_access_keys_user_id_identities", "identities", ["user_id"], ["id"])
    _extend_sessions()
    op.drop_table("user_policies")
    op.drop_table("user_policy_history")
    op.drop_table("users")


def _extend_sessions() -> None:
    with op.batch_alter_table("sessions") as sessions:
        sessions.drop_constraint("fk_sessions_user_id_users", type_="foreignkey")
        sessions.alter_column("user_id", new_column_name="identity_id")
        sessions.add_column(sa.Column("kind", sa.String(length=9), nullable=False, server_default="session"))
        sessions.add_column(sa.Column("name", sa.String(length=64), nullable=False, server_default=""))
        sessions.add_column(sa.Column("policy_hash", sa.String(length=64), nullable=True))
        sessions.add_column(sa.Column("policy_ids", sa.Text(), nullable=True))
        sessions.add_column(sa.Column("tags", sa.Text(), nullable=True))
        sessions.add_column(sa.Column("transitive_keys", sa.Text(), nullable=True))
        sessions.add_column(sa.Column("source_identity", sa.String(length=64), nullable=True))
        sessions.add_column(sa.Column("provider", sa.Text(), nullable=True))
        sessions.add_column(sa.Column("chained", sa.Boolean(), nullable=False, server_default=sa.false()))
        sessions.add_column(sa.Column("context", sa.Text(), nullable=True))
    with op.batch_alter_table("sessions") as sessions:
        # The defaults were for the rows that were there.
        for name in ("kind", "name", "chained"):
            sessions.alter_column(name, server_default=None)
        sessions.create_foreign_key(
            "fk_sessions_identity_id_identities", "identities", ["identity_id"], ["id"], ondelete="CASCADE"
        )
        sessions.create_foreign_key(
            "fk_sessions_policy_hash_policy_documents", "policy_documents", ["policy_hash"], ["hash"]
        )
    op.create_index("ix_sessions_identity_id", "sessions", ["identity_id"], unique=False)


def _make_tables() -> None:
    op.create_table(
        "identities",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("kind", sa.String(length=5), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("name_folded", sa.String(length=128), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("boundary_id", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_identities_account_accounts"),
        sa.PrimaryKeyConstraint("id", name="pk_identities"),
        sa.UniqueConstraint("account", "kind", "name_folded", name="uq_identities_account_kind_name_folded"),
    )
    op.create_index("ix_identities_boundary_id", "identities", ["boundary_id"], unique=False)
    op.create_table(
        "roles",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("trust_hash", sa.String(length=64), nullable=False),
        sa.Column("max_session_seconds", sa.Integer(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("service", sa.String(length=128), nullable=True),
        sa.ForeignKeyConstraint(["id"], ["identities.id"], name="fk_roles_id_identities", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["trust_hash"], ["policy_documents.hash"], name="fk_roles_trust_hash_policy_documents"),
        sa.PrimaryKeyConstraint("id", name="pk_roles"),
    )
    op.create_table(
        "group_members",
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("group_id", sa.String(length=32), nullable=False),
        sa.Column("added_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["identities.id"], name="fk_group_members_user_id_identities", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["identities.id"], name="fk_group_members_group_id_identities", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "group_id", name="pk_group_members"),
    )
    op.create_index("ix_group_members_group_id", "group_members", ["group_id"], unique=False)
    op.create_table(
        "inline_policies",
        sa.Column("identity_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("policy_hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name="fk_inline_policies_identity_id_identities", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["policy_hash"], ["policy_documents.hash"], name="fk_inline_policies_policy_hash_policy_documents"
        ),
        sa.PrimaryKeyConstraint("identity_id", "name", name="pk_inline_policies"),
    )
    op.create_table(
        "managed_policies",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("name_folded", sa.String(length=128), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("default_version", sa.Integer(), nullable=False),
        sa.Column("newest_version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_managed_policies_account_accounts"),
        sa.PrimaryKeyConstraint("id", name="pk_managed_policies"),
        sa.UniqueConstraint("account", "name_folded", name="uq_managed_policies_account_name_folded"),
    )
    op.create_table(
        "policy_versions",
        sa.Column("policy_id", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("policy_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_id"],
            ["managed_policies.id"],
            name="fk_policy_versions_policy_id_managed_policies",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["policy_hash"], ["policy_documents.hash"], name="fk_policy_versions_policy_hash_policy_documents"
        ),
        sa.PrimaryKeyConstraint("policy_id", "version", name="pk_policy_versions"),
    )
    op.create_table(
        "attachments",
        sa.Column("identity_id", sa.String(length=32), nullable=False),
        sa.Column("policy_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name="fk_attachments_identity_id_identities", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("identity_id", "policy_id", name="pk_attachments"),
    )
    op.create_index("ix_attachments_policy_id", "attachments", ["policy_id"], unique=False)
    op.create_table(
        "identity_tags",
        sa.Column("owner_id", sa.String(length=32), nullable=False),
        sa.Column("key_folded", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "key_folded", name="pk_identity_tags"),
    )
    op.create_table(
        "identity_history",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("owner_id", sa.String(length=32), nullable=False),
        sa.Column("aspect", sa.String(length=10), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("value", sa.String(length=64), nullable=True),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity_history"),
    )
    op.create_index("ix_identity_history_owner_id", "identity_history", ["owner_id", "id"], unique=False)
    op.create_table(
        "last_uses",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("service", sa.String(length=64), nullable=False),
        sa.Column("region", sa.String(length=25), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_last_uses"),
    )


def downgrade() -> None:
    raise NotImplementedError("groups and roles have no place in the tables before")
