"""C-FIND, C-MOVE and C-GET over the whole federation, under a called AE title of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from vna_core.access.gate import Permit
from vna_core.access.view import CatalogueView
from vna_core.catalogue.data_set_checks import DataSetCheck, item_check
from vna_core.dicom.answers import items_of
from vna_core.dicom.network import command as commands
from vna_core.dicom.network.association import Association, Message
from vna_core.dicom.network.identifier import QUERY_RETRIEVE_LEVEL, Identifier, decode_identifier, encode_identifier
from vna_core.dicom.network.sequence_items import item_of
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import HeldInstance
from vna_core.domain.query import Equals, Level, Query
from vna_core.federation.bringing import Bringing, Retrieval
from vna_core.federation.federation import Federation
from vna_core.federation.members import LOCAL, VIA, MemberReport
from vna_core.federation.rows import AVAILABILITY, RETRIEVE_AE_TITLE, RETRIEVE_URL, text
from vna_core.gateways.dimse.find import CANCELLED, PENDING, PENDING_KEYS_IGNORED, keys_of, level_of, manner_of, response
from vna_core.gateways.dimse.sop_classes import FIND
from vna_core.gateways.federated_rows import PRIVATE, SOURCES, VRS, described, dimse_values, path_of

INCOMPLETE: Final = 0xB000
"""Final status of a C-FIND when a member was silent; its name is in the Error Comment."""

_ALWAYS: Final = tuple(int(tag, 16) for tag in (RETRIEVE_AE_TITLE, AVAILABILITY, PRIVATE, SOURCES))
"""Where it is: told in every row, asked for or not."""
_RETRIEVE_URL: Final = int(RETRIEVE_URL, 16)
_STUDY, _SERIES, _SOP = 0x0020000D, 0x0020000E, 0x00080018
_PATIENT_ID: Final = 0x00100020


class FederatedServices:
    """Answers requests to the federation's AE title."""

    def __init__(self, federation: Federation) -> None:
        self._federation = federation

    def find(self, association: Association, message: Message, permit: Permit) -> None:
        """Answer one C-FIND: rows when everybody has answered or the deadline is over, then who was silent.

        A row of a member that does not tell a sequence that is asked for says so (FF01).
        """
        context = association.contexts[message.context_id]
        identifier = decode_identifier(message.data or b"", context.transfer_syntax)
        level = level_of(identifier, FIND[context.abstract_syntax])
        keys = keys_of(identifier, manner_of(association, context.abstract_syntax))
        query = Query(level, keys.conditions)
        permit.catalogue.notes.queried(query)
        answer = self._federation.query(
            query,
            tuple(sorted({*identifier.values, *identifier.items})),
            scope=permit.catalogue.scope,
            local_only=self._is_passed_on(association, permit),
        )
        is_matched = not (answer.unmatched or keys.ignored)
        checks = {tag: None if one is None else item_check(one) for tag, one in keys.in_items(identifier).items()}
        message_id = commands.number(message.command, commands.MESSAGE_ID)
        for row in answer.rows:
            if association.is_cancelled(message_id):
                association.send(message.context_id, response(message.command, CANCELLED, "Cancelled."))
                return
            told = described(row, self._federation.settings.aet)
            known = dimse_values(told)
            values = {tag: known.get(tag, ()) for tag in identifier.values}
            values |= {tag: known[tag] for tag in _ALWAYS} | {QUERY_RETRIEVE_LEVEL: (level.value,)}
            if self._federation.url and level is not Level.PATIENT:
                values[_RETRIEVE_URL] = (self._federation.url + path_of(told, level),)
            is_told = set(row.sources) == {LOCAL} or all(f"{tag:08X}" in told for tag in identifier.items)
            status = PENDING if is_matched and is_told else PENDING_KEYS_IGNORED
            octets = encode_identifier(values, context.transfer_syntax, _items(told, identifier, checks), VRS)
            association.send(message.context_id, response(message.command, status), [octets])
        status = INCOMPLETE if answer.missing else 0x0000
        association.send(message.context_id, response(message.command, status, silent(answer.missing)))

    def retrieve(
        self, association: Association, message: Message, permit: Permit, levels: tuple[Level, ...]
    ) -> tuple[Permit, Bringings]:
        """What a C-MOVE or C-GET names, on its way, and the permit through which it is seen. Raises InvalidRequest."""
        context = association.contexts[message.context_id]
        identifier = decode_identifier(message.data or b"", context.transfer_syntax)
        level = level_of(identifier, levels)
        local_only = self._is_passed_on(association, permit)
        silent: tuple[MemberReport, ...] = ()
        if level is Level.PATIENT:
            studies, silent = self._studies_of_patient(identifier, permit, local_only)
            wanted: list[_Named] = [(study, None, ()) for study in studies]
        else:
            wanted = _named(identifier, level)
        retrievals = [
            self._federation.bringing.begin(permit, study, series, sops, local_only=local_only) for study, series, sops in wanted
        ]
        view = self._federation.bringing.view(permit.catalogue.scope)
        destination = commands.text(message.command, commands.MOVE_DESTINATION)
        patient = "" if level is Level.PATIENT else identifier.first(_PATIENT_ID)
        arriving = Bringings(self._federation.bringing, retrievals, view, patient, destination, silent)
        return replace(permit, catalogue=view), arriving

    def _studies_of_patient(
        self, identifier: Identifier, permit: Permit, local_only: bool
    ) -> tuple[list[str], tuple[MemberReport, ...]]:
        """UIDs, and the members because of which there may be more."""
        patient = identifier.first(_PATIENT_ID)
        if not patient:
            raise InvalidRequest("The identifier has no unique key of level PATIENT.")
        conditions = [Equals(_PATIENT_ID, (patient,))]
        issuer = identifier.first(0x00100021)
        if issuer:
            conditions.append(Equals(0x00100021, (issuer,)))
        answer = self._federation.query(
            Query(Level.STUDY, tuple(conditions)), scope=permit.catalogue.scope, local_only=local_only
        )
        # The unique key of a retrieval is one value (PS3.4 C.4.2.2.1); to a member it may have been a pattern.
        rows = [row for row in answer.rows if issuer or any(key.patient_id == patient for key in row.filed)]
        if len({row.patient for row in rows}) > 1 and not issuer:
            raise InvalidRequest("Several patients have this ID: name the Issuer of Patient ID.")
        return [text(row.attributes, "0020000D") for row in rows], answer.missing

    def _is_passed_on(self, association: Association, permit: Permit) -> bool:
        """Whether a federation asks: its question is not passed on again, so that it does not go in circles."""
        return association.peer_product == VIA or self._federation.members.is_member(permit.principal.name)


