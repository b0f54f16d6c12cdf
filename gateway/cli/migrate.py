"""``gateway migrate``: brings the store's schema forward."""

from __future__ import annotations

from sqlalchemy.exc import DatabaseError

from gateway.cli.options import ROUTES, AsJson, RoutesFile
from gateway.cli.output import fail, print_json, stdout
from gateway.routing.load import store_of
from gateway.store.engine import Database
from gateway.store.migrate import migrate as bring_forward


def migrate(routes: RoutesFile = ROUTES, json: AsJson = False) -> None:
    """Bring the store to this gateway's schema, making it if it is not there. `gateway serve` does so by itself."""
    database = Database(store_of(routes))
    database.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        before, after = bring_forward(database)
    except DatabaseError as error:
        raise fail(f"the store {database.path} cannot be read: {error.orig}") from None
    finally:
        database.close()
    if json:
        print_json({"store": str(database.path), "before": before, "after": after})
    elif before == after:
        stdout.print(f"The store {database.path} is at schema {after} already.", highlight=False, soft_wrap=True)
    else:
        stdout.print(
            f"The store {database.path}: schema {before or 'none'} -> {after}.", highlight=False, soft_wrap=True
        )
