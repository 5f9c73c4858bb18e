"""Text: character sets and what is written in them (T01 to T12)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from vna_core.testing.quirks.octets import Fields
from vna_core.testing.quirks.quirk_file import Maker, QuirkFile
from vna_core.testing.quirks.sheet import CT, Sheet, image

CHARACTER_SET, PATIENT_NAME, STUDY_DESCRIPTION = 0x00080005, 0x00100010, 0x00081030
REFERENCED_IMAGES, REFERENCED_CLASS = 0x00081140, 0x00081150
UTF_8: Final = "ISO_IR 192"
MUELLER: Final = "Müller^Jörg"
YAMADA: Final = "Yamada^Tarou=山田^太郎=やまだ^たろう"
HONG: Final = "Hong^Gildong=洪^吉洞=홍^길동"


def spaced(raw: bytes) -> bytes:
    """Padded to even length with a space."""
    return raw + b" " * (len(raw) & 1)


def named(name: str, declared: str | None, octets: bytes, shown: str) -> Sheet:
    """An image with a declared character set and a patient's name that must become `shown` in UTF-8."""
    start = image(name).without(CHARACTER_SET)
    told = start if declared is None else start.put(CHARACTER_SET, "CS", declared)
    return told.odd(PATIENT_NAME, "PN", spaced(octets), (shown,)).must({"00080005": (UTF_8,)})


def kanji(text: str) -> bytes:
    """Text with code extensions of ISO 2022 IR 87, ASCII in between (PS3.5 annex H)."""
    return text.encode("iso2022_jp")


def hangul(text: str) -> bytes:
    """Text with ISO 2022 IR 149 designated to G1 before every component that needs it (PS3.5 annex I)."""
    components = []
    for component in text.replace("=", "=\n").replace("^", "^\n").split("\n"):
        raw = component.encode("euc_kr")
        components.append(raw if raw.isascii() else b"\x1b$)C" + raw)
    return b"".join(components)


def misspelt_character_sets() -> Iterator[QuirkFile]:
    for label, declared, codec in (
        ("hyphen", "ISO-IR 100", "latin-1"),
        ("two-blanks-utf-8", "ISO IR 192", "utf-8"),
        ("underscores", "ISO_IR_100", "latin-1"),
        ("utf8", "UTF8", "utf-8"),
        ("latin1", "LATIN1", "latin-1"),
        ("lower-case", "iso_ir 100", "latin-1"),
    ):
        yield named(f"T01-{label}", declared, MUELLER.encode(codec), MUELLER).file()


def undeclared() -> Iterator[QuirkFile]:
    for label, text, codec in (
        ("latin-1", MUELLER, "latin-1"),
        ("cyrillic", "Иванов^Пётр", "cp1251"),
        ("utf-8", MUELLER, "utf-8"),
    ):
        start = image(f"T02-undeclared-{label}").without(CHARACTER_SET)
        yield start.keep(PATIENT_NAME, "PN", spaced(text.encode(codec))).file()


def utf_8_declared_latin() -> Iterator[QuirkFile]:
    yield named("T03-utf-8-declared-latin-1", "ISO_IR 100", MUELLER.encode(), MUELLER).file()


def empty_first_value() -> Iterator[QuirkFile]:
    yield named("T04-empty-first-value", "\\ISO 2022 IR 87", kanji(YAMADA), YAMADA).file()
    yield named("T04-ir-6-as-first-value", "ISO 2022 IR 6\\ISO 2022 IR 87", kanji(YAMADA), YAMADA).file()


def mixed_terms() -> Iterator[QuirkFile]:
    katakana = "ﾔﾏﾀﾞ^ﾀﾛｳ"
    octets = katakana.encode("shift_jis") + b"=" + kanji("山田^太郎").replace(b"\x1b(B", b"\x1b(J")
    yield named("T05-ir-13-without-2022", "ISO_IR 13\\ISO 2022 IR 87", octets, f"{katakana}=山田^太郎").file()
    yield named("T05-korean-without-2022", "ISO_IR 149", hangul(HONG), HONG).file()


def backslash_inside_a_character() -> Iterator[QuirkFile]:
    """Characters whose second octet is 5C, and multi-byte text without escape sequences."""
    shown = "表^太郎"  # noqa: RUF001 - 0x95 0x5C in Shift-JIS
    yield named("T06-shift-jis-with-5c", "ISO_IR 13", shown.encode("shift_jis"), shown).file()
    for declared in ("GB18030", "GBK"):
        chinese = "Wang^XiaoDong=王^" + bytes((0x81, 0x5C)).decode("gbk")
        yield named(f"T06-{declared.lower()}-with-5c", declared, chinese.encode("gbk"), chinese).file()
    yield named("T06-korean-without-escapes", "\\ISO 2022 IR 149", HONG.encode("euc_kr"), HONG).file()


