"""The traps of TOML, and what is wrong with routes as a whole."""

from __future__ import annotations

import pytest

from tests.support.routes_files import HEAD, route

ROW = 'to = "table"\ntable = "t"\ncolumns = { a = "{{ record.key }}" }\n'
POST = 'to = "service"\npath = "p"\n'
TABLE = 'to = "table"\ntable = "t"\n'
COLUMNS = TABLE + '[routes.deliver.columns]\na = "x"\n'

TRAPS = [
    (
        route(TABLE + 'columns = { a = 1, write = "upsert", guard = "x" }'),
        "deliver[0].columns.write",
        "`write` is inside `columns`",
    ),
    (route(COLUMNS + "required = false"), "deliver[0].columns.required", "`required` is inside `columns`"),
    (route(COLUMNS + 'when = "record.fields.a"'), "deliver[0].columns.when", "`when` is inside `columns`"),
    (
        route(POST + '[routes.deliver.headers]\nX-A = "x"\nmethod = "PUT"'),
        "deliver[0].headers.method",
        "`method` is inside `headers`",
    ),
    (
        route(POST + '[routes.deliver.query]\na = "x"\nsuccess = [201]'),
        "deliver[0].query.success",
        "`success` is inside `query`",
    ),
]


@pytest.mark.parametrize(("text", "where", "found"), TRAPS)
def test_a_key_that_toml_put_into_a_table_is_told(problems, text: str, where: str, found: str) -> None:
    told = {problem.where: problem for problem in problems(HEAD + text)}
    problem = told[f"routes[one].{where}"]
    assert problem.found == found
    assert problem.remedy.startswith("Move it above the sub-table; if it is really meant as a name")


@pytest.mark.parametrize(
    "columns",
    [
        '{ a = "x", write = "{{ record.fields.write }}" }',  # a template
        '{ a = "x", write = "with a pen" }',  # nothing that the option would take
        '{ a = "x", table = "t" }',  # the delivery has it
        '{ a = "x", when = "yesterday" }',  # no expression over names in scope
        '{ a = "x", name = "y", form = "z", url = "u", to = "v" }',  # no option, or one that columns often are
    ],
)
def test_a_column_that_is_really_meant_is_left_alone(load_text, columns: str) -> None:
    assert load_text(HEAD + route(TABLE + f"columns = {columns}")).routes


