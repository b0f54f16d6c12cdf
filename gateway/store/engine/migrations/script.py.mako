"""${message}."""

from alembic import op
import sqlalchemy as sa
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the store forward."""
    ${upgrades if upgrades else "pass"}
    # Programs of older revisions go on working on this store, unless they would be wrong about it. If they would:
    # op.execute("UPDATE compatibility SET oldest = ${up_revision}")
