"""Verifies by a listing whether doForms refuses one record, or everything of a web service."""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.calls.client import WebserviceClient
from gateway.doforms.failures import Forbidden, Gone, Later, NotAListing, NotFound, Quota, Unauthorised, WrongApi
from gateway.errors import DoformsError

_WINDOW = timedelta(minutes=1)


async def prove_password(client: WebserviceClient, told: DoformsError, *, end: datetime) -> None:
    """Ask for a listing after a refusal; returns if that works: then password and address are right.

    Raises:
        DoformsError: what follows if it does not, see `judge_listing`.
    """
    try:
        await client.list_submissions(end - _WINDOW, end, limit=1)
    except DoformsError as error:
        raise judge_listing(told, error) from told


IN_A_ROW = 3
"""So many listings of which doForms knows nothing, with none that worked in between: `api` is not its address."""


def judge_listing(told: DoformsError, error: DoformsError, *, listings_unknown: int = 0) -> DoformsError:
    """Return what follows from a listing that failed too.

    That a listing is forbidden says nothing about a web service whose records are not: it is paused only where both
    are, or where the password is not accepted at all.
    """
    if isinstance(error, Quota | Later):
        return error
    if isinstance(error, Gone | NotAListing) and (error.is_page or listings_unknown >= IN_A_ROW):
        return WrongApi(f"{told}; and for the listing, which doForms always has: {error}. `api` is not its address")
    if isinstance(error, Unauthorised) and (isinstance(told, Forbidden) or not isinstance(error, Forbidden)):
        return error
    return NotFound(f"{told}; and the listing to look for it in failed: {error}")
