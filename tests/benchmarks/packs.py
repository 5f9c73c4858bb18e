"""A study into an object store through landing and packs against the local filesystem; frames out of packs; overhead.

``python -m tests.benchmarks.packs [--instances 1635] [--rounds 3] [--chunk 1] [--frames rclone]``

Both ways begin with the same durable ingest from memory. `complete` is when the study is also sealed, in the bucket, and proved
there by digest; a sender hears success at `acknowledged` already. Other figures of the same run: what uploading each
instance as an object of its own would take, and a range read of one frame from a pack in the bucket against a GET of an object of
that size.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tests.peers.moto import moto
from tests.peers.rclone import rclone
from tests.peers.s3_service import S3Service
from tests.peers.seaweedfs import seaweedfs
from tests.unit.ingest.ct_samples import ct
from vna_core.access.retrieve import Retriever
from vna_core.archival_storage.copying import copy_object
from vna_core.bootstrap import Archive, open_archive
from vna_core.configuration import Settings, StoreSettings
from vna_core.configuration.packs import PackSettings
from vna_core.domain.octets import ByteRange, Source
from vna_core.domain.packs import ListedPack, SeriesPlace
from vna_core.ports.storage import Store
from vna_core.stewardship.sealing import PackKeeper

ROWS = 2048
GROUP = 16
READS = 200


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def with_two_stores(data: Path, **further: StoreSettings) -> Settings:
    """An archive that lands in its folder and has a further store."""
    return Settings(data=data, stores={**further, "landing": StoreSettings(options={"path": str(data / "landing")})})


def bucket(service: S3Service, name: str) -> StoreSettings:
    """A new bucket as a store."""
    return StoreSettings(type="s3", options=service.options(service.make_bucket(name)))


def ingest(archive: Archive, files: Sequence[bytes]) -> None:
    for at in range(0, len(files), GROUP):
        received = []
        for octets in files[at : at + GROUP]:
            with archive.pipeline.reception(Source("stow", "benchmark")) as reception:
                reception.write(octets)
                received.append(reception.finish())
        assert all(getattr(one, "outcome", None) is not None for one in archive.pipeline.offer_all(received))


def seal_and_copy(archive: Archive, cloud: Store) -> list[ListedPack]:
    """Series after series is sealed, and its pack copied meanwhile: as the two threads of a worker do it."""
    keeper = PackKeeper(archive.stores, archive.landing, archive.catalogue, PackSettings(quiet=0, removal_delay=0))

    def one(place: SeriesPlace) -> list[ListedPack]:
        made = [archive.catalogue.packs.listed(key=key)[0] for key in keeper.seal(place).packs]
        for pack in made:
            copied(archive, pack, cloud)
        return made

    with ThreadPoolExecutor(2) as pool:
        return [pack for packs in pool.map(one, archive.catalogue.packs.series()) for pack in packs]


def copied(archive: Archive, pack: ListedPack, cloud: Store) -> None:
    """The pack in the bucket, proved there by the product's own copying."""
    assert copy_object(archive.landing, cloud, pack.key, pack.sha256) == pack.size
    archive.catalogue.packs.record_copy(pack.key, cloud.name)


def one_by_one(archive: Archive, cloud: Store) -> None:
    """Every instance as an object of its own, four at once, without reading back."""
    held = archive.catalogue.instances()
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(lambda one: cloud.create(f"single/{one.pk}", archive.landing.chunks(one.locations[0].key), one.sha256), held)
        )


