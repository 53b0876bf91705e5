"""What is limited by a quota is counted in a row; uploads know how often they failed; indexes of referrers by type."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_REFERRER = sa.text("subject IS NOT NULL AND deleted_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "usage",
        sa.Column("scope", sa.String(length=64), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_usage"),
    )
    op.add_column("uploads", sa.Column("reserved", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("uploads", sa.Column("failures", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "finished_uploads",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("repository_id", _BIG_ID, nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_finished_uploads"),
    )
    op.create_index("ix_finished_uploads_repository_id", "finished_uploads", ["repository_id"])
    op.create_index("ix_finished_uploads_account", "finished_uploads", ["account"])
    op.drop_index("ix_manifests_repository_id_subject", "manifests")
    _index("ix_manifests_referrers", "manifests", ["repository_id", "subject"], _REFERRER)
    _index("ix_manifests_typed_referrers", "manifests", ["repository_id", "subject", "artifact_type"], _REFERRER)
    op.execute("UPDATE uploads SET reserved = size WHERE id NOT IN (SELECT upload_id FROM upload_contents)")
    joined = "FROM uploads JOIN repositories ON repositories.id = uploads.repository_id GROUP BY repositories"
    _count(f"SELECT 'uploads of repository ' || repositories.id, count(*) {joined}.id")
    _count(f"SELECT 'uploads of account ' || repositories.account, count(*) {joined}.account")
    _count(f"SELECT 'upload bytes of account ' || repositories.account, sum(uploads.reserved) {joined}.account")
    _count("SELECT 'sessions of account ' || account, count(*) FROM sessions GROUP BY account")


def _count(amounts: str) -> None:
    op.execute(f"INSERT INTO usage (scope, amount) {amounts}")


def _index(name: str, table: str, columns: list[str], of: sa.TextClause) -> None:
    """An index of some of the rows."""
    op.create_index(name, table, columns, sqlite_where=of, postgresql_where=of)
