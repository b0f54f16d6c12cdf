"""Deaths of processes are counted at what they held: deliveries, reports, rounds of reconciliation.

Only added: a program before this one works beside it, and counts no deaths.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the store forward."""
    op.add_column("deliveries", _deaths("deaths"))
    op.add_column("deliveries", sa.Column("alone_at", sa.BigInteger(), nullable=True))
    few = sa.text("deaths > 2")
    op.create_index("ix_deliveries_deadly", "deliveries", ["destination"], sqlite_where=few, postgresql_where=few)
    op.add_column("notifications", _deaths("report_deaths"))
    op.add_column("notifications", sa.Column("report_alone", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("reconciled", _deaths("deaths"))
    op.add_column("reconciled", sa.Column("not_before", sa.BigInteger(), nullable=True))


def _deaths(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False)
