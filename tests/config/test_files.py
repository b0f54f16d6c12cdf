"""Reading the file and what it includes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.load import store_of
from gateway.errors import RoutesFileError
from tests.support.routes_files import ENVIRON, HEAD, route

INCLUDE = 'include = ["routes.d/*.toml"]\n'


def test_included_files_come_sorted_after_the_main_one(load_text) -> None:
    files = {"routes.d/b.toml": route(name="b"), "routes.d/a.toml": route(name="a"), "routes.d/note.txt": "no TOML"}
    loaded = load_text(INCLUDE + HEAD + route(name="main"), files)
    assert [each.name for each in loaded.routes] == ["main", "a", "b"]


def test_an_include_may_be_one_text_and_a_file_found_twice_is_read_once(load_text) -> None:
    files = {"more.toml": route(name="more")}
    for include in ('include = "more.toml"\n', 'include = ["more.toml", "m*.toml"]\n'):
        assert [each.name for each in load_text(include + HEAD, files).routes] == ["more"]


def test_a_pattern_that_also_fits_the_main_file_does_not_read_it_again(load_text) -> None:
    assert len(load_text('include = ["*.toml"]\n' + HEAD + route()).routes) == 1


def test_a_pattern_that_fits_no_file_is_no_mistake(load_text) -> None:
    assert load_text(INCLUDE + HEAD).routes == ()


@pytest.mark.parametrize(
    ("include", "where", "found"),
    [
        ('["nowhere.toml"]', "include[0]", 'there is no file "nowhere.toml"'),
        ("5", "include", "5 is not a list"),
        ("[5]", "include[0]", "5 is no path"),
        ('["**x.toml"]', "include[0]", '"**x.toml" is no pattern'),
    ],
)
def test_an_include_that_cannot_be_followed_is_told(problems, include: str, where: str, found: str) -> None:
    [problem] = problems(f"include = {include}\n{HEAD}")
    assert problem.where == where
    assert found in problem.found


def test_an_included_file_includes_no_other(problems, tmp_path: Path) -> None:
    [problem] = problems(INCLUDE + HEAD, {"routes.d/a.toml": 'include = ["b.toml"]'})
    assert (problem.file, problem.where) == (str(tmp_path / "routes.d/a.toml"), "include")
    assert str(tmp_path / "routes.toml") in problem.remedy


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ('[destinations.table]\nplugin = "rest"\nurl = "https://x.example.com"', "destinations.table"),
        ('[webservices.site]\nid = "other"\nform = "F"', "webservices.site"),
        ('[gateway]\nretention = "1d"', "gateway"),
        ('[shared.row]\ntable = "x"', "shared.row"),
        ("[accounts.acme]\nreport = false", "accounts.acme"),
        (route(), "routes[one].name"),
    ],
)
def test_a_name_defined_twice_names_both_files(problems, tmp_path: Path, table: str, where: str) -> None:
    main = HEAD + '[gateway]\nretention = "2d"\n[shared.row]\ntable = "y"\n[accounts.acme]\nreport = true\n' + route()
    [problem] = problems(INCLUDE + main, {"routes.d/a.toml": table})
    assert (problem.file, problem.where) == (str(tmp_path / "routes.d/a.toml"), where)
    assert "twice" in problem.found
    assert str(tmp_path / "routes.toml") in problem.found
    assert str(tmp_path / "routes.d/a.toml") in problem.found


def test_paths_count_from_the_file_they_stand_in(load_text, tmp_path: Path) -> None:
    (tmp_path / "near").write_text("main-secret\n")
    (tmp_path / "routes.d").mkdir()
    (tmp_path / "routes.d" / "near").write_text("included-secret\n")
    service = '[webservices.{0}]\nid = "{0}"\nform = "F"\npassword = "file:near"\n'
    store = '[gateway]\nstore = "sqlite:///data/gateway.db"\n'
    loaded = load_text(INCLUDE + service.format("main"), {"routes.d/a.toml": service.format("included") + store})
    secrets = {key: one.password.get_secret_value() for key, one in loaded.webservices.items()}
    assert secrets == {"main": "main-secret", "included": "included-secret"}
    assert loaded.store == f"sqlite:///{tmp_path / 'routes.d/data/gateway.db'}"


def test_mistakes_of_all_files_are_told_in_the_order_in_which_they_stand(problems) -> None:
    main = INCLUDE + "[gateway]\nunmatched = 1\nretension = 2\nretention = 3\n[doforms]\nreprot = true\n[gatway]\n"
    found = problems(main, {"routes.d/b.toml": "[b]", "routes.d/a.toml": "[a]"})
    keys = ["gateway.unmatched", "gateway.retension", "gateway.retention", "doforms.reprot", "gatway", "a", "b"]
    assert [problem.where for problem in found] == keys


@pytest.mark.parametrize(
    ("text", "where", "found", "remedy"),
    [
        ("[gateway]\nstore = sqlite\n", "line 2, column 9", "invalid value", "Put texts in quotes"),
        ("a = 1\na = 2\n", "line 2, column 6", "overwrite", "stands twice in one table"),
        ("[gateway]\n[gateway]\n", "line 2, column 9", "twice", "put its keys together under one heading"),
        ('[gateway]\nstore = "x\n', "line 2, column 11", "illegal character", "The text is not closed"),
        (
            '[[routes.deliver]]\nto = "x"\n[[routes]]\n',
            "line 3, column 9",
            "[[routes]] stands below",
            "Write [[routes]] first",
        ),
        ("x = {\n", "line 1, column", "", "Mend the TOML there"),
        ("x = { a = 1\n, b = 2 }\n", "line 1, column 12", "inline table", "stands on one line"),
        ("x = \u201ctext\u201d\n", "line 1, column 5", "invalid value", "The quotes are curly"),
        ("[destinations.B\u00fcro]\n", "line 1, column 16", "table declaration", "takes quotes"),
        ("[gateway\n", "line 1, column 9", "table declaration", "Close the heading"),
        ('store: "x"\n', "line 1, column 6", "expected '=' after a key", 'Write key = "value"'),
        ("x = 'text\n", "line ", "", "The text is not closed"),
        ('x = "C:\\Users"\n', "line 1, column", "hex value", "in single quotes"),
    ],
)
def test_what_is_no_toml_is_told_with_line_and_column(problems, text: str, where: str, found: str, remedy: str) -> None:
    [problem] = problems(text)
    assert problem.where.startswith(where)
    assert found in problem.found
    assert remedy in problem.remedy


def test_a_broken_included_file_is_told_with_its_name(problems, tmp_path: Path) -> None:
    found = problems(INCLUDE, {"routes.d/a.toml": "a =", "routes.d/b.toml": "b ="})
    assert [problem.file for problem in found] == [str(tmp_path / "routes.d" / name) for name in ("a.toml", "b.toml")]


def test_a_missing_file_and_one_that_is_no_text_are_told(load_text, tmp_path: Path) -> None:
    with pytest.raises(
        RoutesFileError, match=r"nowhere\.toml: file: there is no such file\. .*--routes or GATEWAY_ROUTES"
    ):
        store_of(tmp_path / "nowhere.toml")
    (tmp_path / "latin.toml").write_bytes(b"# fine\n# caf\xe9\n")
    with pytest.raises(RoutesFileError, match="line 2: it is not UTF-8 text"):
        store_of(tmp_path / "latin.toml")


def test_a_byte_order_mark_does_no_harm(load_text) -> None:
    assert load_text("\ufeff" + HEAD).webservices


@pytest.mark.parametrize(
    ("store", "found"),
    [
        ("postgresql+psycopg://gateway:hunter2@db/gateway", "a password inside the URL"),
        ("postgresql+psycopg://gateway:hun/ter2@db/gateway", "a password inside the URL"),
        ("mysql://db/gateway", 'the store cannot be "mysql"'),
        ("sqlite://", "would not survive a restart"),
        ("gateway.db", "is no database URL"),
    ],
)
def test_a_store_that_cannot_be_one_is_told_beside_other_mistakes(problems, store: str, found: str) -> None:
    told = problems(f'[gateway]\nstore = "{store}"\nretension = "1d"\n')
    assert [problem.where for problem in told] == ["gateway.store", "gateway.retension"]
    assert found in told[0].found
    assert "ter2" not in str(told[0])


def test_the_password_of_the_store_comes_by_reference(load_text) -> None:
    table = '[gateway]\nstore = "postgresql+psycopg://gateway@db/gateway"\nstore_password = "env:STORE_PASSWORD"\n'
    loaded = load_text(HEAD + table, environ={**ENVIRON, "STORE_PASSWORD": "p@ss/word"})
    assert loaded.store == "postgresql+psycopg://gateway:p%40ss%2Fword@db/gateway"
    assert "p@ss/word" in loaded.secrets


@pytest.mark.parametrize(
    ("store", "password", "where", "found"),
    [
        ("sqlite:///gateway.db", "env:STORE_PASSWORD", "gateway.store_password", "takes no password"),
        ("postgresql+psycopg://db/gateway", "env:STORE_PASSWORD", "gateway.store_password", "names no user"),
        ("env:STORE_URL", "env:STORE_PASSWORD", "gateway.store_password", "a password behind store already"),
        ("postgresql+psycopg://gateway@db/gateway", "hunter2", "gateway.store_password", "in the clear"),
    ],
)
def test_a_password_of_the_store_that_does_not_fit_is_told(
    problems, store: str, password: str, where: str, found: str
) -> None:
    url = "postgresql+psycopg://gateway:hunter2@db/gateway"
    environ = {**ENVIRON, "STORE_PASSWORD": "hunter2", "STORE_URL": url}
    (told,) = problems(f'[gateway]\nstore = "{store}"\nstore_password = "{password}"\n', environ=environ)
    assert (told.where, found in told.found) == (where, True)
    assert "hunter2" not in str(told)


def test_the_store_is_found_without_any_other_secret(tmp_path: Path) -> None:
    (tmp_path / "routes.toml").write_text(HEAD + '[gateway]\nstore = "env:STORE"\n')
    url = "postgresql+psycopg://gateway:secret@db/gateway"
    assert store_of(tmp_path / "routes.toml", environ={"STORE": url}) == url
