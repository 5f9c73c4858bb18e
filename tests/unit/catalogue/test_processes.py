"""Several processes open and write one catalogue at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

from tests.unit.catalogue.catalogue_entries import entry, found
from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings
from vna_core.domain.query import Level

_PROCESSES = 4
_EACH = 40


def _write(settings: CatalogueSettings, data: Path, process: int) -> None:
    with Catalogue.open(settings, data) as catalogue:
        for number in range(_EACH):
            catalogue.record(entry(f"1.{process}.{number}", patient=f"P{number}", study=f"2.{number}", series=f"2.{number}.1"))
            catalogue.record(entry(f"3.{number}", patient=f"P{number}", study=f"2.{number}", series=f"2.{number}.2"))


def test_racing_processes_make_one_row_of_each_parent_and_no_error(
    new_catalogue: Callable[[], tuple[CatalogueSettings, Path]],
) -> None:
    settings, data = new_catalogue()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write, args=(settings, data, number)) for number in range(_PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * _PROCESSES
    with Catalogue.open(settings, data) as catalogue:
        statistics = catalogue.statistics()
        assert (statistics.patients, statistics.studies, statistics.series) == (_EACH, _EACH, 2 * _EACH)
        assert statistics.instances == statistics.versions == _PROCESSES * _EACH + _EACH
        assert {match.attributes[0x00201208] for match in found(catalogue, Level.STUDY)} == {(str(_PROCESSES + 1),)}
