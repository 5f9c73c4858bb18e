"""Several faults in one file: at the top level, in sequences, in private sequences stored as UN, in functional groups."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from vna_core.testing.phantom_writer import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from vna_core.testing.quirks.octets import (
    BIG,
    IMPLICIT,
    LITTLE,
    Field,
    Fields,
    Form,
    data_set,
    file_meta,
    header,
    item,
    part10,
    swapped,
    value_octets,
)
from vna_core.testing.quirks.quirk_file import Expected, QuirkFile
from vna_core.testing.quirks.sheet import CHARACTER_SET, Sheet, gradient, image
from vna_core.testing.quirks.text import MUELLER, UTF_8, YAMADA, kanji, spaced

REQUEST_ATTRIBUTES, PER_FRAME, FRAME_CONTENT = 0x00400275, 0x52009230, 0x00209111
CREATOR, PRIVATE = 0x00090010, 0x00091030
COMMENT: Final = 0x00104000
NAME: Final = 0x00100010


@dataclass(frozen=True, slots=True)
class Fault:
    """An odd value; without `expected` it must stay."""

    entry: str
    tag: int
    vr: str
    written: str
    expected: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Characters:
    """A declared character set and a name in it, with the text it must become."""

    entry: str
    declared: str
    octets: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Wrapping:
    """A fault of the container around a data set in one encoding."""

    entry: str
    form: Form
    wrap: Callable[[Sheet], bytes]


@dataclass(frozen=True, slots=True)
class Content:
    """Elements of one data set or item with what must become of them, paths relative to it."""

    fields: Fields = ()
    expected: Expected = field(default_factory=dict)
    kept: Mapping[str, bytes] = field(default_factory=dict)
    entries: tuple[str, ...] = ()

    def under(self, prefix: str, placed: Field, entry: str = "") -> Content:
        """The same inside of an element."""
        return Content(
            (placed,),
            {f"{prefix}.{path}": values for path, values in self.expected.items()},
            {f"{prefix}.{path}": octets for path, octets in self.kept.items()},
            (*self.entries, entry) if entry else self.entries,
        )

    def beside(self, other: Content) -> Content:
        """Both in one data set."""
        fields = tuple(sorted((*self.fields, *other.fields), key=lambda one: one[0]))
        return Content(fields, {**self.expected, **other.expected}, {**self.kept, **other.kept}, self.entries + other.entries)


FAULTS: Final = (
    Fault("D01", 0x00080022, "DA", "1995.01.27", ("19950127",)),
    Fault("D02", 0x00080023, "DA", "1995-01-27", ("19950127",)),
    Fault("D04", 0x00080032, "TM", "13:14:15", ("131415",)),
    Fault("D04", 0x00080033, "TM", "131415123", ("131415.123",)),
    Fault("D05", 0x0008002A, "DT", "1995.01.27", ("19950127",)),
    Fault("D06", 0x00101010, "AS", "45Y", ("045Y",)),
    Fault("D07", 0x00101020, "DS", "1.80000000000000000000", ("1.8",)),
    Fault("D07", 0x00180050, "DS", "-0.123456789012345678"),
    Fault("D08", 0x00281053, "DS", "nan"),
    Fault("D09", 0x00200012, "IS", "4.0", ("4",)),
    Fault("D10", 0x00181164, "DS", "0\\0"),
    Fault("I01", 0x00081195, "UI", "1.2.00.04.17"),
    Fault("I02", 0x00200200, "UI", "1.2.ACME.17"),
    Fault("T11", 0x00400009, "SH", "An identifier of 31 characters."),
)
CHARACTER_SETS: Final = (
    Characters("T01", "ISO-IR 100", MUELLER.encode("latin-1"), MUELLER),
    Characters("T01", "UTF8", MUELLER.encode(), MUELLER),
    Characters("T03", "ISO_IR 100", MUELLER.encode(), MUELLER),
    Characters("T04", "\\ISO 2022 IR 87", kanji(YAMADA), YAMADA),
    Characters("T07", "ISO_IR 192\\ISO 2022 IR 87", YAMADA.encode(), YAMADA),
)
WRAPPINGS: Final = (
    Wrapping("F01", LITTLE, lambda sheet: sheet.part10()[132:]),
    Wrapping("F02", IMPLICIT, lambda sheet: sheet.part10(IMPLICIT_LITTLE, IMPLICIT)[128:]),
    Wrapping("F03", IMPLICIT, lambda sheet: sheet.body(IMPLICIT)),
    Wrapping("F04", BIG, lambda sheet: sheet.body(BIG)),
    Wrapping("F12", IMPLICIT, lambda sheet: sheet.part10(EXPLICIT_LITTLE, IMPLICIT)),
    Wrapping("F13", LITTLE, lambda sheet: sheet.part10(IMPLICIT_LITTLE)),
    Wrapping("F14", BIG, lambda sheet: sheet.part10(EXPLICIT_LITTLE, BIG)),
    Wrapping("F16", LITTLE, lambda sheet: part10(file_meta(sheet.meta(), IMPLICIT), sheet.body())),
    Wrapping("F07", BIG, lambda sheet: part10(file_meta(sheet.meta(EXPLICIT_BIG), length=10), sheet.body(BIG))),
    Wrapping("F25", LITTLE, lambda sheet: swapped(sheet.part10())),
    Wrapping("F26", LITTLE, lambda sheet: b"an archive's own header of 40 octets ...".ljust(40) + sheet.part10()),
)


def combinations(seed: int, count: int) -> Iterator[QuirkFile]:
    """Files with several faults each, the same ones for the same `seed`."""
    for index in range(count):
        yield _combined(f"combined-{seed}-{index}", random.Random(f"{seed} {index}"))


def _combined(name: str, random_: random.Random) -> QuirkFile:
    wrapping, characters = random_.choice(WRAPPINGS), random_.choice(CHARACTER_SETS)
    content = _faulty(random_, characters)
    for place in random_.sample((_in_sequence, _in_unknown, _in_functional_groups), random_.randint(1, 3)):
        content = content.beside(place(random_, characters, wrapping.form, random_.randint(0, 2)))
    start = image(name, gradient(frames=2)).put(CHARACTER_SET, "CS", characters.declared)
    named = start.odd(NAME, "PN", characters.octets + b" " * (len(characters.octets) & 1), (characters.text,))
    full = named.puts((CREATOR, "LO", "ACME 1.1"), *content.fields).must({"00080005": (UTF_8,), **content.expected})
    full = replace(full, kept=content.kept).unsure(*(one[0] for one in content.fields))
    entries = tuple(dict.fromkeys((wrapping.entry, characters.entry, *content.entries)))
    return replace(full.file(wrapping.wrap(full)), entry=entries[0], combined_with=entries[1:])


def _faulty(random_: random.Random, characters: Characters) -> Content:
    """Up to four odd values and a text in the declared character set."""
    chosen = random_.sample(FAULTS, random_.randint(1, 4))
    texts: Fields = ((COMMENT, "LT", spaced(characters.octets)),)
    fields: Fields = tuple((one.tag, one.vr, one.written) for one in chosen)
    expected = {f"{one.tag:08X}": one.expected for one in chosen if one.expected is not None}
    kept = {f"{one.tag:08X}": value_octets(one.vr, one.written) for one in chosen if one.expected is None}
    entries = tuple(one.entry for one in chosen)
    ordered = tuple(sorted((*fields, *texts), key=lambda one: one[0]))
    return Content(ordered, {**expected, f"{COMMENT:08X}": (characters.text,)}, kept, entries)


Place = Callable[[random.Random, Characters, Form, int], Content]


def _deeper(random_: random.Random, characters: Characters, form: Form, depth: int, places: Sequence[Place]) -> Content:
    """Odd values, and below them another place with more of them."""
    content = _faulty(random_, characters)
    return content.beside(random_.choice(places)(random_, characters, form, depth - 1)) if depth else content


def _in_sequence(random_: random.Random, characters: Characters, form: Form, depth: int) -> Content:
    """In the last of one to three items of a public sequence."""
    inner = _deeper(random_, characters, form, depth, (_in_sequence, _in_unknown))
    first: Fields = ((0x00400007, "LO", "CT thorax"),)
    items = [*[first] * random_.randint(0, 2), inner.fields]
    return inner.under(f"{REQUEST_ATTRIBUTES:08X}[{len(items) - 1}]", (REQUEST_ATTRIBUTES, "SQ", items))


def _in_unknown(random_: random.Random, characters: Characters, form: Form, depth: int) -> Content:
    """In a private sequence that became UN on its way: implicit little endian inside, whatever is around it."""
    inner = _deeper(random_, characters, IMPLICIT, depth, (_in_sequence, _in_unknown))
    octets = item(data_set(inner.fields, IMPLICIT), IMPLICIT)
    placed = header(PRIVATE, "UN", len(octets), form) + octets
    entry = "E04" if form.big_endian else "E01" if form.explicit else "E06"
    content = inner.under(f"{PRIVATE:08X}[0]", (PRIVATE, "", placed), entry)
    creator = header(CREATOR, "LO", 8, form) + b"ACME 1.1"
    return replace(content, fields=((CREATOR, "", creator), *content.fields))


def _in_functional_groups(random_: random.Random, characters: Characters, form: Form, depth: int) -> Content:
    """In the frame content of the second of two frames."""
    inner = _deeper(random_, characters, form, depth, (_in_unknown,))
    frames: list[Fields] = [((FRAME_CONTENT, "SQ", [((0x00209128, "UL", 1),)]),), ((FRAME_CONTENT, "SQ", [inner.fields]),)]
    return inner.under(f"{PER_FRAME:08X}[1].{FRAME_CONTENT:08X}[0]", (PER_FRAME, "SQ", frames))