def utf_8_combined() -> Iterator[QuirkFile]:
    yield named("T07-utf-8-first", "ISO_IR 192\\ISO 2022 IR 87", YAMADA.encode(), YAMADA).file()
    yield named("T07-utf-8-second", "ISO 2022 IR 100\\ISO_IR 192", MUELLER.encode(), MUELLER).file()


def item_with_its_own() -> Iterator[QuirkFile]:
    coded: Fields = ((CHARACTER_SET, "CS", "\\ISO 2022 IR 87"), (0x00080104, "LO", spaced(kanji("山田"))))
    first: Fields = (
        (CHARACTER_SET, "CS", UTF_8),
        (REFERENCED_CLASS, "UI", CT),
        (0x0040A170, "SQ", [coded]),
        (0x00400007, "LO", spaced("Größe".encode())),
    )
    second: Fields = ((0x00400007, "LO", spaced("Größe".encode("latin-1"))),)
    yield (
        named("T08-items-with-their-own", "ISO_IR 100", MUELLER.encode("latin-1"), MUELLER)
        .put(REFERENCED_IMAGES, "SQ", [first, second])
        .must(
            {
                "00081140[0].00080005": None,
                "00081140[0].00400007": ("Größe",),
                "00081140[0].0040A170[0].00080005": None,
                "00081140[0].0040A170[0].00080104": ("山田",),
                "00081140[1].00400007": ("Größe",),
            }
        )
        .file()
    )


def names_out_of_form() -> Iterator[QuirkFile]:
    for label, value in (
        ("six-components", "Doe^Jane^A^Dr^Jr^Extra"),
        ("without-caret", "Doe Jane"),
        ("four-groups", "Doe^Jane=a=b=c"),
        ("trailing-carets", "Doe^Jane^^^"),
        ("digits", "4711^0815"),
    ):
        yield image(f"T09-name-{label}").keep(PATIENT_NAME, "PN", value).file()


def control_characters() -> Iterator[QuirkFile]:
    yield image("T10-nul-padding").odd(STUDY_DESCRIPTION, "LO", b"Thorax pa\0", ("Thorax pa",)).file()
    yield image("T10-nul-padding-in-a-name").odd(PATIENT_NAME, "PN", b"Doe^Jane\0\0\0\0", ("Doe^Jane",)).file()
    yield image("T10-control-character").odd(STUDY_DESCRIPTION, "LO", b"Tho\x01rax\x02", ("Thorax",)).file()
    yield image("T10-line-break").put(STUDY_DESCRIPTION, "LO", b"Thorax\r\npa").file()
    yield image("T10-line-break-where-allowed").keep(0x00204000, "LT", b"Thorax\r\npa").file()


def over_long() -> Iterator[QuirkFile]:
    for label, tag, vr, value in (
        ("sh", 0x00200010, "SH", "A study number of 28 letters"),
        ("lo", STUDY_DESCRIPTION, "LO", "Thorax in two planes, " * 5),
        ("ae", 0x00080054, "AE", "AN-APPLICATION-TITLE"),
        ("cs", 0x00280301, "CS", "A CODE STRING OF 26 LETTERS"),
    ):
        yield image(f"T11-over-long-{label}").keep(tag, vr, value).file()


def code_strings() -> Iterator[QuirkFile]:
    yield image("T12-modality-in-lower-case").odd(0x00080060, "CS", "ct", ("CT",)).file()
    yield image("T12-sex-in-lower-case").odd(0x00100040, "CS", "f", ("F",)).file()
    yield image("T12-free-text-modality").keep(0x00080060, "CS", "CT Scanner").file()
    yield image("T12-illegal-character").keep(0x00185100, "CS", "H/F-S!").file()


ENTRIES: Final[Mapping[str, Maker]] = {
    "T01": misspelt_character_sets,
    "T02": undeclared,
    "T03": utf_8_declared_latin,
    "T04": empty_first_value,
    "T05": mixed_terms,
    "T06": backslash_inside_a_character,
    "T07": utf_8_combined,
    "T08": item_with_its_own,
    "T09": names_out_of_form,
    "T10": control_characters,
    "T11": over_long,
    "T12": code_strings,
}
"""Catalogue entry to the function that makes its files."""
