"""What a source can do: what negotiation tells at once, and what only real questions tell."""

from __future__ import annotations

import contextlib
from itertools import islice
from typing import Final

from vna_core.dicom.answers import first_value
from vna_core.dicom.network.association import Association
from vna_core.dicom.network.pdu import Role
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import AnswerCapped, PeerError, PeerUnavailable
from vna_core.domain.query import Between, Equals, Level, Query
from vna_core.ports.pacs import DicomJson
from vna_pacs_dimse.asking import CLASS, PATIENT_FIND, SERIES, STUDY, STUDY_FIND, answers
from vna_pacs_dimse.connection import Peer
from vna_pacs_dimse.getting import STUDY_GET
from vna_pacs_dimse.moving import STUDY_MOVE
from vna_pacs_dimse.transfer_syntaxes import IDENTIFIERS, PROPOSED

_STUDY_DATE: Final = 0x00080020
_COUNTED: Final = 25_000
"""Answers after which a cap is not looked for any further."""
_PATIENCE: Final = 120.0
_SPANS: Final = (("", "19991231"), ("20000101", "20141231"), ("20150101", "20211231"), ("20220101", ""))


class Offered:
    """What the source accepted in one association.

    Attributes
    ----------
    services
        SOP classes accepted.
    relational
        Relational queries were accepted by extended negotiation (PS3.4 C.5.1.1).
    product
        Implementation version name, or class UID.
    """

    def __init__(self, peer: Peer) -> None:
        models = (PATIENT_FIND, STUDY_FIND, STUDY_GET, STUDY_MOVE)
        extended = dict.fromkeys((PATIENT_FIND, STUDY_FIND), b"\x01")
        association = peer.associate([(uid, IDENTIFIERS) for uid in models], extended=extended)
        self.services = frozenset(context.abstract_syntax for context in association.contexts.values())
        self.relational = association.peer_extended.get(STUDY_FIND, b"")[:1] == b"\x01"
        self.product = association.peer_product[:64]
        association.release()


def accepted_levels(peer: Peer, offered: Offered) -> tuple[frozenset[Level], bool, frozenset[str]]:
    """Levels that are answered, whether an instance is found without its series, and transfer syntaxes for one of its classes."""
    levels = {Level.STUDY}
    deadline = Deadline(_PATIENCE)
    if PATIENT_FIND in offered.services and _answers(peer, Query(Level.PATIENT, limit=1), deadline) is not None:
        levels.add(Level.PATIENT)
    studies = _answers(peer, Query(Level.STUDY, limit=1), deadline)
    if not studies:
        return frozenset(levels | {Level.SERIES, Level.IMAGE}), offered.relational, frozenset()
    above = Equals(STUDY, (first_value(studies[0], STUDY),))
    series = _answers(peer, Query(Level.SERIES, (above,), limit=1), deadline)
    if series is None:
        return frozenset(levels), False, frozenset()
    levels.add(Level.SERIES)
    within = (above, Equals(SERIES, (first_value(series[0], SERIES),))) if series else (above,)
    images = _answers(peer, Query(Level.IMAGE, within, limit=1), deadline)
    if images is None:
        return frozenset(levels), False, frozenset()
    levels.add(Level.IMAGE)
    relational = bool(_answers(peer, Query(Level.IMAGE, (above,), limit=1), deadline))
    sop_class = first_value(images[0], CLASS) if images else ""
    return frozenset(levels), relational, _transfer_syntaxes(peer, sop_class)


def _answers(peer: Peer, query: Query, deadline: Deadline) -> list[DicomJson] | None:
    """Answers, or None where the source does not answer such a question."""
    try:
        return list(answers(peer, query, (), deadline))
    except AnswerCapped:
        return []
    except PeerError:
        if deadline.over:
            raise
        return None


def _transfer_syntaxes(peer: Peer, sop_class: str) -> frozenset[str]:
    """Transfer syntaxes that the source accepts to send a class in."""
    if not sop_class:
        return frozenset()
    plan = [(sop_class, (syntax,)) for syntax in PROPOSED]
    association = peer.associate([(STUDY_GET, IDENTIFIERS), *plan], roles=[Role(sop_class, False, True)])
    accepted = {one.transfer_syntax for one in association.contexts.values() if one.abstract_syntax == sop_class}
    association.release()
    return frozenset(accepted)


def response_limit(peer: Peer) -> int | None:
    """After how many studies the source stops without saying so; None where it does not, or holds too many to tell."""
    deadline = Deadline(_PATIENCE)
    try:
        found = [first_value(one, STUDY) for one in islice(answers(peer, Query(Level.STUDY), (), deadline), _COUNTED)]
    except AnswerCapped as error:
        return int(str(error.fields.get("answers", 0))) or None
    except PeerUnavailable:
        raise
    except PeerError:
        return None  # it answers narrower questions only, if any
    if not found or len(found) >= _COUNTED:
        return None
    known = set(found)
    for low, high in _SPANS:
        try:
            part = [
                first_value(one, STUDY)
                for one in answers(peer, Query(Level.STUDY, (Between(_STUDY_DATE, low, high),)), (), deadline)
            ]
        except AnswerCapped:
            return len(found)
        except PeerUnavailable:
            raise
        except PeerError:
            continue
        if not known.issuperset(part):
            return len(found)
    return None


def accepted_associations(peer: Peer, wanted: int) -> int:
    """How many associations at once the source accepts, up to `wanted`."""
    opened: list[Association] = []
    with contextlib.suppress(PeerError):
        for _ in range(wanted):
            opened.append(peer.associate([(STUDY_FIND, IDENTIFIERS)]))
    for association in opened:
        association.release()
    return max(1, len(opened))
