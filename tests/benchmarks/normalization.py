"""What the rules about values, pixels and dialects cost a conformant image, and what normalization reaches on odd ones.

``python -m tests.benchmarks.normalization [--corpus FOLDER]``
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np

from tests.unit.dialects.instances import installed
from tests.unit.normalize.handmade import LIMITS, original, received, stored
from tests.unit.quirks.canonical_values import Reading
from vna_core.bootstrap import open_archive
from vna_core.configuration import Settings
from vna_core.dicom.trailer import read_trailer
from vna_core.domain.errors import VnaError
from vna_core.domain.octets import Source
from vna_core.ingest import normalize as room
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize.values import Survey
from vna_core.testing import phantoms
from vna_core.testing.quirks import quirk_files

ROUNDS, INSTANCES = 12, 60


@contextmanager
def plain() -> Iterator[None]:
    """Without the rules about values, pixels and dialects: container, encoding and identifiers alone."""
    with (
        mock.patch.object(room, "survey", lambda *_: Survey([], [])),
        mock.patch.object(room, "unify_text", lambda *_: False),
        mock.patch.object(room, "describe_pixels", lambda *_: False),
        mock.patch.object(room, "describe_dialects", lambda *_: ()),
        mock.patch.object(room, "note_domains", lambda *_: None),
        mock.patch.object(room, "note_implausible", lambda *_: None),
    ):
        yield


@contextmanager
def everything() -> Iterator[None]:
    yield


def cost_of_conformant_input() -> None:
    """Milliseconds of a whole ingest, durable, with and without the rules; alternating, every file new."""
    numbers = iter(range(50_000, 10_000_000))
    times: dict[str, list[float]] = {"plain": [], "all rules": []}
    with tempfile.TemporaryDirectory() as folder, open_archive(Settings(data=Path(folder))) as archive:
        for _ in range(ROUNDS):
            for name, rules in (("plain", plain), ("all rules", everything)):
                files = [phantoms.ct(next(numbers), 512, 512) for _ in range(INSTANCES)]
                with rules():
                    times[name].append(_seconds(files, archive.pipeline.reception, archive.pipeline.offer) / INSTANCES * 1e3)
    ratio = statistics.median(b / a for a, b in zip(times["plain"], times["all rules"], strict=True))
    shown = ", ".join(f"{name} {statistics.median(values):.2f} ms" for name, values in times.items())
    print(f"conformant CT of 0.5 MB, whole ingest: {shown}; ratio {ratio:.3f} (wanted: at most 1.10)")


def _seconds(files: list[bytes], reception: Callable[..., object], offer: Callable[..., object]) -> float:
    begin = time.process_time()
    for octets in files:
        with reception(Source("file", "benchmark")) as taken:  # type: ignore[attr-defined]
            taken.write(octets)
            one = taken.finish()
        offer(one)
    return time.process_time() - begin


def truth_of_generated_files() -> None:
    """How many generated files with known samples give exactly these, read by pydicom out of the canonical object."""
    dialects = installed()
    right = total = 0
    for file in quirk_files():
        if file.pixels is None or file.outcome != "held":
            continue
        total += 1
        one = received(file.octets)
        canonical = room.normalize(one, identify(one, LIMITS), LIMITS, dialects=dialects)
        try:
            right += np.array_equal(Reading(stored(canonical)).samples(), file.pixels)
        except Exception as error:  # noqa: BLE001 - whatever the reader says, it did not give the samples
            print(f"  not readable: {file.name} ({type(error).__name__})")
    print(f"generated files with known samples: {right} of {total} right")


def patches_of(corpus: Path) -> None:
    """Median reverse patch over a folder of real files."""
    sizes, quarantined = [], 0
    for path in sorted(path for path in corpus.rglob("*") if path.is_file() and path.parent != corpus and path.stat().st_size):
        octets = path.read_bytes()
        one = received(octets)
        try:
            object_ = stored(room.normalize(one, identify(one, LIMITS), LIMITS, dialects=installed()))
        except VnaError:
            quarantined += 1
            continue
        assert original(object_) == octets, path
        trailer = read_trailer(lambda offset, length, held=object_: held[offset : offset + length], len(object_))  # type: ignore[misc]
        sizes.append(len(trailer.patch))
    print(
        f"{len(sizes)} real files come back octet by octet, {quarantined} are quarantined; median patch {statistics.median(sizes):.0f}"
    )


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path)
    corpus = parser.parse_args().corpus
    cost_of_conformant_input()
    truth_of_generated_files()
    if corpus is not None:
        patches_of(corpus)


if __name__ == "__main__":
    main()
