"""What one hospital changes in what it receives: the rules of ``site_rules`` in the configuration, checked and ready to apply.

Rules apply in their order; a later one sees what an earlier one made. Which rules apply to an instance is decided once, by
its source and its values as received, before any value is normalized.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from vna_core.configuration import Settings, SiteRuleSettings
from vna_core.dicom import dictionary
from vna_core.dicom.character_sets import CHARACTER_SET_REPRESENTATIONS, is_understood
from vna_core.dicom.revision import RevisedDataSet
from vna_core.dicom.value_representations import TEXT
from vna_core.domain.errors import ConfigurationError
from vna_core.domain.octets import Source
from vna_core.ingest.normalize.conforming import value_conforms
from vna_core.ingest.normalize.engine import RULE_SET

PREFIX: Final = "site:"
"""What ids of site rules begin with in provenance."""

MODALITY: Final = 0x00080060
MANUFACTURER: Final = 0x00080070
_SPECIFIC_CHARACTER_SET: Final = 0x00080005
_UNSPLIT: Final = frozenset(("LT", "ST", "UT", "UR"))
_LONGEST: Final = {"AE": 16, "CS": 16, "LO": 64, "SH": 16, "ST": 1024, "LT": 10_240, "PN": 64}

Where = Callable[..., str]
Lookup = Callable[[int], list[str]]
"""Values of an attribute, empty when it is absent."""

Condition = tuple[int, tuple[str, ...]]
"""An attribute and the patterns of which its value must fulfil one."""


@dataclass(frozen=True, slots=True)
class SiteRule:
    """One rule with its attributes by number.

    Attributes
    ----------
    id
        As in provenance, ``site:`` included.
    set, map, prefix, copy
        By attribute: the value; the table; the beginning; the attribute copied from and whether over a value.
    remapping
        Root and seed of new UIDs, None: UIDs stay.
    """

    id: str
    version: int
    kind: str
    names: tuple[str, ...]
    conditions: tuple[Condition, ...]
    character_set: tuple[str, ...]
    day_first: bool | None
    issuer: str
    copy: tuple[tuple[int, int, bool], ...]
    set: tuple[tuple[int, str], ...]
    map: tuple[tuple[int, dict[str, str]], ...]
    prefix: tuple[tuple[int, str], ...]
    remapping: tuple[str, str] | None

    def is_from(self, source: Source) -> bool:
        """Whether it is for what this source sends."""
        return (not self.kind or source.kind == self.kind) and (not self.names or _fits_one(source.name, self.names))

    def holds(self, lookup: Lookup) -> bool:
        """Whether it is for an instance of these values."""
        return all(any(_fits_one(value, patterns) for value in lookup(tag) or [""]) for tag, patterns in self.conditions)


@dataclass(frozen=True, slots=True)
class SiteRules:
    """All rules of a site. `digest` is of their content; empty when there are none."""

    rules: tuple[SiteRule, ...] = ()
    digest: str = ""

    @classmethod
    def of(cls, settings: Settings) -> SiteRules:
        """The rules that `settings` hold. Raises ConfigurationError that names the line."""
        if not settings.site_rules:
            return cls()
        seen: set[str] = set()
        rules = []
        for number, one in enumerate(settings.site_rules):
            if one.id in seen:
                raise ConfigurationError(f"{settings.where('site_rules', number, 'id')}: site rule {one.id!r} stands twice.")
            seen.add(one.id)
            rules.append(_rule(one, lambda *keys, number=number: settings.where("site_rules", number, *keys)))
        content = json.dumps([one.model_dump(mode="json") for one in settings.site_rules], sort_keys=True)
        return cls(tuple(rules), hashlib.sha256(content.encode("utf-8")).hexdigest()[:6])

    @property
    def rule_set(self) -> str:
        """Version of all rules together, as recorded with every instance."""
        return f"{RULE_SET}+site.{self.digest}" if self.digest else RULE_SET

    def applying_to(self, source: Source, revised: RevisedDataSet) -> tuple[SiteRule, ...]:
        """The rules for one instance, in order."""
        if not self.rules:
            return ()
        lookup = partial(single_values, revised)
        return tuple(one for one in self.rules if one.is_from(source) and one.holds(lookup))


def _rule(one: SiteRuleSettings, where: Where) -> SiteRule:
    conditions = [(MODALITY, one.when.modality), (MANUFACTURER, one.when.manufacturer)]
    conditions += [(tag_named(name, where("when", "tags", name)), wanted) for name, wanted in one.when.tags.items()]
    for name in one.character_set:
        if name and not is_understood(name):
            raise ConfigurationError(f"{where('character_set')}: {name!r} is no character set (PS3.3 section C.12.1.1.2).")
    settled = [_settled(name, value, where("set", name)) for name, value in one.set.items()]
    if one.institution:
        settled.insert(0, _settled("InstitutionName", one.institution, where("institution")))
    if one.issuer:
        _settled("IssuerOfPatientID", one.issuer, where("issuer"))
    return SiteRule(
        PREFIX + one.id,
        one.version,
        one.when.source.kind or "",
        one.when.source.name,
        tuple((tag, wanted) for tag, wanted in conditions if wanted),
        one.character_set,
        None if one.date_order is None else one.date_order == "day-month",
        one.issuer,
        tuple(
            (
                _changeable(each.source, where("copy", at, "from")),
                _changeable(each.target, where("copy", at, "to")),
                each.overwrite,
            )
            for at, each in enumerate(one.copy_)
        ),
        tuple(settled),
        tuple(_table(each.tag, each.table, lambda *keys, at=at: where("map", at, *keys)) for at, each in enumerate(one.map)),
        tuple(_prefix(each.tag, each.prefix, where("prefix", at)) for at, each in enumerate(one.prefix)),
        None if one.remap_uids is None else (one.remap_uids.root, one.remap_uids.seed),
    )


def tag_named(name: str, where: str) -> int:
    """A standard attribute by keyword, ``00100020`` or ``(0010,0020)``. Raises ConfigurationError."""
    plain = name.strip("() ").replace(",", "")
    try:
        tag = int(plain, 16) if len(plain) == 8 else dictionary.tag_of(name)
    except ValueError:
        tag = dictionary.tag_of(name)
    if not tag or not dictionary.is_known(tag):
        raise ConfigurationError(f"{where}: {name!r} is no attribute of the standard (keyword or eight hexadecimal digits).")
    return tag


def _changeable(name: str, where: str, *, uids: bool = False) -> int:
    """An attribute that a rule may write: text at the top level that nothing else in the data set hangs on."""
    tag = tag_named(name, where)
    vr = dictionary.vr_of(tag)
    if (
        vr not in TEXT
        or (vr == "UI" and not uids)
        or tag >> 16 in (0x0002, 0x0400)
        or tag in (_SPECIFIC_CHARACTER_SET, 0x00080016)
    ):
        raise ConfigurationError(f"{where}: {name!r} ({vr}) cannot be changed by a site rule.")
    return tag


def _settled(name: str, value: str, where: str) -> tuple[int, str]:
    tag = _changeable(name, where)
    _must_fit(tag, value, where)
    return tag, value


def _table(name: str, table: dict[str, str], where: Where) -> tuple[int, dict[str, str]]:
    tag = _changeable(name, where("tag"), uids=True)
    for old, new in table.items():
        _must_fit(tag, new, where("table", old))
    return tag, dict(table)


def _prefix(name: str, prefix: str, where: str) -> tuple[int, str]:
    tag = _changeable(name, where)
    if dictionary.vr_of(tag) not in CHARACTER_SET_REPRESENTATIONS | {"AE", "CS"}:
        raise ConfigurationError(f"{where}: values of {name!r} are no free text and cannot get a beginning.")
    _must_fit(tag, prefix, where)
    return tag, prefix


def _must_fit(tag: int, value: str, where: str) -> None:
    vr = dictionary.vr_of(tag)
    if not value_fits(vr, value):
        raise ConfigurationError(f"{where}: {value!r} is not legal for {vr} (PS3.5 section 6.2).")


def value_fits(vr: str, value: str) -> bool:
    """Whether text may stand in an element of that representation; several values between backslashes where it may have them."""
    for one in [value] if vr in _UNSPLIT else value.split("\\"):
        if not one:
            continue
        if one.isascii():
            if not value_conforms(vr, one.encode("ascii")):
                return False
        elif vr not in CHARACTER_SET_REPRESENTATIONS or not one.isprintable() or len(one) > _LONGEST.get(vr, 1 << 20):
            return False
    return True


def single_values(revised: RevisedDataSet, tag: int) -> list[str]:
    """Values of a top-level element of text without padding; empty when it is absent or empty."""
    element = revised.find(tag)
    if element is None or element.items is not None or not element.length or element.vr not in TEXT:
        return []
    text = revised.value(element).decode("utf-8", "surrogateescape")
    return [one.strip(" \0") for one in ([text] if element.vr in _UNSPLIT else text.split("\\"))]


def _fits_one(value: str, patterns: Sequence[str]) -> bool:
    return any(value.startswith(one[:-1]) if one.endswith("*") else value == one for one in patterns)


def first_set(rules: Sequence[SiteRule]) -> tuple[str, ...]:
    """Character sets meant by text under no declaration: those of the first rule that names any."""
    return next((one.character_set for one in rules if one.character_set), ())


def day_first(rules: Sequence[SiteRule]) -> bool | None:
    """Whether the day stands before the month: as the first rule says that says anything."""
    return next(_said(rules), None)


def _said(rules: Sequence[SiteRule]) -> Iterator[bool]:
    return (one.day_first for one in rules if one.day_first is not None)
