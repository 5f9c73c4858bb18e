"""C-FIND (PS3.4 annex C): a query as identifiers, answers as they come, and an end that is not believed to be one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Mapping
from typing import Final

from vna_core.dicom.answers import asked_values, contradicts, in_parts, row_of, single_questions, wanted_of
from vna_core.dicom.network import command as commands
from vna_core.dicom.network.association import Association, Released
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.identifier import Identifier, decode_identifier, encode_identifier
from vna_core.dicom.network.sequence_items import json_of
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import AnswerCapped, InvalidRequest, NotOffered, PeerError, PeerUnavailable
from vna_core.domain.query import Level, Query
from vna_core.ports.pacs import DicomJson
from vna_pacs_dimse.connection import PENDING, Peer
from vna_pacs_dimse.transfer_syntaxes import IDENTIFIERS

PATIENT_FIND: Final = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
LEVEL, STUDY, SERIES, SOP, CLASS = 0x00080052, 0x0020000D, 0x0020000E, 0x00080018, 0x00080016
MODALITY: Final = 0x00080060
RETURN: Final = {
    Level.PATIENT: (0x00100010, 0x00100020, 0x00100030, 0x00100040),
    Level.STUDY: (0x00080020, 0x00080030, 0x00080050, 0x00080061, 0x00081030)
    + (0x00100010, 0x00100020, 0x00100030, 0x00100040, STUDY, 0x00200010, 0x00201206, 0x00201208),
    Level.SERIES: (MODALITY, 0x0008103E, 0x00200011, STUDY, SERIES, 0x00201209),
    Level.IMAGE: (CLASS, SOP, 0x00200013, STUDY, SERIES),
}
"""Keys that are asked for at each level."""
_LIMIT_REACHED: Final = frozenset((0xB001, 0xA700))
_CANCELLED: Final = 0xFE00
_UIDS_AT_ONCE: Final = 200
_PATIENCE_AFTER_CANCEL: Final = 3.0
"""Seconds to wait for the end of a query that was cancelled; some products take 20 and then abort the association."""
_NO_ANSWERS_TO: Final = frozenset((0xA900, 0xC000, 0x0122))


def answers(peer: Peer, query: Query, attributes: tuple[int, ...], deadline: Deadline | None) -> Iterator[DicomJson]:
    """Matches at one level, by one association. Raises as `PacsAdapter.find`."""
    return wanted_of(query, _all(peer, query, attributes, deadline))


def _all(peer: Peer, query: Query, attributes: tuple[int, ...], deadline: Deadline | None) -> Generator[DicomJson, None, None]:
    questions = [part for one in single_questions(query) for part in in_parts(one, _UIDS_AT_ONCE)]
    seen: set[tuple[str, ...]] | None = set() if len(questions) > 1 else None
    with asking(peer, query.level, deadline) as association:
        for question in questions:
            for answered in _asked(peer, association, question, attributes, deadline):
                if contradicts(answered, question.conditions):
                    continue
                key = row_of(answered, query.level)
                if seen is not None and key in seen:
                    continue
                if seen is not None:
                    seen.add(key)
                yield answered


@contextlib.contextmanager
def asking(peer: Peer, level: Level, deadline: Deadline | None) -> Iterator[Association]:
    """An association for questions at a level. Raises NotOffered."""
    model = PATIENT_FIND if level is Level.PATIENT else STUDY_FIND
    association = peer.associate([(model, IDENTIFIERS)], extended={model: b"\x01"}, deadline=deadline)
    if not association.contexts:
        association.release()
        raise NotOffered(f"{peer.called} answers no questions at the {level.value.lower()} level.")
    try:
        yield association
    except GeneratorExit:
        association.release()
        raise
    except Exception:
        association.abort(0)
        raise
    association.release()


def _asked(
    peer: Peer, association: Association, question: Query, attributes: tuple[int, ...], deadline: Deadline | None
) -> Iterator[DicomJson]:
    keys: dict[int, tuple[str, ...]] = dict.fromkeys((*RETURN[question.level], *attributes), ())
    keys |= {one.tag: asked_values(one) for one in question.conditions}
    for answered in ask(peer, association, question.level, keys, deadline):
        yield json_of(answered)


def ask(
    peer: Peer, association: Association, level: Level, keys: Mapping[int, tuple[str, ...]], deadline: Deadline | None
) -> Iterator[Identifier]:
    """One C-FIND; closing the iterator cancels it.

    Raises
    ------
    AnswerCapped
        The source said that there are more.
    """
    context = next(iter(association.contexts))
    asked: Command = {
        commands.AFFECTED_SOP_CLASS: association.contexts[context].abstract_syntax,
        commands.COMMAND_FIELD: Field.FIND_RQ,
        commands.MESSAGE_ID: 1,
        commands.PRIORITY: 0,
    }
    syntax = association.contexts[context].transfer_syntax
    association.send(context, asked, [encode_identifier({**keys, LEVEL: (level.value,)}, syntax)])
    given, over = 0, False
    try:
        while True:
            try:
                answer = peer.received(association, deadline)
            except Released as error:
                over = True
                raise PeerUnavailable(f"{peer.called} released the association before the end of its answers.") from error
            except PeerError:
                over = True
                raise
            status = commands.number(answer.command, commands.STATUS, 0xC000)
            if status not in PENDING:
                over = True
                if status == 0xB001 or (status in _LIMIT_REACHED and given):
                    raise AnswerCapped(f"{peer.called} has more answers than it gave: ask in smaller parts.", answers=given)
                if status in _NO_ANSWERS_TO and level is not Level.STUDY:
                    raise NotOffered(peer.said("C-FIND", answer), status=f"{status:04X}")
                if status and status != _CANCELLED:
                    raise PeerError(peer.said("C-FIND", answer), status=f"{status:04X}")
                return
            try:
                identifier = decode_identifier(answer.data or b"", syntax)
            except InvalidRequest as error:
                raise PeerError(f"{peer.called} gave an answer that cannot be read as a data set.") from error
            given += 1
            yield identifier
    finally:
        if not over:
            _cancel(association, context)


def _cancel(association: Association, context: int) -> None:
    """Tell the source that nobody wants more (PS3.7 section 9.3.2.3), and wait shortly for its end."""
    cancel: Command = {commands.COMMAND_FIELD: Field.CANCEL_RQ, commands.RESPONDED_TO: 1}
    with contextlib.suppress(PeerError, Released):
        association.send(context, cancel)
        end = time.monotonic() + _PATIENCE_AFTER_CANCEL
        while time.monotonic() < end:
            answer = association.receive(None, _PATIENCE_AFTER_CANCEL)
            if commands.number(answer.command, commands.STATUS, 0xC000) not in PENDING:
                return
