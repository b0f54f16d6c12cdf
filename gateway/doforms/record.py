"""Decoding a record as the REST API gives it: questions by their data names, tables as rows, numbers without loss."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from typing import Any

from gateway.doforms.failures import NotARecord, TooLarge, is_page
from gateway.doforms.fields import KNOWN, collect, collect_flat
from gateway.doforms.form_values import Collected
from gateway.doforms.record_bounds import LONGEST_NUMBER, check_depth, check_size
from gateway.models import Record, RecordKind

_WRAPPERS = ("submission", "dispatch", "record")
_SHOWN = 200
_FARTHEST = 4000
"""Places before or after the point, beyond which a number is no answer of a form: its digits stay a text.

Written out, or made a whole number, ``1e999999999`` would fill the memory.
"""
_FAR = re.compile(rb"[eE][+-]?\d{4}")
_LONGEST_FAR = 6
_PIECE = 256 * 1024
DECODED_HERE = 64 * 1024
"""Bytes of a body that is decoded in the event loop; it takes some milliseconds."""
_DECODING = ThreadPoolExecutor(1, thread_name_prefix="decode")


def decode_record(raw: bytes, *, kind: RecordKind) -> Record:
    """Decode the body of a fetched record: whatever a record holds is in ``paths``.

    Raises:
        NotARecord: the body is empty, no JSON, JSON without a key, or an error.
        TooLarge: it is beyond the bounds of `gateway.doforms.record_bounds`.
    """
    try:
        return _decoded(raw, kind)
    except TooLarge as error:
        raise TooLarge(f"the {kind} of {len(raw)} bytes is more than the gateway takes: {error}") from None


async def decode_aside(raw: bytes, *, kind: RecordKind) -> Record:
    """Decode as `decode_record` does; what is large in a thread, one after the other, so that the event loop goes on.

    Raises:
        NotARecord, TooLarge: as `decode_record` does.
    """
    if len(raw) <= DECODED_HERE:
        return decode_record(raw, kind=kind)
    return await asyncio.get_running_loop().run_in_executor(_DECODING, partial(decode_record, raw, kind=kind))


def _decoded(raw: bytes, kind: RecordKind) -> Record:
    check_size(raw)
    data = _record_object(raw, kind)
    collected = Collected()
    fields = data.get("fields")
    if isinstance(fields, list):
        collect(fields, "", collected)
    elif isinstance(fields, dict):
        collect_flat(fields, "", collected)
    else:
        flat = {name: value for name, value in data.items() if name not in {"key", "id"}}
        if fields is None:
            flat.pop("fields", None)
        collect_flat(flat, "", collected)
    return Record(
        kind=kind,
        key=_key(data) or "",
        id=_identifier(data.get("id")),
        fields=collected.by_name(),
        tables=collected.by_name(collected.tables),
        paths=collected.paths,
        kinds=collected.kinds,
        raw=data,
    )


def unknown_kinds(record: Record) -> dict[str, str]:
    """Return path -> kind of the values whose kind is not known: they are passed through as they are."""
    return {path: kind for path, kind in record.kinds.items() if kind not in KNOWN}


def _record_object(raw: bytes, kind: RecordKind) -> dict[str, Any]:
    if not raw.strip():
        raise NotARecord("doForms answered with an empty body instead of a record")
    data = _parsed(raw)
    check_depth(raw, data)
    for wrapper in sorted(_WRAPPERS, key=lambda one: one != kind.value):  # both may be there: that of its kind counts
        if _is_wrapped(data, wrapper):
            data = data[wrapper]
    if not isinstance(data, dict) or _key(data) is None:
        raise NotARecord(f"doForms answered with JSON that is no record (it has no key): {_cut(raw)}")
    if "fields" not in data and ("error" in data or "errors" in data):
        raise NotARecord(f"doForms answered with an error instead of a record: {_cut(raw)}")
    return data


def _parsed(raw: bytes) -> Any:
    try:
        try:
            fraction = _number if _has_far(raw) else Decimal
            return _read(raw, parse_float=fraction)
        except (ValueError, ArithmeticError):  # no JSON, or a number that Python does not take
            return _read(raw, parse_float=_number, parse_int=_number)
    except ValueError:
        text = f"doForms answered with something that is no JSON instead of a record: {_cut(raw)}"
        raise NotARecord(text, is_page=is_page(raw)) from None
    except RecursionError:
        raise NotARecord(f"doForms answered with JSON that is nested too deep to be read: {_cut(raw)}") from None


def _has_far(raw: bytes) -> bool:
    """Tell whether a number may lie too far away; piece by piece, so that other threads get their turn."""
    return any(_FAR.search(raw, place, place + _PIECE + _LONGEST_FAR) for place in range(0, len(raw), _PIECE))


def _read(raw: bytes, **numbers: Any) -> Any:
    return json.loads(raw, parse_constant=_refuse, object_pairs_hook=_object, **numbers)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object; where a flattened record says a name twice, the later ones are numbered, so that none is lost."""
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    met = dict.fromkeys(made, 1)
    made = {}
    for name, value in pairs:
        free = name
        while free in made:
            met[name] += 1
            free = f"{name}[{met[name]}]"
        made[free] = value
    return made


def _number(digits: str) -> Any:
    """Read a number; one of too many digits, or that lies too far from zero or from one, stays a text."""
    if len(digits) > LONGEST_NUMBER:
        return digits
    try:
        return int(digits)
    except ValueError:  # a fraction, or more digits than Python turns into a whole number
        try:
            number = Decimal(digits)
        except ArithmeticError:
            return digits
    exponent = number.as_tuple().exponent
    return number if isinstance(exponent, int) and abs(exponent) <= max(_FARTHEST, len(digits)) else digits


def _is_wrapped(data: Any, wrapper: str) -> bool:
    """Tell whether the record stands inside; a question of that name in a flattened record is no wrapper."""
    if not isinstance(data, dict) or "fields" in data or not isinstance(data.get(wrapper), dict):
        return False
    return "fields" in data[wrapper] or _key(data) is None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _key(data: Mapping[str, Any]) -> str | None:
    return _identifier(data.get("key")) or _identifier(data.get("id"))


def _identifier(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) and value else None


def _cut(raw: bytes) -> str:
    return raw[:_SHOWN].decode(errors="replace")
