"""Flow control: has the store looked at when a destination that left work there has capacity again."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.delivery.backpressure import Backpressure
from gateway.poller import Poller


class FlowControl:
    """Has the store looked at when a destination that left work behind has capacity again."""

    def __init__(self, poller: Poller, backpressure: Backpressure) -> None:
        self._poller = poller
        self._backpressure = backpressure
        self._behind: set[str] = set()

    @property
    def steps_back(self) -> bool:
        """Whether receiving needs the time of the work."""
        return self._backpressure.is_high

    def left_behind(self, *destinations: str) -> None:
        """Note that deliveries to these destinations wait in the store because there was no capacity here."""
        self._behind.update(destinations)

    def looks_for(self, destinations: Iterable[str]) -> None:
        """Note that the store is about to be looked at for these: who leaves something behind from here on counts."""
        self._behind.difference_update(destinations)

    def has_capacity(self, destination: str) -> None:
        """Note that a destination can take more."""
        if destination in self._behind:
            self._poller.wake()

    def wake(self) -> None:
        """Have the store looked at now."""
        self._poller.wake()
