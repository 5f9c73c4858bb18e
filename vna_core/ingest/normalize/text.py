"""Layer 2: text in UTF-8, under one Specific Character Set (0008,0005) (T01 to T08; PS3.3 section C.12.1.1.2).

A data set whose text is all ASCII keeps the set it declares, since its octets are UTF-8 already. Where any text needs more,
all text at every level is written in UTF-8 and the one set declared is ISO_IR 192. Octets beyond ASCII under no declared set
are taken for UTF-8 where they are valid UTF-8, and octets that the declared sets do not have for those of the one wider set
that contains them. What else they may be is not guessed: the data set stays as it is, unless the site says which set its
source means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vna_core.dicom.character_sets import (
    CHARACTER_SET_REPRESENTATIONS,
    EXTENSION_TERMS,
    character_set_names,
    decode_whole,
    is_defined,
    is_understood,
    term_of,
)
from vna_core.dicom.declared_characters import is_within
from vna_core.dicom.elements import DataSet
from vna_core.domain.transformation import Confidence
from vna_core.ingest.normalize.amendments import Amender, Place, Record
from vna_core.ingest.normalize.engine import Layer, Rule
from vna_core.ingest.normalize.original_attributes import ORIGINAL_ATTRIBUTES
from vna_core.ingest.normalize.values import ForeignText, Survey, examine

SPECIFIC_CHARACTER_SET: Final = 0x00080005
UTF_8: Final = "ISO_IR 192"
ESCAPE: Final = 0x1B
_SINGLE_OCTET_TERMS: Final = frozenset(
    ("", "6", "100", "101", "109", "110", "144", "127", "126", "138", "148", "203", "166", "CP1251", "CP1252")
)
_LATIN_TERMS: Final = frozenset(("", "6", "100", "101", "109", "110", "148", "203"))
_PROVEN, _INFERRED = Confidence.PROVEN, Confidence.INFERRED
Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared set that deviates: its names, and whether any text under it is beyond ASCII."""

    names: Names
    inside: bool


def _misspelt(declared: Declared) -> str:
    wrong = [name for name in declared.names if name and not is_defined((name,)) and name not in EXTENSION_TERMS]
    understood = bool(wrong) and all(is_understood(name) for name in wrong)
    return f"{', '.join(wrong)} is not a defined term" if understood and not _undefined_variant(declared) else ""


def _undefined_variant(declared: Declared) -> str:
    """Single-octet terms among code extensions, or a wide set without its ISO 2022 form (T05)."""
    if is_defined(declared.names):
        return ""
    terms = [term_of(name) for name in declared.names]
    written = [name.upper().startswith("ISO_IR") for name in declared.names]
    if (len(terms) > 1 and any(written) and "192" not in terms) or terms in (["149"], ["58"], ["87"], ["159"]):
        return "\\".join(declared.names) + " is not defined so"
    return ""


def _combined(declared: Declared) -> str:
    return "UTF-8 combined with other sets" if len(declared.names) > 1 and "192" in map(term_of, declared.names) else ""


def _inside(declared: Declared) -> str:
    return "a set of its own in a sequence" if declared.inside else ""


DECLARATION_RULES: Final[tuple[Rule[Declared, str], ...]] = (
    Rule("T07", 1, Layer.VALUES, _PROVEN, _combined, "UTF-8 combined with other character sets: ISO_IR 192 alone."),
    Rule("T05", 1, Layer.VALUES, _PROVEN, _undefined_variant, "Character sets in a form that is not defined: text in UTF-8."),
    Rule("T01", 1, Layer.VALUES, _PROVEN, _misspelt, "Misspelt character set: text in UTF-8."),
    Rule("T08", 1, Layer.VALUES, _PROVEN, _inside, "Another character set in a sequence: all text in UTF-8 under one."),
)
"""What a declaration by itself shows. In the order they are tried; the first that answers tells what is wrong."""

