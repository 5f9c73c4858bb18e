"""Rows that a certificate answers for: one row a line, packed, and beside them their digests, whose root is signed.

The rows are read and written one by one, however many there are; the digests tell which row was altered.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, Final

import zstandard

from vna_core.domain.errors import InvalidRequest
from vna_core.migration.merkle import MerkleTree, leaf

_LONGEST_ROW: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """What a check of rows found: whether their digests have the signed root, which rows do not have theirs (counted from 1), and how many
    digests there are."""

    root: bool
    altered: tuple[int, ...]
    checked: int


def write_rows(folder: Path, name: str, rows: Iterable[bytes]) -> dict[str, Any]:
    """Write ``NAME.jsonl.zst`` and ``NAME.leaves``; the number of rows and their root, to be signed."""
    tree, packer = MerkleTree(), zstandard.ZstdCompressor(level=3)
    with (
        replacing(folder / f"{name}.jsonl.zst") as file,
        replacing(folder / f"{name}.leaves") as leaves,
        packer.stream_writer(file, closefd=False) as packed,
    ):
        for row in rows:
            digest = leaf(row)
            packed.write(row + b"\n")
            leaves.write(digest)
            tree.add(digest)
    return {"rows": tree.size, "merkle_root": tree.root().hex()}


def check_rows(folder: Path, name: str, signed: object, seen: Callable[[bytes], object]) -> CheckedRows:
    """Check rows against their digests, and those against what `write_rows` returned; `seen` gets every row.

    Raises InvalidRequest for files that cannot be read.
    """
    tree, altered = MerkleTree(), []
    pairs = zip_longest(_leaves(folder / f"{name}.leaves"), _rows(folder / f"{name}.jsonl.zst"))
    for number, (promised, row) in enumerate(pairs, 1):
        if promised is not None:
            tree.add(promised)
        if row is None or promised != leaf(row):
            altered.append(number)
        if row is not None:
            seen(row)
    root = isinstance(signed, dict) and signed.get("merkle_root") == tree.root().hex() and signed.get("rows") == tree.size
    return CheckedRows(root, tuple(altered), tree.size)


def _leaves(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(32):
                yield piece
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read ({error.strerror}).") from error


def _rows(path: Path) -> Iterator[bytes]:
    """Exported rows; a damaged end ends them, which shows as missing rows."""
    rest = b""
    try:
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as packed:
            while piece := packed.read(1 << 20):
                lines = (rest + piece).split(b"\n")
                rest = lines.pop()
                yield from lines
                if len(rest) > _LONGEST_ROW:
                    break
    except zstandard.ZstdError:
        rest = rest or b"damaged"
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read ({error.strerror}).") from error
    if rest:
        yield rest


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name when it is whole."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
