"""What a delivery would write, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.api import Delivery, to_json
from gateway_database.options import DatabaseOptions
from gateway_database.prepare import removes, row_of


def preview(delivery: Delivery[DatabaseOptions]) -> str:
    """Show table, columns, values and the rows that belong to the row."""
    return "\n".join(_lines(delivery))


def _lines(delivery: Delivery[DatabaseOptions]) -> Iterator[str]:
    options, row, removing = delivery.options, row_of(delivery), removes(delivery)
    marks = options.marks if removing else None
    if marks is not None:
        yield f"update {options.table} (mark as deleted)"
        yield from _pairs("set", marks)
    else:
        yield f"{'delete from' if removing else options.write.value} {options.table}"
    for name, value in row.items():
        yield from _pairs(
            "where" if name in options.key else "guard" if name == options.guard else "set", {name: value}
        )
    for child in options.children if marks is None else ():
        where = ", ".join(f"{name} = {to_json(value)}" for name, value in child.parent.items())
        if removing:
            yield f"delete from {child.table} where {where}"  # nosec B608
            continue
        count = len(child.columns)
        yield f"{count} {'row' if count == 1 else 'rows'} of {child.table} where {where}"
        for columns in child.columns:
            yield f"  {', '.join(f'{name} = {to_json(value)}' for name, value in columns.items())}"


def _pairs(word: str, values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        yield f"  {word} {name} = {to_json(value)}"
