"""The lock that the writers of an SQLite store take turns by."""

from __future__ import annotations

import threading

from gateway.store.sqlite import FairLock


def test_who_waits_has_the_lock_before_its_last_holder_has_it_again() -> None:
    lock, turns, asked = FairLock(), [], threading.Event()

    def keep() -> None:
        asked.set()
        with lock:
            turns.append("keep")

    keeping = threading.Thread(target=keep)
    with lock:
        keeping.start()
        asked.wait()
        while not lock.is_wanted:
            pass
        turns.append("ledger")
    with lock:
        turns.append("ledger again")
    keeping.join()
    assert turns == ["ledger", "keep", "ledger again"]
