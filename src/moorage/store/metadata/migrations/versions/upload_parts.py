"""Parts and pieces of uploads; the digest of what arrived so far."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("uploads", sa.Column("in_parts", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("uploads", sa.Column("session", sa.String(length=255)))
    op.add_column("uploads", sa.Column("sha256", sa.String(length=64)))
    op.create_table(
        "upload_parts",
        _upload(),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("etag", sa.String(length=255), nullable=False),
        _foreign_key("upload_parts"),
        sa.PrimaryKeyConstraint("upload_id", "number", name="pk_upload_parts"),
    )
    op.create_table(
        "upload_pieces",
        _upload(),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary()),
        sa.Column("name", sa.String(length=255)),
        _foreign_key("upload_pieces"),
        sa.PrimaryKeyConstraint("upload_id", "start", name="pk_upload_pieces"),
    )
    op.execute(
        "INSERT INTO upload_pieces (upload_id, start, size, content)"
        " SELECT upload_id, 0, length(content), content FROM upload_contents"
    )
    # Uploads without contents are files. The empty etag has them read again when they are finished.
    files = "size > 0 AND id NOT IN (SELECT upload_id FROM upload_contents)"
    columns = "(upload_id, number, size, etag)"
    op.execute(f"INSERT INTO upload_parts {columns} SELECT id, 0, size, '' FROM uploads WHERE {files}")  # noqa: S608 - ours
    op.execute(f"UPDATE uploads SET in_parts = size WHERE {files}")  # noqa: S608 - ours
    op.drop_table("upload_contents")


def _upload() -> sa.Column[str]:
    return sa.Column("upload_id", sa.String(length=36), nullable=False)


def _foreign_key(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["upload_id"], ["uploads.id"], name=f"fk_{table}_upload_id_uploads", ondelete="CASCADE"
    )
