"""A deleted layer that a deleted image names stays, hidden, so that the image can be restored."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("layers", sa.Column("deleted_at", sa.Float()))
