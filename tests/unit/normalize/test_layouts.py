"""Headers alike to an earlier one: what is read and what becomes of it is the same with and without knowing that one."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutation import mutant
from tests.unit.normalize.handmade import LIMITS, element, file, identification, item, received, sequence, uid
from tests.unit.normalize.test_plain import result
from tests.unit.normalize.test_site_rules import WARD, made, served, site
from vna_core.dicom import layouts as module
from vna_core.dicom.container import open_container
from vna_core.dicom.elements import ParsedOctets
from vna_core.domain.errors import VnaError
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize import KnownElements, normalize
from vna_core.testing import phantoms

SLICES = tuple(phantoms.ct(number, 8, 8) for number in range(1000, 1040))
DATA_SETS = tuple(octets[open_container(octets).data_set_offset :] for octets in SLICES)


def parsed(octets: bytes, known: KnownElements) -> ParsedOctets:
    return identify(received(octets), LIMITS, known.layouts)


def understood(octets: bytes, known: KnownElements | None) -> object:
    """Everything that `identify` says of the octets, or why it refuses them."""
    try:
        said = identify(received(octets), LIMITS, None if known is None else known.layouts)
    except VnaError as error:
        return error.code, error.message
    said.alike = None
    return dataclasses.asdict(said)


def knowing(octets: tuple[bytes, ...] = SLICES[:4]) -> KnownElements:
    known = KnownElements()
    for one in octets:
        result(one, known)
    return known


def test_later_slices_of_a_series_are_read_by_their_layout() -> None:
    known = knowing()
    for octets in SLICES[4:]:
        assert parsed(octets, known).alike is not None
        assert understood(octets, known) == understood(octets, None)
        assert result(octets, known) == result(octets, None)


def test_a_bare_data_set_has_the_layout_of_a_file() -> None:
    known = knowing()
    octets = DATA_SETS[9]
    assert parsed(octets, known).alike is not None
    assert understood(octets, known) == understood(octets, None)


_KNOWN = knowing()


@pytest.mark.parametrize("block", range(8))
def test_damaged_slices_are_treated_as_without_layouts(block: int) -> None:
    """All of them share one memory, so what one leaves there is met by the next."""
    for number in range(block * 60, block * 60 + 60):
        octets = mutant(number, SLICES)
        assert understood(octets, _KNOWN) == understood(octets, None), number
        assert result(octets, _KNOWN) == result(octets, None), number
    assert parsed(SLICES[-1], knowing()).alike is not None


HEADERS = st.lists(
    st.fixed_dictionaries(
        {
            0x00080018: st.sampled_from(["1.2.3.4", "1.2.3.44", "1.2.3.444"]),
            0x00081030: st.sampled_from(["", "Chest", "Chest and head", "B\xe4r"]),
            0x00091001: st.sampled_from(["", "A", "FE"]),
            0x00081140: st.lists(st.sampled_from(["1.2", "1.2.3"]), max_size=2),
            0x0020000E: st.sampled_from(["1.2.3.2", "1.2.3.22"]),
        },
        optional={0x00080005: st.sampled_from(["ISO_IR 100", "ISO_IR 192"]), 0x00090010: st.sampled_from(["ACME", "OTHER"])},
    ),
    min_size=2,
    max_size=8,
)


def header(of: dict[int, str | list[str]], samples: bytes) -> bytes:
    written = {0x00080016: uid(0x00080016, "1.2.840.10008.5.1.4.1.1.2"), 0x0020000D: uid(0x0020000D, "1.2.3.1")}
    for tag, value in of.items():
        if isinstance(value, list):
            written[tag] = sequence(tag, [item(uid(0x00081155, one)) for one in value])
        elif tag in (0x00080018, 0x0020000E):
            written[tag] = uid(tag, value)
        else:
            raw = value.encode("latin-1")
            vr = {0x00080005: "CS", 0x00091001: "UN"}.get(tag, "LO")
            written[tag] = element(tag, vr, raw + (b"\0" if vr == "UN" else b" ") * (len(raw) & 1))
    return b"".join(written[tag] for tag in sorted(written)) + (element(0x7FE00010, "OW", samples) if samples else b"")


@settings(max_examples=60, deadline=None)
@given(HEADERS, st.binary(max_size=4).map(lambda raw: raw * 2))
def test_any_series_of_headers_is_treated_as_without_layouts(headers: list[dict[int, str | list[str]]], samples: bytes) -> None:
    known = KnownElements()
    for of in headers:
        octets = file(header(of, samples))
        assert understood(octets, known) == understood(octets, None)
        assert result(octets, known) == result(octets, None)


def _with(*elements: bytes) -> bytes:
    return file(identification(extra=b"".join(elements)))


def _declaring(character_set: bytes) -> bytes:
    name = element(0x00100010, "PN", b"A~BC")
    return file(element(0x00080005, "CS", character_set) + identification(extra=name))


def _reserving(creator: bytes) -> bytes:
    return _with(element(0x00090010, "LO", creator), element(0x00091001, "LO", b"AB"))


@pytest.mark.parametrize(
    "differing",
    [
        pytest.param((_reserving(b"ACME"), _reserving(b"NONE")), id="creator"),
        pytest.param((_declaring(b"ISO_IR 100"), _declaring(b"ISO_IR 13 ")), id="character set"),
        pytest.param([file(identification() + element(0x00280106, vr, b"\1\0")) for vr in ("US", "SS")], id="representation"),
    ],
)
def test_what_bears_on_others_never_varies(differing: tuple[bytes, bytes]) -> None:
    known = KnownElements()
    for octets in differing * 3:
        assert result(octets, known) == result(octets, None)
    learned = known.layouts._layouts
    assert len(learned) == 2
    assert not any(layout.varying for layout in learned)


def test_what_a_rule_does_inside_a_sequence_is_not_remembered() -> None:
    """Sequences are handed out anew: a site's rule that changes an item changes no later instance."""
    by = site({"id": "uids", "remap_uids": {"seed": "s"}})
    known = knowing()
    for octets in SLICES[8:10]:
        one = received(octets, source=WARD)
        changed = normalize(one, identify(one, LIMITS, known.layouts), LIMITS, site=by, known=known)
        assert served(changed) == served(made(octets, by))
        assert any("references in sequences" in told.detail for told in changed.transformations)
    for octets in SLICES[10:14]:
        assert parsed(octets, known).alike is not None
        assert understood(octets, known) == understood(octets, None)
        assert result(octets, known) == result(octets, None)


def test_layouts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LAYOUTS", 3)
    monkeypatch.setattr(module, "MOST_PLACES", 5)
    monkeypatch.setattr(module, "MOST_VARYING", 6)
    known, chance = KnownElements(), random.Random(1)
    kinds = [(0x00100010, "PN"), (0x00100020, "LO"), (0x00104000, "LT"), (0x0018000E, "SH"), (0x00181030, "LO")]
    for _ in range(60):
        some = sorted(chance.sample(kinds, chance.randrange(6)))
        result(_with(*(element(tag, vr, b"A" * chance.randrange(0, 8, 2)) for tag, vr in some)), known)
        result(chance.choice(SLICES), known)
    layouts = known.layouts._layouts
    assert len(layouts) == 3
    assert all(len(layout.varying) <= 6 and len(layout._placed) <= 5 for layout in layouts)


def test_a_long_header_is_no_layout() -> None:
    known = KnownElements()
    long = [element(tag, "LT", b"A" * 40_000) for tag in (0x001021B0, 0x00104000)]
    for _ in range(3):
        octets = _with(*long)
        assert result(octets, known) == result(octets, None)
    assert not known.layouts._layouts
