"""Preamble, File Meta Information, framing, byte order and deflate (F01 to F28)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Final

from vna_core.testing.phantom_writer import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from vna_core.testing.quirks.octets import (
    BIG,
    IMPLICIT,
    LITTLE,
    Form,
    data_set,
    element,
    encapsulated,
    even,
    file_meta,
    frame_offsets,
    part10,
    swapped,
)
from vna_core.testing.quirks.quirk_file import Maker, QuirkFile
from vna_core.testing.quirks.sheet import PIXEL_DATA, Sheet, gradient, image, octets_of

TRANSFER_SYNTAX: Final = 0x00020010
IMPLICIT_BIG: Final = Form(explicit=False, big_endian=True)
GE_PRIVATE: Final = "1.2.840.113619.5.2"
PHILIPS_PRIVATE: Final = "1.3.46.670589.33.1.4.1"
DEFLATED_FRAMES: Final = "1.2.840.10008.1.2.8.1"


def little(name: str) -> Sheet:
    """An image whose canonical object must be Explicit VR Little Endian."""
    return image(name).must({"00020010": (EXPLICIT_LITTLE,)})


def no_preamble() -> Iterator[QuirkFile]:
    start = little("F01-no-preamble")
    yield start.file(start.part10()[132:])


def prefix_first() -> Iterator[QuirkFile]:
    start = little("F02-dicm-first")
    yield start.file(start.part10()[128:])


def bare_implicit() -> Iterator[QuirkFile]:
    start = little("F03-bare-implicit")
    yield start.file(start.body(IMPLICIT))


def bare_explicit() -> Iterator[QuirkFile]:
    for label, form in (("little", LITTLE), ("big", BIG)):
        start = little(f"F04-bare-explicit-{label}-endian")
        yield start.file(start.body(form))


def acr_nema(name: str) -> Sheet:
    """An image as ACR-NEMA 2.0 had it: no UIDs, and no photometric interpretation."""
    start = little(name).without(0x00080005, 0x00080008, 0x00080016, 0x00080018, 0x0020000D, 0x0020000E, 0x00200052)
    return (
        start.without(0x00280002, 0x00280004, 0x00280030, 0x00200032, 0x00200037)
        .put(0x00080010, "LO", "ACR-NEMA 2.0")
        .put(0x00280005, "US", 2)
        .put(0x00280200, "US", 0x7FE0)
        .unsure(0x00280005, 0x00280200)
        .must({"00080001": None, "00080010": None})
    )


def acr_nema_little() -> Iterator[QuirkFile]:
    start = acr_nema("F05-acr-nema")
    rest = start.body(IMPLICIT)
    ended = element(0x00080001, "UL", len(rest), IMPLICIT)
    group = element(0x00080000, "UL", len(ended) + rest.index(b"\x10\0\x10\0"), IMPLICIT)
    yield start.file(group + ended + rest)


def acr_nema_big() -> Iterator[QuirkFile]:
    start = acr_nema("F06-acr-nema-big-endian")
    rest = start.body(IMPLICIT_BIG)
    ended = element(0x00080001, "UL", len(rest), IMPLICIT_BIG)
    group = element(0x00080000, "UL", len(ended) + rest.index(b"\0\x10\0\x10"), IMPLICIT_BIG)
    yield start.file(group + ended + rest)


def wrong_group_length() -> Iterator[QuirkFile]:
    for label, length in (("too-small", 20), ("too-big", 5000), ("zero", 0)):
        start = little(f"F07-group-length-{label}")
        yield start.file(part10(file_meta(start.meta(), length=length), start.body()))


def no_group_length() -> Iterator[QuirkFile]:
    start = little("F08-no-group-length")
    yield start.file(part10(data_set(start.meta()), start.body()))


def no_transfer_syntax() -> Iterator[QuirkFile]:
    for label, form in (("explicit", LITTLE), ("implicit", IMPLICIT)):
        start = little(f"F09-no-transfer-syntax-{label}")
        meta = tuple(one for one in start.meta() if one[0] != TRANSFER_SYNTAX)
        yield start.file(part10(file_meta(meta), start.body(form)))


def padded_transfer_syntax() -> Iterator[QuirkFile]:
    for label, uid, form in (("explicit", b"1.2.840.10008.1.2.1 ", LITTLE), ("implicit", b"1.2.840.10008.1.2 \0", IMPLICIT)):
        start = little(f"F10-transfer-syntax-padded-{label}")
        meta = tuple(
            (tag, vr, uid + b"\0" * (len(uid) & 1) if tag == TRANSFER_SYNTAX else value) for tag, vr, value in start.meta()
        )
        yield start.file(part10(file_meta(meta), start.body(form)))


def told(label: str, uid: str, form: Form) -> QuirkFile:
    """A file whose transfer syntax UID is `uid`, encoded in `form`."""
    start = little(label)
    return start.file(start.part10(uid, form))


def unknown_transfer_syntax() -> Iterator[QuirkFile]:
    yield told("F11-philips-private", PHILIPS_PRIVATE, LITTLE)
    yield told("F11-papyrus", "1.2.840.10008.1.20", IMPLICIT)


def told_explicit() -> Iterator[QuirkFile]:
    yield told("F12-told-explicit-is-implicit", EXPLICIT_LITTLE, IMPLICIT)


def told_implicit() -> Iterator[QuirkFile]:
    yield told("F13-told-implicit-is-explicit", IMPLICIT_LITTLE, LITTLE)


def told_other_order() -> Iterator[QuirkFile]:
    yield told("F14-told-little-is-big", EXPLICIT_LITTLE, BIG)
    yield told("F14-told-big-is-little", EXPLICIT_BIG, LITTLE)


def ge_private() -> Iterator[QuirkFile]:
    start = little("F15-ge-private")
    odd = start.put(PIXEL_DATA, "OW", swapped(octets_of(gradient())))
    yield start.file(part10(file_meta(start.meta(GE_PRIVATE)), odd.body(IMPLICIT)))


def implicit_meta() -> Iterator[QuirkFile]:
    start = little("F16-implicit-file-meta")
    yield start.file(part10(file_meta(start.meta(), IMPLICIT), start.body()))


def big_endian_meta() -> Iterator[QuirkFile]:
    start = little("F17-big-endian-file-meta")
    yield start.file(part10(file_meta(start.meta(EXPLICIT_BIG), BIG), start.body(BIG)))


def deflated(raw: bytes, window: int = -15) -> bytes:
    """A deflate stream; `window` as zlib tells framing: -15 none, 15 zlib, 31 gzip."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, window)
    return compressor.compress(raw) + compressor.flush()


