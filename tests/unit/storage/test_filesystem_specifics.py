"""What is particular to files: symbolic links, folders made by others, options, permissions."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vna_core.domain.errors import (
    ConfigurationError,
    DigestMismatch,
    InvalidRequest,
    ObjectExists,
    ObjectMissing,
    StoreUnavailable,
)
from vna_core.ports.storage import NewObject, StoredObject
from vna_storage_filesystem.store import FilesystemStore


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    (tmp_path / "store").mkdir()
    return FilesystemStore("files", tmp_path / "store")


def test_a_symbolic_link_to_a_file_outside_is_not_followed(store: FilesystemStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "store" / "link").symlink_to(tmp_path / "secret")
    for read in (store.read, store.stat, lambda key: list(store.chunks(key))):
        with pytest.raises(ObjectMissing):
            read("link")
    assert list(store.list()) == []


def test_a_symbolic_link_to_a_folder_outside_is_not_followed(store: FilesystemStore, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    (tmp_path / "store" / "studies").symlink_to(tmp_path / "outside")
    for call in (store.read, store.stat, store.delete, lambda key: store.create(key, [b"x"])):
        for key in ("studies/secret", "studies/new", "studies/deep/new"):
            with pytest.raises((InvalidRequest, ObjectMissing)):
                call(key)
    assert list(store.list()) == []
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["secret"]
    assert (tmp_path / "outside" / "secret").read_bytes() == b"secret"


def test_folders_removed_behind_the_store_are_made_again(store: FilesystemStore, tmp_path: Path) -> None:
    store.create("a/b/one", [b"1"])
    store.delete("a/b/one")
    (tmp_path / "store" / "a" / "b").rmdir()
    store.create("a/b/two", [b"2"])
    assert store.read("a/b/two") == b"2"


def test_a_new_store_flushes_every_folder_that_got_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: (flushed.append(os.readlink(f"/proc/self/fd/{descriptor}")), real(descriptor))
    )
    FilesystemStore("files", tmp_path / "x" / "store").create("a/b/c", [b"1"])
    root = str(tmp_path)
    assert {root, f"{root}/x", f"{root}/x/store", f"{root}/x/store/a", f"{root}/x/store/a/b"} <= set(flushed)
    assert flushed[-1] == f"{root}/x/store/a/b"


def test_folders_another_process_made_are_flushed_before_they_are_relied_on(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store" / "a" / "b").mkdir(parents=True)
    flushed: list[str] = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: (flushed.append(os.readlink(f"/proc/self/fd/{descriptor}")), real(descriptor))
    )
    store.create("a/b/c", [b"1"])
    root = str(tmp_path / "store")
    assert flushed == [root, f"{root}/a", f"{root}/a/b"]


def test_the_content_is_flushed_before_it_has_a_name(store: FilesystemStore, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    for name in ("fdatasync", "link", "fsync"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, real=real, name=name, **k: (order.append(name), real(*a, **k))[1])
    store.create("object", [b"1"])
    assert order[-3:] == ["fdatasync", "link", "fsync"]


def test_no_descriptor_is_left_open(store: FilesystemStore) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        store.create(f"a/{number}", [b"x" * 100])
        store.read(f"a/{number}")
        next(store.chunks(f"a/{number}"))
        with pytest.raises(ObjectMissing):
            store.read("missing")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_larger_than_allowed_is_out_of_resources_and_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from vna_storage_filesystem.store import FilesystemStore\n"
        "from vna_core.domain.errors import OutOfResources\n"
        "store = FilesystemStore('files', pathlib.Path(sys.argv[1]))\n"
        "store.create('small', [bytes(1000)])\n"
        "try:\n    store.create('large', [bytes(60_000)] * 10)\n"
        "except OutOfResources as error:\n    print(error.code, [one.key for one in store.list()])\n"
    )

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "s")],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=True,
        restore_signals=False,
    )
    assert done.stdout == "out-of-resources ['small']\n"


@pytest.mark.parametrize("options", [{}, {"path": ""}, {"path": "x", "pth": "y"}])
def test_wrong_options_are_named(options: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="pth|'path' is missing"):
        FilesystemStore.open("files", options)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable):
        FilesystemStore("files", tmp_path / "file" / "store")


def test_looking_leaves_no_folder_behind(tmp_path: Path) -> None:
    store = FilesystemStore("files", tmp_path / "x" / "store")
    assert list(store.list()) == []
    for look in (store.stat, store.read, lambda key: list(store.chunks(key))):
        with pytest.raises(ObjectMissing):
            look("a/b")
    store.delete("a/b")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("unnamed", [True, False])
def test_a_folder_that_is_gone_stays_gone(store: FilesystemStore, tmp_path: Path, unnamed: bool) -> None:
    store._writer._unnamed = unnamed  # as file systems differ
    store.create("a/b", [b"x"])
    (tmp_path / "store").rename(tmp_path / "away")
    for call in (lambda: store.create("a/c", [b"x"]), lambda: store.read("a/b"), lambda: list(store.list())):
        with pytest.raises(StoreUnavailable):
            call()
    assert not (tmp_path / "store").exists()
    (tmp_path / "away").rename(tmp_path / "store")
    store.create("a/c", [b"x"])
    assert store.read("a/b") == b"x"


def test_stored_files_are_not_readable_by_everybody(store: FilesystemStore, tmp_path: Path) -> None:
    store.create("a/b", [b"x"])
    assert (tmp_path / "store" / "a" / "b").stat().st_mode & 0o007 == 0
    assert (tmp_path / "store" / "a").stat().st_mode & 0o007 == 0


def test_objects_created_together_share_the_flush_of_their_folder_and_fail_alone(
    store: FilesystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("a/taken", [b"old"])
    flushed: list[str] = []
    real_fsync, real_fdatasync = os.fsync, os.fdatasync
    monkeypatch.setattr(os, "fsync", lambda one: (flushed.append(os.readlink(f"/proc/self/fd/{one}")), real_fsync(one)))
    monkeypatch.setattr(os, "fdatasync", lambda one: (flushed.append("file"), real_fdatasync(one)))
    wanted = [
        NewObject("a/1", [b"one"]),
        NewObject("a/wrong", [b"two"], sha256="0" * 64),
        NewObject("../out", [b"three"]),
        NewObject("a/2", [b"fo", b"ur"]),
    ]
    results = store.create_all(wanted)
    assert [type(result) for result in results] == [StoredObject, DigestMismatch, InvalidRequest, StoredObject]
    assert flushed[:2] == ["file", "file"]
    assert len(flushed) == 3
    assert flushed[2].endswith("/store/a")
    assert [type(result) for result in store.create_all([NewObject("a/taken", [b"new"]), NewObject("a/3", [b"5"])])] == [
        ObjectExists,
        StoredObject,
    ]
    assert {one.key: store.read(one.key) for one in store.list()} == {
        "a/1": b"one",
        "a/2": b"four",
        "a/3": b"5",
        "a/taken": b"old",
    }
