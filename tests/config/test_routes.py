"""Routes and their deliveries, and the traps of TOML."""

from __future__ import annotations

import pytest

from gateway.models import Event, OnDoubt, Order
from tests.support.routes_files import HEAD, route

ROW = 'to = "table"\ntable = "t"\ncolumns = { a = "{{ record.key }}" }\n'
POST = 'to = "service"\npath = "p"\n'


def test_left_out_every_key_has_its_default(load_text) -> None:
    [loaded] = load_text(HEAD + route(ROW)).routes
    assert (loaded.accounts, loaded.forms, loaded.projects, loaded.when) == ((), (), (), None)
    assert (sorted(loaded.events), loaded.mode, loaded.expected_latency) == (["create", "update"], "auto", None)
    [spec] = loaded.deliveries
    assert (spec.route, spec.name, spec.destination) == ("one", "table", "table")
    assert (spec.required, spec.order, spec.on_doubt, spec.dry_run, spec.when) == (
        True,
        Order.RECORD,
        OnDoubt.DEAD,
        False,
        None,
    )


def test_every_key_is_read(load_text) -> None:
    head = 'account = "ac*"\nform = ["Site*", "Site inspection"]\nproject = "Safety"\nevents = "delete"\n'
    keys = ROW + 'name = "rows"\nrequired = false\norder = "strict"\non_doubt = "retry"\ndry_run = true\n'
    [loaded] = load_text(HEAD + route(keys, more=head + 'mode = "delayed"\nexpected_latency = "40ms"')).routes
    assert (loaded.accounts, loaded.forms, loaded.projects) == (("ac*",), ("Site*", "Site inspection"), ("Safety",))
    assert (loaded.events, loaded.mode, loaded.expected_latency) == ({Event.DELETE}, "delayed", 0.04)
    [spec] = loaded.deliveries
    assert (spec.name, spec.required, spec.order, spec.on_doubt, spec.dry_run) == (
        "rows",
        False,
        Order.STRICT,
        OnDoubt.RETRY,
        True,
    )


def test_a_disabled_route_is_not_there_and_a_disabled_delivery_is_not_made(load_text) -> None:
    text = HEAD + route(name="off", more="enabled = false") + route(ROW + "enabled = false\n", POST, name="half")
    [loaded] = load_text(text).routes
    assert (loaded.name, [spec.name for spec in loaded.deliveries]) == ("half", ["service"])


def test_what_is_disabled_is_checked_all_the_same(problems) -> None:
    text = HEAD + route(ROW + "enabled = false\ntabel = 1\n", name="a", more='enabled = false\nform = "X"')
    assert [problem.where for problem in problems(text)] == ["routes[a].form", "routes[a].deliver[0].tabel"]


def test_a_delivery_is_found_by_the_names_of_its_route_and_its_own(load_text) -> None:
    loaded = load_text(HEAD + route(ROW, POST) + route(ROW + 'name = "more"\n', name="two"))
    assert loaded.delivery("two", "more") is loaded.routes[1].deliveries[0]
    assert loaded.delivery("one", "more") is None
    assert loaded.delivery("three", "table") is None


@pytest.mark.parametrize(
    ("when", "needs"),
    [
        ("record.fields.risk == 'High'", {"record"}),
        ("record.key != ''", set()),
        ("submission.fields.a and dispatch.id", {"submission", "dispatch"}),
        ("notification.event == 'create'", set()),
    ],
)
def test_a_when_on_route_or_delivery_tells_what_is_to_be_fetched(load_text, when: str, needs: set[str]) -> None:
    line = f'when = "{when}"\n'
    on_route = load_text(HEAD + route(ROW, more=line)).routes[0]
    on_delivery = load_text(HEAD + route(ROW + line)).routes[0]
    assert on_route.when is not None
    assert on_delivery.deliveries[0].when is not None
    assert on_route.deliveries[0].needs == on_delivery.deliveries[0].needs == needs


def test_templates_and_traits_tell_what_is_to_be_fetched_too(load_text) -> None:
    body = 'to = "service"\nname = "{}"\npath = "x"\n'
    text = HEAD + route(
        body.format("key") + 'body = "{{ record.key }}"',
        body.format("fields") + 'body = "{{ record.fields.a }}"',
        body.format("deep") + 'json = { a = [{ b = "{{ dispatch.raw }}" }] }',
        body.format("default"),
    )
    needs = {spec.name: set(spec.needs) for spec in load_text(text).routes[0].deliveries}
    assert needs == {"key": set(), "fields": {"record"}, "deep": {"dispatch"}, "default": {"record"}}


@pytest.mark.parametrize(
    ("when", "found", "remedy"),
    [
        ("{{ record.fields.a }}", "stands in braces", "here it takes no braces"),
        ("record.fields.a ==", "is not a template", "Write a bare expression"),
        ("recrod.fields.a", "there is no `recrod`", "Did you mean `record`?"),
        ("record.feilds.a", "there is no `record.feilds`", "Did you mean `record.fields`?"),
        ("row.a", "there is no `row`", "Known:"),
        (" ", "the text is empty", "Write a text"),
    ],
)
def test_a_wrong_when_is_told_on_route_and_delivery(problems, when: str, found: str, remedy: str) -> None:
    line = f'when = "{when}"\n'
    for text, where in (
        (route(ROW, more=line), "routes[one].when"),
        (route(ROW + line), "routes[one].deliver[0].when"),
    ):
        [problem] = problems(HEAD + text)
        assert problem.where == where
        assert found in problem.found
        assert remedy in problem.remedy


def test_every_wrong_template_of_a_table_is_told_at_its_own_key(problems) -> None:
    columns = 'columns = { a = "{{ recrod.key }}", b = "{{ record.key }}", c = "{{ 1 +", d = ["{{ nwo }}"] }'
    found = problems(HEAD + route(f'to = "table"\ntable = "t"\n{columns}'))
    wheres = [f"routes[one].deliver[0].columns.{key}" for key in ("a", "c", "d[0]")]
    assert [problem.where for problem in found] == wheres
    assert found[2].remedy.startswith("Did you mean `now`?")
