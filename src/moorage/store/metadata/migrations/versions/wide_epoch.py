"""A second number of the epoch, for changes that reach further than one repository."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("epoch", sa.Column("wide", sa.BigInteger(), nullable=False, server_default="0"))
