"""What strangers, and senders who know the secret, do to the webhook's port; each in a process of its own."""

from tests.hostile.strangers.attack import Attack, Target
from tests.hostile.strangers.bodies import BODIES
from tests.hostile.strangers.floods import FLOODS
from tests.hostile.strangers.heads import HEADS

ATTACKS: dict[str, Attack] = {**HEADS, **BODIES, **FLOODS}
"""By the name that the table shows."""

__all__ = ["ATTACKS", "Attack", "Target"]
