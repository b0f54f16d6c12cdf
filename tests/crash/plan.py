"""The plan of a seed: which faults come when, for how long, and whom they hit; the same for ever."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.crash.routes import LEASE, SILENCE

LOAD_SECONDS = 4.0
"""How long notifications are sent at least; faults begin within this time."""


class Kind(StrEnum):
    """The faults, each with what it does."""

    KILL = "kill"
    """SIGKILL to a gateway, which is started again."""
    STOP = "stop"
    """SIGSTOP to a gateway for longer than a lease, then SIGCONT."""
    SHUTDOWN = "shutdown"
    """SIGTERM to a gateway, which is started again."""
    SERVICE_DOWN = "service down"
    """The REST service answers 503."""
    SERVICE_BUSY = "service busy"
    """The REST service answers 429 with Retry-After."""
    SERVICE_SLOW = "service slow"
    """The REST service does it, and answers late."""
    SERVICE_ODD = "service odd"
    """The REST service does it, and answers 500."""
    SERVICE_CUT = "service cut"
    """The REST service does it, and its answer breaks off."""
    TABLES_LOCKED = "tables locked"
    """Somebody holds the destination's tables."""
    API_429 = "api 429"
    """doForms' REST API answers 429."""
    API_5XX = "api 5xx"
    """doForms' REST API answers 500, 502 or 503."""
    API_SLOW = "api slow"
    """doForms' REST API takes its time."""
    RELOAD = "reload"
    """SIGHUP to a gateway with other settings in the routes file, or a mistake in it; later the old ones."""
    DISK_FULL = "disk full"
    """The file system of the store has no room left."""
    DEADLY_RECORD = "deadly record"
    """The REST service kills each gateway that sends it one certain record."""
    DATABASE_RESTART = "database restart"
    """The database server goes down at once, as in a crash, and comes up again."""
    DATABASE_SILENT = "database silent"
    """The database server stands still: it neither answers nor hangs up."""
    CLOCK_LEAP = "clock leap"
    """The clock of the machine goes back or forward, by an hour or by a month, and returns."""

    @property
    def cuts(self) -> bool:
        """Whether it can cut off an answer or a report, so that doForms is rightly told twice."""
        return self in (
            Kind.KILL,
            Kind.STOP,
            Kind.SHUTDOWN,
            Kind.DISK_FULL,
            Kind.DEADLY_RECORD,
            Kind.DATABASE_RESTART,
            Kind.DATABASE_SILENT,
        )


_LASTS = {
    Kind.KILL: (0.0, 0.5),
    Kind.STOP: (1.3 * LEASE, 2.5 * LEASE),
    Kind.SHUTDOWN: (0.0, 0.2),
    Kind.DISK_FULL: (0.3, 0.8),
    Kind.DEADLY_RECORD: (8.0, 8.0),
    Kind.DATABASE_RESTART: (0.0, 0.5),
    Kind.DATABASE_SILENT: (1.3 * SILENCE, 2.0 * SILENCE),
    Kind.TABLES_LOCKED: (0.3, 1.5),
    Kind.CLOCK_LEAP: (1.5, 3.0),
}
_OTHERS_LAST = (0.3, 1.5)
_CUTS_AT = (0.8, 2.3)
"""Early, for what is cut off may have to be made good 10 s later; not at once, for there must be something to cut."""
_OTHERS_AT = (0.3, 3.5)
_FEWEST, _MOST = 4, 7
_DEADLY = 0.4
"""The share of the seeds with a deadly record: it comes on top, and whatever else they have stays as it is."""
_APART = {Kind.CLOCK_LEAP: ("leaps", _OTHERS_AT), Kind.DATABASE_SILENT: ("silences", _CUTS_AT)}
"""They come on top as well, each by a chance of its own (by this name): a seed's other faults stay as they are."""
_SHARE = 0.5
"""In so many seeds, of those in which it can come, each of them comes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that is planned: seconds after the load began, and how many it lasts (a deadly record: at most)."""

    kind: Kind
    at: float
    lasts: float
    process: int = 0
    """Which gateway it hits, if it hits one."""


def plan(seed: int, kinds: Collection[Kind], *, processes: int = 1) -> Sequence[Fault]:
    """Return the faults of a seed, chosen among ``kinds``; at most one more that cuts than there are processes."""
    chance = random.Random(seed)
    possible = sorted({*kinds} - {Kind.DEADLY_RECORD, *_APART})
    made = []
    for _ in range(chance.randint(_FEWEST, _MOST) if possible else 0):
        kind = chance.choice(possible)
        if kind.cuts and sum(fault.kind.cuts for fault in made) > processes:
            continue  # a gateway that is hardly ever up has no work to be caught at
        at = chance.uniform(*(_CUTS_AT if kind.cuts else _OTHERS_AT))
        made.append(Fault(kind, at, chance.uniform(*_LASTS.get(kind, _OTHERS_LAST)), chance.randrange(processes)))
    if Kind.DEADLY_RECORD in kinds and (not possible or chance.random() < _DEADLY):
        made.append(Fault(Kind.DEADLY_RECORD, chance.uniform(*_CUTS_AT), _LASTS[Kind.DEADLY_RECORD][1]))
    for kind in sorted({*kinds} & _APART.keys()):
        name, at_times = _APART[kind]
        own = random.Random(f"{name} {seed}")
        if own.random() < _SHARE or not possible:
            made.append(Fault(kind, own.uniform(*at_times), own.uniform(*_LASTS[kind])))
    return sorted(made, key=lambda fault: fault.at)
