"""The parts of an archive on a folder, wired as in production but without its faces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vna_core.access.retrieve import Retriever
from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings, IngestSettings
from vna_core.domain.instance import HeldInstance
from vna_core.domain.octets import ReceivedInstance, Source
from vna_core.domain.outcome import IngestResult
from vna_core.ingest.pipeline import IngestPipeline
from vna_storage_filesystem.store import FilesystemStore

SOURCE = Source("file", "test", "/somewhere")


@dataclass
class SmallArchive:
    """What the tests of rooms and retrieval need."""

    data: Path
    store: FilesystemStore
    catalogue: Catalogue
    pipeline: IngestPipeline
    retriever: Retriever

    def receive(self, octets: bytes, source: Source = SOURCE, piece: int = 100_000, **hints: str) -> ReceivedInstance:
        with self.pipeline.reception(source, **hints) as reception:
            for at in range(0, len(octets), piece):
                reception.write(octets[at : at + piece])
            return reception.finish()

    def offer(self, octets: bytes, source: Source = SOURCE, *, cut_short: bool = False, **hints: str) -> IngestResult:
        return self.pipeline.offer(self.receive(octets, source, **hints), cut_short=cut_short)

    def held(self, octets: bytes, **options: str) -> HeldInstance:
        """The version that offering `octets` ends in."""
        result = self.offer(octets)
        versions = self.catalogue.versions(result.sop_instance_uid)
        return versions[-1]

    def original(self, held: HeldInstance) -> bytes:
        return b"".join(self.retriever.original(held))

    def path(self, held: HeldInstance, copy: int = 0) -> Path:
        """File of a copy, made writable."""
        path = self.data / "store" / held.locations[copy].key
        path.chmod(0o600)
        return path

    def files(self) -> list[str]:
        return [one.key for one in self.store.list()]


@contextmanager
def small_archive(
    data: Path,
    settings: IngestSettings | None = None,
    observers: Iterable[Callable[[IngestResult], Any]] = (),
    after_room: Callable[[str], object] | None = None,
    processes: int = 1,
    catalogue: CatalogueSettings | None = None,
) -> Iterator[SmallArchive]:
    with Catalogue.open(catalogue or CatalogueSettings(), data) as index:
        store = FilesystemStore("landing", data / "store")
        pipeline = IngestPipeline(
            store, index, settings or IngestSettings(), data, observers, processes=processes, after_room=after_room
        )
        yield SmallArchive(data, store, index, pipeline, Retriever({"landing": store}, index))


def flip(path: Path, at: int = -1) -> None:
    """Change one bit in the middle, or at an offset."""
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2 if at < 0 else at] ^= 1
    path.write_bytes(octets)
