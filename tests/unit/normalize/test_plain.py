"""Elements that were looked at before: the canonical object is the same with and without the memory, whatever came first."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings

from tests.unit.dialects.instances import installed
from tests.unit.normalize.handmade import LIMITS, element, file, identification, item, received, sequence, stored
from tests.unit.normalize.test_properties import TREES, Node, whole
from vna_core.domain.errors import VnaError
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize import KnownElements, normalize
from vna_core.ingest.normalize import plain as module
from vna_core.ingest.normalize.engine import Journal
from vna_core.testing import phantoms
from vna_core.testing.quirks import quirk_files

DIALECTS = installed()


def result(octets: bytes, known: KnownElements | None) -> object:
    """Everything that normalization says of the octets: the stored object, and what the catalogue gets."""
    one = received(octets)
    try:
        parsed = identify(one, LIMITS, None if known is None else known.layouts)
        made = normalize(one, parsed, LIMITS, dialects=DIALECTS, known=known)
    except VnaError as error:
        return error.code, error.message
    fields = {
        field.name: getattr(made, field.name) for field in dataclasses.fields(made) if field.name not in ("received", "segments")
    }
    return stored(made), fields


def is_plain(octets: bytes, known: KnownElements) -> bool:
    return known.read(identify(received(octets), LIMITS), Journal()) is not None


def test_every_quirk_is_treated_as_without_a_memory() -> None:
    known = KnownElements()
    for _ in range(2):
        for quirk in quirk_files():
            assert result(quirk.octets, known) == result(quirk.octets, None), quirk.name


def test_slices_of_a_series_are_plain_and_their_objects_the_same() -> None:
    known = KnownElements()
    for number in range(1000, 1012):
        octets = phantoms.ct(number, 16, 16)
        assert is_plain(octets, known)
        assert result(octets, known) == result(octets, None)


_KNOWN = KnownElements()


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_any_data_set_is_treated_as_without_a_memory(nodes: list[Node]) -> None:
    octets = file(whole(nodes, False, b""))
    assert result(octets, _KNOWN) == result(octets, None)


def _with(*elements: bytes) -> bytes:
    return file(identification(extra=b"".join(elements)))


CREATOR = element(0x00090010, "LO", b"ACME")
PRIVATE = element(0x00091001, "LO", b"AB")


@pytest.mark.parametrize(
    "elements",
    [
        pytest.param((PRIVATE,), id="private element that no creator reserves"),
        pytest.param((PRIVATE, CREATOR), id="creator behind its block"),
        pytest.param((CREATOR, PRIVATE, PRIVATE), id="element twice"),
        pytest.param((CREATOR, element(0x00091101, "LO", b"AB")), id="another block"),
        pytest.param((element(0x00100020, "LO", b"A\n"),), id="control character"),
        pytest.param((sequence(0x00081140, [item(PRIVATE)]),), id="private element in an item without creator"),
        pytest.param((sequence(0x00081140, [item(element(0x00080005, "CS", b"ISO_IR 100"))]),), id="character set in an item"),
        pytest.param((sequence(0x00081140, [item(element(0x00080018, "UI", b"1.2"))], undefined=True),), id="undefined length"),
    ],
)
def test_what_passed_in_one_place_does_not_pass_in_another(elements: tuple[bytes, ...]) -> None:
    known = KnownElements()
    assert is_plain(_with(CREATOR, PRIVATE), known)
    octets = _with(*elements)
    assert not is_plain(octets, known)
    assert result(octets, known) == result(octets, None)


def test_the_same_octets_are_other_text_under_another_character_set() -> None:
    known = KnownElements()
    name = element(0x00100010, "PN", b"A~\\B ")
    for declared in (b"ISO_IR 100", b"ISO_IR 13 "):
        octets = file(element(0x00080005, "CS", declared) + identification(extra=name))
        assert result(octets, known) == result(octets, None)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_REMEMBERED", 50)
    monkeypatch.setattr(module, "MOST_CHARACTER_SETS", 2)
    known = KnownElements()
    for number in range(60):
        assert is_plain(phantoms.ct(number, 16, 16), known)
    memories = known._memories.values()
    assert len(memories) <= 2
    assert all(len(memory.young) <= 50 and len(memory.old) <= 50 for memory in memories)
