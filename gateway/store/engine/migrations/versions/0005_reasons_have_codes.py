"""What a reason stands for is a code beside it, so that no sentence decides anything."""

import sqlalchemy as sa
from alembic import op

from gateway.store.engine import reason_codes

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the store forward; the program before goes on, and knows no codes.

    What it writes meanwhile has none, or one of the reason before: its waiting deliveries go on at their time instead
    of at once, and what is made due too early waits again.
    """
    op.add_column("notifications", sa.Column("mode_code", sa.Text(), nullable=True))
    op.add_column("deliveries", sa.Column("reason_code", sa.Text(), nullable=True))
    op.add_column("deliveries", sa.Column("reason_subject", sa.Text(), nullable=True))
    reason_codes.fill(op.get_bind())
