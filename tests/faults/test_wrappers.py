"""An archive on an encrypted store, and wrappers around stores that fail: damage is found, and nothing acknowledged is lost."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.ingest.ct_samples import ct
from vna_core.archival_storage.keeping import keep
from vna_core.archival_storage.key_file import add_key
from vna_core.archival_storage.key_providers import EnvironmentKeys
from vna_core.archival_storage.wrappers.encrypting import EncryptingStore
from vna_core.archival_storage.wrappers.encryption_format import FOOTER, SEALED
from vna_core.archival_storage.wrappers.retrying import Patience, RetryingStore
from vna_core.bootstrap import open_archive
from vna_core.configuration import load_settings
from vna_core.domain.errors import ConfigurationError, DigestMismatch, KeyUnavailable, OutOfResources, StoreUnavailable
from vna_core.domain.octets import ByteRange
from vna_core.stewardship.rebuild import rebuild
from vna_core.testing.fault_injection import finish, lost, start
from vna_core.testing.faulty_store import FaultyStore
from vna_storage_filesystem.store import FilesystemStore

CONTENT = bytes(range(256)) * 800  # four chunks, the last of them short


@pytest.fixture
def files(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore("files", tmp_path / "store")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An archive whose landing store is encrypted."""
    add_key(tmp_path / "master.key")
    path = tmp_path / "vna.yaml"
    path.write_text(
        f"stores:\n  landing:\n    type: filesystem\n    options: {{path: {tmp_path}/data/store}}\n"
        f"    wrap:\n      - {{type: retrying}}\n      - {{type: encrypting, key: 'file:{tmp_path}/master.key'}}\n"
    )
    return path


def opened(files: FilesystemStore, key: str = "5a" * 32) -> EncryptingStore:
    return EncryptingStore(files, EnvironmentKeys("KEY", {"KEY": key}))


def altered(files: FilesystemStore, key: str, change: Callable[[bytes], bytes]) -> None:
    octets = files.read(key)
    files.delete(key)
    files.create(key, [change(octets)])


def assert_damaged(files: FilesystemStore, *whole: str) -> None:
    for store in (opened(files), opened(files)):
        for key in whole:
            with pytest.raises(DigestMismatch):
                store.read(key)
            with pytest.raises(DigestMismatch):
                store.read(key, ByteRange(0, len(CONTENT)))
            with pytest.raises(DigestMismatch):
                list(store.chunks(key))


# -- the ciphertext -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, SEALED - 1, SEALED, 2 * SEALED + 77, *range(-FOOTER - 1, 0, 9), -1])
def test_a_flipped_bit_anywhere_is_found(files: FilesystemStore, at: int) -> None:
    opened(files).create("a", [CONTENT])

    def flip(octets: bytes) -> bytes:
        place = at % len(octets)
        return octets[:place] + bytes([octets[place] ^ 1]) + octets[place + 1 :]

    altered(files, "a", flip)
    assert_damaged(files, "a")


@pytest.mark.parametrize(
    "change",
    [
        lambda octets: b"",
        lambda octets: octets[:100],
        lambda octets: octets[:-1],
        lambda octets: octets[:-FOOTER],
        lambda octets: octets[: 2 * SEALED],
        lambda octets: octets[: 2 * SEALED] + octets[3 * SEALED :],
        lambda octets: octets[: 2 * SEALED] + octets[-FOOTER:],
        lambda octets: octets[:SEALED] + octets[2 * SEALED : 3 * SEALED] + octets[SEALED : 2 * SEALED] + octets[3 * SEALED :],
        lambda octets: octets[:SEALED] + octets,
        lambda octets: bytes(len(octets)),
    ],
    ids=["empty", "short", "cut", "no-footer", "chunks-only", "chunk-out", "end-out", "swapped", "twice", "zeros"],
)
def test_octets_left_out_moved_or_added_are_found(files: FilesystemStore, change: Callable[[bytes], bytes]) -> None:
    opened(files).create("a", [CONTENT])
    altered(files, "a", change)
    assert_damaged(files, "a")


def test_octets_added_at_the_end_are_found_or_left_out(files: FilesystemStore) -> None:
    opened(files).create("a", [CONTENT])
    altered(files, "a", lambda octets: octets + b"\0")
    for call in (lambda: opened(files).read("a"), lambda: list(opened(files).chunks("a")), lambda: opened(files).stat("a")):
        with pytest.raises(DigestMismatch):
            call()
    assert opened(files).read("a", ByteRange(0, len(CONTENT))) == CONTENT


def test_objects_and_chunks_that_changed_places_are_found(files: FilesystemStore) -> None:
    store = opened(files)
    for key in ("a", "b", "c"):
        store.create(key, [CONTENT])
    first, second, third = files.read("a"), files.read("b"), files.read("c")
    altered(files, "a", lambda octets: second)
    altered(files, "b", lambda octets: first)
    altered(files, "c", lambda octets: first[:SEALED] + third[SEALED:])
    assert_damaged(files, "a", "b", "c")


