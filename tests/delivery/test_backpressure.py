from __future__ import annotations

from contextlib import ExitStack

import pytest

from gateway.delivery.backpressure import Backpressure


def test_many_notifications_at_once_are_pressure_until_they_are_kept() -> None:
    backpressure = Backpressure()
    with ExitStack() as requests:
        for _ in range(3):
            requests.enter_context(backpressure)
        assert not backpressure.is_high
        with backpressure:
            assert backpressure.is_high
        assert not backpressure.is_high


def test_one_that_could_not_be_kept_no_longer_counts() -> None:
    backpressure = Backpressure()
    for _ in range(100):
        with pytest.raises(RuntimeError), backpressure:
            raise RuntimeError
    assert not backpressure.is_high
