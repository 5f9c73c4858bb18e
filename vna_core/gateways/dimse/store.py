"""C-STORE as SCP (PS3.4 annex B): octets go from the socket to the reception, and the answer tells what became of them."""

from __future__ import annotations

import contextlib

import structlog

from vna_core.dicom.network import command as commands
from vna_core.dicom.network.command import Command, Field
from vna_core.domain.errors import VnaError
from vna_core.domain.octets import Source
from vna_core.ingest.counting import count_refused
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.ingest.receive import Reception
from vna_core.metering import Meter
from vna_core.metering.metrics import DIMSE_RECEIVED

SUCCESS = 0x0000
CANNOT_UNDERSTAND = 0xC000

_log = structlog.get_logger(__name__)


class StoreSink:
    """Takes one data set. A failure is remembered, and the rest of the data set is let pass, so that it can be answered.

    What is refused beforehand is not taken at all.
    """

    def __init__(
        self,
        pipeline: IngestPipeline,
        source: Source,
        transfer_syntax_uid: str,
        command: Command,
        meter: Meter,
        refusal: VnaError | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._kind, self._meter = source.kind, meter
        self._failure = refusal
        self._reception: Reception = pipeline.reception(
            source,
            transfer_syntax_uid=transfer_syntax_uid,
            sop_class_uid=commands.text(command, commands.AFFECTED_SOP_CLASS),
            sop_instance_uid=commands.text(command, commands.AFFECTED_SOP_INSTANCE),
        )

    def write(self, piece: memoryview) -> None:
        """Take the next octets."""
        if self._failure is None:
            try:
                self._reception.write(piece)
            except VnaError as error:
                self._failure = error
                self._reception.abort()

    def complete(self) -> tuple[int, str]:
        """The data set is here: status and error comment of the answer."""
        if self._failure is not None:
            count_refused(self._meter, self._kind, self._failure)
            return self._failure.dimse_status, self._failure.message
        self._meter.count(DIMSE_RECEIVED, by=self._reception.size)
        try:
            result = self._pipeline.offer(self._reception.finish())
        except VnaError as error:
            _log.warning("store-failed", code=error.code)
            count_refused(self._meter, self._kind, error)
            return error.dimse_status, error.message
        if result.outcome.acknowledged:
            return SUCCESS, ""
        reason = result.error or VnaError("The instance was not taken.")
        return (reason.dimse_status if reason.dimse_status >= 0xA000 else CANNOT_UNDERSTAND), reason.message

    def broken_off(self) -> None:
        """The association died inside the data set: what came is kept in quarantine."""
        if self._failure is None and self._reception.size:
            with contextlib.suppress(VnaError):
                self._pipeline.offer(self._reception.finish(), cut_short=True)
        self._reception.abort()


def store_response(request: Command, status: int, comment: str) -> Command:
    """C-STORE-RSP (PS3.7 section 9.3.1.2)."""
    response: Command = {
        commands.COMMAND_FIELD: Field.STORE_RSP,
        commands.RESPONDED_TO: commands.number(request, commands.MESSAGE_ID),
        commands.AFFECTED_SOP_CLASS: commands.text(request, commands.AFFECTED_SOP_CLASS),
        commands.AFFECTED_SOP_INSTANCE: commands.text(request, commands.AFFECTED_SOP_INSTANCE),
        commands.STATUS: status,
    }
    if comment:
        response[commands.ERROR_COMMENT] = commands.comment(comment)
    return response
