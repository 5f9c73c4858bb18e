"""Site rules applied to one data set (PS3.3 section C.12.1.1.9 tells what was before).

All rules are worked out first, and each attribute is written once, with what the last of them says. An instance that was
changed by them already and comes back, from another archive or a workstation, stays as it is: where the rules make of the
value before, which the Original Attributes Sequence tells, the very value that stands there, nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from vna_core.dicom import dictionary
from vna_core.dicom.character_sets import character_set_names, is_defined
from vna_core.dicom.revision import RevisedDataSet
from vna_core.dicom.value_representations import TEXT
from vna_core.domain.octets import Source
from vna_core.domain.transformation import Confidence
from vna_core.ingest.normalize.amendments import Amender, Record
from vna_core.ingest.normalize.identifiers import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from vna_core.ingest.normalize.original_attributes import MODIFIED_ATTRIBUTES, MODIFYING_SYSTEM, ORIGINAL_ATTRIBUTES
from vna_core.ingest.normalize.site_rules import Lookup, SiteRule, SiteRules, single_values, value_fits
from vna_core.ingest.normalize.text import SPECIFIC_CHARACTER_SET, UTF_8
from vna_core.ingest.normalize.uid_remapping import remap_uids, remapped

PATIENT_ID: Final = 0x00100020
ISSUER_OF_PATIENT_ID: Final = 0x00100021
_SYSTEM: Final = 0x04000563


@dataclass(slots=True)
class _Working:
    """Values as the rules make them, and which rule said so last."""

    lookup: Lookup
    values: dict[int, list[str]] = field(default_factory=dict)
    rules: dict[int, list[str]] = field(default_factory=dict)

    def now(self, tag: int) -> list[str]:
        found = self.values.get(tag)
        return self.lookup(tag) if found is None else found

    def put(self, tag: int, values: list[str], rule: SiteRule) -> None:
        values = values if any(values) else []
        if values != self.now(tag):
            self.values[tag] = values
            self.rules.setdefault(tag, []).append(rule.id)


def apply_site_rules(
    amender: Amender, site: SiteRules, rules: Sequence[SiteRule], source: Source, *, text_is_unified: bool
) -> None:
    """Write what `rules` say about a data set whose values and text are normalized.

    Parameters
    ----------
    rules
        Those of `site` that apply to the instance as received.
    text_is_unified
        False when text of an unknown character set was left as it is; then nothing beyond ASCII is written beside it.
    """
    if not rules:
        return
    revised = amender.revised

    def present(tag: int) -> list[str]:
        return single_values(revised, tag)

    earlier = _values_before(revised)
    made = _worked_out(present, rules)
    if earlier:

        def lookup(tag: int) -> list[str]:
            return earlier[tag] if tag in earlier else present(tag)

        rules = tuple(one for one in site.rules if one.is_from(source) and one.holds(lookup))
        made_before = _worked_out(lookup, rules)
        for tag in tuple(made.values):
            if made_before.now(tag) == present(tag):
                del made.values[tag]
    for tag in sorted(made.values):
        _write(amender, tag, made.values[tag], made.rules[tag], text_is_unified)
    mapping = next((one for one in rules if one.remapping is not None), None)
    if mapping is not None and mapping.remapping is not None and not _is_remapped(present, earlier, mapping.remapping):
        remap_uids(amender, *mapping.remapping, mapping.id)


def _worked_out(lookup: Lookup, rules: Sequence[SiteRule]) -> _Working:
    """What the rules make of the values that `lookup` gives."""
    working = _Working(lookup)
    for rule in rules:
        if rule.issuer and any(working.now(PATIENT_ID)) and not any(working.now(ISSUER_OF_PATIENT_ID)):
            working.put(ISSUER_OF_PATIENT_ID, [rule.issuer], rule)
        for origin, target, overwrite in rule.copy:
            value = working.now(origin)
            if any(value) and (overwrite or not any(working.now(target))):
                working.put(target, value, rule)
        for tag, text in rule.set:
            working.put(tag, text.split("\\") if text else [], rule)
        for tag, table in rule.map:
            working.put(tag, [table.get(one, one) for one in working.now(tag)], rule)
        for tag, prefix in rule.prefix:
            working.put(tag, [one if not one or one.startswith(prefix) else prefix + one for one in working.now(tag)], rule)
    return working


def _write(amender: Amender, tag: int, values: list[str], rules: list[str], text_is_unified: bool) -> None:
    place, rule = amender.root(tag), rules[-1]
    element = amender.element(place)
    vr = element.vr if element is not None and element.vr in TEXT else dictionary.vr_of(tag)
    before = "\\".join(single_values(amender.revised, tag))
    after = "\\".join(values)
    if after == before:
        return
    if not value_fits(vr, after) and value_fits(vr, before):
        amender.journal.find(rule, f"{after!r} would not be legal for {vr}: the value stays as it is.", str(place))
        return
    raw = after.encode("utf-8", "surrogateescape")
    if not raw.isascii() and not after.endswith(before or "\0") and not _declares_utf_8(amender, rule, text_is_unified):
        amender.journal.find(rule, "Text beyond ASCII beside text of an unknown character set is not written.", str(place))
        return
    record = Record.LEGAL if value_fits(vr, before) else Record.ILLEGAL
    detail = "" if len(rules) == 1 else "after " + ", ".join(dict.fromkeys(rules[:-1]))
    amender.put(place, vr, raw, rule, Confidence.INFERRED, record=record, detail=detail, coerced=True)


def _declares_utf_8(amender: Amender, rule: str, text_is_unified: bool) -> bool:
    """Whether the data set's text is UTF-8 by its declaration, made so where all its text is ASCII."""
    root = amender.root(SPECIFIC_CHARACTER_SET)
    element = amender.element(root)
    names = () if element is None else character_set_names(amender.revised.value(element))
    if names == (UTF_8,):
        return True
    if not text_is_unified:
        return False
    record = Record.LEGAL if not names or is_defined(names) else Record.ILLEGAL
    return amender.put(root, "CS", UTF_8.encode("ascii"), rule, Confidence.INFERRED, record=record, coerced=True)


