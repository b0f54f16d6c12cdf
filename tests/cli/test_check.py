"""``gateway check`` on right and on broken routes files."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.store.engine.connect import open_database
from gateway.store.engine.migrate import migrate
from gateway.store.work import questions
from gateway.store.work.questions import FormOf, Question

TWELVE = """
[gateway]
answer_within = "4s"
retension = "90d"

[webhook]
headers = { X-Webhook-Key = ["letmein-4711"] }

[webservices.site-inspection]
id = "acme$$1234$$Published$$5678"
password = "env:NOT_SET"
form = "Site inspection"
project = "Safety"

[destinations.warehouse]
plugin = "databse"
url = "sqlite:///warehouse.db"

[destinations.archive]
plugin = "database"
url = "postgresql+psycopg://gateway:hunter2hunter2@db/archive"

[destinations.service]
plugin = "rest"
url = "https://service.example.com"
rate = "10 per second"

[[routes]]
name = "inspections"
form = "Site inspektion"

[[routes.deliver]]
to = "servise"
path = "inspections"

[[routes.deliver]]
to = "service"
path = "inspections"
json = { key = "{{ record.key }}", site = "{{ record.feilds.site }}" }
events = ["create"]

[[routes.deliver]]
to = "archive"
table = "inspections"
[routes.deliver.columns]
key = "{{ record.key }}"
write = "upsert"
"""

EXPECTED = [
    ("gateway.answer_within", "4 s is too long: doForms waits 3 s", 'Write less than "3s"'),
    ("gateway.retension", "`retension` is no key of this table", "Did you mean `retention`?"),
    ("webhook.headers.X-Webhook-Key[0]", "stands in the file in the clear", 'X-Webhook-Key = ["env:NAME"]'),
    (
        "webservices.site-inspection.password",
        "`env:NOT_SET`: the environment variable NOT_SET is not set",
        "Set NOT_SET",
    ),
    ("destinations.warehouse.plugin", 'no installed plugin is named "databse"', "Did you mean `database`?"),
    ("destinations.archive.url", "there is a password inside the URL", "env:NAME or file:/path"),
    ("destinations.service.rate", '"10 per second" is no rate', 'such as "10/s"'),
    ("routes[inspections].form", '"Site inspektion" fits no form', 'Did you mean "Site inspection"?'),
    ("routes[inspections].deliver[0].to", 'there is no destination "servise"', "Did you mean `service`?"),
    ("routes[inspections].deliver[1].json.site", "there is no `record.feilds`", "Did you mean `record.fields`?"),
    (
        "routes[inspections].deliver[1].events",
        "is a key of the route",
        "Move `events` above the first [[routes.deliver]]",
    ),
    ("routes[inspections].deliver[2].columns.write", "`write` is inside `columns`", "Move it above the sub-table"),
]

RIGHT = """
[webhook]
headers = { X-Webhook-Key = ["env:WEBHOOK_KEY", "env:WEBHOOK_KEY_OLD?"] }
[webservices.site-inspection]
id = "acme$$1234$$Published$$5678"
password = "env:SITE_PASSWORD"
form = "Site inspection"
[destinations.warehouse]
plugin = "database"
url = "sqlite:///FOLDER/warehouse.db"
[[routes]]
name = "inspections"
form = "Site*"
[[routes.deliver]]
to = "warehouse"
table = "inspections"
write = "upsert"
key = ["doforms_key"]
columns = { doforms_key = "{{ record.key }}", site = "{{ record.fields.site }}" }
"""


@pytest.fixture
def write(tmp_path: Path):
    def written(text: str) -> Path:
        path = tmp_path / "routes.toml"
        path.write_text(text)
        return path

    return written


@pytest.fixture
def right(write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A right file, its secrets set, beside an empty database."""
    monkeypatch.setenv("WEBHOOK_KEY", "open-sesame")
    monkeypatch.setenv("SITE_PASSWORD", "hidden-word")
    return write(RIGHT.replace("FOLDER", str(tmp_path)))


