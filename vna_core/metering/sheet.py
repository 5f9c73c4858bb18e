"""The memory in which one process counts: keys that only grow in number, and a number or several for each.

One process writes, in any number of threads; others read at any moment, without a lock. A key is written before it counts as
there, and a number is one aligned word, so that a reader sees whole ones whatever happens to the writer. Layout, in cells of 8
octets: a head of `_HEAD` cells, the keys, and from `_FIRST` on the numbers, in the order of the keys. A key is the number of its octets and of its
cells (two octets each, little endian), and a JSON array of the metric's name and the labels.
"""

from __future__ import annotations

import json
import threading
from struct import Struct
from typing import Final

from vna_core.metering.metrics import DROPPED, METRICS, Kind, Metric

SIZE: Final = 1 << 20
"""Octets of a sheet. Memory is taken from the system only as it is used."""

_CELL: Final = 8
_PROCESS, _USED, _DROPPED, _HEAD = 0, 1, 2, 4
_FIRST: Final = SIZE // _CELL // 2
_CELLS: Final = SIZE // _CELL
_RECORD: Final = Struct("<HH")
ABSENT: Final = float("nan")
"""What stands for a gauge that nobody set."""

Key = tuple[Metric, tuple[str, ...]]


class Sheet:
    """One process's counts, as its writer or as a reader.

    Parameters
    ----------
    memory
        `SIZE` octets, zero before the first use, shared between writer and readers.
    """

    def __init__(self, memory: memoryview) -> None:
        self._octets = memory
        self._cells: memoryview[float] = memory.cast("d")
        self._places: dict[Key, int] = {}
        self._end = _FIRST
        self._seen = _HEAD * _CELL
        self._lock = threading.Lock()

    @property
    def process(self) -> int:
        """Process id of the writer; 0 when none lives."""
        return int(self._cells[_PROCESS])

    @process.setter
    def process(self, number: int) -> None:
        self._cells[_PROCESS] = number

    def begin(self, process: int) -> None:
        """Write from now on, after another process that ended: its counts go on, its gauges are gone."""
        with self._lock:
            self._look()
            for (metric, _), place in self._places.items():
                if metric.kind is Kind.GAUGE:
                    self._cells[place] = ABSENT
            self.process = process

    def add(self, metric: Metric, labels: tuple[str, ...], by: float) -> None:
        """Add to a counter."""
        with self._lock:
            place = self._places.get((metric, labels)) or self._new(metric, labels)
            if place:
                self._cells[place] += by

    def set(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Set a gauge."""
        with self._lock:
            place = self._places.get((metric, labels)) or self._new(metric, labels)
            if place:
                self._cells[place] = value

    def observe(self, metric: Metric, labels: tuple[str, ...], position: int, value: float) -> None:
        """Count a value in the range at `position` of a histogram, and add it to the sum."""
        with self._lock:
            place = self._places.get((metric, labels)) or self._new(metric, labels)
            if place:
                self._cells[place + position] += 1
                self._cells[place + metric.cells - 1] += value

    def readings(self) -> list[tuple[Metric, tuple[str, ...], list[float]]]:
        """Every metric, its labels and its numbers; of a histogram those of the ranges, then the sum."""
        with self._lock:
            self._look()
            found = [
                (metric, labels, list(self._cells[place : place + metric.cells]))
                for (metric, labels), place in self._places.items()
            ]
        dropped = self._cells[_DROPPED]
        return [*found, (DROPPED, (), [dropped])] if dropped else found

    def _look(self) -> None:
        """Take up the keys that were written since the last look."""
        used = int(self._cells[_USED]) or self._seen
        while self._seen < used:
            length, cells = _RECORD.unpack_from(self._octets, self._seen)
            begin = self._seen + _RECORD.size
            name, *labels = json.loads(bytes(self._octets[begin : begin + length]))
            self._places[METRICS[name], tuple(labels)] = self._end
            self._end += cells
            self._seen = begin + length

    def _new(self, metric: Metric, labels: tuple[str, ...]) -> int:
        """The place of a new key; 0 where there is no room, which is counted."""
        octets = json.dumps([metric.name, *labels]).encode()
        begin, end = self._seen, self._seen + _RECORD.size + len(octets)
        if end > _FIRST * _CELL or len(octets) > 0xFFFF or self._end + metric.cells > _CELLS:
            self._cells[_DROPPED] += 1
            return 0
        place = self._end
        _RECORD.pack_into(self._octets, begin, len(octets), metric.cells)
        self._octets[begin + _RECORD.size : end] = octets
        for cell in range(place, place + metric.cells):
            self._cells[cell] = 0.0
        self._cells[_USED] = end
        self._seen, self._end = end, place + metric.cells
        self._places[metric, labels] = place
        return place