def frames(archive: Archive, cloud: Store) -> tuple[float, float, float]:
    """Median milliseconds of a frame out of a pack, of a GET of as many octets, and of the bare range request; in turns.

    The last tells what of the difference is the service's own: how it reads a range of a large object.
    """
    held = [
        replace(one, locations=tuple(where for where in one.locations if where.store == cloud.name))
        for one in archive.catalogue.instances()
    ]
    retriever = Retriever({cloud.name: cloud}, archive.catalogue)
    size = len(next(retriever.frames(held[0], [1])))
    for number in range(READS):  # each is read once, as frames are: neither side is served from a cache of the service
        cloud.create(f"plain/{number}", (random.randbytes(size),))
    chosen = random.sample(held, min(READS, len(held)))
    packed, plain, ranged = [], [], []
    for number, one in enumerate(chosen):
        packed.append(seconds(lambda one=one: list(retriever.frames(one, [1]))))
        plain.append(seconds(lambda number=number: cloud.read(f"plain/{number}")))
        other = chosen[(number + len(chosen) // 2) % len(chosen)].locations[0]
        ranged.append(seconds(lambda where=other: cloud.read(where.key, ByteRange(where.offset, where.length))))
    packed_ms, plain_ms, ranged_ms = (statistics.median(taken) * 1000 for taken in (packed, plain, ranged))
    return packed_ms, plain_ms, ranged_ms


def round_of(folder: Path, files: Sequence[bytes], service: S3Service, number: int, in_cloud_first: bool) -> dict[str, float]:
    figures: dict[str, float] = {}

    def local() -> None:
        second = StoreSettings(options={"path": str(folder / f"second{number}")})
        with open_archive(with_two_stores(folder / f"local{number}", second=second)) as archive:
            figures["local"] = seconds(lambda: ingest(archive, files))
            figures["complete in a folder"] = figures["local"] + seconds(lambda: seal_and_copy(archive, archive.stores["second"]))

    def packed() -> None:
        with open_archive(with_two_stores(folder / f"packed{number}", cloud=bucket(service, f"packs-{number}"))) as archive:
            cloud = archive.stores["cloud"]
            figures["acknowledged"] = seconds(lambda: ingest(archive, files))
            if number == 0:
                figures["one by one"] = seconds(lambda: one_by_one(archive, cloud))
            packs: list[ListedPack] = []
            figures["complete"] = figures["acknowledged"] + seconds(lambda: packs.extend(seal_and_copy(archive, cloud)))
            held = archive.catalogue.instances()
            figures["overhead %"] = 100 * (sum(one.size for one in packs) / sum(one.size for one in held) - 1)
            figures["frame ms"], figures["GET ms"], figures["range ms"] = frames(archive, cloud)

    for measure in (packed, local) if in_cloud_first else (local, packed):
        measure()
    return figures


def frames_on(service: S3Service, folder: Path, files: Sequence[bytes], rounds: int) -> None:
    """Frames out of packs in a bucket of another service, and nothing else."""
    with open_archive(with_two_stores(folder / "packed", cloud=bucket(service, "packs"))) as archive:
        ingest(archive, files)
        seal_and_copy(archive, archive.stores["cloud"])
        taken = []
        for _ in range(rounds):
            taken.append(frames(archive, archive.stores["cloud"]))
            for number in range(READS):
                archive.stores["cloud"].delete(f"plain/{number}")
    print(f"frame / GET: {statistics.median(packed / plain for packed, plain, _ in taken):.2f}")
    print(f"frame / bare range request: {statistics.median(packed / ranged for packed, _, ranged in taken):.2f}")


def main() -> None:
    """Run it and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=1635)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--chunk", type=int, default=1, help="MiB of a piece in SeaweedFS, which reads whole pieces; its default is 4."
    )
    parser.add_argument("--frames", choices=("rclone", "moto"), help="Only read frames, out of a bucket of this service.")
    arguments = parser.parse_args()
    files = [ct(number, rows=ROWS, SeriesInstanceUID=f"1.2.3.{number % 6 + 1}") for number in range(1, arguments.instances + 1)]
    if arguments.frames:
        start = {"rclone": rclone, "moto": moto}[arguments.frames]
        with tempfile.TemporaryDirectory() as temporary, start(Path(temporary) / "service") as service:
            frames_on(service, Path(temporary), files, arguments.rounds)
        return
    rounds = []
    with tempfile.TemporaryDirectory() as temporary, seaweedfs(Path(temporary) / "seaweedfs", arguments.chunk) as service:
        for number in range(arguments.rounds):
            rounds.append(round_of(Path(temporary), files, service, number, number % 2 == 1))
            print(json.dumps({name: round(value, 3) for name, value in rounds[-1].items()}), flush=True)
    for name, over, under in (
        ("acknowledged / local", "acknowledged", "local"),
        ("complete / local", "complete", "local"),
        ("complete / complete in a second folder", "complete", "complete in a folder"),
        ("frame / GET", "frame ms", "GET ms"),
        ("frame / bare range request", "frame ms", "range ms"),
    ):
        print(f"{name}: {statistics.median(one[over] / one[under] for one in rounds):.2f}")
    print(f"one by one / local: {(rounds[0]['acknowledged'] + rounds[0]['one by one']) / rounds[0]['local']:.2f}")
    print(f"overhead: {statistics.median(one['overhead %'] for one in rounds):.3f} %")


if __name__ == "__main__":
    main()