def make_table(folder: Path, unique: str) -> None:
    database = sqlite3.connect(folder / "warehouse.db")
    database.execute(f"CREATE TABLE inspections (doforms_key TEXT {unique}, site TEXT)")
    database.close()


def test_twelve_different_mistakes_are_named_at_once(run, write) -> None:
    file = write(TWELVE)
    ran = run("check", "--routes", file, "--json")
    assert ran.status == 2
    told = [(one["where"], one["found"], one["remedy"]) for one in ran.json]
    assert [where for where, _, _ in told] == [where for where, _, _ in EXPECTED]
    for (_, found, remedy), (_, expected, way) in zip(told, EXPECTED, strict=True):
        assert expected in found
        assert way in remedy
    assert {one["file"] for one in ran.json} == {str(file)}
    assert all(one["error"] is True for one in ran.json)


def test_a_person_sees_the_same_twelve_with_file_place_and_remedy(run, write) -> None:
    file = write(TWELVE)
    ran = run("check", "--routes", file)
    assert (ran.status, ran.out) == (2, "")
    lines = ran.err.splitlines()
    for number, (where, found, remedy) in enumerate(EXPECTED):
        head, way = lines[2 * number : 2 * number + 2]
        assert head.startswith(f"{file}: {where}: ")
        assert found in head
        assert way.startswith("    ")
        assert remedy in way
    assert lines[24:] == ["12 problems; nothing was changed."]


def test_no_secret_is_told_even_where_it_is_the_mistake(run, write) -> None:
    for arguments in ((), ("--json",)):
        ran = run("check", "--routes", write(TWELVE), *arguments)
        for secret in ("letmein-4711", "hunter2hunter2"):
            assert secret not in ran.out + ran.err


def test_the_installed_command_does_it_too(write) -> None:
    command = [Path(sys.executable).with_name("gateway"), "check"]
    environ = {**os.environ, "GATEWAY_ROUTES": str(write(TWELVE))}
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "12 problems; nothing was changed." in ran.stderr
    assert ran.stdout == ""


def test_a_right_file_is_right(run, right: Path) -> None:
    ran = run("check", "--routes", right)
    assert (ran.status, ran.err) == (0, "")
    assert ran.words.startswith(f"{right} is right: 1 route, 1 destination, 1 web service. There is no store at ")
    as_json = run("check", "--routes", right, "--json")
    assert (as_json.status, as_json.json) == (0, [])


def test_a_check_writes_nothing(run, right: Path) -> None:
    before = sorted(right.parent.iterdir())
    run("check", "--routes", right)
    assert sorted(right.parent.iterdir()) == before


def test_a_missing_secret_is_a_mistake_but_not_with_no_secrets(run, right: Path, monkeypatch) -> None:
    monkeypatch.delenv("SITE_PASSWORD")
    ran = run("check", "--routes", right, "--json")
    assert (ran.status, [one["where"] for one in ran.json]) == (2, ["webservices.site-inspection.password"])
    assert run("check", "--routes", right, "--no-secrets").status == 0


def test_without_secrets_everything_else_is_checked(run, right: Path, monkeypatch) -> None:
    monkeypatch.delenv("WEBHOOK_KEY")
    right.write_text(right.read_text().replace("write =", "wriet ="))
    ran = run("check", "--routes", right, "--no-secrets", "--json")
    assert (ran.status, [one["where"] for one in ran.json]) == (2, ["routes[inspections].deliver[0].wriet"])


def test_connecting_needs_the_secrets(run, right: Path) -> None:
    ran = run("check", "--routes", right, "--no-secrets", "--connect")
    assert ran.status == 2
    assert "--connect needs the secrets" in " ".join(ran.err.replace("│", " ").split())


