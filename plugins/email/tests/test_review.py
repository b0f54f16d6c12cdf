"""What is found out before any mail is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gateway_email import Email
from gateway_email.options import EmailOptions, EmailSettings
from pydantic import SecretStr, ValidationError

from gateway.api import Delivery

MakeEmail = Callable[..., Email]
Options = Callable[..., EmailOptions]


@pytest.mark.parametrize("key", ["recipients", "cc", "bcc"])
@pytest.mark.parametrize("value", [["{{ record.fields.mail }}"], "{{ record.fields.mails }}"])
def test_a_templated_recipient_needs_allowed_recipients(
    key: str, value: Any, email: MakeEmail, unrendered: Options
) -> None:
    [finding] = email().review(unrendered(**{key: value}))
    assert (finding.where, finding.error) == (key, True)
    assert "allowed_recipients" in finding.remedy
    assert email(allowed_recipients=["*@example.com"]).review(unrendered(**{key: value})) == []


def test_a_templated_reply_to_needs_nothing(email: MakeEmail, unrendered: Options) -> None:
    assert email().review(unrendered(reply_to=["{{ record.fields.mail }}"])) == []


def test_a_literal_recipient_that_is_not_allowed_or_no_address_is_found(email: MakeEmail, unrendered: Options) -> None:
    destination = email(allowed_recipients=["*@example.com"])
    [finding] = destination.review(unrendered(recipients=["boss@example.com, eve@evil.org"]))
    assert "eve@evil.org is not among" in finding.found
    [finding] = destination.review(unrendered(recipients="boss"))
    assert "'boss' is no mail address" in finding.found
    [finding] = destination.review(unrendered(reply_to=["help"]))
    assert finding.where == "reply_to"


def test_a_mail_to_nobody_or_without_body_or_subject_is_found(email: MakeEmail, unrendered: Options) -> None:
    findings = email().review(unrendered(recipients=[], text=None, subject=""))
    assert [(finding.where, finding.error) for finding in findings] == [
        ("recipients", True),
        ("text", True),
        ("subject", False),
    ]


def test_what_cannot_be_attached_is_found(email: MakeEmail, unrendered: Options) -> None:
    [found] = email().review(unrendered(attach=["*", "findings[].photo", "findings[0].photo"]))
    assert (found.where, found.found) == (
        "attach[2]",
        "'findings[0].photo' is no path into a record. Write a question, table[].question, or * for every attachment",
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"from": "nobody"}, "no mail address"),
        ({"from": "a@example.com, b@example.com"}, "exactly one address"),
        ({"from": "a@example.com\r\nBcc: x@example.com"}, "line break"),
        ({"username": "u"}, "`password` is missing"),
        ({"password": SecretStr("p")}, "`username` is missing"),
        ({"password": "in clear", "username": "u"}, "in the clear"),
        ({"allowed_recipients": ["example.com"]}, "no pattern for addresses"),
        ({"security": "ssl"}, "starttls"),
        ({"host": "smtp.example.com\r\n"}, "pattern"),
        ({"host": "smtp://mail"}, "pattern"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"hots": "x"}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EmailSettings.model_validate({"host": "localhost", "from": "forms@example.com", **settings})


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_usual_port_belongs_to_the_security(security: str, port: int) -> None:
    settings = EmailSettings.model_validate({"host": "h", "from": "forms@example.com", "security": security})
    assert settings.effective_port == port


async def test_check_says_when_a_password_goes_in_the_clear_and_when_nobody_answers(
    serve: Callable[..., Any], script: Callable[..., Any], email: MakeEmail
) -> None:
    server = await serve()
    assert await email(port=server.port).check([]) == []
    assert server.box.mails == []
    port, _ = await script(EHLO="250-hi\r\n250 AUTH PLAIN", AUTH="235 welcome")
    [finding] = await email(port=port, username="u", password="p").check([])
    assert (finding.where, finding.error) == ("security", False)
    await server.stop()
    [finding] = await email(port=server.port).check([])
    assert "cannot connect" in finding.found


def test_a_preview_shows_the_mail_with_its_hidden_recipients(
    email: MakeEmail, delivery: Callable[..., Delivery[EmailOptions]]
) -> None:
    shown = email().preview(delivery(bcc=["hidden@example.com"], subject="Gefahr – jetzt", html="<b>Look</b>"))
    assert "To: boss@example.com" in shown
    assert "Bcc: hidden@example.com" in shown
    assert "Subject: Gefahr – jetzt" in shown
    assert "Look." in shown
    assert "<b>Look</b>" in shown
    assert email().preview(delivery(recipients=[])).startswith("would be rejected: ")
