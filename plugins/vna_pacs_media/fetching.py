"""Reading indexed instances out of their files."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import IO, Final

import structlog

from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import VnaError
from vna_core.domain.octets import CHUNK, Source
from vna_core.domain.spool import Spool
from vna_core.ports.pacs import Deliver, FetchReport
from vna_core.ports.parallel_fetch import added
from vna_pacs_media.index import CLOSED, Place, Placed
from vna_pacs_media.reading import unfolded

_log = structlog.get_logger(__name__)
_MEMBERS_AT_ONCE: Final = 64
_DAMAGE: Final = (OSError, EOFError, ValueError, KeyError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile)


class Fetching:
    """Delivers instances from their places."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @staticmethod
    def units(found: Sequence[Placed]) -> Iterator[list[Placed]]:
        """What is read in one go: a file; some members of a ZIP file; everything wanted from a compressed TAR file, which is read in order."""
        archives: dict[str, list[Placed]] = defaultdict(list)
        for one in found:
            if one.place.member and one.place.offset == -1:
                archives[one.place.path].append(one)
            else:
                yield [one]
        for path, members in archives.items():
            step = _MEMBERS_AT_ONCE if _is_zip(path) else len(members)
            yield from (members[at : at + step] for at in range(0, len(members), step))

    def fetch(self, unit: list[Placed], deliver: Deliver, deadline: Deadline | None) -> FetchReport:
        """Deliver one unit. What cannot be read any more is reported as failed."""
        place = unit[0].place
        if place.offset == CLOSED:
            return FetchReport(0, len(unit), message="A file cannot be opened, or must not be.")
        if not place.member or place.offset >= 0:
            return self._one(unit[0], lambda: open(place.path, "rb"), place.offset, deliver, deadline)
        return (self._from_zip if _is_zip(place.path) else self._from_compressed_tar)(unit, deliver, deadline)

    def _from_zip(self, unit: list[Placed], deliver: Deliver, deadline: Deadline | None) -> FetchReport:
        try:
            archive = zipfile.ZipFile(unit[0].place.path)
        except (OSError, zipfile.BadZipFile) as error:
            return FetchReport(0, len(unit), message=f"The ZIP file is damaged: {error}.")
        total = FetchReport(0, 0)
        with archive:
            for one in unit:
                total = added(total, self._one(one, partial(archive.open, one.place.member), -1, deliver, deadline))
        return total

    def _from_compressed_tar(self, unit: list[Placed], deliver: Deliver, deadline: Deadline | None) -> FetchReport:
        wanted: dict[str, list[Placed]] = defaultdict(list)
        for one in unit:
            wanted[one.place.member].append(one)
        total = FetchReport(0, 0)
        for name, stream in _members(unit[0].place.path):
            if wanted.get(name):
                total = added(total, self._one(wanted[name].pop(0), partial(_given, stream), -1, deliver, deadline))
        lost = sum(map(len, wanted.values()))
        message = "The TAR file is damaged or was changed." if lost else total.message
        return FetchReport(total.delivered, total.failed + lost, message=message)

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


def _members(path: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Files of a TAR file in order, as far as it can be read."""
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() else None
                if stream is not None:
                    yield member.name, stream
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        _log.warning("tar-damaged", file=path, error=type(error).__name__)


def _given(stream: IO[bytes]) -> IO[bytes]:
    return stream


def _is_zip(path: str) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except OSError:
        return False


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
