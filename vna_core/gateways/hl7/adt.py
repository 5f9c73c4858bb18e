"""ADT messages of patient administration as statements about Patient IDs.

A01, A04, A05, A08, A28 and A31 say who a person is; A40 that one ID went up in another (MRG-1 in PID-3); A47 that an ID was changed,
which means the same for what was filed under the old one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vna_core.configuration.identity import Hl7Settings
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import Demographics, LinkOrigin
from vna_core.gateways.hl7.message import Message, Segment
from vna_core.stewardship.patient_identity import PatientIdentity

UPDATES: Final = frozenset(("A01", "A04", "A05", "A08", "A28", "A31"))
MERGES: Final = frozenset(("A40", "A47"))
MOST_MERGES: Final = 500
"""Of one message: they are made in one transaction, and nobody else writes meanwhile."""


class Unsupported(InvalidRequest):
    """The message is of a type that this feed does not take."""


@dataclass(frozen=True, slots=True)
class AdtFeed:
    """Applies messages; durable when `apply` returns, and the same when a message comes twice."""

    settings: Hl7Settings

    def apply(self, message: Message, identity: PatientIdentity) -> None:
        """Do what a message says.

        Raises
        ------
        Unsupported, InvalidRequest
            It is no message for this feed, or names no patient.
        AuditUnavailable, CatalogueUnavailable
            It cannot be kept now.
        """
        kind, _, event = message.trigger.partition("^")
        if kind != "ADT" or event not in UPDATES | MERGES:
            raise Unsupported(f"Messages of type {kind[:10]}^{event[:10]} are not taken.")
        reason = f"ADT^{event} {message.control_id}"
        if event in UPDATES:
            person = self._person(_first(message, "PID"), reason)
            identity.update(person, reason)
            return
        said, pairs = dict[tuple[Demographics, ...], None](), list[tuple[PatientKey, PatientKey]]()
        for pid, merged in self._groups(message):
            person, priors = self._person(pid, reason), self._keys(merged, 1)
            if not priors:
                raise InvalidRequest("MRG-1 names no Patient ID.")
            said[tuple(person)] = None
            pairs += _merged(priors, [one.patient for one in person])
        if len(pairs) > MOST_MERGES:
            raise InvalidRequest("The message merges too many Patient IDs.", limit="hl7.merges", maximum=MOST_MERGES)
        if pairs:  # first, and all or none: a message that is refused changes nothing
            identity.merge_all(pairs, reason, LinkOrigin.ADT)
        for one in said:
            identity.update(one, reason)

    def _groups(self, message: Message) -> list[tuple[Segment, Segment]]:
        """Each PID with the MRG that follows it."""
        found: list[tuple[Segment, Segment]] = []
        pid: Segment | None = None
        for segment in message.segments:
            if segment.name == "PID":
                pid = segment
            elif segment.name == "MRG" and pid is not None:
                found.append((pid, segment))
        if not found:
            raise InvalidRequest("The message has no PID segment followed by MRG.")
        return found

    def _person(self, pid: Segment, source: str) -> list[Demographics]:
        """What a PID segment says about each ID it names. Raises InvalidRequest when it names none."""
        keys = self._keys(pid, 3)
        if not keys:
            raise InvalidRequest("PID-3 names no Patient ID.")
        name = "^".join(pid.value(5, component) for component in (1, 2, 3)).rstrip("^")
        return [Demographics(key, name, pid.value(7)[:8], pid.value(8)[:1], source) for key in keys]

    def _keys(self, segment: Segment, number: int) -> list[PatientKey]:
        """Issuer-qualified IDs of a field of type CX, in order, each once."""
        found: dict[PatientKey, None] = {}
        for repetition in segment.repetitions(number):
            patient_id = segment.value(number, 1, 1, repetition)
            authority = segment.value(number, 4, 1, repetition) or segment.value(number, 4, 2, repetition)
            issuer = self.settings.issuers.get(authority, authority) if authority else self.settings.issuer
            if patient_id:
                found[PatientKey(issuer, patient_id)] = None
        return list(found)


def _merged(priors: Sequence[PatientKey], now: Sequence[PatientKey]) -> list[tuple[PatientKey, PatientKey]]:
    """What goes up in what: each prior ID in that of its own issuer, else in the first. One that is named as in use goes up in nothing."""
    into = {key.issuer: key for key in reversed(now)}
    return [(prior, into.get(prior.issuer, now[0])) for prior in priors if prior not in now]


def _first(message: Message, name: str) -> Segment:
    found = message.named(name)
    if not found:
        raise InvalidRequest(f"The message has no {name} segment.")
    return found[0]
