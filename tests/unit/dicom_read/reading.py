"""Reading octets the way the first two rooms do."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from vna_core.configuration import IngestSettings
from vna_core.dicom.elements import ParsedOctets
from vna_core.domain.octets import Octets, ReceivedInstance, Source
from vna_core.ingest.identify import identify

LIMITS = IngestSettings()


def received(octets: bytes, syntax: str = "") -> ReceivedInstance:
    held = Octets(len(octets), hashlib.sha256(octets).hexdigest(), memory=octets)
    return ReceivedInstance(held, Source("file", "test"), datetime.now(UTC), syntax)


def read(octets: bytes, syntax: str = "") -> ParsedOctets:
    return identify(received(octets, syntax), LIMITS)


def rules(parsed: ParsedOctets) -> set[str]:
    return {note.rule for note in parsed.notes}
