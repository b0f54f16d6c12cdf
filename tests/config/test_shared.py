"""``[shared.NAME]`` and ``use``."""

from __future__ import annotations

import pytest

from gateway.api import peek
from gateway.config.merge import merged
from tests.support.routes_files import HEAD, route

SHARED = """
[shared.row]
table = "inspections"
write = "upsert"
key = ["id", "part"]
columns = { id = "shared", part = "shared", source = "shared" }
[shared.other]
table = "others"
retry = { first = "1s" }
[shared.quick]
events = ["delete"]
mode = "immediate"
retry = { first = "2s", factor = 7 }
"""


def test_own_keys_win_inner_tables_merge_and_lists_replace(load_text) -> None:
    own = 'to = "table"\nuse = "row"\ntable = "own"\nkey = ["id"]\ncolumns = { id = "own", more = "own" }'
    [spec] = load_text(HEAD + SHARED + route(own)).routes[0].deliveries
    assert (spec.options.table, spec.options.write, spec.options.key) == ("own", "upsert", ["id"])
    assert peek(spec.options.columns) == {"id": "own", "part": "shared", "source": "shared", "more": "own"}


def test_of_several_the_later_ones_win(load_text) -> None:
    own = 'to = "table"\nuse = ["row", "other", "quick"]\nevents = ["x"]'.replace('\nevents = ["x"]', "")
    text = HEAD + SHARED.replace('events = ["delete"]\nmode = "immediate"\n', "") + route(own)
    [spec] = load_text(text).routes[0].deliveries
    assert spec.options.table == "others"
    assert (spec.retry.first, spec.retry.factor) == (2.0, 7.0)


def test_a_route_can_use_one_too(load_text) -> None:
    text = HEAD + SHARED.replace('retry = { first = "2s", factor = 7 }\n', "") + route(more='use = "quick"')
    [loaded] = load_text(text).routes
    assert (sorted(loaded.events), loaded.mode) == (["delete"], "immediate")


@pytest.mark.parametrize("use", ['"rwo"', '["other", "rwo"]'])
def test_an_unknown_name_suggests_the_nearest_and_is_the_only_thing_told(problems, use: str) -> None:
    [problem] = problems(HEAD + SHARED + route(f'to = "table"\nuse = {use}'))
    assert problem.where == "routes[one].deliver[0].use" + ("[1]" if "[" in use else "")
    assert problem.found == "there is no [shared.rwo]"
    assert problem.remedy.startswith("Did you mean `row`?")


def test_a_mistake_in_a_shared_table_names_that_table(problems) -> None:
    [problem] = problems(
        HEAD + '[shared.row]\ntabel = "x"\n' + route('to = "table"\nuse = "row"\ntable = "x"\ncolumns = { a = 1 }')
    )
    assert problem.where == "routes[one].deliver[0].tabel"
    assert "(it comes from `shared.row`)" in problem.found


def test_a_shared_table_uses_no_other(problems) -> None:
    [problem] = problems(HEAD + SHARED + '[shared.deep]\nuse = "row"\n')
    assert problem.where == "shared.deep.use"
    assert "cannot use another" in problem.found


def test_use_takes_names_only(problems) -> None:
    [problem] = problems(HEAD + route('to = "table"\nuse = 5\ntable = "x"\ncolumns = { a = 1 }'))
    assert problem.where == "routes[one].deliver[0].use"


def test_merging_goes_down_to_every_depth_and_changes_neither_side() -> None:
    below = {"a": {"b": {"c": 1, "d": 2}, "l": [1, 2]}, "x": 1}
    above = {"a": {"b": {"d": 3}, "l": [9]}, "y": {"z": 1}}
    assert merged(below, above) == {"a": {"b": {"c": 1, "d": 3}, "l": [9]}, "x": 1, "y": {"z": 1}}
    assert below == {"a": {"b": {"c": 1, "d": 2}, "l": [1, 2]}, "x": 1}
