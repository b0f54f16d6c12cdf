"""Group commit, seen from outside: one notification that the store refuses does no harm to those beside it."""

from __future__ import annotations

import asyncio
import sqlite3

from tests.end_to_end.conftest import FORM, Make, World

ROW = 'to = "table"\ntable = "plain"\ndelivery_key = "delivery_key"\ncolumns = { record = "{{ notification.key }}" }'
TRIGGER = """
CREATE TRIGGER refuse BEFORE INSERT ON notifications WHEN NEW.notification_key = 'culprit'
BEGIN SELECT RAISE(ABORT, 'this one cannot be stored'); END
"""


async def test_in_a_group_only_the_notification_that_cannot_be_stored_is_refused(world: World, route: Make) -> None:
    with world.running(route(ROW, head='mode = "delayed"')) as gateway:
        database = sqlite3.connect(gateway.store, timeout=10)
        database.execute(TRIGGER)
        database.close()
        keys = [f"good-{number}" for number in range(40)]
        keys.insert(20, "culprit")
        posts = [world.doforms.compose(FORM, "create", key=key).body for key in keys]
        answers = await asyncio.gather(*(world.doforms.post(body) for body in posts))
        statuses = dict(zip(keys, (answer.status for answer in answers), strict=True))
        assert statuses.pop("culprit") == 503
        refused = answers[keys.index("culprit")]
        assert "this one cannot be stored" in refused.body.decode()
        assert "INSERT" not in refused.body.decode()
        assert set(statuses.values()) == {200}
        await world.doforms.until(lambda: len(world.rows("SELECT * FROM plain")) == 40)
        kept = {key for (key,) in world.stored("SELECT notification_key FROM notifications")}
        assert kept == set(keys) - {"culprit"}
