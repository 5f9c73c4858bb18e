"""Every rule of the rule set in one list, for documentation, explanation and dry runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vna_core.ingest.normalize.container import CONTAINER_RULES
from vna_core.ingest.normalize.encoding import ELEMENT_RULES
from vna_core.ingest.normalize.engine import Layer
from vna_core.ingest.normalize.identifiers import IDENTIFIER_RULES
from vna_core.ingest.normalize.identity_domains import DOMAIN_RULES, PADDING_RULES
from vna_core.ingest.normalize.pixel_framing import FRAMING_RULES
from vna_core.ingest.normalize.pixel_labels import LABEL_RULES
from vna_core.ingest.normalize.site_rules import PREFIX
from vna_core.ingest.normalize.text import DECLARATION_RULES, TEXT_RULES
from vna_core.ingest.normalize.values import VALUE_RULES


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """A rule as the reference lists it.

    Attributes
    ----------
    confidence
        ``proven`` or ``inferred``; ``finding`` where nothing is changed, ``quarantined`` where the octets go there, ``kept``
        where there is nothing to do, ``site`` where only a rule of the site does it.
    """

    id: str
    layer: Layer
    confidence: str
    summary: str
    version: int = 1


_BESIDE_THE_TABLES: Final = (
    RuleEntry("E35", Layer.ENCODING, "quarantined", "A value ends after the last octet: the octets go to quarantine as `truncated`."),
    RuleEntry("F23", Layer.CONTAINER, "quarantined", "Encapsulated pixel data is cut short: the octets go to quarantine as `truncated`."),
    RuleEntry("I02", Layer.VALUES, "quarantined", "An identifier is longer than 1,024 octets: the octets go to quarantine as `malformed`."),
    RuleEntry("I05", Layer.VALUES, "proven", "The command or File Meta Information names another instance than the data set: the data set counts."),
    RuleEntry("I12", Layer.VALUES, "kept", "Accession Number or Study ID that several studies share, or that is empty: studies are told apart by their UID alone."),
    RuleEntry("I15", Layer.VALUES, "site", "UIDs that a source gives out twice: a site rule maps them, references included, by one map everywhere."),
)  # fmt: skip
"""What the reader and the writer of pixels decide by themselves."""

_OF_DIALECTS: Final = (
    RuleEntry("E31", Layer.ENCODING, "finding", "Private blocks that an archive has moved: read by creator, left where they are."),
    RuleEntry("I13", Layer.VALUES, "finding", "Private SOP class: opaque, kept verbatim."),
    RuleEntry("P20", Layer.PIXELS, "proven", "Pixels in a private element only: decoded into Pixel Data where the dialect can, and kept; else flagged."),
    RuleEntry("P29", Layer.PIXELS, "finding", "Mosaic or CSA header: kept and described."),
    RuleEntry("P30", Layer.PIXELS, "finding", "Private scaling beside the standard's: shown, never applied."),
    RuleEntry("P31", Layer.VALUES, "finding", "Image Position (Patient) differs inside a private sequence: the public one counts."),
    RuleEntry("P33", Layer.VALUES, "finding", "Sender whose orientations differ in their last digits: flagged."),
    RuleEntry("V01", Layer.VALUES, "finding", "A vendor's dialect was recognized: which, how certain, by what evidence."),
    RuleEntry("V02", Layer.VALUES, "finding", "Named private values of a dialect."),
)  # fmt: skip
"""What dialects find, and what is found about them."""


def _entries() -> tuple[RuleEntry, ...]:
    values = (IDENTIFIER_RULES, VALUE_RULES, DECLARATION_RULES, TEXT_RULES, PADDING_RULES)
    families = (CONTAINER_RULES, ELEMENT_RULES, *values, LABEL_RULES, FRAMING_RULES)
    listed = [
        RuleEntry(rule.id, rule.layer, rule.confidence.value, rule.summary, rule.version)
        for family in families
        for rule in family
    ]
    listed += [RuleEntry(rule.id, rule.layer, "finding", rule.summary, rule.version) for rule in DOMAIN_RULES]
    return tuple(sorted((*listed, *_BESIDE_THE_TABLES, *_OF_DIALECTS), key=lambda entry: entry.id))


RULE_BOOK: Final = _entries()
"""By id; a rule with several summaries stands several times."""


def evidence_of(rule: str) -> str:
    """What a rule goes by and does, in a sentence or a few; empty for one that this rule set does not have."""
    if rule.startswith(PREFIX):
        return "A rule that this site configured (site_rules)."
    return " ".join(dict.fromkeys(entry.summary for entry in RULE_BOOK if entry.id == rule))
