"""The first tables, and the row of the authorization epoch."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "account_settings",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=25), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "name", name="pk_account_settings"),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_table(
        "blobs",
        sa.Column("digest", sa.String(length=135), nullable=False),
        sa.Column("object_key", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("stored_at", sa.Float(), nullable=False),
        sa.Column("orphaned_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_blobs"),
    )
    op.create_index("ix_blobs_orphaned_at", "blobs", ["orphaned_at"], unique=False)
    op.create_table(
        "epoch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_epoch"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=25), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_table(
        "policy_documents",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_policy_documents"),
    )
    op.create_table(
        "repositories",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=25), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("mutability", sa.String(length=32), nullable=False),
        sa.Column("exclusion_filters", sa.Text(), nullable=False),
        sa.Column("scan_on_push", sa.Boolean(), nullable=False),
        sa.Column("encryption_type", sa.String(length=16), nullable=False),
        sa.Column("kms_key", sa.Text(), nullable=True),
        sa.Column("policy_hash", sa.String(length=64), nullable=True),
        sa.Column("deleted_at", sa.Float(), nullable=True),
        sa.Column("deleted_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["policy_hash"], ["policy_documents.hash"], name="fk_repositories_policy_hash_policy_documents"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_repositories"),
    )
    op.create_index("ix_repositories_deleted_at", "repositories", ["deleted_at"], unique=False)
    op.create_index(
        "uq_repositories_alive",
        "repositories",
        ["account", "region", "name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "user_policy_history",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("policy_hash", sa.String(length=64), nullable=True),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_hash"], ["policy_documents.hash"], name="fk_user_policy_history_policy_hash_policy_documents"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_user_policy_history"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("name_folded", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_users_account_accounts"),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("account", "name_folded", name="uq_users_account_name_folded"),
    )
    op.create_table(
        "access_keys",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=True),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("deleted_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_access_keys_account_accounts"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_access_keys_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_access_keys"),
    )
    op.create_index("ix_access_keys_user_id", "access_keys", ["user_id"], unique=False)
    op.create_table(
        "layers",
        sa.Column("repository_id", BIG_ID, nullable=False),
        sa.Column("digest", sa.String(length=135), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("added_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["blobs.digest"], name="fk_layers_digest_blobs"),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name="fk_layers_repository_id_repositories", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("repository_id", "digest", name="pk_layers"),
    )
    op.create_index("ix_layers_digest", "layers", ["digest"], unique=False)
    op.create_table(
        "manifests",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("repository_id", BIG_ID, nullable=False),
        sa.Column("digest", sa.String(length=135), nullable=False),
        sa.Column("media_type", sa.String(length=255), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("image_size", sa.BigInteger(), nullable=False),
        sa.Column("artifact_type", sa.String(length=255), nullable=True),
        sa.Column("config_media_type", sa.String(length=255), nullable=True),
        sa.Column("subject", sa.String(length=135), nullable=True),
        sa.Column("annotations", sa.Text(), nullable=True),
        sa.Column("pushed_at", sa.Float(), nullable=False),
        sa.Column("pushed_by", sa.Text(), nullable=False),
        sa.Column("last_pulled_at", sa.Float(), nullable=True),
        sa.Column("deleted_at", sa.Float(), nullable=True),
        sa.Column("deleted_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name="fk_manifests_repository_id_repositories", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_manifests"),
    )
    op.create_index("ix_manifests_deleted_at", "manifests", ["deleted_at"], unique=False)
    op.create_index("ix_manifests_repository_id_id", "manifests", ["repository_id", "id"], unique=False)
    op.create_index("ix_manifests_repository_id_subject", "manifests", ["repository_id", "subject"], unique=False)
    op.create_index(
        "uq_manifests_alive",
        "manifests",
        ["repository_id", "digest"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "repository_policy_history",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("repository_id", BIG_ID, nullable=False),
        sa.Column("policy_hash", sa.String(length=64), nullable=True),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_hash"], ["policy_documents.hash"], name="fk_repository_policy_history_policy_hash_policy_documents"
        ),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repositories.id"],
            name="fk_repository_policy_history_repository_id_repositories",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_repository_policy_history"),
    )
    op.create_index(
        "ix_repository_policy_history_repository_id", "repository_policy_history", ["repository_id", "id"], unique=False
    )
    op.create_table(
        "repository_tags",
        sa.Column("repository_id", BIG_ID, nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repositories.id"],
            name="fk_repository_tags_repository_id_repositories",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("repository_id", "key", name="pk_repository_tags"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=True),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("issued_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_sessions_account_accounts"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id_users", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"], unique=False)
    op.create_table(
        "tag_history",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("repository_id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("digest", sa.String(length=135), nullable=True),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name="fk_tag_history_repository_id_repositories", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tag_history"),
    )
    op.create_index("ix_tag_history_repository_id", "tag_history", ["repository_id", "name", "id"], unique=False)
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("repository_id", BIG_ID, nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("small_parts", sa.Integer(), nullable=False),
        sa.Column("last_part_small", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name="fk_uploads_repository_id_repositories", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
    )
    op.create_index("ix_uploads_repository_id", "uploads", ["repository_id"], unique=False)
    op.create_index("ix_uploads_updated_at", "uploads", ["updated_at"], unique=False)
    op.create_table(
        "user_policies",
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("policy_hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_hash"], ["policy_documents.hash"], name="fk_user_policies_policy_hash_policy_documents"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_user_policies_user_id_users", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "name", name="pk_user_policies"),
    )
    op.create_table(
        "manifest_references",
        sa.Column("manifest_id", BIG_ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("repository_id", BIG_ID, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("digest", sa.String(length=135), nullable=False),
        sa.Column("media_type", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["manifest_id"], ["manifests.id"], name="fk_manifest_references_manifest_id_manifests", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repositories.id"],
            name="fk_manifest_references_repository_id_repositories",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("manifest_id", "position", name="pk_manifest_references"),
    )
    op.create_index("ix_manifest_references_digest", "manifest_references", ["repository_id", "digest"], unique=False)
    op.create_table(
        "tags",
        sa.Column("repository_id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("manifest_id", BIG_ID, nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["manifest_id"], ["manifests.id"], name="fk_tags_manifest_id_manifests", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name="fk_tags_repository_id_repositories", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("repository_id", "name", name="pk_tags"),
    )
    op.create_index("ix_tags_manifest_id", "tags", ["manifest_id"], unique=False)
    op.execute("INSERT INTO epoch (id, value) VALUES (1, 1)")


def downgrade() -> None:
    op.drop_table("tags")
    op.drop_table("manifest_references")
    op.drop_table("user_policies")
    op.drop_table("uploads")
    op.drop_table("tag_history")
    op.drop_table("sessions")
    op.drop_table("repository_tags")
    op.drop_table("repository_policy_history")
    op.drop_table("manifests")
    op.drop_table("layers")
    op.drop_table("access_keys")
    op.drop_table("users")
    op.drop_table("user_policy_history")
    op.drop_table("repositories")
    op.drop_table("policy_documents")
    op.drop_table("outbox")
    op.drop_table("epoch")
    op.drop_table("blobs")
    op.drop_table("accounts")
    op.drop_table("account_settings")