def _values_before(revised: RevisedDataSet) -> dict[int, list[str]]:
    """What the first of this archive's items in (0400,0561) tells of each attribute."""
    found: dict[int, list[str]] = {}
    for before in _own_items(revised):
        for element in before.data_set.elements:
            if element.items is None and element.tag not in found:
                found[element.tag] = single_values(before, element.tag)
    return found


def _own_items(revised: RevisedDataSet) -> Iterator[RevisedDataSet]:
    """Items of Modified Attributes Sequence (0400,0550) that a normalization of ours wrote."""
    element = revised.find(ORIGINAL_ATTRIBUTES)
    for item in element.items or () if element is not None else ():
        scope = RevisedDataSet(revised.buffer, item, revised.literals)
        if scope.text(_SYSTEM).startswith(MODIFYING_SYSTEM):
            modified = scope.find(MODIFIED_ATTRIBUTES)
            for one in modified.items or () if modified is not None else ():
                yield RevisedDataSet(revised.buffer, one, revised.literals)


def _is_remapped(present: Lookup, earlier: dict[int, list[str]], remapping: tuple[str, str]) -> bool:
    """Whether one of the instance's own UIDs is what the map makes of the one told to have been before.

    Where all of them are told to have been absent, they are this archive's own and nobody else's twice.
    """
    told = [(tag, earlier[tag]) for tag in (SOP_INSTANCE_UID, SERIES_INSTANCE_UID, STUDY_INSTANCE_UID) if tag in earlier]
    before = [(tag, values[0]) for tag, values in told if values]
    if not before:
        return len(told) == 3
    return any(present(tag) == [remapped(uid, *remapping)] for tag, uid in before)