def test_a_file_without_a_secret_header_is_warned_of(run, write) -> None:
    ran = run("check", "--routes", write(""))
    assert ran.status == 0
    assert "webhook.headers: no secret header is configured" in ran.err
    [warning] = run("check", "--routes", write(""), "--json").json
    assert (warning["where"], warning["error"]) == ("webhook.headers", False)


def test_a_table_without_the_unique_index_is_told_with_the_ddl(run, right: Path) -> None:
    make_table(right.parent, unique="")
    ran = run("check", "--routes", right, "--connect", "--json")
    assert ran.status == 1
    [finding] = ran.json
    assert finding["where"] == "routes[inspections].deliver[0].key"
    assert "CREATE UNIQUE INDEX" in finding["remedy"]
    assert "(doforms_key)" in finding["remedy"].replace('"', "")


def test_the_ddl_that_it_names_mends_it(run, right: Path) -> None:
    make_table(right.parent, unique="")
    [finding] = run("check", "--routes", right, "--connect", "--json").json
    database = sqlite3.connect(right.parent / "warehouse.db")
    database.execute(finding["remedy"].partition("Run: ")[2].rstrip("."))
    database.close()
    ran = run("check", "--routes", right, "--connect")
    assert (ran.status, ran.err) == (0, "")
    assert "every destination answered; doForms was not asked." in ran.words


def test_a_table_or_column_that_is_not_there_is_told(run, right: Path) -> None:
    database = sqlite3.connect(right.parent / "warehouse.db")
    database.execute("CREATE TABLE inspection (doforms_key TEXT PRIMARY KEY, sight TEXT)")
    database.close()
    ran = run("check", "--routes", right, "--connect")
    assert ran.status == 1
    assert "routes[inspections].deliver[0].table: " in ran.err
    assert "inspections" in ran.err
    right.write_text(right.read_text().replace('"inspections"\nwrite', '"inspection"\nwrite'))
    ran = run("check", "--routes", right, "--connect")
    assert ran.status == 1
    assert "routes[inspections].deliver[0].columns.site: " in ran.err
    assert "sight" in ran.err


def test_what_does_not_fit_is_told_where_the_option_stands_also_behind_a_delivery_that_is_switched_off(
    run, right: Path
) -> None:
    make_table(right.parent, unique="PRIMARY KEY")
    text = right.read_text()
    off = '[[routes.deliver]]\nto = "warehouse"\nname = "off"\nenabled = false\ntable = "gone"\ncolumns = { a = "b" }\n'
    child = '[[routes.deliver.children]]\ntable = "rows"\nrows = "record.fields.list"\n'
    child += 'parent = { key = "{{ record.key }}" }\ncolumns = { a = "{{ row.a }}" }\n'
    before, deliver, after = text.partition("[[routes.deliver]]")
    right.write_text(f"{before}{off}{deliver}{after}\n{child}")
    [finding] = run("check", "--routes", right, "--connect", "--json").json
    assert (finding["file"], finding["where"]) == (str(right), "routes[inspections].deliver[1].children[0].table")


def test_a_destination_that_does_not_answer_is_told_and_the_others_are_looked_at_too(run, right: Path) -> None:
    make_table(right.parent, unique="PRIMARY KEY")
    service = '[destinations.service]\nplugin = "rest"\nurl = "http://127.0.0.1:1/"\n'
    right.write_text(right.read_text().replace("[[routes]]", service + "[[routes]]"))
    ran = run("check", "--routes", right, "--connect", "--json")
    assert ran.status == 1
    assert {one["where"].split(".")[1] for one in ran.json} == {"service"}
    assert all(one["remedy"] for one in ran.json)


