"""What receiving needs of whoever delivers: a worker in this process, or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from gateway.store.work.inbox import Kept
from gateway.store.work.records import KeptNotification


class Deliverer(Protocol):
    """Whoever delivers, as receiving sees it."""

    def obstacle(self, destination: str) -> str | None:
        """Tell why a delivery to this destination could not be sent right now."""
        ...

    def obstacles(self) -> Mapping[str, str | None]:
        """Return what stands in the way of each destination; None: nothing."""
        ...

    def has_room(self, destination: str) -> bool:
        """Tell whether this process should take further deliveries to this destination as they arrive."""
        ...

    def accept(self, kept: Kept, make: Callable[[], KeptNotification], *, urgent: bool) -> None:
        """Run the deliveries whose lanes were taken with the keeping; ``make`` makes the notification where needed."""
        ...


class NoDeliverer:
    """Other processes deliver (``--role receive``): every notification is delayed, and none of its lanes is taken."""

    def obstacle(self, destination: str) -> str | None:
        """Tell that this process delivers nothing."""
        return "this process only receives (--role receive); another one delivers"

    def obstacles(self) -> Mapping[str, str | None]:
        """Return nothing: this process knows nothing of the destinations."""
        return {}

    def has_room(self, destination: str) -> bool:
        """Tell that this process takes nothing."""
        return False

    def accept(self, kept: Kept, make: Callable[[], KeptNotification], *, urgent: bool) -> None:
        """Leave it in the store."""
