"""How many generated files with known samples are read right: by the archive, and by other readers from the octets as received.

``python -m tests.benchmarks.readers [--gdcm-python PYTHON] [--list] [--corpus FOLDER]``

Right is: every stored value, frame and dimension. Silent is: an image without an error, and a wrong one. DCMTK takes part where
its programs are installed (it has no JPEG 2000), GDCM where a Python with the package python-gdcm is named.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.unit.dialects.instances import installed
from tests.unit.normalize.handmade import LIMITS, received, stored
from tests.unit.quirks.canonical_values import DECODERS, Reading
from vna_core.domain.errors import VnaError
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize import normalize
from vna_core.testing.quirks import QuirkFile, quirk_files

Samples = np.ndarray[Any, np.dtype[Any]]
Reader = Callable[[QuirkFile], Samples]

CONVERTERS: Final = (("dcmdjpeg", "+cn"), ("dcmdrle",), ("dcmdjpls",), ("dcmconv", "+te"))
SECONDS: Final = 30


class Unreadable(Exception):
    """A reader says that it cannot read a file."""


def by_archive(file: QuirkFile) -> Samples:
    """Out of the canonical object, by pydicom."""
    one = received(file.octets)
    return Reading(stored(normalize(one, identify(one, LIMITS), LIMITS, dialects=installed()))).samples()


def by_pydicom(file: QuirkFile) -> Samples:
    """Out of the octets as received."""
    return Reading(file.octets).samples()


def by_dcmtk(file: QuirkFile) -> Samples:
    """Out of the octets as received."""
    return converted_by_dcmtk(file.octets)


def converted_by_dcmtk(octets: bytes) -> Samples:
    """By the first of DCMTK's programs that writes native pixel data."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.dcm"), Path(folder, "out.dcm")
        source.write_bytes(octets)
        for program, *options in CONVERTERS:
            done = subprocess.run(
                [program, *options, str(source), str(target)], capture_output=True, timeout=SECONDS, check=False
            )
            if not done.returncode and target.is_file():
                return Reading(target.read_bytes()).samples()
    raise Unreadable


def by_gdcm(python: str) -> Reader:
    """A process of its own for every file, since odd ones may end it."""

    def read(file: QuirkFile) -> Samples:
        with tempfile.NamedTemporaryFile(suffix=".dcm") as source:
            source.write(file.octets)
            source.flush()
            script = str(Path(__file__).with_name("gdcm_samples.py"))
            done = subprocess.run([python, script, source.name], capture_output=True, timeout=SECONDS, check=False)
        if done.returncode:
            raise Unreadable
        told, _, octets = done.stdout.partition(b"\n")
        return _of_gdcm(json.loads(told), octets)

    return read


def _of_gdcm(told: Mapping[str, Any], octets: bytes) -> Samples:
    frames, rows, columns, samples = told["shape"]
    found = np.frombuffer(octets, told["type"])
    if samples > 1 and told["planar"]:
        found = found.reshape(frames, samples, rows, columns).transpose(0, 2, 3, 1)
    elif samples > 1:
        found = found.reshape(frames, rows, columns, samples)
    else:
        found = found.reshape(frames, rows, columns)
    unused = found.dtype.itemsize * 8 - told["stored"]
    return (found << unused) >> unused if found.dtype.kind in "iu" and unused > 0 else found


def real_files(corpus: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below the folders of a corpus."""
    for path in sorted(path for path in corpus.rglob("*") if path.is_file() and path.parent != corpus):
        yield path, path.read_bytes()


def before_and_after(octets: bytes) -> tuple[Samples, Samples] | None:
    """Samples that pydicom, else DCMTK, reads in octets as received, and those it reads in the canonical object.

    None where neither can read the octets as received, or the archive does not hold them.
    """
    one = received(octets)
    try:
        object_ = stored(normalize(one, identify(one, LIMITS), LIMITS, dialects=installed()))
    except VnaError:
        return None
    try:
        reading = Reading(octets)
        return reading.samples(), Reading(object_).samples(_decoder_of(reading))
    except Exception:  # noqa: BLE001 - the reader has told that it cannot
        pass
    try:
        return converted_by_dcmtk(octets), converted_by_dcmtk(object_)
    except Exception:  # noqa: BLE001 - as above
        return None


def _decoder_of(reading: Reading) -> str:
    """The transfer syntax as received, where a decoder of its own goes with it, so that both sides go the same way."""
    syntax = str(reading.root.file_meta.TransferSyntaxUID)
    return syntax if syntax in DECODERS else ""


def changed_samples(corpus: Path) -> tuple[int, list[Path]]:
    """How many real files were compared, and those in which a sample is another than before."""
    compared, changed = 0, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path, octets in real_files(corpus):
            found = before_and_after(octets)
            if found is not None:
                compared += 1
                if not np.array_equal(*found, equal_nan=found[0].dtype.kind == "f"):
                    changed.append(path)
    return compared, changed


def verdict(read: Reader, file: QuirkFile) -> str:
    """``right``, ``silent`` or ``refused``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = read(file)
    except Exception:  # noqa: BLE001 - whatever a reader raises, it has told that it cannot
        return "refused"
    assert file.pixels is not None
    return "right" if found.shape == file.pixels.shape and np.array_equal(found, file.pixels) else "silent"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gdcm-python", metavar="PYTHON", help="a Python that has python-gdcm")
    parser.add_argument("--list", action="store_true", help="name the files that a reader does not read right")
    parser.add_argument("--corpus", type=Path, metavar="FOLDER", help="compare real files before and after, instead")
    options = parser.parse_args()
    if options.corpus is not None:
        compared, changed = changed_samples(options.corpus)
        print(f"{compared} real files compared sample by sample, {len(changed)} changed")
        for path in changed:
            print(f"  {path}")
        return
    readers: dict[str, Reader] = {"archive": by_archive, "pydicom": by_pydicom}
    if shutil.which("dcmconv"):
        readers["dcmtk"] = by_dcmtk
    if options.gdcm_python:
        readers["gdcm"] = by_gdcm(options.gdcm_python)
    files = [file for file in quirk_files() if file.pixels is not None and file.outcome == "held"]
    for name, read in readers.items():
        verdicts = {file.name: verdict(read, file) for file in files}
        counts = {word: sum(one == word for one in verdicts.values()) for word in ("right", "silent", "refused")}
        print(
            f"{name}: {counts['right']} of {len(files)} right, {counts['silent']} wrong without an error, {counts['refused']} refused"
        )
        for file_name, word in verdicts.items() if options.list else ():
            if word != "right":
                print(f"  {word}: {file_name}")


if __name__ == "__main__":
    main()
