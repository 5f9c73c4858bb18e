"""The reference in memory does what every store must, and the kit finds stores out that do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vna_core.domain.errors import ObjectExists
from vna_core.domain.octets import ByteRange
from vna_core.ports.storage import Content, Key, Store, StoredObject
from vna_core.testing.memory_store import MemoryStore
from vna_core.testing.storage_conformance import StoreConformance


class TestMemoryStore(StoreConformance):
    landing = False

    def open_store(self, folder: Path) -> Store:
        opened.setdefault(folder, MemoryStore("memory"))
        return opened[folder]


opened: dict[Path, MemoryStore] = {}


class Overwriting(MemoryStore):
    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        try:
            return super().create(key, content, sha256)
        except ObjectExists as error:
            self.delete(str(error.fields["key"]))
            return super().create(key, content, sha256)


class Careless(MemoryStore):
    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        return super().create(key, content)


class Forgetful(MemoryStore):
    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        return super().read(key, ByteRange(max(byte_range.offset, 0), byte_range.length) if byte_range else None)


KIT = StoreConformance()


@pytest.mark.parametrize(
    ("store", "test"),
    [
        (Overwriting, KIT.test_an_existing_object_is_never_overwritten),
        (Overwriting, KIT.test_of_several_objects_each_ends_for_itself),
        (Careless, KIT.test_a_wrong_digest_is_refused_and_leaves_nothing),
        (Forgetful, lambda store: KIT.test_a_range_can_count_from_the_end(store, -4, 4, b"6789")),
    ],
)
def test_a_store_that_breaks_a_promise_fails_the_kit(
    store: Callable[[str], Store], test: Callable[[Store], None], tmp_path: Path
) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        test(store("broken"))
