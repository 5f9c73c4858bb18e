"""What the requester of a C-MOVE or C-GET hears while it goes on and at its end (PS3.4 sections C.4.2 and C.4.3)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from vna_core.dicom.network import command as commands
from vna_core.dicom.network.association import Association, Message
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.identifier import encode_identifier
from vna_core.domain.errors import PeerError
from vna_core.gateways.dimse.arriving import Progress

PENDING: Final = 0xFF00
CANCELLED: Final = 0xFE00
WITH_FAILURES: Final = 0xB000
UNABLE_TO_COUNT: Final = 0xA701
"""Nothing was found, and what there is could not be told: some member was silent."""
OUT_OF_RESOURCES_SUBOPERATIONS: Final = 0xA702
_FAILED_UIDS: Final = 0x00080058
_REPORT_EVERY: Final = 0.5
_CANCEL_PATIENCE: Final = 2.0
"""Seconds that a destination has after a C-CANCEL to answer for the instance that it has."""


class Interrupted(Exception):
    """The requester is gone (then that is the cause) or cancelled while a destination was silent: what is under way there is given up."""


def response(message: Message, status: int, progress: Progress | None, comment: str = "") -> Command:
    """C-MOVE-RSP or C-GET-RSP (PS3.7 sections 9.3.4.2 and 9.3.3.2)."""
    is_move = commands.number(message.command, commands.COMMAND_FIELD) == Field.MOVE_RQ
    answered: Command = {
        commands.AFFECTED_SOP_CLASS: commands.text(message.command, commands.AFFECTED_SOP_CLASS),
        commands.COMMAND_FIELD: Field.MOVE_RSP if is_move else Field.GET_RSP,
        commands.RESPONDED_TO: commands.number(message.command, commands.MESSAGE_ID),
        commands.STATUS: status,
    }
    if progress is not None:
        if status in (PENDING, CANCELLED):
            answered[commands.REMAINING] = progress.remaining
        answered[commands.COMPLETED] = progress.completed
        answered[commands.FAILED] = progress.failed
        answered[commands.WARNING] = progress.warning
    if comment:
        answered[commands.ERROR_COMMENT] = commands.comment(comment)
    return answered


def report(association: Association, message: Message, progress: Progress) -> None:
    """A pending response, unless there was one just now."""
    now = time.monotonic()
    if progress.remaining and now - progress.reported > _REPORT_EVERY:
        progress.reported = now
        association.send(message.context_id, response(message, PENDING, progress))


def watching(association: Association, message: Message, progress: Progress) -> Callable[[], None]:
    """What is done while the destination of a C-MOVE is silent: its requester hears that it goes on, and may cancel it."""
    message_id = commands.number(message.command, commands.MESSAGE_ID)
    cancelled: list[float] = []

    def look() -> None:
        try:
            if association.is_cancelled(message_id):
                cancelled.append(time.monotonic())
                if cancelled[-1] - cancelled[0] >= _CANCEL_PATIENCE:
                    raise Interrupted
            report(association, message, progress)
        except PeerError as error:
            raise Interrupted from error

    return look


def finish(association: Association, message: Message, progress: Progress, is_cancelled: bool) -> None:
    """The final response, with the instances that failed (PS3.4 C.4.2.1.4.2, C.4.3.1.3.2)."""
    sent = progress.completed + progress.warning
    if is_cancelled and progress.remaining:
        status = CANCELLED
    elif not progress.failed and not progress.warning:
        status = 0x0000 if progress.is_whole else WITH_FAILURES if sent else UNABLE_TO_COUNT
    else:
        status = WITH_FAILURES if sent else OUT_OF_RESOURCES_SUBOPERATIONS
    answered = response(message, status, progress, progress.comment)
    data = None
    if progress.failed_uids:
        context = association.contexts[message.context_id]
        data = [encode_identifier({_FAILED_UIDS: progress.failed_uids}, context.transfer_syntax)]
    association.send(message.context_id, answered, data)