def test_a_spool_that_cannot_be_written_to_is_told_where_a_delivery_asks_for_attachments(run, right: Path) -> None:
    make_table(right.parent, unique="PRIMARY KEY")
    (right.parent / "taken").write_text("a file")
    text = '[gateway]\nspool = "taken/spool"\n' + right.read_text()
    right.write_text(text)
    assert run("check", "--routes", right, "--connect", "--json").json == []
    right.write_text(text.replace('to = "warehouse"\n', 'to = "warehouse"\nattachments = true\n'))
    ran = run("check", "--routes", right, "--connect", "--json")
    [finding] = ran.json
    assert (ran.status, finding["where"]) == (1, "gateway.spool")
    assert f"{right.parent / 'taken'} is no folder" in finding["found"]
    right.write_text(right.read_text().replace("taken/spool", "photos"))
    assert run("check", "--routes", right, "--connect", "--json").json == []
    assert not (right.parent / "photos").exists()


def test_a_question_that_no_record_has_had_is_warned_of_with_the_one_that_is_meant(run, right: Path) -> None:
    make_table(right.parent, unique="PRIMARY KEY")
    database = open_database(f"sqlite:///{right.parent / 'gateway.db'}")
    migrate(database)
    came = [Question(path=path, kind="text", first_at=1, seen=12, last=12) for path in ("", "syte")]
    with database.write() as connection:
        questions.save(connection, FormOf("acme$$1234$$Published$$5678"), came)
    ran = run("check", "--routes", right, "--connect", "--json")
    assert ran.status == 0
    [warning] = ran.json
    assert (warning["where"], warning["error"]) == ("webservices.site-inspection", False)
    assert warning["found"] == (
        "none of the 12 records that came of the form 'Site inspection' had the question 'site', which is asked for "
        "by: route inspections, delivery warehouse, columns.site"
    )
    assert warning["remedy"].startswith("Did you mean 'syte'? Correct the name")
    with database.write() as connection:
        questions.save(connection, FormOf("acme$$1234$$Published$$5678"), [Question(path="site", first_at=1, seen=1)])
    database.close()
    assert run("check", "--routes", right, "--connect", "--json").json == []


def test_a_name_that_records_had_in_several_places_is_warned_of_with_the_paths_and_the_mapping(
    run, right: Path
) -> None:
    make_table(right.parent, unique="PRIMARY KEY")
    database = open_database(f"sqlite:///{right.parent / 'gateway.db'}")
    migrate(database)
    came = [Question(path=path, kind="text", first_at=1, seen=1, last=1) for path in ("", "a.site", "b.site")]
    with database.write() as connection:
        questions.save(connection, FormOf("acme$$1234$$Published$$5678"), came)
    database.close()
    ran = run("check", "--routes", right, "--connect", "--json")
    [warning] = ran.json
    assert (ran.status, warning["where"], warning["error"]) == (0, "webservices.site-inspection", False)
    assert warning["found"] == (
        "the name 'site' stands in several places of the form 'Site inspection', as its records have shown: "
        "'a.site', 'b.site'; it is asked for by: route inspections, delivery warehouse, columns.site"
    )
    assert 'record.paths["PATH"]' in warning["remedy"]
    right.write_text(right.read_text().replace("record.fields.site", "record.paths['a.site']"))
    assert run("check", "--routes", right, "--connect", "--json").json == []


def test_a_store_that_cannot_be_read_is_told(run, right: Path) -> None:
    make_table(right.parent, unique="PRIMARY KEY")
    (right.parent / "gateway.db").write_bytes(b"no database at all, but long enough to be looked at" * 20)
    ran = run("check", "--routes", right, "--connect", "--json")
    assert (ran.status, [one["where"] for one in ran.json]) == (1, ["gateway.store"])


def test_a_file_that_is_not_there_is_told_with_the_way_to_name_one(run, tmp_path: Path) -> None:
    ran = run("check", "--routes", tmp_path / "nowhere.toml")
    assert ran.status == 2
    assert "there is no such file" in ran.err
    assert "--routes or GATEWAY_ROUTES" in ran.err
    assert ran.err.endswith("1 problem; nothing was changed.\n")


def test_an_unknown_option_is_a_usage_error(run) -> None:
    assert run("check", "--conect").status == 2