@pytest.mark.parametrize(
    ("text", "where", "found", "remedy"),
    [
        (
            route(ROW + 'events = ["create"]'),
            "routes[one].deliver[0].events",
            "is a key of the route",
            "above the first [[routes.deliver]]",
        ),
        (
            route(ROW + 'project = "Safety"'),
            "routes[one].deliver[0].project",
            "is a key of the route",
            "Move `project`",
        ),
        (
            route(ROW, more="required = false"),
            "routes[one].required",
            "is no key of [[routes]]",
            "It belongs to [[routes.deliver]]",
        ),
        (
            route(ROW, more='evnets = ["create"]'),
            "routes[one].evnets",
            "is no key of this table",
            "Did you mean `events`?",
        ),
        (
            route(ROW, more='events = ["craete"]'),
            "routes[one].events[0]",
            '"craete" is not allowed here',
            'Did you mean "create"?',
        ),
        (route(ROW, more="events = []"), "routes[one].events", "the list is empty", "Leave the key out"),
        (route(ROW, more='mode = "quick"'), "routes[one].mode", '"quick" is not allowed here', '"immediate"'),
        (route(ROW, more="form = 5"), "routes[one].form", "5 is not a list in brackets", "Write"),
        ('[[routes]]\nname = "bare"', "routes[bare].deliver", "`deliver` is missing", "[[routes.deliver]]"),
        (
            '[[routes]]\nname = "bare"\ndeliver = []',
            "routes[bare].deliver",
            "the route has no deliveries",
            "or remove the route",
        ),
        (
            '[[routes]]\nname = "x"\n[routes.deliver]\nto = "table"',
            "routes[x].deliver",
            "`deliver` is one table",
            "two brackets: [[routes.deliver]]",
        ),
        (route().replace('name = "one"', ""), "routes[0].name", "`name` is missing", "Add `name`"),
        ('[routes]\nname = "x"', "routes", "`routes` is one table", "two brackets: [[routes]]"),
        ('[route]\nname = "x"', "route", "[route] is no table of a routes file", "[[routes]]"),
        ('[[route]]\nname = "x"', "route", "[route] is no table of a routes file", "[[routes]]"),
        ('[[deliver]]\nto = "x"', "deliver", "[deliver] is no table", "[[routes.deliver]]"),
        (
            route(name="one") + route(name="one"),
            "routes[1].name",
            'a route named "one" is defined twice',
            "a name of its own",
        ),
        (route(ROW, ROW), "routes[one].deliver[1].name", 'also named "table"', "Give it a `name` of its own"),
        (route(ROW, POST + 'name = "table"'), "routes[one].deliver[1].name", 'also named "table"', "Give it a `name`"),
        (
            route('table = "t"\ncolumns = { a = 1 }'),
            "routes[one].deliver[0].to",
            "`to` is missing",
            "name of the destination",
        ),
        (
            route('to = "tabel"'),
            "routes[one].deliver[0].to",
            'there is no destination "tabel"',
            "Did you mean `table`?",
        ),
        (
            route(ROW + 'order = "strickt"'),
            "routes[one].deliver[0].order",
            '"strickt" is not allowed',
            'Did you mean "strict"?',
        ),
        (
            route(ROW + 'writ = "upsert"'),
            "routes[one].deliver[0].writ",
            "is no key of this table",
            "Did you mean `write`?",
        ),
        (
            route(ROW + "attachments = 'maybe'"),
            "routes[one].deliver[0].attachments",
            '"maybe" is not allowed here',
            "Allowed: true, false,",
        ),
        (route(ROW + 'key = ["a"]'), "routes[one].deliver[0].key", "takes no key", "Remove `key`"),
        (
            route(ROW, more='form = "Site inspektion"'),
            "routes[one].form",
            '"Site inspektion" fits no form',
            'Did you mean "Site inspection"? Declared: "Site inspection"',
        ),
        (route(ROW, more='form = "site*"'), "routes[one].form", '"site*" fits no form', "Declared:"),
        (
            route(ROW, more='project = ["Safety", "Savety"]'),
            "routes[one].project",
            '"Savety" fits no project',
            'Did you mean "Safety"?',
        ),
        (route(ROW, more='account = "akme"'), "routes[one].account", '"akme" fits no account', 'Did you mean "acme"?'),
        ('[reconcile]\nlookback = "31d"', "reconcile.lookback", "31 d is longer than the gateway is sure", "30d"),
        (
            '[reconcile]\nlookback = "1h"',
            "reconcile.lookback",
            "1 h is no longer than `grace`, 1 h",
            "Look back further",
        ),
        ('[gateway]\nlookback = "2d"', "gateway.lookback", "is no key of [gateway]", "It belongs to [reconcile]"),
        ("[alarms]\n", "alarms", "this version has no sending of alarms yet", "Remove the table"),
    ],
)
def test_a_trap_or_mistake_is_the_one_thing_told(problems, text: str, where: str, found: str, remedy: str) -> None:
    [problem] = problems(HEAD + text)
    assert problem.where == where
    assert found in problem.found
    assert remedy in problem.remedy


def test_form_and_project_that_no_web_service_has_together_are_told(problems) -> None:
    other = '[webservices.other]\nid = "x"\nform = "Other"\nproject = "Quality"\n'
    [problem] = problems(HEAD + other + route(more='form = "Other"\nproject = "Safety"'))
    assert (problem.where, problem.found) == (
        "routes[one]",
        "no declared web service has this form and project together",
    )


def test_a_pattern_for_any_project_fits_a_web_service_without_one(load_text) -> None:
    assert load_text(HEAD.replace('project = "Safety"', "") + route(more='project = "*"')).routes


def test_a_form_is_not_missed_where_only_its_web_service_is_wrong(problems) -> None:
    found = problems(HEAD.replace("password", "pasword") + route(more='form = "Site inspection"\nevnets = 1'))
    assert [problem.where for problem in found] == ["webservices.site.pasword", "routes[one].evnets"]


def test_a_mistake_in_one_place_hides_none_in_another(problems) -> None:
    text = (
        HEAD.replace('plugin = "rest"', 'plugin = "rest"\nconcurrency = 0')
        + '[gateway]\nstore = "mysql://x"\nretension = 1\n'
        + route(
            ROW + 'required = "perhaps"\nkey = ["a"]\n',
            'to = "service"\npath = "https://x"',
            more='form = "X"\nmode = "x"',
        )
    )
    assert [problem.where for problem in problems(text)] == [
        "destinations.service.concurrency",
        "gateway.store",
        "gateway.retension",
        "routes[one].form",
        "routes[one].mode",
        "routes[one].deliver[0].required",
        "routes[one].deliver[0].key",
        "routes[one].deliver[1].path",
    ]
