"""Answering an association request (PS3.8 section 7.1, PS3.7 annex D)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vna_core.access.policy import is_of_peer
from vna_core.configuration import DimseSettings
from vna_core.dicom.network.association import Context
from vna_core.dicom.network.pdu import APPLICATION_CONTEXT, Associate, ContextResult, ProposedContext, Role
from vna_core.dicom.network.tls import Certificate
from vna_core.gateways.dimse.sop_classes import FIND, GET, IDENTIFIER_SYNTAXES, MOVE, SERVICES, is_stored

_ACCEPTED: Final = 0
_ABSTRACT_SYNTAX_UNKNOWN: Final = 3
_TRANSFER_SYNTAXES_UNKNOWN: Final = 4
_FIND_OPTIONS: Final = b"\x01\x00\x01\x00\x00\x01\x01"
"""What we offer of PS3.4 table C.5-2: relational queries, no combined date and time, fuzzy names, no timezone adjustment, no view of
converted images; matching of empty values and of several values."""
_RETRIEVE_OPTIONS: Final = b"\x01\x00"
"""What we offer of PS3.4 table C.5-4: relational retrieval, no view of converted images."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Values for A-ASSOCIATE-RJ (PS3.8 table 9-21), and why, for the log.

    Attributes
    ----------
    is_imposture
        The requestor uses a title that it cannot prove to have.
    """

    result: int
    source: int
    reason: int
    why: str
    is_imposture: bool = False


def refusal(
    asked: Associate, address: str, settings: DimseSettings, federated_title: str = "", certificate: Certificate | None = None
) -> Refusal | None:
    """Why an association must be refused, or None.

    Parameters
    ----------
    certificate
        What the requestor proved by TLS to have.
    """
    if not asked.protocol_version & 1:
        return Refusal(1, 2, 2, "another version of the protocol")
    if asked.application_context != APPLICATION_CONTEXT:
        return Refusal(1, 1, 2, "another application context")
    if settings.require_called_aet and asked.called not in (settings.aet, federated_title or settings.aet):
        return Refusal(1, 1, 7, "called AE title is not ours")
    peer = settings.peers.get(asked.calling)
    if peer is not None and peer.certificates:
        if certificate is None or not certificate.is_one_of(peer.certificates):
            return Refusal(1, 1, 3, "no certificate of the peer that the calling AE title names", True)
    elif settings.accept_only_peers and (peer is None or not is_of_peer(peer.host, address)):
        return Refusal(1, 1, 3, "calling AE title and address are not a configured peer")
    return None


def answer(asked: Associate, max_pdu: int, preferred: Sequence[str] = ()) -> tuple[Associate, dict[int, Context]]:
    """The acceptance, and the presentation contexts it makes.

    Parameters
    ----------
    preferred
        Transfer syntaxes that the requestor is to be sent, the best first: they decide where it offers to receive (C-GET).
    """
    roles = {role.sop_class_uid: _role(role) for role in asked.roles}
    results: list[ContextResult] = []
    contexts: dict[int, Context] = {}
    for proposed in asked.proposed[:128]:
        role = roles.get(proposed.abstract_syntax)
        result = _result(proposed, preferred if role is not None and role.scp else ())
        results.append(result)
        if result.result == _ACCEPTED:
            contexts[proposed.id] = Context(
                proposed.id, proposed.abstract_syntax, result.transfer_syntax, may_send=role is not None and role.scp
            )
    extended = {
        uid: bytes(a & b for a, b in zip(octets, _FIND_OPTIONS if uid in FIND else _RETRIEVE_OPTIONS, strict=False))
        for uid, octets in asked.extended.items()
        if uid in FIND or uid in MOVE or uid in GET
    }
    accepted = Associate(
        asked.called, asked.calling, max_pdu, results=tuple(results), roles=tuple(roles.values()), extended=extended
    )
    return accepted, contexts


def _role(asked: Role) -> Role:
    """A requestor may be SCP of what we send it (C-GET); it may always be SCU."""
    return Role(asked.sop_class_uid, asked.scu, asked.scp and is_stored(asked.sop_class_uid))


def _result(proposed: ProposedContext, preferred: Sequence[str]) -> ContextResult:
    syntaxes = proposed.transfer_syntaxes
    first = syntaxes[0] if syntaxes else ""
    if proposed.abstract_syntax in SERVICES:
        chosen = next((uid for uid in IDENTIFIER_SYNTAXES if uid in syntaxes), "")
        return ContextResult(proposed.id, _ACCEPTED if chosen else _TRANSFER_SYNTAXES_UNKNOWN, chosen or first)
    if not is_stored(proposed.abstract_syntax):
        return ContextResult(proposed.id, _ABSTRACT_SYNTAX_UNKNOWN, first)
    # Octets are kept as they come, so what the sender prefers is right, whatever it is.
    first = next((uid for uid in preferred if uid in syntaxes), first)
    return ContextResult(proposed.id, _ACCEPTED if first else _TRANSFER_SYNTAXES_UNKNOWN, first)
