"""Reviews a delivery's options without asking the database."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.api import Finding, peek
from gateway_database.options import EVERYTHING, Child, DatabaseOptions, Write


def review(options: DatabaseOptions) -> Iterator[Finding]:
    """Yield what does not fit together in (unrendered) options."""
    yield from _key(options)
    yield from _columns(options)
    yield from _own_columns(options)
    yield from _on_delete(options)
    for number, child in enumerate(options.children):
        yield from _child(child, f"children[{number}]")


def _key(options: DatabaseOptions) -> Iterator[Finding]:
    if options.write is Write.INSERT:
        if options.key:
            remedy = 'Remove `key`, or write write = "upsert"; `delivery_key` keeps rows from coming twice'
            yield Finding(where="key", found='write = "insert" takes no key', remedy=remedy)
        return
    if not options.key:
        remedy = 'Name the columns that tell a row from the others, such as key = ["doforms_key"]'
        yield Finding(where="key", found=f'write = "{options.write.value}" needs a key', remedy=remedy)
    for name in dict.fromkeys(options.key):
        if options.key.count(name) > 1:
            yield Finding(where="key", found=f"the key column `{name}` is named twice", remedy="Name it once")
        if name not in options.named_columns:
            remedy = f'Give it a value there, such as {name} = "{{{{ record.key }}}}"'
            yield Finding(where="key", found=f"the key column `{name}` is not among `columns`", remedy=remedy)


def _columns(options: DatabaseOptions) -> Iterator[Finding]:
    if EVERYTHING in (peek(options.columns) or {}) and not options.takes_everything:
        remedy = 'Write "*" = true, or take it out'
        yield Finding(where=f"columns.{EVERYTHING}", found='`"*"` can only be true', remedy=remedy)
        return
    own = [name for name in (options.delivery_key, options.guard) if name]
    others = set(options.named_columns) - set(options.key if options.write is Write.UPDATE else ())
    if options.write is not Write.DELETE and not (others or own or options.takes_everything):
        remedy = "Name columns and their values in `columns`"
        yield Finding(where="columns", found="the delivery would write nothing", remedy=remedy)


def _own_columns(options: DatabaseOptions) -> Iterator[Finding]:
    """Yield clashes of the columns that the gateway fills by itself."""
    marks = options.marks or {}
    for option in ("delivery_key", "guard"):
        column = getattr(options, option)
        for where, table in (("columns", options.named_columns), ("on_delete.set", marks)):
            if column is not None and column in table:
                found = f"`{column}` is the column of `{option}`, which the gateway fills"
                yield Finding(where=f"{where}.{column}", found=found, remedy=f"Take it out of `{where}`")
    if options.guard is not None and options.guard == options.delivery_key:
        remedy = "Give each a column of its own"
        yield Finding(where="guard", found=f"`{options.guard}` is the column of `delivery_key` too", remedy=remedy)
    if options.guard is not None and options.write is Write.INSERT:
        remedy = 'Take `guard` out, or write write = "upsert" or "mirror"'
        yield Finding(where="guard", found='write = "insert" overwrites nothing, so nothing is guarded', remedy=remedy)
    if options.delivery_key is not None and options.write is Write.DELETE:
        found = 'write = "delete" fills no column'
        yield Finding(
            where="delivery_key", found=found, remedy="Take `delivery_key` out: a repeated delete is harmless"
        )


def _on_delete(options: DatabaseOptions) -> Iterator[Finding]:
    if options.write is not Write.MIRROR:
        if options.on_delete is not None:
            found = f'write = "{options.write.value}" does the same for every event'
            yield Finding(where="on_delete", found=found, remedy='Take `on_delete` out, or write write = "mirror"')
        return
    if options.guard and options.marks is None:
        found = "a row that is gone has no number left, so that an older notification would bring it back"
        yield Finding(where="guard", found=found, remedy="Mark instead: on_delete = { set = { deleted = true } }")
    if options.marks == {}:
        yield Finding(where="on_delete.set", found="it sets no column", remedy="Name one, such as deleted = true")
    for name in options.key:
        if name in (options.marks or {}):
            remedy = "Take it out: a delete leaves the key as it is"
            yield Finding(where=f"on_delete.set.{name}", found=f"`{name}` is a key column", remedy=remedy)


def _child(child: Child, where: str) -> Iterator[Finding]:
    parent, columns = peek(child.parent) or {}, peek(child.columns)
    if not parent:
        remedy = 'Name the columns that lead to the row, such as parent = { inspection_key = "{{ record.key }}" }'
        yield Finding(where=f"{where}.parent", found="it names no column", remedy=remedy)
    for name in columns if isinstance(columns, dict) else ():
        if name == EVERYTHING:
            remedy = "Name each column, with row.NAME as its value"
            yield Finding(where=f"{where}.columns.{name}", found='`"*"` works in the first table only', remedy=remedy)
        elif name in parent:
            remedy = "Leave it in `parent` alone"
            yield Finding(where=f"{where}.columns.{name}", found=f"`{name}` stands in `parent` too", remedy=remedy)