TEXT_RULES: Final[tuple[Rule[str, str], ...]] = tuple(
    Rule(id_, version, Layer.VALUES, confidence, str, summary)
    for id_, version, confidence, summary in (
        ("T02", 2, _INFERRED, "No character set declared, the octets are UTF-8: ISO_IR 192 declared; otherwise kept and flagged."),
        ("T03", 1, _INFERRED, "Another character set declared than UTF-8, which the octets are: ISO_IR 192."),
        ("T06", 2, _INFERRED, "Octets that the declared sets do not have: read as the one wider set that has them, else kept and flagged."),
        ("N04", 1, _PROVEN, "Another character set than UTF-8: text in UTF-8."),
    )
)  # fmt: skip
"""What the octets of the texts show."""


@dataclass(frozen=True, slots=True)
class _Decoded:
    """One text as it will be written, and the rule that says so."""

    text: ForeignText
    vr: str
    value: str
    rule: str
    exact: bool


def unify_text(amender: Amender, survey: Survey, default: Names = ()) -> bool:
    """Bring all text to UTF-8 where any of it is beyond ASCII, and declare that once.

    Parameters
    ----------
    default
        Character sets that the site says its source means where none are declared, or where the octets cannot be of those.

    Returns
    -------
    bool
        Whether all text can be read as UTF-8 now; False where something was left as it is.
    """
    root = amender.root(SPECIFIC_CHARACTER_SET)
    names = _names(amender, root)
    texts = [text for text in survey.foreign if not _kept_as_it_was(amender, text)]
    if not texts and all(is_defined(one) for one in (names, *(_names(amender, place) for place in survey.declaring)) if one):
        return True
    decoded = [_decode(amender, text, default) for text in texts]
    undecided = [text for text, one in zip(texts, decoded, strict=True) if one is None]
    if undecided:
        for text in undecided:
            _flag(amender, text)
        return False
    known = [one for one in decoded if one is not None]
    unknown = [name for name in names if not is_understood(name)]
    if unknown:
        amender.journal.find("T01", "A character set that nobody defines; the text stays as it is.", str(root))
        return False
    if not all(_fits(one) for one in known):
        amender.journal.find("T08", "Text that would pass the length of its representation in UTF-8.", str(root))
        return False
    for one in known:
        _write(amender, one)
    _declare(amender, root, names, survey, known)
    return True


def _names(amender: Amender, place: Place) -> Names:
    element = amender.element(place)
    return () if element is None or element.items is not None else character_set_names(amender.revised.value(element))


def _kept_as_it_was(amender: Amender, text: ForeignText) -> bool:
    """Text in a value before (0400,0561) whose item declares its own set is told as it was."""
    path = text.place.path
    if not path or path[0][0] != ORIGINAL_ATTRIBUTES:
        return False
    return any(_own(amender, data_set) for data_set in text.around[1:])


def _own(amender: Amender, data_set: DataSet) -> Names:
    return _names(amender, Place(data_set, (), SPECIFIC_CHARACTER_SET))


def _declared_for(amender: Amender, text: ForeignText) -> Names:
    """The sets that hold where the text stands: its data set's own, else those around it."""
    for data_set in reversed(text.around):
        names = _own(amender, data_set)
        if names:
            return names
    return ()


def _flag(amender: Amender, text: ForeignText) -> None:
    if _declares_nothing(_declared_for(amender, text)):
        amender.journal.find("T02", "Text beyond ASCII under no declared character set, and not UTF-8.", str(text.place))
    else:
        amender.journal.find("T06", "Text with octets that the declared character sets do not have.", str(text.place))


def _declares_nothing(names: Names) -> bool:
    return all(term_of(name) in ("", "6") for name in names)


