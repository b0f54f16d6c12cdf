"""The lock that the writers of an SQLite store take turns by."""

from __future__ import annotations

import threading
import time

from gateway.store.engine.sqlite import FairLock

ROUNDS = 20
"""Of which the machine may spoil some: a thread that is not woken in time does not wait yet."""


def turns() -> list[str]:
    """Return who had the lock in which order, where one waits for it and its holder wants it again at once."""
    lock, had, asked = FairLock(), [], threading.Event()

    def keep() -> None:
        asked.set()
        with lock:
            had.append("keep")

    keeping = threading.Thread(target=keep)
    with lock:
        keeping.start()
        asked.wait()
        time.sleep(0.01)
        had.append("ledger")
    with lock:
        had.append("ledger again")
    keeping.join()
    return had


def test_who_waits_has_the_lock_before_its_last_holder_has_it_again() -> None:
    fair = [turns() == ["ledger", "keep", "ledger again"] for _ in range(ROUNDS)]
    assert sum(fair) > ROUNDS / 2
