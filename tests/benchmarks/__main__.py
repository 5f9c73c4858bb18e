"""Compares the archive with Orthanc (synchronous storage) and DCMTK's storescp in one run, in turns.

    python -m tests.benchmarks --rounds 5
    python -m tests.benchmarks --only store,wado --rounds 2 --json figures.json

Every round starts each system on a fresh folder, feeds it, measures and stops it. Orthanc flushes its files but not its database;
storescp flushes nothing; the archive flushes both before it answers. A ratio is the median of the ratios of the rounds, as both systems
of a round met the same machine; the range of these is told beside it, and the load of the machine: what others do on it changes rates
more than it changes the CPU time of an instance.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import cpu_seconds, median_and_spread, peak_memory, system
from tests.benchmarks.rows import ROWS, Row


def run_row(row: Row, rounds: int, folder: Path) -> dict[str, Any]:
    """Measure one row; the figures by system."""
    rates: dict[str, list[float]] = {name: [] for name in row.systems}
    cpu: dict[str, list[float]] = {name: [] for name in row.systems}
    memory: dict[str, list[float]] = {name: [] for name in row.systems}
    senders: dict[str, list[float]] = {name: [] for name in row.systems}
    load = os.getloadavg()[0]
    for number in range(rounds):
        for name in row.systems if number % 2 == 0 else reversed(row.systems):
            home = folder / f"{name}-{number}"
            with system(name, home, row.quick) as running:
                before, fed = cpu_seconds(running.process), _of_ended_children()
                rates[name].append(row.measure(running, folder))
                cpu[name].append((cpu_seconds(running.process) - before) * 1000 / max(row.count, 1))
                senders[name].append((_of_ended_children() - fed) * 1000 / max(row.count, 1))
                memory[name].append(peak_memory(running.process))
            _empty(home)
    figures: dict[str, Any] = {"row": row.name, "target": row.target, "rounds": rounds, "load": round(load, 1)}
    for name in row.systems:
        rate, spread = median_and_spread(rates[name])
        figures[name] = {"rate": round(rate, 1), "spread": round(spread, 2), "memory_mb": max(memory[name])}
        if row.count:
            figures[name]["cpu_ms"] = round(median_and_spread(cpu[name])[0], 2)
            figures[name]["senders_ms"] = round(median_and_spread(senders[name])[0], 2)
    ratios = [ours / theirs for ours, theirs in zip(rates["vna"], rates["orthanc"], strict=True)]
    figures["ratio"] = round(median_and_spread(ratios)[0], 2)
    figures["ratios"] = [round(min(ratios), 2), round(max(ratios), 2)]
    return figures


def _of_ended_children() -> float:
    """CPU time of the programs that fed the systems, as far as they ended."""
    times = os.times()
    return times.children_user + times.children_system


def _empty(home: Path) -> None:
    """Give the blocks back but keep the names: ext4 passes over inodes freed in the last minutes one by one, and creating a
    file then costs more than storing it, for whoever comes next."""
    for path in home.rglob("*"):
        if path.is_file():
            os.truncate(path, 0)


def main() -> None:
    """Run the rows asked for and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", default="", help="groups of rows, separated by commas: " + ", ".join(dict.fromkeys(row.group for row in ROWS))
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for all figures")
    arguments = parser.parse_args()
    wanted = set(filter(None, arguments.only.split(",")))
    every = []
    root = Path(tempfile.mkdtemp(prefix="vna-benchmark-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    heads = f"{'Orthanc':>9} {'archive':>9} {'ratio':>6} {'least to most':>14} {'target':>6}"
    print(f"{'':50} {heads}  spread, CPU an instance (senders beside it), peak memory of a process, load")
    for row in ROWS:
        if wanted and row.group not in wanted:
            continue
        folder = root / f"row-{len(every)}"
        folder.mkdir()
        one = run_row(row, arguments.rounds, folder)
        every.append(one)
        theirs, ours = one["orthanc"], one["vna"]
        reached = "" if one["ratio"] >= row.target else "  NOT REACHED"
        detail = f"±{ours['spread']:.0%} against ±{theirs['spread']:.0%}"
        if row.count:
            detail += f", {ours['cpu_ms']} (+{ours['senders_ms']}) against {theirs['cpu_ms']} (+{theirs['senders_ms']}) ms"
        detail += f", {ours['memory_mb']:.0f} against {theirs['memory_mb']:.0f} MB, load {one['load']}"
        if "storescp" in one:
            detail += f"; storescp {one['storescp']['rate']}"
        least, most = one["ratios"]
        figures = f"{theirs['rate']:9} {ours['rate']:9} {one['ratio']:6} {f'{least} to {most}':>14} {row.target:6}"
        print(f"{row.name:50} {figures}  {detail}{reached}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(every, indent=1))


if __name__ == "__main__":
    main()
