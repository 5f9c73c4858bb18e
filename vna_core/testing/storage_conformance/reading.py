"""Reading: ranges, short ones, suffixes, and what is not there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vna_core.domain.errors import ObjectMissing
from vna_core.domain.octets import ByteRange
from vna_core.ports.storage import Store
from vna_core.testing.storage_conformance.keys import READS
from vna_core.testing.storage_conformance.kit import StoreKit


class Reading(StoreKit):
    """Whole objects and ranges."""

    @pytest.mark.parametrize(
        ("offset", "length", "expected"),
        [(0, 10, b"0123456789"), (3, 4, b"3456"), (9, 1, b"9"), (8, 100, b"89"), (10, 5, b""), (1000, 5, b""), (4, 0, b"")],
    )
    def test_a_range_gives_what_is_there(self, store: Store, offset: int, length: int, expected: bytes) -> None:
        store.create("digits", [b"0123456789"])
        assert store.read("digits", ByteRange(offset, length)) == expected
        assert b"".join(store.chunks("digits", ByteRange(offset, length))) == expected

    @pytest.mark.parametrize(
        ("offset", "length", "expected"),
        [(-1, 1, b"9"), (-4, 4, b"6789"), (-4, 2, b"67"), (-10, 10, b"0123456789"), (-1000, 1000, b"0123456789"), (-3, 0, b"")],
    )
    def test_a_range_can_count_from_the_end(self, store: Store, offset: int, length: int, expected: bytes) -> None:
        store.create("digits", [b"0123456789"])
        store.create("empty", [])
        assert store.read("digits", ByteRange(offset, length)) == expected
        assert b"".join(store.chunks("digits", ByteRange(offset, length))) == expected
        assert store.read("empty", ByteRange(offset, length)) == b""

    @pytest.mark.parametrize("read", READS.values(), ids=READS)
    def test_a_missing_object_is_told_as_missing(self, store: Store, read: Callable[[Store, str], object]) -> None:
        store.create("there/object", [b"x"])
        for key in ("missing", "there", "there/other", "there/object/below"):
            with pytest.raises(ObjectMissing):
                read(store, key)
