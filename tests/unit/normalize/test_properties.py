"""Over generated data sets in every encoding: bit-exact back, stable, and the same to an independent reader."""

from __future__ import annotations

import io
import struct
import zlib

import pydicom
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.normalize.handmade import (
    BIG_ENDIAN,
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    assert_reversible_and_stable,
    data_set,
    element,
    file,
    fragments,
    item,
    offer,
    sequence,
    stored,
    uid,
)
from vna_core.dicom.trailer import index_entry_fields

Node = tuple[int, str, object]

TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\"), max_size=16)
LEAVES = st.one_of(
    st.tuples(st.sampled_from([0x00081030, 0x0008103E, 0x00101080]), st.just("LO"), TEXTS),
    st.tuples(st.sampled_from([0x00104000, 0x00204000]), st.just("LT"), TEXTS),
    st.tuples(st.sampled_from([0x00280010, 0x00540021]), st.just("US"), st.integers(0, 65535)),
    st.tuples(st.just(0x00700022), st.just("FL"), st.floats(width=32, allow_nan=False)),
    st.tuples(st.just(0x00091001), st.just("UN"), st.binary(max_size=40).filter(lambda raw: raw[:3] != b"\xfe\xff\0")),
    st.tuples(st.just(0x00080000), st.just("UL"), st.integers(0, 99)),
)
TREES = st.recursive(
    st.lists(LEAVES, max_size=5, unique_by=lambda node: node[0]),
    lambda inner: st.lists(
        st.one_of(LEAVES, st.tuples(st.sampled_from([0x00081140, 0x00400275]), st.just("SQ"), st.lists(inner, max_size=3))),
        max_size=5,
        unique_by=lambda node: node[0],
    ),
    max_leaves=12,
)


def octets_of(nodes: list[Node], undefined: bool, **encoding: bool) -> bytes:
    big, order = encoding.get("big", False), ">" if encoding.get("big") else "<"
    written = []
    for tag, vr, value in sorted(nodes, key=lambda node: node[0]):
        if vr == "SQ":
            items = [item(octets_of(nodes, undefined, **encoding), undefined=undefined, big=big) for nodes in value]  # type: ignore[union-attr, attr-defined]
            written.append(sequence(tag, items, undefined=undefined, **encoding))
            continue
        if vr == "UN":
            written.append(element(0x00090010, "LO", b"ACME", **encoding))
            raw = bytes(value)  # type: ignore[call-overload]
        else:
            raw = str(value).encode() if vr in ("LO", "LT") else struct.pack(order + {"US": "H", "FL": "f", "UL": "I"}[vr], value)
        written.append(element(tag, vr, raw + (b"\0" if vr == "UN" else b" ") * (len(raw) & 1), **encoding))
    return b"".join(written)


def whole(nodes: list[Node], undefined: bool, pixels: bytes, **encoding: bool) -> bytes:
    identifiers = [(0x0020000D, "UI", "1.2.3.1"), (0x0020000E, "UI", "1.2.3.2")]
    parts = {0x00080016: uid(0x00080016, CT, **encoding), 0x00080018: uid(0x00080018, "1.2.3.4", **encoding)}
    parts.update({tag: uid(tag, value, **encoding) for tag, _, value in identifiers})
    for node in nodes:
        parts[node[0]] = octets_of([node], undefined, **encoding)
    return b"".join(parts[tag] for tag in sorted(parts)) + pixels


CASES = st.tuples(TREES, st.booleans(), st.binary(min_size=2, max_size=60).map(lambda raw: raw + b"\0" * (len(raw) & 1)))


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_all_native_encodings_of_a_data_set_become_one(case: tuple[list[Node], bool, bytes]) -> None:
    nodes, undefined, samples = case
    big = struct.pack(f">{len(samples) // 2}H", *struct.unpack(f"<{len(samples) // 2}H", samples))
    explicit = whole(nodes, undefined, element(0x7FE00010, "OW", samples))
    implicit = whole(nodes, undefined, element(0x7FE00010, "OW", samples, implicit=True), implicit=True)
    swapped = whole(nodes, undefined, element(0x7FE00010, "OW", big, big=True), big=True)
    engine = zlib.compressobj(wbits=-15)
    deflated = engine.compress(explicit) + engine.flush()
    canonical = [
        offer(octets)
        for octets in (file(explicit, EXPLICIT), file(implicit, IMPLICIT), file(swapped, BIG_ENDIAN), file(deflated, DEFLATED))
    ]
    assert len({data_set(one) for one in canonical}) == 1
    assert len({one.json_header for one in canonical}) == 1


@settings(max_examples=60, deadline=None)
@given(CASES, st.sampled_from(["explicit", "implicit", "big"]))
def test_everything_is_reversible_stable_and_self_describing(case: tuple[list[Node], bool, bytes], encoding: str) -> None:
    nodes, undefined, samples = case
    flags = {} if encoding == "explicit" else {encoding: True}
    transfer_syntax = {"explicit": EXPLICIT, "implicit": IMPLICIT, "big": BIG_ENDIAN}[encoding]
    octets = file(whole(nodes, undefined, element(0x7FE00010, "OW", samples, **flags), **flags), transfer_syntax)
    canonical = offer(octets)
    assert_reversible_and_stable(octets, canonical)
    object_ = stored(canonical)
    fields = index_entry_fields(lambda offset, length: object_[offset : offset + length], len(object_))
    for name in (
        "json_header",
        "attributes",
        "pixel_data",
        "transformations",
        "findings",
        "transfer_syntax_uid",
        "trailer_offset",
    ):
        assert getattr(fields, name) == getattr(canonical, name)


@settings(max_examples=40, deadline=None)
@given(CASES)
def test_an_independent_reader_sees_no_value_changed(case: tuple[list[Node], bool, bytes]) -> None:
    nodes, undefined, samples = case
    octets = file(whole(nodes, undefined, element(0x7FE00010, "OW", samples)))
    before = pydicom.dcmread(io.BytesIO(octets))
    after = pydicom.dcmread(io.BytesIO(stored(offer(octets))))
    del after[0xFFFCFFFC]
    for level in (
        before,
        *(inner.value[index] for inner in before.iterall() if inner.VR == "SQ" for index in range(len(inner.value))),
    ):
        if 0x00080000 in level:
            del level[0x00080000]
    assert before == after


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(min_size=4, max_size=50).filter(lambda raw: b"\xff\xd9" not in raw), min_size=1, max_size=6),
    st.lists(st.integers(0, 300), max_size=7),
    st.integers(0, 8),
)
def test_any_fragments_and_any_offset_table_come_back(parts: list[bytes], offsets: list[int], frames: int) -> None:
    even = [b"\xff\xd8\xff\xe0" + part + b"\0" * (len(part) & 1) for part in parts]
    text = str(frames).encode()
    octets = file(
        whole([], False, element(0x00280008, "IS", text + b" " * (len(text) & 1)) + fragments(even, offsets)),
        "1.2.840.10008.1.2.4.50",
    )
    canonical = offer(octets)
    assert_reversible_and_stable(octets, canonical)
    object_ = stored(canonical)
    assert b"".join(object_[one.offset : one.end] for one in canonical.frames.ranges) == b"".join(even)
