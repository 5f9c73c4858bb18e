"""Writes every quirk file, and the truth about them, into a folder: ``python -m vna_core.testing.quirks FOLDER``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vna_core.testing.quirks import NOT_ONE_FILE, QuirkFile, combinations, quirk_files


def truth(one: QuirkFile) -> dict[str, Any]:
    """What is true about a file, as JSON carries it; octets as hexadecimal digits."""
    return {
        "entry": one.entry,
        "combinedWith": list(one.combined_with),
        "outcome": one.outcome,
        "expectedValues": {path: None if values is None else list(values) for path, values in one.expected_values.items()},
        "unchanged": {path: one.original_values[path].hex() for path in one.unchanged},
        "pixels": None
        if one.pixels is None
        else {"shape": list(one.pixels.shape), "type": one.pixels.dtype.name, "values": one.pixels.ravel().tolist()},
    }


def write(folder: Path, files: Iterable[QuirkFile]) -> int:
    """Write the files and ``truth.json``; returns how many files.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told = {}
    for one in files:
        (folder / f"{one.name}.dcm").write_bytes(one.octets)
        told[f"{one.name}.dcm"] = truth(one)
    (folder / "truth.json").write_text(
        json.dumps({"notOneFile": dict(NOT_ONE_FILE), "files": told}, indent=1, ensure_ascii=False)
    )
    return len(told)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m vna_core.testing.quirks", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--combinations", type=int, default=0, metavar="COUNT", help="files with several faults each")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    files = [*quirk_files(), *combinations(options.seed, options.combinations)]
    print(f"{write(options.folder, files)} files in {options.folder}")


if __name__ == "__main__":
    main()
