"""``gateway migrate``: brings the store's schema forward."""

from __future__ import annotations

from gateway.cli.options import ROUTES, AsJson, RoutesFile
from gateway.cli.output import fail, print_json, stdout
from gateway.config.load import store_of
from gateway.store.engine.connect import open_database
from gateway.store.engine.database import describe, is_of_database
from gateway.store.engine.migrate import migrate as bring_forward


def migrate(routes: RoutesFile = ROUTES, json: AsJson = False) -> None:
    """Bring the store to this gateway's schema, making it if it is not there. `gateway serve` does so by itself."""
    database = open_database(store_of(routes), patient=True)
    try:
        database.prepare()
        before, after = bring_forward(database)
    except Exception as error:
        if not is_of_database(error):
            raise
        raise fail(f"the store {database.name} cannot be read: {describe(error)}") from None
    finally:
        database.close()
    if json:
        print_json({"store": database.name, "before": before, "after": after})
    elif before == after:
        stdout.print(f"The store {database.name} is at schema {after} already.", highlight=False, soft_wrap=True)
    else:
        stdout.print(
            f"The store {database.name}: schema {before or 'none'} -> {after}.", highlight=False, soft_wrap=True
        )