def deflated_with_header() -> Iterator[QuirkFile]:
    for label, window in (("zlib", 15), ("gzip", 31)):
        start = little(f"F18-{label}-header")
        yield start.file(part10(file_meta(start.meta(DEFLATED)), even(deflated(start.body(), window))))


def deflate_cut_or_padded() -> Iterator[QuirkFile]:
    start = little("F19-nul-after-deflate")
    yield start.file(part10(file_meta(start.meta(DEFLATED)), even(deflated(start.body())) + bytes(512)))
    start = little("F19-deflate-cut-short")
    yield start.quarantined(part10(file_meta(start.meta(DEFLATED)), deflated(start.body())[:-40]))


def deflated_frames() -> Iterator[QuirkFile]:
    samples = gradient(frames=2)
    start = image("F20-deflated-image-frames", samples).must({"00020010": (DEFLATED_FRAMES,)})
    fragments = [even(deflated(octets_of(one))) for one in samples]
    pixel = encapsulated(fragments, frame_offsets(fragments))
    yield start.put(PIXEL_DATA, "", pixel).file(start.put(PIXEL_DATA, "", pixel).part10(DEFLATED_FRAMES))


def trailing_padding() -> Iterator[QuirkFile]:
    start = little("F21-trailing-padding")
    yield start.file(start.part10() + element(0xFFFCFFFC, "OB", bytes(126)))


def junk_after() -> Iterator[QuirkFile]:
    for label, junk in (("zeros", bytes(700)), ("text", b"\r\nEND OF FILE\r\n"), ("one-octet", b"\x1a")):
        start = little(f"F22-{label}-after")
        yield start.file(start.part10() + junk)


def cut_short() -> Iterator[QuirkFile]:
    start = image("F23-pixels-cut-short")
    yield start.quarantined(start.part10()[:-21])
    start = image("F23-header-cut-short")
    yield start.quarantined(start.part10()[: 132 + 330])


def odd_preambles() -> Iterator[QuirkFile]:
    for label, preamble in (("tiff", b"II*\0\x08\0\0\0" + bytes(120)), ("text", b"A preamble that says something.".ljust(128))):
        start = little(f"F24-{label}-preamble")
        yield start.file(part10(file_meta(start.meta()), start.body(), preamble))


def byte_swapped() -> Iterator[QuirkFile]:
    start = little("F25-byte-swapped")
    yield start.file(swapped(start.part10()))


def octets_before() -> Iterator[QuirkFile]:
    for label, before in (
        ("mac-binary", b"\0\x09IMAGE.DCM" + bytes(117)),
        ("http", b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom\r\n\r\n"),
    ):
        start = little(f"F26-{label}-before")
        yield start.file(before + start.part10())


def twice() -> Iterator[QuirkFile]:
    for label, layers in (("twice", 1), ("three-times", 2)):
        start = little(f"F27-header-{label}")
        yield start.file((start.part10()[: -len(start.body())]) * layers + start.part10())


def command_elements() -> Iterator[QuirkFile]:
    start = little("F28-command-elements").put(0x00000002, "UI", "1.2.840.10008.5.1.4.1.1.2").put(0x00000100, "US", 1)
    yield start.must({"00000002": None, "00000100": None}).file()
    start = little("F28-file-meta-elements-inside")
    inside = element(0x00020010, "UI", IMPLICIT_LITTLE)
    body = start.body()
    at = body.index(b"\x08\0\x16\0")
    yield start.file(part10(file_meta(start.meta()), body[:at] + inside + body[at:]))


ENTRIES: Final[Mapping[str, Maker]] = {
    "F01": no_preamble,
    "F02": prefix_first,
    "F03": bare_implicit,
    "F04": bare_explicit,
    "F05": acr_nema_little,
    "F06": acr_nema_big,
    "F07": wrong_group_length,
    "F08": no_group_length,
    "F09": no_transfer_syntax,
    "F10": padded_transfer_syntax,
    "F11": unknown_transfer_syntax,
    "F12": told_explicit,
    "F13": told_implicit,
    "F14": told_other_order,
    "F15": ge_private,
    "F16": implicit_meta,
    "F17": big_endian_meta,
    "F18": deflated_with_header,
    "F19": deflate_cut_or_padded,
    "F20": deflated_frames,
    "F21": trailing_padding,
    "F22": junk_after,
    "F23": cut_short,
    "F24": odd_preambles,
    "F25": byte_swapped,
    "F26": octets_before,
    "F27": twice,
    "F28": command_elements,
}
"""Catalogue entry to the function that makes its files."""
