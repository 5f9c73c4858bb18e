"""What code counts with, and what the counts of all processes come to."""

from __future__ import annotations

import math
import os
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from mmap import mmap
from typing import Self

from vna_core.metering.metrics import Kind, Metric
from vna_core.metering.sheet import SIZE, Sheet


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric under its labels: its number, or of a histogram how many fell in each range, and the sum of what was measured."""

    metric: Metric
    labels: tuple[str, ...]
    numbers: list[float] = field(default_factory=list)


class Meter:
    """Counts for one process. Every method may be called from several threads at once, costs about a microsecond, and never fails.

    Parameters
    ----------
    run
        All processes of this one's run; what is read from it is theirs together.
    """

    def __init__(self, run: Meters, sheet: Sheet) -> None:
        self.run = run
        self._sheet = sheet

    @classmethod
    def alone(cls) -> Self:
        """For a process that shares its counts with no other."""
        return cls.of(Meters(("vna",)), "vna")

    @classmethod
    def of(cls, run: Meters, process: str) -> Self:
        """For this process, which plays the role of that name from now on; called in the process itself."""
        sheet = run.sheets[process]
        sheet.begin(os.getpid())
        return cls(run, sheet)

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Add to a counter."""
        self._sheet.add(metric, labels, by)

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Set a gauge of this process; the label that names the process is left out."""
        self._sheet.set(metric, labels, value)

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Count what was measured in a histogram."""
        self._sheet.observe(metric, labels, bisect_left(metric.buckets, value), value)


class Meters:
    """The counts of all processes of a run, in anonymous memory that processes share when they are forked after it was made.

    A process that is started again under its name goes on counting where the one before ended. The memory is seen by these processes only and
    ends with the last of them.

    Parameters
    ----------
    processes
        Names, unique in the run.
    """

    def __init__(self, processes: Sequence[str]) -> None:
        memory = memoryview(mmap(-1, SIZE * len(processes)))
        self.sheets = {name: Sheet(memory[SIZE * place : SIZE * (place + 1)]) for place, name in enumerate(processes)}

    def ended(self, process: str) -> None:
        """A process is no more: what it counted stays, its gauges are not told any longer."""
        self.sheets[process].process = 0

    def living(self) -> dict[str, int]:
        """Process id of each process that lives, by its name."""
        return {name: sheet.process for name, sheet in self.sheets.items() if sheet.process}

    def readings(self) -> list[Reading]:
        """Counters and histograms summed over all processes; gauges of each process that lives, its name as the last label."""
        sums: dict[tuple[Metric, tuple[str, ...]], list[float]] = {}
        for name, sheet in self.sheets.items():
            lives = bool(sheet.process)
            for metric, labels, numbers in sheet.readings():
                if metric.kind is not Kind.GAUGE:
                    before = sums.get((metric, labels))
                    sums[metric, labels] = numbers if before is None else list(map(sum, zip(before, numbers, strict=True)))
                elif lives and not math.isnan(numbers[0]):
                    sums[metric, (*labels, name)] = numbers
        return [Reading(metric, labels, numbers) for (metric, labels), numbers in sums.items()]
