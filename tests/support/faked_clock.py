"""A clock that leaps, for a process of its own: Debian's libfaketime, told by a file. Timers go on as ever."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

_LIBRARY = "faketime/libfaketimeMT.so.1"
_FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/local/lib")


def library() -> str:
    """Return the path of libfaketime; the test is skipped where it is not installed."""
    for folder in map(Path, _FOLDERS):
        for found in (folder / _LIBRARY, *folder.glob(f"*/{_LIBRARY}")):
            if found.exists():
                return str(found)
    pytest.skip("libfaketime is not installed (Debian's package faketime)")


@dataclass(frozen=True)
class FakedClock:
    """How far the clock of processes that are started with ``environ`` is from the right one."""

    file: Path
    seen_within: int = 0
    """Seconds within which a leap is seen; each look at the clock that is to see it at once takes long."""

    def is_off_by(self, offset: str) -> None:
        """Set it, such as to ``-30d``, ``+1h`` or ``+0``; who runs already sees a leap."""
        part = self.file.with_suffix(".part")
        part.write_text(offset)
        part.replace(self.file)

    @property
    def environ(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            **({"FAKETIME_CACHE_DURATION": str(self.seen_within)} if self.seen_within else {"FAKETIME_NO_CACHE": "1"}),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


def faked_clock(folder: Path, offset: str = "+0", *, seen_within: int = 0) -> FakedClock:
    """Return a clock that is off by so much."""
    made = FakedClock(folder / "faked-clock", seen_within)
    made.is_off_by(offset)
    return made
