"""Open uploads, their bytes and temporary credentials are counted per account; failed finishes per upload; indexes of
referrers by type.

A deleted repository no longer has uploads: those that one has here end, and the sweep deletes their files.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


_REFERRER = sa.text("subject IS NOT NULL AND deleted_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "account_usage",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("uploads", sa.Integer(), nullable=False),
        sa.Column("upload_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sessions", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account", name="pk_account_usage"),
    )
    op.add_column("repositories", sa.Column("uploads", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("uploads", sa.Column("reserved", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("uploads", sa.Column("failures", sa.Integer(), nullable=False, server_default="0"))
    op.drop_index("ix_manifests_repository_id_subject", "manifests")
    for name, columns in (("referrers", ["subject"]), ("typed_referrers", ["subject", "artifact_type"])):
        op.create_index(
            f"ix_manifests_{name}",
            "manifests",
            ["repository_id", *columns],
            sqlite_where=_REFERRER,
            postgresql_where=_REFERRER,
        )
    op.execute(
        "DELETE FROM upload_contents WHERE upload_id IN (SELECT uploads.id FROM uploads JOIN repositories"
        " ON repositories.id = uploads.repository_id WHERE repositories.deleted_at IS NOT NULL)"
    )
    op.execute("DELETE FROM uploads WHERE repository_id IN (SELECT id FROM repositories WHERE deleted_at IS NOT NULL)")
    op.execute("UPDATE uploads SET reserved = size WHERE id NOT IN (SELECT upload_id FROM upload_contents)")
    op.execute(
        "UPDATE repositories SET uploads = (SELECT count(*) FROM uploads WHERE uploads.repository_id = repositories.id)"
    )
    op.execute(
        "INSERT INTO account_usage (account, uploads, upload_bytes, sessions)"
        " SELECT account, sum(uploads), sum(upload_bytes), sum(sessions) FROM ("
        "SELECT repositories.account AS account, count(*) AS uploads, sum(uploads.reserved) AS upload_bytes,"
        " 0 AS sessions FROM uploads JOIN repositories ON repositories.id = uploads.repository_id"
        " GROUP BY repositories.account"
        " UNION ALL SELECT account, 0, 0, count(*) FROM sessions GROUP BY account) AS used GROUP BY account"
    )
