"""What is to be offered, found under the paths of a command line: files, folders, DICOMDIR, ZIP and TAR, bounded."""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final

from vna_core.domain.errors import InvalidRequest, NotFound, Unarchivable, VnaError

LARGEST_RATIO: Final = 1000
"""Most octets that one octet of a ZIP member may unfold to, beyond the first 16 MiB."""

_FREE: Final = 16 << 20
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
"""Transfer syntax that no DICOMDIR has (PS3.10 section 8.6)."""
_DEEPEST_ARCHIVE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class OfferedFile:
    """One item: where it is (``archive.zip!member`` inside an archive), and how to open it.

    `open` is None where `error` says why it cannot be read at all.

    Attributes
    ----------
    member
        Name inside the archive `container`; empty for a file of its own.
    offset
        First octet in an archive that is not compressed (0-based); -1: unknown.
    """

    path: str
    size: int
    open: Callable[[], AbstractContextManager[IO[bytes]]] | None
    error: VnaError | None = None
    member: str = ""
    offset: int = -1

    @property
    def container(self) -> str:
        """Path of the file or archive on disk."""
        return self.path.removesuffix(f"!{self.member}") if self.member else self.path


Known = Callable[[Path, os.stat_result], bool]


def offered_files(
    paths: list[Path], known: Known = lambda path, status: False, but: Collection[Path] = ()
) -> Iterator[OfferedFile]:
    """Every item under the paths, once each, in a stable order.

    A folder that cannot be read is an item with its error. So is a link to a folder outside the paths: links are not followed.

    Parameters
    ----------
    known
        A file or archive that is known already is not opened, and left out.
    but
        Folders that are left out where they lie below one of the paths.
    """
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if _is_folder(path):
            yield from _walked(path, paths, but, seen, known)
        else:
            yield from _one(path, seen, known)
            if path.name.upper() == "DICOMDIR":
                yield from _referenced(path, seen, known)


def _walked(
    path: Path, paths: Collection[Path], but: Collection[Path], seen: set[tuple[int, int]], known: Known
) -> Iterator[OfferedFile]:
    """Items below a folder, and what keeps further ones from being found."""
    left_out, roots = {one.resolve() for one in but}, [one.resolve() for one in paths]
    failed: list[OSError] = []
    for folder, folders, names in os.walk(path, onerror=failed.append):
        yield from _not_listed(failed)
        folders.sort()
        for link in (Path(folder, name) for name in folders):
            if link.is_symlink() and not any(link.resolve().is_relative_to(root) for root in roots):
                why = InvalidRequest("A link to a folder is not followed: offer the folder it leads to.", path=str(link))
                yield OfferedFile(str(link), 0, None, why)
        if left_out:
            folders[:] = [name for name in folders if Path(folder, name).resolve() not in left_out]
        for name in sorted(names):
            yield from _one(Path(folder, name), seen, known)
    yield from _not_listed(failed)


def _not_listed(failed: list[OSError]) -> Iterator[OfferedFile]:
    while failed:
        error = failed.pop(0)
        yield OfferedFile(str(error.filename), 0, None, unreadable(str(error.filename), error))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # it is told when the path itself is looked at
        return False


def _one(path: Path, seen: set[tuple[int, int]], known: Known) -> Iterator[OfferedFile]:
    try:
        status = path.stat()
        if not path.is_file():
            yield OfferedFile(str(path), 0, None, InvalidRequest("Not a file.", path=str(path)))
            return
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        if known(path, status):
            return
        with path.open("rb") as stream:
            head = stream.read(512)
        if head[:4] == b"PK\x03\x04" and zipfile.is_zipfile(path):
            yield from _zip_members(path)
        elif _may_be_tar(head) and tarfile.is_tarfile(path):
            yield from _tar_members(path)
        else:
            yield OfferedFile(str(path), status.st_size, lambda: path.open("rb"))
    except OSError as error:
        yield OfferedFile(str(path), 0, None, unreadable(str(path), error))


def unreadable(path: str, error: OSError) -> VnaError:
    """What is told of a file that the operating system does not give."""
    if isinstance(error, FileNotFoundError):
        return NotFound("No such file or folder.", path=path)
    return InvalidRequest(f"Cannot be read: {error.strerror or error}.", path=path)


