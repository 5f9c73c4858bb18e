"""All indexed attributes as a Parquet table, one row per current instance, for questions that no query service answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from vna_core.catalogue import Catalogue
from vna_core.catalogue.answers import Match
from vna_core.domain.errors import PluginError
from vna_core.domain.indexed_attributes import INDEXED
from vna_core.domain.query import Condition, Level, Query

_ROWS: Final = 10_000
_PATIENT: Final = frozenset(
    tag
    for tag, one in INDEXED.items()
    if one.level is Level.PATIENT or one.vr == "PN" or one.keyword == "AdditionalPatientHistory"
)
"""Attributes that name or describe a person."""


def export_index(
    catalogue: Catalogue,
    target: Path,
    conditions: Sequence[Condition] = (),
    *,
    persons: bool = True,
    progress: Callable[[int], object] = lambda rows: None,
) -> int:
    """Write the table; how many rows it has. A table that is there already is replaced when the new one is complete.

    Every column is text as DICOM has it, several values with a backslash between them; absent is null.

    Parameters
    ----------
    persons
        Whether patients and other persons are in it.
    progress
        Called with the number of rows written since the last call.

    Raises
    ------
    PluginError
        pyarrow is not installed.
    """
    try:
        import pyarrow  # here: an extra that nothing else needs
        import pyarrow.parquet
    except ImportError as error:
        raise PluginError("Parquet needs pyarrow: pip install 'vna-core[parquet]'.") from error
    columns = {tag: one.keyword for tag, one in INDEXED.items() if persons or tag not in _PATIENT}
    schema = pyarrow.schema([(name, pyarrow.string()) for name in columns.values()])
    partial = target.with_name(target.name + ".partial")
    written = 0
    matches = iter(catalogue.search(Query(Level.IMAGE, tuple(conditions))).matches)
    with pyarrow.parquet.ParquetWriter(partial, schema, compression="zstd") as writer:
        for rows in _pieces(matches, columns):
            writer.write_table(pyarrow.Table.from_pydict(rows, schema=schema))
            count = len(next(iter(rows.values())))
            written += count
            progress(count)
    partial.replace(target)
    return written


def _pieces(matches: Iterator[Match], columns: dict[int, str]) -> Iterator[dict[str, list[Any]]]:
    while piece := list(islice(matches, _ROWS)):
        attributes = [match.attributes for match in piece]
        yield {
            name: ["\\".join(row[tag]).encode("utf-8", "replace").decode() if row.get(tag) else None for row in attributes]
            for tag, name in columns.items()
        }