def _decode(amender: Amender, text: ForeignText, default: Names) -> _Decoded | None:
    """None where nothing decides what the octets mean."""
    element = amender.element(text.place)
    assert element is not None
    raw, vr = amender.revised.value(element), element.vr
    if vr not in CHARACTER_SET_REPRESENTATIONS:
        return _Decoded(text, vr, raw.decode("latin-1"), "", False)
    names = _declared_for(amender, text)
    utf_8 = _as_utf_8(raw)
    if utf_8 is not None and ESCAPE not in raw and set(map(term_of, names)) <= _LATIN_TERMS:
        return _Decoded(text, vr, utf_8, "T02" if _declares_nothing(names) else "T03", True)
    value, decodable = decode_whole(raw, vr, names)
    if decodable and is_within(raw, names):
        return _Decoded(text, vr, value, "N04", True)
    if decodable and _wider_set_decides(raw, names):
        return _Decoded(text, vr, value, "T06", False)
    value, decodable = decode_whole(raw, vr, default) if default else ("", False)
    return _Decoded(text, vr, value, "T02" if _declares_nothing(names) else "T06", False) if decodable else None


def _wider_set_decides(raw: bytes, names: Names) -> bool:
    """Whether one set contains the declared ones and these octets: Shift-JIS, an undesignated wide set, or another designation.

    Octets 80 to 9F under a Latin set may be of a Windows code page, of Shift-JIS or of a Chinese set: nothing decides.
    """
    return ESCAPE in raw or not _declares_nothing(names) and not {term_of(name) for name in names} <= _SINGLE_OCTET_TERMS


def _as_utf_8(raw: bytes) -> str | None:
    if raw.isascii():
        return None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _fits(one: _Decoded) -> bool:
    return one.vr in ("UC", "UT") or len(one.value.encode("utf-8")) < 0xFFFE


def _write(amender: Amender, one: _Decoded) -> None:
    """Put a text in UTF-8; what is more than another encoding of the same characters is told."""
    place = one.text.place
    if not one.rule:
        amender.journal.find("T06", f"Octets beyond ASCII in a value of {one.vr}, which has none.", str(place))
        return
    record = Record.NONE if one.exact else Record.ILLEGAL
    value = one.value.encode("utf-8").rstrip(b"\0")
    element = amender.element(place)
    if element is not None and amender.revised.value(element) != value:
        amender.put(place, one.vr, value, one.rule, _INFERRED, record=record, told=not one.exact)
        value += b" " * (len(value) & 1)
    if any(octet < 0x20 and octet != 0x1B for octet in value) and not (place.path and place.path[0][0] == ORIGINAL_ATTRIBUTES):
        examine(amender, place, one.vr, value)


def _declare(amender: Amender, root: Place, names: Names, survey: Survey, known: list[_Decoded]) -> None:
    """One declaration for everything, and the reasons."""
    journal, beyond = amender.journal, [one for one in known if one.rule]
    counts = {rule.id: sum(one.rule == rule.id and one.exact for one in beyond) for rule in TEXT_RULES}
    for place in survey.declaring:
        declared = Declared(_names(amender, place), True)
        reason = next(rule for rule in DECLARATION_RULES if rule.apply(declared))
        amender.remove(place, reason.id, reason.confidence, record=Record.LEGAL, detail=reason.apply(declared))
    if not beyond and is_defined(names):
        return
    if names == (UTF_8,) or (not names and not beyond):
        return
    spelt = Declared(names, False)
    wrong = next((rule for rule in DECLARATION_RULES if rule.apply(spelt)), None)
    shown = next((rule for rule in TEXT_RULES if counts[rule.id]), TEXT_RULES[-1])
    id_, confidence = (shown.id, shown.confidence) if wrong is None else (wrong.id, wrong.confidence)
    detail = wrong.apply(spelt) if wrong is not None else f"{counts[shown.id]} texts" if beyond else ""
    record = Record.LEGAL if is_defined(names) or not names else Record.ILLEGAL
    amender.put(root, "CS", UTF_8.encode("ascii"), id_, confidence, record=record, detail=detail)
    for rule in TEXT_RULES:
        if counts[rule.id] and rule.id not in (id_, "N04"):
            journal.change(rule.id, rule.confidence, tag=str(root), detail=f"{counts[rule.id]} texts")
