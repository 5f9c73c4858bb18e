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
_PACKED: Final = 1 << 10
"""Octets that are unpacked at once: however well they are packed, what comes of them has room."""


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """What a check of rows found: whether their digests have the signed root, which rows do not have theirs (counted from 1), how many
    digests there are, and whether the file ends where its rows do."""

    root: bool
    altered: tuple[int, ...]
    checked: int
    whole: bool


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
    packed = _PackedRows(folder / f"{name}.jsonl.zst")
    pairs = zip_longest(_leaves(folder / f"{name}.leaves"), packed.rows())
    for number, (promised, row) in enumerate(pairs, 1):
        if promised is not None:
            tree.add(promised)
        if row is None or promised != leaf(row):
            altered.append(number)
        if row is not None:
            seen(row)
    root = isinstance(signed, dict) and signed.get("merkle_root") == tree.root().hex() and signed.get("rows") == tree.size
    return CheckedRows(root, tuple(altered), tree.size, packed.whole)


def _leaves(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(32):
                yield piece
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read ({error.strerror}).") from error


class _PackedRows:
    """Exported rows, which are one frame of Zstandard (RFC 8878).

    Attributes
    ----------
    whole
        After `rows`: the frame came to its end, and nothing stands behind it, be it what readers skip.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.whole = False

    def rows(self) -> Iterator[bytes]:
        """One by one; a damaged end ends them, which shows as missing rows. Raises InvalidRequest: the file cannot be read."""
        rest = b""
        try:
            for piece in self._unpacked():
                lines = (rest + piece).split(b"\n")
                rest = lines.pop()
                yield from lines
                if len(rest) > _LONGEST_ROW:
                    break
        except zstandard.ZstdError:
            rest = rest or b"damaged"
        except OSError as error:
            raise InvalidRequest(f"{self._path} cannot be read ({error.strerror}).") from error
        if rest:
            yield rest

    def _unpacked(self) -> Iterator[bytes]:
        frame = zstandard.ZstdDecompressor().decompressobj()
        with self._path.open("rb") as file:
            while not frame.eof and (packed := file.read(_PACKED)):
                yield frame.decompress(packed)
            self.whole = frame.eof and not frame.unused_data and not file.read(1)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name when it is whole."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
