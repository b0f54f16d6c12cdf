"""Handles signals that come before the service can hear them, and after it has ended.

Until then a SIGTERM or SIGINT ends the process at once with exit status 0: nothing has been opened that would need an
end. A SIGHUP is remembered, and served once the gateway runs. Imports nothing of the gateway, which takes its time.
"""

import os
import signal
from types import FrameType

TO_END = (signal.SIGTERM, signal.SIGINT)
_asked_to_reload = False


def remember() -> None:
    """Hear signals from here on; `gateway.web.signals` takes over."""
    for number in TO_END:
        signal.signal(number, _end)
    signal.signal(signal.SIGHUP, _remember_reload)


def asked_to_reload() -> bool:
    """Tell whether a SIGHUP has come since `remember`, and forget it."""
    global _asked_to_reload
    asked, _asked_to_reload = _asked_to_reload, False
    return asked


def end_at_once() -> None:
    """Have a further SIGTERM or SIGINT end the process at once: all is done. A SIGHUP means nothing any more."""
    for number in TO_END:
        signal.signal(number, _end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def ignore() -> None:
    """Let no signal change the exit status any more: Python's own end would take the handlers away."""
    for number in (*TO_END, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _end(_: int, __: FrameType | None) -> None:
    os._exit(0)


def _remember_reload(_: int, __: FrameType | None) -> None:
    global _asked_to_reload
    _asked_to_reload = True
