"""Refuses names in filters that nothing has: a misspelling must not look like an empty list."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from gateway.cli.output import fail
from gateway.config.diagnostics import suggest
from gateway.config.load import names_in
from gateway.errors import RoutesFileError
from gateway.store.operator.queries import names_in_use
from gateway.store.operator.views import DeliveryFilter, NotificationFilter


def check_names(routes: Path, connection: Connection, wanted: DeliveryFilter | NotificationFilter) -> None:
    """End the command if a filter that found nothing names a route or destination of neither the file nor the store."""
    if wanted.route is None and wanted.destination is None:
        return
    try:
        routes_in_file, destinations_in_file = names_in(routes)
    except RoutesFileError:
        return  # what the file would name is not known; an order on the store works all the same
    kept_routes, kept_destinations = names_in_use(connection)
    for kind, name, known in (
        ("route", wanted.route, routes_in_file | kept_routes),
        ("destination", wanted.destination, destinations_in_file | kept_destinations),
    ):
        if name is not None and name not in known:
            text = f"there is no {kind} {name!r}, neither in the routes file nor in the store"
            raise fail(f"{text}. {suggest(name, known, kind=kind)}", status=2)
