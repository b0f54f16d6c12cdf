"""What is wrong with a delivery's options, without a look at the database."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.api import Finding, peek
from gateway_database.options import DatabaseOptions, SetOnDelete, Write


def review(options: DatabaseOptions) -> Iterator[Finding]:
    """Find options that do not fit together."""
    yield from _key(options)
    yield from _on_delete(options)
    named = options.named_columns
    for name in ("delivery_key", "guard"):
        column = getattr(options, name)
        if column is not None and column in named:
            found = f"the column `{column}` is the `{name}` and stands among `columns` too"
            yield Finding(
                where=f"columns.{column}", found=found, remedy="The gateway fills it: remove it from `columns`"
            )
    if not named and not options.delivery_key and peek(options.columns).get("*") is not True:
        yield Finding(where="columns", found="no column is written", remedy="Name at least one column in `columns`")
    if options.guard and options.write is Write.INSERT:
        remedy = 'Remove `guard`, or use write = "upsert" or "mirror"'
        yield Finding(where="guard", found="insert never overwrites, so there is nothing to guard", remedy=remedy)


def _key(options: DatabaseOptions) -> Iterator[Finding]:
    if options.write is Write.INSERT:
        if options.key:
            remedy = 'Remove `key`, or use write = "upsert"; `delivery_key` keeps rows from coming twice'
            yield Finding(where="key", found="insert takes no key", remedy=remedy)
        return
    if not options.key:
        found = f'write = "{options.write}" needs a key'
        yield Finding(
            where="key", found=found, remedy='Name the columns that tell a row, such as key = ["doforms_key"]'
        )
    for name in options.key:
        if name not in options.named_columns:
            remedy = f'Give it a value there, such as {name} = "{{{{ record.key }}}}"'
            yield Finding(where="key", found=f"the key column `{name}` is not among `columns`", remedy=remedy)


def _on_delete(options: DatabaseOptions) -> Iterator[Finding]:
    if options.write is not Write.MIRROR:
        if options.on_delete is not None:
            found = f'write = "{options.write}" does the same for every event'
            yield Finding(where="on_delete", found=found, remedy='Remove `on_delete`, or use write = "mirror"')
        return
    if options.guard and not isinstance(options.on_delete, SetOnDelete):
        found = "a guard cannot keep an older event from bringing a deleted row back"
        remedy = "Mark rows as deleted instead: on_delete = { set = { deleted = true } }"
        yield Finding(where="guard", found=found, remedy=remedy)
