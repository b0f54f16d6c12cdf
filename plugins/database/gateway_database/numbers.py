"""Numbers: what text is one, and whether a column keeps all of it."""

from __future__ import annotations

import re
import struct
from decimal import Decimal
from typing import Any

from sqlalchemy import Float

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
BLANKS = " \t\r\n"
"""What may stand before and behind a value of any type but text."""
_LONGEST = 400
"""Numbers with more digits than this (``1E+999999``) are no answers of a form, and would only cost memory."""
_INT64 = 2**63
_DIGITS_OF_SINGLE = 6
"""Decimal digits that every such float keeps (FLT_DIG of C)."""


class SingleFloat(Float[Any]):
    """A float of four bytes."""

    cache_ok = True


def number(value: Any) -> Decimal:
    """Return the number that a value is: digits, sign, point, exponent, and nothing else.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool):
        return Decimal(int(value))
    if isinstance(value, (int, float, Decimal)):
        found = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    else:
        text = str(value).strip(BLANKS)
        if not isinstance(value, str) or not _NUMBER.fullmatch(text):
            raise ValueError("it is no number written in digits, with a point before a fraction and nothing between")
        found = Decimal(text)
    if not found.is_finite() or abs(found.adjusted()) > _LONGEST:
        raise ValueError("it is no number of usual size")
    return found


def integer(value: Any, *, unsigned: bool = False) -> int:
    """Return the whole number that a value is, of 64 bits.

    Raises:
        ValueError: it is none.
    """
    found = number(value)
    if found != found.to_integral_value():
        raise ValueError("it is no whole number")
    if not -_INT64 <= found < (2 * _INT64 if unsigned else _INT64):
        raise ValueError("it has more than 64 bits")
    return int(found)


def decimal(value: Any, scale: int | None) -> Decimal:
    """Return the number that a value is, with no more digits after the point than the column has.

    Raises:
        ValueError: it is none, or the database would round it.
    """
    found = number(value)
    if scale is not None and _digits(found)[1] > scale:
        raise ValueError(f"the column has {scale} digits after the point, and would round it")
    return found


def sqlite_decimal(value: Any) -> int | Decimal:
    """Return a number as SQLite keeps it: a whole one of 64 bits, or one of 15 digits.

    Raises:
        ValueError: it is none, or SQLite would round it.
    """
    found = number(value)
    if found == found.to_integral_value() and -_INT64 <= found < _INT64:
        return int(found)
    if Decimal(repr(float(found))) != found:
        raise ValueError("SQLite keeps only 15 digits of it; a TEXT column would keep all")
    return found


def floating(value: Any, *, single: bool = False, shown: bool = True, scale: int | None = None) -> float:
    """Return the number that a value is, as a float that is written with the same digits.

    ``single``: as one of four bytes; ``shown``: of which the database shows as many digits as it keeps.

    Raises:
        ValueError: it is none, or a float does not keep it.
    """
    found = decimal(value, scale)
    made = float(found)
    if not (_fits_single(found, made, shown=shown) if single else Decimal(repr(made)) == found):
        raise ValueError(f"a float of {4 if single else 8} bytes does not keep all of its digits")
    return made


def _fits_single(found: Decimal, made: float, *, shown: bool) -> bool:
    try:
        [kept] = struct.unpack("f", struct.pack("f", made))
    except OverflowError:
        return False
    if shown and Decimal(kept) == found:
        return True
    return _digits(found)[0] <= _DIGITS_OF_SINGLE and Decimal(f"{kept:.{_DIGITS_OF_SINGLE}g}") == found


def _digits(found: Decimal) -> tuple[int, int]:
    """Count digits, without zeros at the end: all of them, and those after the point."""
    digits = "".join(map(str, found.as_tuple().digits))
    significant = digits.rstrip("0")
    exponent = int(found.as_tuple().exponent) + len(digits) - len(significant)
    return len(significant), max(-exponent, 0) if significant else 0
