"""What the rules about pixels look at: the image pixel description, the first codestream's header, and the length of the samples."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from vna_core.dicom import codestream, dictionary
from vna_core.dicom.codestream_header import CodestreamHeader
from vna_core.dicom.elements import ParsedOctets, PixelElement
from vna_core.dicom.frame_index import with_true_table
from vna_core.dicom.packed_samples import unpacked_length
from vna_core.dicom.revision import RevisedDataSet
from vna_core.domain.octets import ByteRange
from vna_core.ingest.normalize.amendments import Amender

SAMPLES, PHOTOMETRIC, PLANAR, FRAMES = 0x00280002, 0x00280004, 0x00280006, 0x00280008
FRAME_INCREMENT, ROWS, COLUMNS = 0x00280009, 0x00280010, 0x00280011
ALLOCATED, STORED, HIGH, REPRESENTATION = 0x00280100, 0x00280101, 0x00280102, 0x00280103
PIXEL_DATA: Final = 0x7FE00010
FLOAT_BITS: Final = {0x7FE00008: 32, 0x7FE00009: 64}

_WANTED: Final = frozenset(
    (SAMPLES, PHOTOMETRIC, PLANAR, FRAMES, FRAME_INCREMENT, ROWS, COLUMNS, ALLOCATED, STORED, HIGH, REPRESENTATION)
)
_GREY: Final = ("MONOCHROME1", "MONOCHROME2")
_WHOLE_OCTETS: Final = (8, 16)
_TAG_OF: Final = itemgetter(0)


@dataclass(frozen=True, slots=True)
class LabelVerdict:
    """What becomes of an image's labels: other values, or a finding.

    Attributes
    ----------
    changes
        Values by tag; None takes the element out.
    finding
        What was noticed; nothing changes then.
    tag
        Element that a finding or a change of the samples' layout is about.
    keep
        Octets of native samples that are written; -1 for all.
    unpack
        Samples of 12 bits are written in 16.
    """

    changes: tuple[tuple[int, bytes | None], ...] = ()
    finding: str = ""
    detail: str = ""
    tag: int = PIXEL_DATA
    keep: int = -1
    unpack: bool = False


@dataclass(slots=True)
class PixelImage:
    """An image under examination. Numbers are None where the element is absent or empty; rules see what those before left.

    Attributes
    ----------
    stream
        Header of the first codestream; None for native pixel data and unknown codecs.
    raw
        Octets of the image pixel description's values, by tag.
    frames
        Number of Frames, 1 where it says nothing.
    pixels
        Pixels of one frame; 0 when unknown.
    native
        The samples are there as they are.
    unpacked
        The samples are packed in 12 bits and will be written in 16.
    """

    amender: Amender
    parsed: ParsedOctets
    pixel: PixelElement
    transfer_syntax_uid: str
    stream: CodestreamHeader | None
    raw: dict[int, bytes] = field(default_factory=dict)
    samples: int | None = None
    rows: int | None = None
    columns: int | None = None
    allocated: int | None = None
    stored: int | None = None
    high: int | None = None
    representation: int | None = None
    planar: int | None = None
    declared_frames: int | None = None
    photometric: str = ""
    frames: int = 1
    pixels: int = 0
    native: bool = True
    unpacked: bool = False

    @property
    def revised(self) -> RevisedDataSet:
        """The data set as it will be written."""
        return self.amender.revised

    @property
    def floating(self) -> bool:
        """Float or Double Float Pixel Data, whose description has neither bits nor representation (PS3.3 C.7.6.24, C.7.6.25)."""
        return self.pixel.tag in FLOAT_BITS

    @property
    def length(self) -> int:
        """Octets of native samples as they are written, padding to an even length included."""
        length = unpacked_length(self.pixel.value.length) if self.unpacked else self.pixel.value.length
        return length + (length & 1)

    @property
    def frame_bits(self) -> int:
        """Bits of one native frame (PS3.3 C.7.6.3.1.2 for chroma with fewer samples); 0 when unknown."""
        bits = FLOAT_BITS.get(self.pixel.tag) or self.allocated or 0
        samples = self.samples or 0
        full = self.pixels * samples * bits
        if samples == 3 and self.photometric.endswith(("_422", "_420")) and self.length * 8 < full * self.frames:
            return self.pixels * bits * (3 if self.photometric.endswith("420") else 4) // 2
        return full

    @property
    def in_order(self) -> bool:
        """Whether native grey samples are described without a gap or a contradiction: rules about numbers have nothing to say."""
        return (
            self.native
            and self.samples == 1
            and self.photometric in _GREY
            and self.allocated in _WHOLE_OCTETS
            and 0 < (self.stored or 0) <= self.allocated
            and self.high == (self.stored or 0) - 1
            and self.representation is not None
            and self.planar is None
            and (self.declared_frames is None or self.declared_frames > 0)
            and self.pixel.tag == PIXEL_DATA
            and self.fits(self.frame_bits)
        )

    def fits(self, bits: int) -> bool:
        """Whether the native samples are as long as all frames of `bits` bits, padding to an even length aside."""
        octets = (bits * self.frames + 7) // 8
        return bits > 0 and octets <= self.length <= octets + (octets & 1)

    def read(self) -> None:
        """Take the description's values from the data set."""
        revised, raw = self.revised, {}
        elements, buffer = revised.data_set.elements, revised.buffer
        for index in range(bisect_left(elements, SAMPLES, key=_TAG_OF), len(elements)):
            tag, _, start, length, items = elements[index]
            if tag > REPRESENTATION:
                break
            if tag in _WANTED and length and items is None:
                raw[tag] = bytes(buffer[start : start + length]) if start >= 0 else revised.literals[-1 - start]
        self.raw = raw
        get = raw.get
        self.samples, self.rows, self.columns = _number(get(SAMPLES)), _number(get(ROWS)), _number(get(COLUMNS))
        self.allocated, self.stored, self.high = _number(get(ALLOCATED)), _number(get(STORED)), _number(get(HIGH))
        self.representation, self.planar = _number(get(REPRESENTATION)), _number(get(PLANAR))
        frames = get(FRAMES)
        self.declared_frames = None if frames is None else _integer(frames)
        self.frames = max(self.declared_frames or 1, 1)
        self.pixels = (self.rows or 0) * (self.columns or 0)
        self.native = self.pixel.fragments is None
        self.photometric = get(PHOTOMETRIC, b"").decode("latin-1").strip(" \0")

    def keep(self, length: int) -> None:
        """Write only the first octets of the native samples."""
        pixel, revised = self.pixel, self.revised
        value = ByteRange(pixel.value.offset, length)
        self.pixel = revised.pixel = PixelElement(pixel.tag, pixel.vr, value)
        elements = revised.data_set.elements
        index = bisect_left(elements, pixel.tag, key=_TAG_OF)
        elements[index] = elements[index]._replace(length=length)


def examine(amender: Amender, parsed: ParsedOctets, pixel: PixelElement, transfer_syntax_uid: str) -> PixelImage:
    """Look at the image once."""
    stream = None
    if pixel.fragments is not None:
        pixel = with_true_table(amender.revised, pixel)
        stream = codestream.first_header(parsed.buffer, pixel)
    image = PixelImage(amender, parsed, pixel, transfer_syntax_uid, stream)
    image.read()
    return image


def unsigned(tag: int, value: int) -> tuple[int, bytes]:
    """A change to a US element."""
    return tag, value.to_bytes(2, "little")


def characters(tag: int, value: str) -> tuple[int, bytes]:
    """A change to an element of characters."""
    return tag, value.encode("ascii")


def representation_of(tag: int) -> str:
    """Value representation a label is written with."""
    return dictionary.vr_of(tag)


def _number(raw: bytes | None) -> int | None:
    return None if raw is None else raw[0] | raw[1] << 8 if len(raw) > 1 else raw[0]


def _integer(raw: bytes) -> int:
    """Number of Frames; 0 for what is no number."""
    try:
        return int(raw.split(b"\\")[0].strip(b" \0"))
    except ValueError:
        return 0