def _may_be_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar" or head[:3] in (b"\x1f\x8b\x08", b"BZh") or head[:6] == b"\xfd7zXZ\x00"


def _is_plain_tar(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(512)[257:262] == b"ustar"


def _zip_members(path: Path) -> Iterator[OfferedFile]:
    """Members while the archive is open: its directory is read once, so a member must be opened before the next is asked for."""
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        yield OfferedFile(str(path), 0, None, Unarchivable(f"The ZIP file is damaged: {error}.", path=str(path)))
        return
    with archive:
        for member in [one for one in archive.infolist() if not one.is_dir()][:_DEEPEST_ARCHIVE]:
            name = f"{path}!{member.filename}"
            if member.file_size > _FREE and member.file_size > LARGEST_RATIO * max(member.compress_size, 1):
                yield OfferedFile(
                    name, member.file_size, None, Unarchivable("The member unfolds to more than a real image would: a ZIP bomb.")
                )
            else:
                yield OfferedFile(name, member.file_size, partial(archive.open, member), member=member.filename)


def _tar_members(path: Path) -> Iterator[OfferedFile]:
    """Members one after the other: a compressed TAR is read once, in order, so a member must be read before the next is asked for."""
    try:
        with tarfile.open(path, "r:*") as archive:
            plain = _is_plain_tar(path)
            for member in archive:
                if member.isfile():
                    stream = archive.extractfile(member)
                    assert stream is not None
                    offset = member.offset_data if plain and not member.issparse() else -1
                    yield OfferedFile(f"{path}!{member.name}", member.size, _given(stream), member=member.name, offset=offset)
    except (tarfile.TarError, EOFError, OSError) as error:
        yield OfferedFile(str(path), 0, None, Unarchivable(f"The TAR file is damaged: {error}.", path=str(path)))


def _given(stream: IO[bytes]) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    return lambda: stream


def _referenced(path: Path, seen: set[tuple[int, int]], known: Known) -> Iterator[OfferedFile]:
    """Files that a DICOMDIR names in Referenced File ID (0004,1500), inside its own folder only (PS3.3 F.3.2.2)."""
    from pydicom import dcmread  # here: only a DICOMDIR needs it
    from pydicom.filereader import read_file_meta_info

    root = path.parent.resolve()
    try:
        if (
            read_file_meta_info(path).get("TransferSyntaxUID") == _DEFLATED
        ):  # it would be inflated in memory, however large it gets
            yield OfferedFile(f"{path}!records", 0, None, Unarchivable("The DICOMDIR is compressed.", path=str(path)))
            return
        records = dcmread(path, specific_tags=[0x00041220]).get("DirectoryRecordSequence") or []
        names = [record.get("ReferencedFileID") for record in records]
    except Exception as error:  # another library's failure on a damaged DICOMDIR is a finding about the file, not a fault
        yield OfferedFile(
            f"{path}!records", 0, None, Unarchivable(f"The DICOMDIR cannot be read ({type(error).__name__}).", path=str(path))
        )
        return
    for name in names:
        if not name:
            continue
        parts = [name] if isinstance(name, str) else [str(part) for part in name]
        target = root.joinpath(*parts)
        if not target.resolve().is_relative_to(root):
            yield OfferedFile(
                str(target), 0, None, Unarchivable("The DICOMDIR names a file outside its folder.", path=str(target))
            )
            continue
        actual = _ignoring_case(root, parts)
        if actual is None:
            yield OfferedFile(str(target), 0, None, NotFound("The DICOMDIR names a file that is not there.", path=str(target)))
        else:
            yield from _one(actual, seen, known)


def _ignoring_case(root: Path, parts: list[str]) -> Path | None:
    """Media copied through other systems change the case of names and add endings (``IM1`` and ``im1.dcm``)."""
    current = root
    for part in parts:
        if (current / part).exists():
            current = current / part
            continue
        wanted = part.lower()
        found = (
            next((one for one in sorted(current.iterdir()) if one.name.lower().split(".")[0] == wanted), None)
            if current.is_dir()
            else None
        )
        if found is None:
            return None
        current = found
    return current
