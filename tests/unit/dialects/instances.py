"""Small instances by vendor, put together by hand, and what the archive makes of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.unit.normalize.handmade import EXPLICIT, LIMITS, element, file, received
from vna_core.dicom.elements import ParsedOctets
from vna_core.dicom.instance_facts import InstanceFacts
from vna_core.dicom.revision import RevisedDataSet
from vna_core.domain.transformation import Finding
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize.dialects import derived_pixels, describe_dialects, note_private_class
from vna_core.ingest.normalize.encoding import revise
from vna_core.ingest.normalize.engine import Journal
from vna_core.ingest.normalize.identifiers import apply_identifier_rules
from vna_core.ingest.normalize.text import unify_text
from vna_core.ingest.normalize.values import survey
from vna_core.plugin_manager import Plugins
from vna_core.ports.dialect import DerivedPixels, Dialect, Recognition

CORPUS = Path(os.environ.get("VNA_CORPUS", Path(__file__).resolve().parents[4] / "shared" / "corpus"))


def installed() -> tuple[Dialect, ...]:
    """The dialects that are found by their entry points."""
    plugins = Plugins()
    plugins.load()
    return plugins.dialects()


def text(tag: int, vr: str, value: str) -> bytes:
    return element(tag, vr, value.encode() + b" " * (len(value) & 1))


def read(octets: bytes) -> tuple[RevisedDataSet, ParsedOctets]:
    """As normalization sees an instance when it asks the dialects."""
    one = received(octets)
    parsed = identify(one, LIMITS)
    amender = revise(parsed, Journal())
    unify_text(amender, survey(amender))
    apply_identifier_rules(amender, parsed, one)
    return amender.revised, parsed


def facts_of(data_set: bytes, transfer_syntax: str = EXPLICIT) -> InstanceFacts:
    return InstanceFacts(*read(file(data_set, transfer_syntax)))


@dataclass(frozen=True)
class Seen:
    """What dialects said of an instance."""

    recognized: dict[str, Recognition]
    findings: tuple[Finding, ...]
    derived: DerivedPixels | None

    def messages(self, rule: str) -> list[str]:
        return [finding.message for finding in self.findings if finding.rule == rule]

    def paths(self, rule: str) -> list[str]:
        return [finding.tag for finding in self.findings if finding.rule == rule]


def seen(octets: bytes) -> Seen:
    """What the installed dialects say of a file."""
    revised, parsed = read(octets)
    journal = Journal()
    recognized = describe_dialects(revised, parsed, installed(), journal)
    note_private_class(revised, journal)
    derived = derived_pixels(revised, parsed, recognized, journal)
    return Seen({dialect.name: one for dialect, one in recognized}, journal.findings(), derived)
