"""What is in quarantine is counted in bytes, has a reason code, and can be taken in again."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the store forward; the program before goes on, and its entries have no code."""
    op.add_column("quarantine", sa.Column("code", sa.Text(), server_default=sa.text("'unknown'"), nullable=False))
    op.add_column("quarantine", sa.Column("size", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("quarantine", sa.Column("full_size", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("quarantine", sa.Column("coding", sa.Text(), nullable=True))
    op.add_column("quarantine", sa.Column("senders", sa.Text(), nullable=True))
    op.execute("UPDATE quarantine SET size = length(body), full_size = length(body)")
    op.create_index("ix_quarantine_kept", "quarantine", ["id", "size", "code"], unique=False)
