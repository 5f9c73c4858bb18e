"""Philips MR and CT: three scalings of the same sample, and positions told twice. What is odd, and how we know: the vendor page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from vna_core.ports.dialect import DialectFacts, DialectFinding, Markers
from vna_core.ports.dialect_base import MarkedDialect

FRAMES: Final = "52009230"
EXAMINED_FRAMES: Final = 32
"""Frames of an enhanced image that are looked at, evenly spread."""

_MR_1, _MR_5 = "Philips MR Imaging DD 001", "Philips MR Imaging DD 005"


class PhilipsDialect(MarkedDialect):
    """Private scale factors are shown beside the standard's two and never applied to samples."""

    name = "philips"
    vendor_page = "vendors/philips.md"
    markers = Markers(
        manufacturers=("philips",), creators=("Philips ",), uids=("1.3.46.670589.",), transfer_syntaxes=("1.3.46.670589.",)
    )

    def describe(self, facts: DialectFacts) -> Iterator[DialectFinding]:
        """P30, P31."""
        for frame in frames_of(facts):
            private = facts.private(_MR_1, 0x0E, group=0x2005, within=philips_item(facts, frame))
            slope = _first(facts, private)
            if slope and slope != _first(facts, f"{_standard(frame, '00289145[0].')}00281053"):
                yield DialectFinding("P30", "Private scale slope beside the standard's rescale slope: not applied.", private)
        for frame in frames_of(facts):
            yield from _position_told_twice(facts, frame)

    def index(self, facts: DialectFacts) -> Mapping[str, tuple[str, ...]]:
        """The scalings: display (Rescale), precise (private scale) and real world, each different value once."""
        found: dict[str, dict[str, None]] = {}
        for frame in frames_of(facts):
            item = philips_item(facts, frame)
            slope = facts.private(_MR_1, 0x0E, group=0x2005, within=item)
            if not slope:
                continue
            paths = {
                "scale slope": slope,
                "scale intercept": facts.private(_MR_1, 0x0D, group=0x2005, within=item),
                "rescale slope": f"{_standard(frame, '00289145[0].')}00281053",
                "rescale intercept": f"{_standard(frame, '00289145[0].')}00281052",
                "real world value slope": f"{_standard(frame, '')}00409096[0].00409225",
                "real world value intercept": f"{_standard(frame, '')}00409096[0].00409224",
            }
            for name, path in paths.items():
                found.setdefault(name, {}).update(dict.fromkeys(facts.values(path) if path else ()))
        return {name: tuple(values)[:8] for name, values in found.items() if values}


def frames_of(facts: DialectFacts) -> list[str]:
    """Paths of the frames to look at; the top level (an empty path) for a single-frame image."""
    count = facts.length(FRAMES)
    if count <= 0:
        return [""]
    step = max(1, -(-count // EXAMINED_FRAMES))
    return [f"{FRAMES}[{index}]" for index in range(0, count, step)]


def philips_item(facts: DialectFacts, frame: str) -> str:
    """Path of the item that holds a frame's private elements: the top level of single-frame images has them itself."""
    if not frame:
        return ""
    sequence = facts.private(_MR_5, 0x0F, group=0x2005, within=frame)
    return f"{sequence}[0]" if sequence else frame


def _standard(frame: str, macro: str) -> str:
    return f"{frame}.{macro}" if frame else ""


def _first(facts: DialectFacts, path: str) -> str:
    values = facts.values(path) if path else ()
    return values[0] if values else ""


def _position_told_twice(facts: DialectFacts, frame: str) -> Iterator[DialectFinding]:
    sequence = facts.private(_MR_5, 0x0F, group=0x2005, within=frame)
    path = f"{sequence}[0].00200032"
    private = facts.values(path) if sequence else ()
    public = facts.values(f"{_standard(frame, '00209113[0].')}00200032")
    if len(private) == 3 and public and not _equal(private, public):
        yield DialectFinding("P31", "Image Position (Patient) inside a private sequence differs: the public one counts.", path)


def _equal(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    try:
        return all(abs(float(a) - float(b)) < 1e-4 for a, b in zip(left, right, strict=True))
    except ValueError:
        return left == right
