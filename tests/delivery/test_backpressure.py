from __future__ import annotations

from contextlib import ExitStack

import pytest

from gateway.delivery.backpressure import Pressure


def test_many_notifications_at_once_are_pressure_until_they_are_kept() -> None:
    pressure = Pressure()
    with ExitStack() as requests:
        for _ in range(3):
            requests.enter_context(pressure)
        assert not pressure.is_high
        with pressure:
            assert pressure.is_high
        assert not pressure.is_high


def test_one_that_could_not_be_kept_no_longer_counts() -> None:
    pressure = Pressure()
    for _ in range(100):
        with pytest.raises(RuntimeError), pressure:
            raise RuntimeError
    assert not pressure.is_high
