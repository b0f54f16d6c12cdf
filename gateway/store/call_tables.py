"""The tables for rates and calls that several processes share."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from gateway.store.metadata import metadata

rates = Table(  # of destinations, over all processes that share the store
    "rates",
    metadata,
    Column("name", Text, primary_key=True),
    Column("used_until", BigInteger, nullable=False),
)

call_slots = Table(  # how many calls at once to an account each process that shares the store may make
    "call_slots",
    metadata,
    Column("account", Text, primary_key=True),
    Column("holder", Text, primary_key=True),
    Column("slots", Integer, nullable=False),
    Column("demand", Integer, nullable=False),  # calls under way and waiting
    Column("until", BigInteger, nullable=False),  # when its lease ends
)

call_counts = Table(  # calls to doForms by day (00:00 UTC), web service and kind
    "call_counts",
    metadata,
    Column("day", BigInteger, primary_key=True, autoincrement=False),
    Column("webservice_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("too_many", BigInteger, nullable=False),  # those of them that were answered 429
    Column("over_quota", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),  # in any other way
)
