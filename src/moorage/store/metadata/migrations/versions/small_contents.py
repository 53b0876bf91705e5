"""The bytes of small blobs and uploads beside their rows; an index of object keys; no digest of a growing upload."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "blob_contents",
        sa.Column("digest", sa.String(length=135), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["blobs.digest"], name="fk_blob_contents_digest_blobs", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("digest", name="pk_blob_contents"),
    )
    op.create_table(
        "upload_contents",
        sa.Column("upload_id", sa.String(length=36), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["upload_id"], ["uploads.id"], name="fk_upload_contents_upload_id_uploads", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("upload_id", name="pk_upload_contents"),
    )
    op.create_index("ix_blobs_object_key", "blobs", ["object_key"])
    op.drop_column("uploads", "sha256")
