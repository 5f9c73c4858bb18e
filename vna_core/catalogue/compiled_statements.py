"""SQL text of statements, compiled once for all that differ in their values only."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Dialect
from sqlalchemy.sql import ClauseElement

MOST: Final = 2000
"""Forms of statements that are kept; a process knows some hundreds."""


class CompiledStatements:
    """Statements by their form; may be used by several threads at once.

    Compiling takes several times as long as SQLite needs for a row. The form of a statement is what SQLAlchemy itself caches by:
    everything but the values, and the length of a list behind IN.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._kept: dict[Any, Any] = {}

    def arranged(self, statement: ClauseElement) -> tuple[str, list[Any]]:
        """SQL text for the driver, and the values that the statement carries in the order of its parameters."""
        form = statement._generate_cache_key()
        compiled: Any = None if form is None else self._kept.get(form.key)
        if compiled is None:
            compiled = statement.compile(dialect=self._dialect, cache_key=form)
            if form is not None:
                self._keep(form.key, compiled)
        bound = None if form is None else form.bindparams
        values = compiled.construct_params(extracted_parameters=bound, _check=False, _no_postcompile=True)
        if not (compiled.post_compile_params or compiled.literal_execute_params):
            return compiled.string, [values[name] for name in compiled.positiontup or ()]
        expanded = compiled.construct_expanded_state(values)
        return expanded.statement, [expanded.parameters[name] for name in expanded.positiontup or ()]

    def named(self, statement: ClauseElement, names: tuple[str, ...]) -> tuple[str, list[str], dict[str, Any]]:
        """SQL text of a statement some values of which come later, the names of all in order, and those that it carries.

        Parameters
        ----------
        names
            Columns to be written; other values that come later are made with ``bindparam``.
        """
        form = statement._generate_cache_key()
        key = None if form is None else (form.key, names)
        compiled: Any = None if key is None else self._kept.get(key)
        if compiled is None:
            compiled = statement.compile(dialect=self._dialect, cache_key=form, column_keys=list(names))
            if key is not None:
                self._keep(key, compiled)
        bound = None if form is None else form.bindparams
        carried = compiled.construct_params(extracted_parameters=bound, _check=False, _no_postcompile=True)
        return compiled.string, list(compiled.positiontup or ()), carried

    def _keep(self, key: Any, compiled: Any) -> None:
        if len(self._kept) >= MOST:
            self._kept.clear()
        self._kept[key] = compiled
