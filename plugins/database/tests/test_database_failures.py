"""What the numbers of MariaDB and MySQL mean, as far as no server can be made to say them."""

from __future__ import annotations

import pymysql
import pytest
from gateway_database.failures import failure_of, surely_undone
from sqlalchemy.exc import DBAPIError

from gateway.api import DeliveryError, Misconfigured, Rejected, Unavailable


def raised(number: int, state: str | None = None, *, lost: bool = False) -> DBAPIError:
    """Return what SQLAlchemy makes of an error of the driver; older ones tell no state."""
    kind = pymysql.err.error_map.get(number, pymysql.err.OperationalError)
    error = kind(number, "said by the server")
    if state is not None:
        error.sqlstate = state
    made = DBAPIError.instance("INSERT", {}, error, pymysql.Error, connection_invalidated=lost)
    assert isinstance(made, DBAPIError)
    return made


@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize(
    ("number", "state", "meaning", "whole"),
    [
        (1062, "23000", Rejected, None),
        (1048, "23000", Rejected, None),
        (1364, "HY000", Rejected, None),
        (1406, "22001", Rejected, None),
        (1267, "HY000", Rejected, None),
        (1644, "45000", Rejected, None),
        (3819, "HY000", Rejected, None),
        (4025, "23000", Rejected, None),
        (1045, "28000", Misconfigured, None),
        (1049, "42000", Misconfigured, None),
        (1130, "HY000", Misconfigured, None),
        (1142, "42000", Misconfigured, None),
        (1820, "HY000", Misconfigured, None),
        (1054, "42S22", Misconfigured, None),
        (1146, "42S02", Misconfigured, None),
        (1205, "HY000", Unavailable, False),
        (1213, "40001", Unavailable, False),
        (1020, "HY000", Unavailable, False),
        (1412, "HY000", Unavailable, False),
        (1969, "70100", Unavailable, False),
        (1040, "08004", Unavailable, True),
        (1203, "42000", Unavailable, True),
        (1226, "42000", Unavailable, True),
        (1290, "HY000", Unavailable, True),
        (1114, "HY000", Unavailable, True),
    ],
)
def test_a_number_has_its_meaning_with_and_without_a_state(
    number: int, state: str, meaning: type[DeliveryError], whole: bool | None, with_state: bool
) -> None:
    failure = failure_of(raised(number, state if with_state else None))
    assert type(failure) is meaning
    assert getattr(failure, "whole", None) is whole
    assert "said by the server" in str(failure)


@pytest.mark.parametrize("number", [2003, 2006, 2013, 1927])
def test_a_server_that_is_gone_is_unavailable_as_a_whole(number: int) -> None:
    failure = failure_of(raised(number, lost=True))
    assert isinstance(failure, Unavailable)
    assert failure.whole


@pytest.mark.parametrize(
    ("number", "state", "undone"),
    [(1213, "40001", True), (1213, None, True), (1062, None, True), (1205, "HY000", False), (2013, None, False)],
)
def test_only_some_errors_of_a_commit_prove_that_nothing_was_written(
    number: int, state: str | None, undone: bool
) -> None:
    assert surely_undone(raised(number, state, lost=number == 2013)) is undone
