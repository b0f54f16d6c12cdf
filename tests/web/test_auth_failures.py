"""When requests without the right secret are told to a person."""

from __future__ import annotations

from gateway.web.auth_failures import BURST, IN_A_ROW, AuthFailures


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def met(refusals: AuthFailures, clock: Clock, times: int, *, every: float, fitting: bool = False) -> list[str]:
    """Refuse so many, and return what was told; ``fitting`` has one that fits before each."""
    told = []
    for _ in range(times):
        clock.now += every
        if fitting:
            refusals.passed()
        told.append(refusals.met())
    return [text for text in told if text is not None]


def test_a_few_among_those_that_fit_are_told_to_nobody() -> None:
    refusals = AuthFailures(clock := Clock())
    assert met(refusals, clock, 100, every=10.0, fitting=True) == []


def test_a_burst_is_told_though_others_fit_and_once_a_minute() -> None:
    refusals = AuthFailures(clock := Clock())
    [text] = met(refusals, clock, BURST, every=1.0, fitting=True)
    assert text.startswith("20 or more requests within 60 s carried no or a wrong secret header: ")
    assert len(met(refusals, clock, 60, every=1.0, fitting=True)) == 1


def test_a_quiet_account_whose_header_is_wrong_is_told_after_five_however_long_they_take() -> None:
    refusals = AuthFailures(clock := Clock())
    assert met(refusals, clock, IN_A_ROW - 1, every=3600.0) == []
    [text] = met(refusals, clock, 1, every=3600.0)
    assert text.startswith("the last 5 requests carried no or a wrong secret header: ")
    assert "`gateway reconcile --books --until 0s`" in text
    assert len(met(refusals, clock, 2, every=3600.0)) == 2  # so that the alarm stands as long as it goes on
    refusals.passed()
    assert met(refusals, clock, IN_A_ROW - 1, every=3600.0) == []
