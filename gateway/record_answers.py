"""The answers of a record by question name; an ambiguous name is never guessed at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.errors import TemplateError
from gateway.models import Record


class RecordAnswers(dict[str, Any]):
    """Values by question name. A name that stands in several places is refused when it is asked for.

    ``several`` maps such a name to the paths where it stands; its values are here under these. What is asked for by
    its path is found in ``paths`` also where its name stands only once, as the others were not answered.
    """

    def __init__(
        self, values: Mapping[str, Any], several: Mapping[str, Sequence[str]], paths: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(values)
        self.several = several
        self._paths = paths or {}

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value; raises TemplateError, naming the paths, for a name that stands in several places."""
        self._refuse(name)
        return super().get(name, self._paths.get(name, default))

    def __getitem__(self, name: str) -> Any:
        self._refuse(name)
        return super().__getitem__(name)

    def __missing__(self, name: str) -> Any:
        return self._paths[name]

    def relate(self, own: Callable[[Any], Any]) -> None:
        """Have beside the values own things, as ``own`` makes them, instead of those of what it was copied from."""
        self.several = {name: list(paths) for name, paths in self.several.items()}
        self._paths = own(self._paths)

    def _refuse(self, name: str) -> None:
        if name in self.several:
            raise TemplateError(
                f"{name!r} stands in several places of the form; ask for one of its paths: "
                f"{' or '.join(repr(path) for path in self.several[name])}"
            )


def every_answer(record: Record) -> dict[str, Any]:
    """Return each answer once: by its question's name or, where that stands in several places, by its path."""
    return dict(record.fields)


def unfolded(
    single: Mapping[str, Any], several: Mapping[str, Sequence[str]], paths: Mapping[str, Any]
) -> dict[str, Any]:
    """Return answers as a plain dict, what stands in several places by its paths."""
    found = dict(single)
    for path in (path for some in several.values() for path in some):
        name = path
        while name in found:  # another question has the very name that this path reads like
            name += "[2]"
        found[name] = paths[path]
    return found