_Named = tuple[str, str | None, tuple[str, ...]]
"""A study, with a series and instances where the level goes below."""


def _named(identifier: Identifier, level: Level) -> list[_Named]:
    """What is asked for at a level below that of patients. Raises InvalidRequest."""
    studies = [uid for uid in identifier.values.get(_STUDY, ()) if uid]
    if not studies:
        raise InvalidRequest("A retrieval from the federation names the study that it is about.")
    if level is Level.STUDY:
        return [(study, None, ()) for study in studies]
    series = [uid for uid in identifier.values.get(_SERIES, ()) if uid]
    if level is Level.SERIES:
        if not series:
            raise InvalidRequest("The identifier has no unique key of level SERIES.")
        return [(studies[0], one, ()) for one in series]
    sops = tuple(uid for uid in identifier.values.get(_SOP, ()) if uid)
    if not sops:
        raise InvalidRequest("The identifier has no unique key of level IMAGE.")
    return [(studies[0], series[0] if series else None, sops)]


class Bringings:
    """Retrievals of one request, one after the other, as `Arriving`.

    Parameters
    ----------
    patient
        Patient ID that the request names above what it asks for: instances of others are left out (PS3.4 C.4.2.1.4).
    silent
        Members that did not say which studies they have.
    """

    def __init__(
        self,
        bringing: Bringing,
        retrievals: Sequence[Retrieval],
        view: CatalogueView,
        patient: str,
        destination: str,
        silent: Sequence[MemberReport] = (),
    ) -> None:
        self._bringing = bringing
        self._retrievals = retrievals
        self._view = view
        self._patient = patient
        self._destination = destination
        self._silent = silent
        self._others: set[str] = set()

    @property
    def total(self) -> int:
        """See `Arriving.total`."""
        return sum(len(one.outcome.wanted) + len(one.strangers) for one in self._retrievals)

    def instances(self, waiting: Callable[[], object]) -> Iterator[HeldInstance]:
        """See `Arriving.instances`."""
        belongs: dict[tuple[str, PatientKey], bool] = {}
        for retrieval in self._retrievals:
            retrieval.outcome.waiting = waiting
            for held in self._bringing.instances(retrieval, self._destination):
                key = (held.study_instance_uid, held.patient)
                if self._patient and key not in belongs:
                    belongs[key] = self._view.is_of(held, self._patient)
                if belongs.get(key, True):
                    yield held
                else:
                    self._others.add(held.sop_instance_uid)

    def missing(self) -> tuple[list[str], str]:
        """See `Arriving.missing`."""
        missing = sorted(key.sop for one in self._retrievals for key in one.outcome.missing)
        missing += sorted(key.sop for one in self._retrievals for key in one.strangers)  # another patient's, of the same UID
        return missing + sorted(self._others), _comment(self._retrievals, self._reports)

    @property
    def is_whole(self) -> bool:
        """See `Arriving.is_whole`."""
        return not self._reports

    @property
    def _reports(self) -> list[MemberReport]:
        told = (*self._silent, *(report for one in self._retrievals for report in one.silent))
        return list({report.name: report for report in told}.values())

    def leave(self) -> None:
        """See `Arriving.leave`."""
        for one in self._retrievals:
            one.outcome.left = True


def _items(
    row: Mapping[str, Any], identifier: Identifier, checks: Mapping[int, DataSetCheck | None]
) -> dict[int, list[Identifier]]:
    """Items of the sequences that are asked for: those that fulfil what is asked of them; all where a row is told for which that is open."""
    made: dict[int, list[Identifier]] = {}
    for tag, asked in identifier.items.items():
        element, check = row.get(f"{tag:08X}", {}), checks[tag]
        told = items_of(row, tag) if element.get("vr") == "SQ" else []  # a key may call a name a sequence
        fitting = [item for item in told if check is None or check(item)]
        made[tag] = [item_of(item, next(iter(asked), None)) for item in fitting or told]
    return made


def silent(missing: Sequence[MemberReport]) -> str:
    """Names of members because of which something may be missing, as an Error Comment may carry them (LO, 64 characters)."""
    return f"No whole answer from: {', '.join(one.name for one in missing)}" if missing else ""


def _comment(retrievals: Sequence[Retrieval], reports: Sequence[MemberReport]) -> str:
    if reports:
        return silent(reports)
    if any(one.strangers for one in retrievals):
        return "Several patients have these UIDs: ask each archive for its own."
    unheard = sorted({name for one in retrievals for name in one.owned.unheard})
    if unheard:
        return f"Not proved to be one patient's: unheard {', '.join(unheard)}"
    reasons = sorted({f"{name}: {why}" for one in retrievals for name, why in one.outcome.reasons.items() if one.outcome.missing})
    return "; ".join(reasons)
