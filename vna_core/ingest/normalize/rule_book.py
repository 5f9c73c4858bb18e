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
from vna_core.ingest.normalize.plausibility import PLAUSIBILITY_RULES
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
        where there is nothing to do, ``site`` where only a rule of the site does it, ``none`` where it was decided that
        there is no rule.
    """

    id: str
    layer: Layer
    confidence: str
    summary: str
    version: int = 1


_BESIDE_THE_TABLES: Final = (
    RuleEntry("E34", Layer.ENCODING, "quarantined", "Sequences nested deeper than `ingest.max_depth` (256): the octets go to quarantine as `limit-exceeded`."),
    RuleEntry("E35", Layer.ENCODING, "quarantined", "A value ends after the last octet: the octets go to quarantine as `truncated`."),
    RuleEntry("E36", Layer.ENCODING, "quarantined", "No plausible chain of elements: the octets go to quarantine as `not-dicom`."),
    RuleEntry("F20", Layer.CONTAINER, "kept", "Deflated Image Frame Compression and JPEG XL: transfer syntaxes of the standard that older readers do not know."),
    RuleEntry("F23", Layer.CONTAINER, "quarantined", "Encapsulated pixel data is cut short: the octets go to quarantine as `truncated`."),
    RuleEntry("I02", Layer.VALUES, "quarantined", "An identifier is longer than 1,024 octets: the octets go to quarantine as `malformed`."),
    RuleEntry("I05", Layer.VALUES, "proven", "The command or File Meta Information names another instance than the data set: the data set counts."),
    RuleEntry("I07", Layer.VALUES, "kept", "The same SOP Instance UID over other octets: a further version, listed as a conflict; nothing is overwritten."),
    RuleEntry("I08", Layer.VALUES, "kept", "The same SOP Instance UID in another series or of another patient: both are kept and listed as a conflict."),
    RuleEntry("I12", Layer.VALUES, "kept", "Accession Number or Study ID that several studies share, or that is empty: studies are told apart by their UID alone."),
    RuleEntry("I15", Layer.VALUES, "site", "UIDs that a source gives out twice: a site rule maps them, references included, by one map everywhere."),
    RuleEntry("P21", Layer.PIXELS, "kept", "Pixel Data of an icon inside a sequence: never taken for the image; of two at the top level the first counts (E27)."),
    RuleEntry("P27", Layer.PIXELS, "kept", "Samples of 1, 32 or 64 bits and floating point samples: legal, each indexed by its own size."),
    RuleEntry("T04", Layer.VALUES, "kept", "Specific Character Set that begins with an empty value or with ISO 2022 IR 6: legal, the default repertoire is meant."),
    RuleEntry("P34", Layer.PIXELS, "finding", "Rows and Columns without Pixel Data, as of an instance that was cut right before its pixels: kept and flagged; a whole copy that begins as it does stands in its place."),
)  # fmt: skip
"""What the reader and the writer of pixels decide by themselves."""

_DECIDED: Final = (
    RuleEntry("F29", Layer.CONTAINER, "none", "Papyrus holds several images in one file: no rule, since one instance received is one instance held; an importer must split it first."),
    RuleEntry("F30", Layer.CONTAINER, "none", "Formats of scanners from before DICOM: no rule, they go to quarantine as `not-dicom` with their octets until an importer translates them."),
    RuleEntry("P19", Layer.PIXELS, "none", "RLE segments with the low octet first: no rule, since nothing but the look of the decoded image tells."),
    RuleEntry("P23", Layer.PIXELS, "none", "Samples by plane under a label by pixel, or the reverse: no rule, since a grey image looks the same both ways."),
    RuleEntry("P32", Layer.PIXELS, "none", "The same acquisition as classic and as enhanced images: no rule, since neither instance is wrong; both are held and found."),
)  # fmt: skip
"""Deviations for which it was decided that no rule changes or flags a single instance."""

_OF_DIALECTS: Final = (
    RuleEntry("E31", Layer.ENCODING, "finding", "Private blocks that an archive has moved: read by creator, left where they are."),
    RuleEntry("I13", Layer.VALUES, "finding", "Private SOP class: opaque, kept verbatim."),
    RuleEntry("P20", Layer.PIXELS, "proven", "Pixels in a private element only: decoded into Pixel Data where the dialect can, and kept; else flagged."),
    RuleEntry("P29", Layer.PIXELS, "finding", "Mosaic or CSA header: kept and described."),
    RuleEntry("P30", Layer.PIXELS, "finding", "Private scaling beside the standard's: shown, never applied."),
    RuleEntry("P31", Layer.VALUES, "finding", "Image Position (Patient) differs inside a private sequence: the public one counts."),
    RuleEntry("P33", Layer.VALUES, "none", "The same Echo Time in every echo: no rule, since one instance does not show it."),
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
    listed += [RuleEntry(rule.id, rule.layer, "finding", rule.summary, rule.version) for rule in PLAUSIBILITY_RULES]
    return tuple(sorted((*listed, *_BESIDE_THE_TABLES, *_OF_DIALECTS, *_DECIDED), key=lambda entry: entry.id))


RULE_BOOK: Final = _entries()
"""By id; a rule with several summaries stands several times."""


def evidence_of(rule: str) -> str:
    """What a rule goes by and does, in a sentence or a few; empty for one that this rule set does not have."""
    if rule.startswith(PREFIX):
        return "A rule that this site configured (site_rules)."
    dialect, colon, _ = rule.partition(":")
    if colon:
        return f"What the dialect {dialect!r} of a plugin finds odd; its own pages tell more."
    return " ".join(dict.fromkeys(entry.summary for entry in RULE_BOOK if entry.id == rule))