def test_damage_in_one_chunk_leaves_the_others_readable(files: FilesystemStore) -> None:
    opened(files).create("a", [CONTENT])
    altered(files, "a", lambda octets: octets[:100] + bytes([octets[100] ^ 1]) + octets[101:])
    assert opened(files).read("a", ByteRange(70_000, 1000)) == CONTENT[70_000:71_000]
    with pytest.raises(DigestMismatch):
        opened(files).read("a", ByteRange(65_000, 1000))


def test_a_damaged_object_is_replaced_when_its_octets_come_again(files: FilesystemStore) -> None:
    store = opened(files)
    store.create("a", [CONTENT])
    altered(files, "a", lambda octets: octets[:1000])
    keep(store, "a", lambda: [CONTENT])
    assert store.read("a") == opened(files).read("a") == CONTENT


def test_an_object_whose_key_is_not_in_the_ring_is_not_taken_for_damaged(files: FilesystemStore, tmp_path: Path) -> None:
    other = FilesystemStore("other", tmp_path / "other")
    opened(other).create("a", [CONTENT])
    store = opened(files)
    files.create("a", [other.read("a")])
    with pytest.raises(KeyUnavailable):
        store.read("a")
    with pytest.raises(KeyUnavailable):
        keep(store, "a", lambda: [CONTENT])
    assert files.read("a") == other.read("a")


# -- stores that fail -----------------------------------------------------------------------------------------------------


def test_a_store_that_is_down_and_comes_back_is_waited_for(files: FilesystemStore) -> None:
    faulty = FaultyStore(files)
    store = EncryptingStore(RetryingStore(faulty, Patience(sleep=lambda seconds: setattr(faulty, "down", False))), _keys())
    faulty.down = True
    store.create("a", iter([CONTENT]))
    faulty.down = True
    assert store.read("a") == CONTENT
    faulty.down = True
    assert [one.size for one in store.list()] == [len(CONTENT)]


def test_a_store_that_stays_down_is_told_as_such_after_the_deadline(files: FilesystemStore) -> None:
    faulty = FaultyStore(files)
    store = RetryingStore(faulty, Patience(0.2, 0.01, 0.05))
    faulty.down = True
    for call in (lambda: store.create("a", [CONTENT]), lambda: store.read("a"), lambda: list(store.list())):
        with pytest.raises(StoreUnavailable):
            call()
    assert faulty.requests > 6


def test_a_full_store_is_told_at_once_and_reads_go_on(files: FilesystemStore) -> None:
    faulty = FaultyStore(files)
    store = EncryptingStore(RetryingStore(faulty), _keys())
    store.create("a", [CONTENT])
    faulty.full, faulty.requests = True, 0
    with pytest.raises(OutOfResources):
        store.create("b", [CONTENT])
    assert faulty.requests == 1
    assert store.read("a") == CONTENT
    assert [one.key for one in store.list()] == ["a"]


def _keys() -> EnvironmentKeys:
    return EnvironmentKeys("KEY", {"KEY": "5a" * 32})


# -- the archive ----------------------------------------------------------------------------------------------------------


def test_an_archive_killed_under_load_loses_nothing_from_its_encrypted_store(tmp_path: Path, config: Path) -> None:
    offered = []
    for number in range(1, 31):
        offered.append(tmp_path / f"{number}.dcm")
        offered[-1].write_bytes(ct(number, rows=64))
    data = tmp_path / "data"
    run = finish(start(data, offered, threads=4, config=config), kill_after=17)
    assert run.returncode == -signal.SIGKILL
    assert lost(data, run.acknowledged, config) == []
    run = finish(start(data, offered, threads=4, config=config))
    assert len(run.acknowledged) == 30
    for path in data.glob("catalogue.sqlite*"):
        path.unlink()
    with open_archive(load_settings(config, {"data": str(data)}, {})) as archive:
        report = rebuild(archive.stores, archive.catalogue)
    assert (report.recorded, report.damaged) == (30, [])
    assert lost(data, run.acknowledged, config) == []
    stored = [path.read_bytes() for path in (data / "store").rglob("*.dcm")]
    assert len(stored) == report.objects >= 30  # an instance cut off by the kill may be there twice
    assert not any(b"CompressedSamples" in octets or b"DICM" in octets[:200] for octets in stored)


def test_an_encrypted_store_is_not_opened_as_a_plain_one(tmp_path: Path, config: Path) -> None:
    open_archive(load_settings(config, {"data": str(tmp_path / "data")}, {})).close()
    config.write_text("\n".join(line for line in config.read_text().splitlines() if "wrap" not in line and "- {" not in line))
    with pytest.raises(ConfigurationError, match="is encrypted"):
        open_archive(load_settings(config, {"data": str(tmp_path / "data")}, {}))
