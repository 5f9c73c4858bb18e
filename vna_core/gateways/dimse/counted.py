"""An association whose responses are counted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from vna_core.configuration import DimseSettings
from vna_core.dicom.network import command as commands
from vna_core.dicom.network.association import Association
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.tls import Stream
from vna_core.metering import Meter
from vna_core.metering.metrics import DIMSE_RESPONSES

_PENDING: Final = (0xFF00, 0xFF01)
_REQUESTS: Final[dict[int, str]] = {
    Field.STORE_RSP: "C-STORE",
    Field.GET_RSP: "C-GET",
    Field.FIND_RSP: "C-FIND",
    Field.MOVE_RSP: "C-MOVE",
    Field.ECHO_RSP: "C-ECHO",
    Field.ACTION_RSP: "N-ACTION",
}
"""Command Field of a response to the name of what it answers; whatever else a peer asks for is counted as ``other``."""


class CountedAssociation(Association):
    """As an SCP has it: every final response is counted by its request and status."""

    def __init__(self, connection: Stream, settings: DimseSettings, meter: Meter) -> None:
        super().__init__(connection, settings.max_pdu, settings.idle_timeout, settings.network_timeout)
        self._meter = meter

    def send(self, context_id: int, command: Command, data: Iterable[bytes | memoryview] | None = None) -> None:
        """See `Association.send`."""
        super().send(context_id, command, data)
        field = commands.number(command, commands.COMMAND_FIELD)
        status = commands.number(command, commands.STATUS, 0)
        if field & 0x8000 and status not in _PENDING:
            self._meter.count(DIMSE_RESPONSES, _REQUESTS.get(field, "other"), f"{status:04X}")
