"""Reading indexed instances out of their files."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Final

from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import VnaError
from vna_core.domain.octets import CHUNK, Source
from vna_core.domain.spool import Spool
from vna_core.ports.pacs import Deliver, FetchReport
from vna_core.ports.parallel_fetch import added
from vna_pacs_media.index import Place, Placed
from vna_pacs_media.reading import unfolded

_DAMAGE: Final = (OSError, EOFError, ValueError, KeyError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile)


class Fetching:
    """Delivers instances from their places."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @staticmethod
    def units(found: Sequence[Placed]) -> Iterator[list[Placed]]:
        """What is read in one go: a file, a member, or everything wanted from one compressed TAR file, which has to be read in order."""
        in_order: dict[str, list[Placed]] = defaultdict(list)
        for one in found:
            if one.place.member and one.place.offset < 0 and not zipfile.is_zipfile(one.place.path):
                in_order[one.place.path].append(one)
            else:
                yield [one]
        yield from in_order.values()

    def fetch(self, unit: list[Placed], deliver: Deliver, deadline: Deadline | None) -> FetchReport:
        """Deliver one unit. What cannot be read any more is reported as failed."""
        if len(unit) > 1 or (unit[0].place.member and unit[0].place.offset < 0 and not zipfile.is_zipfile(unit[0].place.path)):
            return self._from_compressed_tar(unit, deliver, deadline)
        return self._one(unit[0], lambda: _opened(unit[0].place), unit[0].place.offset, deliver, deadline)

    def _from_compressed_tar(self, unit: list[Placed], deliver: Deliver, deadline: Deadline | None) -> FetchReport:
        wanted: dict[str, list[Placed]] = defaultdict(list)
        for one in unit:
            wanted[one.place.member].append(one)
        total = FetchReport(0, 0)
        try:
            with tarfile.open(unit[0].place.path, "r:*") as archive:
                for member in archive:
                    if member.isfile() and wanted.get(member.name):
                        one, stream = wanted[member.name].pop(0), archive.extractfile(member)
                        if stream is not None:
                            total = added(total, self._one(one, lambda: stream, -1, deliver, deadline))  # noqa: B023 - called at once
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            total = added(total, FetchReport(0, 0, message=f"The TAR file is damaged: {error}."))
        return FetchReport(total.delivered, len(unit) - total.delivered, message=total.message)

    def _one(
        self, one: Placed, opened: Callable[[], IO[bytes]], offset: int, deliver: Deliver, deadline: Deadline | None
    ) -> FetchReport:
        spool = Spool(self._source, "", "", one.sop_instance_uid)
        try:
            try:
                with opened() as stream:
                    for piece in _pieces(stream, one.place, offset):
                        if deadline is not None:
                            deadline.check()
                        spool.write(piece)
            except _DAMAGE as error:
                return FetchReport(0, 1, message=f"A file cannot be read: {type(error).__name__}: {error}.")
            except tarfile.TarError as error:
                return FetchReport(0, 1, message=f"The TAR file is damaged: {error}.")
            deliver(spool.finish())
            return FetchReport(1, 0)
        finally:
            spool.discard()


def _opened(place: Place) -> IO[bytes]:
    if place.member and place.offset < 0:
        return zipfile.ZipFile(place.path).open(place.member)
    return open(place.path, "rb")


def _pieces(stream: IO[bytes], place: Place, offset: int) -> Iterator[bytes]:
    if offset >= 0:
        stream.seek(offset)
    if place.folded:
        try:
            yield from unfolded(stream)
        except VnaError as error:
            raise ValueError(error.message) from error
        return
    left = place.size if place.size >= 0 else -1
    while left and (piece := stream.read(min(CHUNK, left) if left > 0 else CHUNK)):
        left -= len(piece) if left > 0 else 0
        yield piece
    if left > 0:
        raise EOFError("the file is shorter than it was")
