"""As many requests as go: without the secret, with invented web services, at paths that are nearly right."""

from __future__ import annotations

import json
from itertools import count

from tests.hostile.routes import ATTACKED, OTHER_ID, PATH
from tests.hostile.strangers.attack import Attack, Target, again, head, say

_HOSTILE = "\u009b2J\x1b[31m\u202e\u2028\r\n\x7f"


async def wrong_secrets(target: Target) -> None:
    """Send notifications with wrong secrets, and with none, at full speed."""
    body = json.dumps({"key": "guess", "webserviceId": OTHER_ID}).encode()
    numbers = count()
    await again(16, lambda: say(target, head(f"X-Webhook-Key: guess-{next(numbers)}", length=len(body)), body))


async def invented(target: Target) -> None:
    """Send notifications of web services that nobody declared, with the secret."""
    numbers = count()

    async def send() -> None:
        name = f"{ATTACKED}{target.chance.randrange(1 << 40)}-{next(numbers)}"
        body = json.dumps({"key": name, "webserviceId": f"{name}$$1", "submissionKey": _HOSTILE + name}).encode()
        await say(target, head(secret=True, length=len(body)), body)

    await again(4, send)


async def nearly_right(target: Target) -> None:
    """Send notifications to paths that are nearly right, with the secret and odd letters."""
    paths = ("/webhook", f"/proxy{PATH}", f"{PATH}/adde", "/%00", "/..%2f..%2fetc", "/" + "p" * 4000)
    body = json.dumps({"key": f"{ATTACKED}path", "webserviceId": OTHER_ID}).encode()

    async def send() -> None:
        path = f"{target.chance.choice(paths)}{target.chance.randrange(1 << 30)}"
        lines = (f"X-Forwarded-For: 10.{target.chance.randrange(255)}.0.1",)
        await say(target, head(*lines, path=path, secret=True, length=len(body)), body)

    await again(8, send)


FLOODS: dict[str, Attack] = {
    "wrong secrets at full speed": wrong_secrets,
    "invented web services": invented,
    "paths nearly right": nearly_right,
}
