"""Statements of one form are compiled once, and always executed with their own values."""

from __future__ import annotations

import pytest
from sqlalchemy import Select, bindparam, create_engine, insert, select, update
from sqlalchemy.sql import ClauseElement

from vna_core.catalogue import compiled_statements
from vna_core.catalogue.compiled_statements import CompiledStatements
from vna_core.catalogue.schema import locations

_DIALECTS = {
    "sqlite": create_engine("sqlite://").dialect,
    "postgresql": create_engine("postgresql+psycopg://", paramstyle="format").dialect,
}


@pytest.fixture(params=sorted(_DIALECTS))
def statements(request: pytest.FixtureRequest) -> CompiledStatements:
    return CompiledStatements(_DIALECTS[request.param])


def found(*keys: int, limit: int = 5) -> Select[tuple[int]]:
    of = locations.c.instance_fk.in_(keys) & locations.c.key.like("100%", escape="\\")
    return select(locations.c.instance_fk).where(of).limit(limit)


def test_values_are_those_of_each_statement_and_the_text_is_compiled_once(statements: CompiledStatements) -> None:
    for number in (1, 2):
        one = update(locations).where(locations.c.instance_fk == number).values(key=f"k{number}", offset=number + 10)
        sql, values = statements.arranged(one)
        assert values == [f"k{number}", number + 10, number] and sql.startswith("UPDATE locations SET")
    assert len(statements._kept) == 1


def test_lists_of_any_length_share_a_form_and_have_places_for_all_their_values(statements: CompiledStatements) -> None:
    for keys in ((7,), (7, 8, 9), ()):
        sql, values = statements.arranged(found(*keys, limit=len(keys) + 1))
        places = sql.count("?") + sql.replace("%%", "").count("%s")
        assert values[: len(keys) + 2] == [*keys, "100%", len(keys) + 1] and places == len(values)
    assert len(statements._kept) == 1


def test_another_form_is_another_text(statements: CompiledStatements) -> None:
    narrow = insert(locations).values(instance_fk=1, ordinal=0)
    wide = insert(locations).values(instance_fk=1, ordinal=0, store="a")
    assert statements.arranged(narrow)[1] == [1, 0] and statements.arranged(wide)[1] == [1, 0, "a"]


@pytest.mark.parametrize("statement", [found(1, 2), update(locations).values(store="other")])
def test_the_text_is_what_sqlalchemy_compiles_alone(statements: CompiledStatements, statement: ClauseElement) -> None:
    alone = statement.compile(dialect=statements._dialect, compile_kwargs={"render_postcompile": True})
    parameters = alone.construct_params()  # type: ignore[attr-defined]
    expected = [parameters[name] for name in alone.positiontup]  # type: ignore[attr-defined]
    for _ in range(2):
        assert statements.arranged(statement) == (str(alone), expected)


def test_no_more_forms_are_kept_than_allowed(statements: CompiledStatements, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_statements, "MOST", 2)
    for column in ("store", "key", "state"):
        assert statements.arranged(select(locations.c[column]).where(locations.c.ordinal == 4))[1] == [4]
    assert len(statements._kept) == 1


def test_values_that_come_later_have_their_places_by_name(statements: CompiledStatements) -> None:
    sql, order, _ = statements.named(insert(locations), ("key", "ordinal", "instance_fk"))
    assert sorted(order) == ["instance_fk", "key", "ordinal"] and "store" not in sql
    for number in (1, 2):
        moved = update(locations).where(locations.c.instance_fk == bindparam("of")).values(key=bindparam("to"), offset=number)
        _, order, carried = statements.named(moved, ())
        assert sorted(order) == ["of", "offset", "to"] and carried["offset"] == number
    assert len(statements._kept) == 2
