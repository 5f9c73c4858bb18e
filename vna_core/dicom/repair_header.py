"""Headers that PS3.5 does not allow: which reading makes the following octets a data set.

Every reading is weighed by the plausibility of the two headers that would follow it. A reading is taken only if both are
plausible and no other reading leads to a different place just as well; otherwise nothing is decided here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from vna_core.dicom import dictionary
from vna_core.dicom import value_representations as representations
from vna_core.dicom.element_headers import (
    ANY_CODES,
    LENGTH,
    LONG_HEADER,
    SHORT_HEADER,
    UNDEFINED,
    Header,
    read_header,
    tag_is_plausible,
    value_fits,
)
from vna_core.dicom.elements import Buffer, Element

WELL: Final = 2
"""The score from which a header is taken for one."""

ASCENDING: Final = 3
"""The score of a header that continues its data set by the book."""


class Reading(NamedTuple):
    """One way to read a header, and the rule id it would be recorded under (empty: by the book)."""

    rule: str
    header: Header


class Surroundings(NamedTuple):
    """The data set a header stands in: its limit and its encoding."""

    buffer: Buffer
    limit: int
    explicit: bool
    little_endian: bool


def score(where: Surroundings, position: int, last: int) -> int:
    """How well a header reads at `position` after the element `last`.

    3: in the data set's own encoding, ascending, or exactly the end; 2: well formed but out of order, in the other
    encoding, or a delimiter; 1: possible; 0: impossible.
    """
    buffer, limit, explicit, little = where
    if position == limit:
        return 3
    if position > limit - 8:
        return 0
    group, number, length = LONG_HEADER[little](buffer, position)
    tag = group << 16 | number
    if group == 0xFFFE:
        return _score_delimiter(number, length, limit - position - 8)
    best = 0
    for form in (explicit, not explicit):
        header = read_header(buffer, position, limit, form, little)
        if header is None or not value_fits(buffer, header, limit, little):
            continue
        ascending, known = tag > last, dictionary.is_known(tag)
        if form == explicit:
            here = 3 if ascending and (known or (form and tag_is_plausible(tag))) else 2 if known or (form and ascending) else 1
        else:
            here = 2 if ascending and (known or tag_is_plausible(tag)) else 1
        if not form and not known:
            here = min(here, 2 if ascending and tag_is_plausible(tag) and header.length < 0x10000 else 1)
        best = max(best, here)
    return best


def _score_delimiter(number: int, length: int, room: int) -> int:
    if number == 0xE000:
        return 2 if length == UNDEFINED or length <= room else 0
    return 2 if number in (0xE00D, 0xE0DD) and length == 0 else 0


def outlook(where: Surroundings, position: int, last: int) -> tuple[int, int]:
    """Scores of the header at `position` and of the one after it."""
    first = score(where, position, last)
    if first < WELL or position == where.limit:
        return first, first
    buffer, limit, explicit, little = where
    group, _, _ = LONG_HEADER[little](buffer, position)
    if group == 0xFFFE:
        return first, score(where, position + 8, -1)
    second = 0
    for form in (explicit, not explicit):
        header = read_header(buffer, position, limit, form, little)
        if header is None or not value_fits(buffer, header, limit, little):
            continue
        if header.length == UNDEFINED:
            return first, first
        second = max(second, score(where, header.start + header.length, header.tag))
        if second >= WELL:
            break
    return first, second


def readings(where: Surroundings, position: int) -> list[Reading]:
    """Every way the header at `position` could have been meant."""
    buffer, limit, explicit, little = where
    group, number, code, short_length = SHORT_HEADER[little](buffer, position)
    tag = group << 16 | number
    implicit_length: int = LENGTH[little](buffer, position + 4)[0]
    long_length: int = LENGTH[little](buffer, position + 8)[0] if limit - position >= 12 else UNDEFINED - 1
    vr, usual = ANY_CODES[little].get(code, ""), dictionary.vr_of(tag)
    implicit = Reading("E18" if explicit else "", Header(tag, usual, position + 8, implicit_length))
    if not vr:
        if not explicit:
            return [implicit]
        narrow = Reading("E15", Header(tag, _narrow(usual), position + 8, short_length))
        wide = Reading("E15", Header(tag, usual, position + 12, long_length))
        return [wide, narrow, implicit] if usual in representations.LONG_NAMES else [narrow, wide, implicit]
    own = "" if explicit else "E18"
    if vr in representations.LONG_NAMES:
        found = [
            Reading(own if not short_length else "E15", Header(tag, vr, position + 12, long_length)),
            _short_form(tag, vr, usual, position, short_length),
        ]
    else:
        found = [
            Reading(own, Header(tag, vr, position + 8, short_length)),
            Reading(
                "E22",
                Header(
                    tag, "UN", position + 10, LENGTH[little](buffer, position + 6)[0] if limit - position >= 10 else UNDEFINED - 1
                ),
            ),
        ]
    return [*found, implicit] if explicit else [implicit, *found]


def _short_form(tag: int, vr: str, usual: str, position: int, length: int) -> Reading:
    """A long representation with a 16-bit length; where the dictionary knows a short one, the letters are what is wrong."""
    if usual == "UN" or usual in representations.LONG_NAMES:
        return Reading("E17", Header(tag, vr, position + 8, length))
    return Reading("E15", Header(tag, usual, position + 8, length))


def _narrow(vr: str) -> str:
    """A representation for a value with a 16-bit length; what the dictionary says where nothing contradicts it."""
    return vr if vr else "UN"


def resolve(where: Surroundings, position: int, last: int) -> Reading | None:
    """The one reading of the header at `position` after which the octets go on as a data set, or None."""
    best: Reading | None = None
    best_weight = (0, 0)
    rivals = False
    for reading in readings(where, position):
        header = reading.header
        if not value_fits(where.buffer, header, where.limit, where.little_endian):
            continue
        if reading.rule and not tag_is_plausible(header.tag):
            continue
        if header.length == UNDEFINED:
            weight = (3, 3)
        else:
            weight = outlook(where, header.start + header.length, header.tag)
        if min(weight) < WELL:
            continue
        if weight > best_weight:
            best, best_weight, rivals = reading, weight, False
        elif weight == best_weight and best is not None:
            rivals = rivals or best.header.start + best.header.length != header.start + header.length
    if rivals and best is not None and best.rule == "E18":
        return None
    del last
    return best


def repair_previous(where: Surroundings, previous: Element, position: int) -> tuple[Element, int, str] | None:
    """Another length of the element before `position`, after which the octets go on as a data set.

    Returns
    -------
    tuple or None
        The element corrected, the offset of the next header, and the rule id.
    """
    tag, vr, start, length, items = previous
    if items is not None:
        return None
    tries: list[tuple[Element, int, str]] = []
    if length == 13 and tag not in (0x00080070, 0x00080080):
        tries.append((previous._replace(length=10), start + 10, "E19"))
    if length == 6:
        tries.append((previous._replace(length=4), start + 4, "E20"))
    if length % 2 and position == start + length:
        tries.append((previous, position + 1, "E21"))
        tries.append((previous._replace(length=length - 1), position - 1, "E21"))
    if where.explicit and vr not in representations.LONG_NAMES and not length and start >= 8:
        implicit: int = LENGTH[where.little_endian](where.buffer, start - 4)[0]
        tries.append((Element(tag, dictionary.vr_of(tag), start, implicit), start + implicit, "E18"))
    if where.explicit and vr not in representations.LONG_NAMES and position - start >= 0 and start + 2 <= where.limit:
        wide: int = LENGTH[where.little_endian](where.buffer, start - 2)[0]
        if wide > 0xFFFF:
            tries.append((Element(tag, "UN", start + 2, wide), start + 2 + wide, "E22"))
    for element, following, rule in tries:
        if following <= where.limit and min(outlook(where, following, tag)) >= WELL:
            return element, following, rule
    return None
