"""Composing mails."""

from __future__ import annotations

from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from gateway_email.message import Mail, compose
from gateway_email.options import EmailOptions, EmailSettings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.api import Delivery, Rejected

Make = Callable[..., Delivery[EmailOptions]]
SETTINGS = EmailSettings.model_validate({"host": "localhost", "from": "Forms <forms@example.com>"})


def parsed(mail: Mail) -> EmailMessage:
    return message_from_bytes(mail.content, policy=policy.default)


def addresses_in(message: EmailMessage, header: str) -> list[str]:
    return [address.addr_spec for address in message[header].addresses] if message[header] else []


def test_a_mail_carries_what_the_options_say(delivery: Make) -> None:
    mail = compose(
        SETTINGS,
        delivery(
            recipients=["Boss <boss@example.com>"],
            cc=["a@example.com, b@example.com"],
            bcc=["hidden@example.com"],
            reply_to=["Help <help@example.com>"],
            subject="High risk at Dock 4",
            text="Reported by Ada.",
        ),
    )
    message = parsed(mail)
    assert message["From"] == "Forms <forms@example.com>"
    assert message["To"] == "Boss <boss@example.com>"
    assert addresses_in(message, "Cc") == ["a@example.com", "b@example.com"]
    assert message["Reply-To"] == "Help <help@example.com>"
    assert message["Subject"] == "High risk at Dock 4"
    assert message["Date"] == "Fri, 02 Jan 2026 03:04:05 +0000"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content() == "Reported by Ada.\r\n"
    assert [box.address for box in mail.recipients] == [
        "boss@example.com",
        "a@example.com",
        "b@example.com",
        "hidden@example.com",
    ]
    assert b"hidden" not in mail.content


def test_the_same_delivery_gives_the_same_mail_and_another_another_id(delivery: Make) -> None:
    first, again = compose(SETTINGS, delivery(html="<p>Look")), compose(SETTINGS, delivery(html="<p>Look"))
    other = compose(SETTINGS, delivery(key="delivery-2"))
    assert first.message_id == again.message_id != other.message_id
    assert first.message_id.endswith("@example.com>")
    assert parsed(first)["Message-ID"] == first.message_id
    assert first.content == again.content


def test_text_and_html_are_alternatives(delivery: Make) -> None:
    message = parsed(compose(SETTINGS, delivery(text="plain ünd", html="<b>bold</b>")))
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    only = parsed(compose(SETTINGS, delivery(text=None, html="<b>bold</b>")))
    assert (only.get_content_type(), only.get_content()) == ("text/html", "<b>bold</b>\r\n")


def test_a_mail_without_body_is_rejected(delivery: Make) -> None:
    with pytest.raises(Rejected, match="neither text nor html"):
        compose(SETTINGS, delivery(text=None))


def test_everyone_gets_it_once(delivery: Make) -> None:
    mail = compose(
        SETTINGS,
        delivery(recipients=["a@example.com", "A <a@EXAMPLE.com>"], cc=["a@example.com"], bcc=["b@example.com"]),
    )
    assert [box.address for box in mail.recipients] == ["a@example.com", "b@example.com"]


@pytest.mark.parametrize("key", ["recipients", "cc", "bcc"])
def test_mail_to_more_than_is_allowed_is_rejected(key: str, delivery: Make) -> None:
    many = [f"a{number}@example.com" for number in range(51)]
    with pytest.raises(Rejected, match="the mail has 51 recipients, and max_recipients of the destination allows 50"):
        compose(SETTINGS, delivery(**{"recipients": [], key: [", ".join(many)]}))
    more = SETTINGS.model_copy(update={"max_recipients": 51})
    assert len(compose(more, delivery(**{"recipients": [], key: many})).recipients) == 51


def test_no_recipients_at_all_is_rejected(delivery: Make) -> None:
    with pytest.raises(Rejected, match="no recipients"):
        compose(SETTINGS, delivery(recipients=["", " , "]))


def test_one_recipient_that_is_not_allowed_makes_the_whole_mail_rejected(delivery: Make) -> None:
    settings = SETTINGS.model_copy(update={"allowed_recipients": ["*@example.com"]})
    for key in ("recipients", "cc", "bcc"):
        with pytest.raises(Rejected, match=rf"{key}: eve@evil.org is not among the allowed_recipients"):
            compose(settings, delivery(**{key: ["boss@example.com, eve@evil.org"]}))
    assert compose(settings, delivery(reply_to=["help@partner.org"])).recipients


def test_a_bad_address_is_rejected_by_name(delivery: Make) -> None:
    with pytest.raises(Rejected, match="cc: 'boss' is no mail address"):
        compose(SETTINGS, delivery(cc=["boss"]))


def test_line_breaks_in_a_subject_become_spaces(delivery: Make) -> None:
    mail = compose(SETTINGS, delivery(subject="Risk\r\nBcc: all@example.com\n\n<script>\x00\x85\u2028end"))
    message = parsed(mail)
    assert message["Subject"] == "Risk Bcc: all@example.com <script> end"
    assert message["Bcc"] is None


def test_an_international_subject_and_name_arrive(delivery: Make) -> None:
    subject = "Gefährdung an Straße 4 – 高リスク 🚧"
    mail = compose(SETTINGS, delivery(subject=subject, recipients=["Jürgen Müller <jm@example.com>"]))
    assert not mail.international
    assert mail.content.isascii()
    message = parsed(mail)
    assert message["Subject"] == subject
    assert message["To"].addresses[0].display_name == "Jürgen Müller"


def test_an_international_address_asks_for_smtputf8(delivery: Make) -> None:
    for key in ("recipients", "reply_to"):
        mail = compose(SETTINGS, delivery(**{key: ["jürgen@bücher.example"]}))
        assert mail.international
        assert "jürgen@xn--bcher-kva.example".encode() in mail.content
    assert not compose(SETTINGS, delivery(recipients=["j@bücher.example"])).international


def test_a_long_subject_is_cut_and_no_line_is_too_long_for_a_server(delivery: Make) -> None:
    mail = compose(SETTINGS, delivery(subject="x" * 100_000, text="y" * 5000 + "\r\n" + "z\x0c" * 600))
    assert len(parsed(mail)["Subject"]) == 500
    assert max(map(len, mail.content.split(b"\r\n"))) <= 998


_TEXT = st.text(alphabet=st.one_of(st.characters(codec=None), st.sampled_from('\r\n\t .,;:<>"@=?_\\()')), max_size=120)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(subject=_TEXT, name=_TEXT, text=_TEXT)
def test_no_text_adds_a_header_or_a_recipient(delivery: Make, subject: str, name: str, text: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    options: dict[str, Any] = {"subject": subject, "text": text, "cc": [f'"{quoted}" <cc@example.com>']}
    try:
        mail = compose(SETTINGS, delivery(**options))
    except Rejected:
        return
    head, _, body = mail.content.partition(b"\r\n\r\n")
    names = [line.split(b":")[0] for line in head.split(b"\r\n") if not line.startswith((b" ", b"\t"))]
    known = {b"From", b"To", b"Cc", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted", b"MIME-Version"}
    assert {name for name in names if not name.startswith(b"Content-")} == known
    assert len(set(names)) == len(names)
    assert addresses_in(parsed(mail), "Cc") == ["cc@example.com"]
    assert addresses_in(parsed(mail), "To") == ["boss@example.com"]
    assert mail.content.isascii()
    assert b"\r" not in body.replace(b"\r\n", b"")
