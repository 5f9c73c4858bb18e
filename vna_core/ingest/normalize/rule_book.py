"""Every rule of the rule set in one list, for documentation, explanation and dry runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vna_core.ingest.normalize.container import CONTAINER_RULES
from vna_core.ingest.normalize.encoding import ELEMENT_RULES
from vna_core.ingest.normalize.engine import Layer
from vna_core.ingest.normalize.identifiers import IDENTIFIER_RULES
from vna_core.ingest.normalize.pixel_framing import FRAMING_RULES
from vna_core.ingest.normalize.pixel_labels import LABEL_RULES
from vna_core.ingest.normalize.text import DECLARATION_RULES, TEXT_RULES
from vna_core.ingest.normalize.values import VALUE_RULES


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """A rule as the reference lists it.

    Attributes
    ----------
    confidence
        ``proven`` or ``inferred``; ``finding`` where nothing is changed, ``quarantined`` where the octets go there.
    """

    id: str
    layer: Layer
    confidence: str
    summary: str


_BESIDE_THE_TABLES: Final = (
    RuleEntry("E35", Layer.ENCODING, "quarantined", "A value ends after the last octet: the octets go to quarantine as `truncated`."),
    RuleEntry("F23", Layer.CONTAINER, "quarantined", "Encapsulated pixel data is cut short: the octets go to quarantine as `truncated`."),
    RuleEntry("I02", Layer.VALUES, "quarantined", "An identifier is longer than 1,024 octets: the octets go to quarantine as `malformed`."),
    RuleEntry("P20", Layer.PIXELS, "finding", "Samples in private elements only (ELSCINT1): kept and flagged."),
    RuleEntry("I05", Layer.VALUES, "proven", "The command or File Meta Information names another instance than the data set: the data set counts."),
)  # fmt: skip
"""What the reader and the writer of pixels decide by themselves."""


def _entries() -> tuple[RuleEntry, ...]:
    values = (IDENTIFIER_RULES, VALUE_RULES, DECLARATION_RULES, TEXT_RULES)
    families = (CONTAINER_RULES, ELEMENT_RULES, *values, LABEL_RULES, FRAMING_RULES)
    listed = [RuleEntry(rule.id, rule.layer, rule.confidence.value, rule.summary) for family in families for rule in family]
    return tuple(sorted((*listed, *_BESIDE_THE_TABLES), key=lambda entry: entry.id))


RULE_BOOK: Final = _entries()
"""By id; a rule with several summaries stands several times."""
