"""Command sets (PS3.7 section 9.3, 10.3 and annex E), always Implicit VR Little Endian."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct, pack
from typing import Final

from vna_core.dicom.network.pdu import ProtocolError

LARGEST: Final = 1 << 18
"""Longest command set that is read, in octets."""

NO_DATA_SET: Final = 0x0101
_ELEMENT: Final = Struct("<HHI")

# Element numbers of group 0000 by keyword (PS3.7 table E.1-1).
AFFECTED_SOP_CLASS: Final = 0x0002
REQUESTED_SOP_CLASS: Final = 0x0003
COMMAND_FIELD: Final = 0x0100
MESSAGE_ID: Final = 0x0110
RESPONDED_TO: Final = 0x0120
MOVE_DESTINATION: Final = 0x0600
PRIORITY: Final = 0x0700
DATA_SET_TYPE: Final = 0x0800
STATUS: Final = 0x0900
ERROR_COMMENT: Final = 0x0902
AFFECTED_SOP_INSTANCE: Final = 0x1000
REQUESTED_SOP_INSTANCE: Final = 0x1001
EVENT_TYPE: Final = 0x1002
ACTION_TYPE: Final = 0x1008
REMAINING: Final = 0x1020
COMPLETED: Final = 0x1021
FAILED: Final = 0x1022
WARNING: Final = 0x1023
MOVE_ORIGINATOR: Final = 0x1030
MOVE_ORIGINATOR_MESSAGE: Final = 0x1031

_NUMBERS: Final = frozenset(
    (COMMAND_FIELD, MESSAGE_ID, RESPONDED_TO, PRIORITY, DATA_SET_TYPE, STATUS, EVENT_TYPE, ACTION_TYPE)
    + (REMAINING, COMPLETED, FAILED, WARNING, MOVE_ORIGINATOR_MESSAGE)
)
_UIDS: Final = frozenset((AFFECTED_SOP_CLASS, REQUESTED_SOP_CLASS, AFFECTED_SOP_INSTANCE, REQUESTED_SOP_INSTANCE))


class Field(IntEnum):
    """Command Field (PS3.7 table E.1-1)."""

    STORE_RQ = 0x0001
    GET_RQ = 0x0010
    FIND_RQ = 0x0020
    MOVE_RQ = 0x0021
    ECHO_RQ = 0x0030
    EVENT_REPORT_RQ = 0x0100
    ACTION_RQ = 0x0130
    CANCEL_RQ = 0x0FFF
    STORE_RSP = 0x8001
    GET_RSP = 0x8010
    FIND_RSP = 0x8020
    MOVE_RSP = 0x8021
    ECHO_RSP = 0x8030
    EVENT_REPORT_RSP = 0x8100
    ACTION_RSP = 0x8130


Command = dict[int, int | str]
"""Values by element number: numbers for US, text for the rest."""


def encode(command: Command) -> bytes:
    """The octets of a command set, group length included."""
    out = bytearray()
    for element in sorted(command):
        value = command[element]
        if isinstance(value, int):
            out += _ELEMENT.pack(0, element, 2) + pack("<H", value & 0xFFFF)
        else:
            raw = value.encode("ascii", "replace")
            raw += (b"\0" if element in _UIDS else b" ") * (len(raw) & 1)
            out += _ELEMENT.pack(0, element, len(raw)) + raw
    return _ELEMENT.pack(0, 0, 4) + pack("<I", len(out)) + bytes(out)


def decode(octets: bytes | bytearray) -> Command:
    """Read a command set. Raises ProtocolError for anything that is not one."""
    command: Command = {}
    position = 0
    while position < len(octets):
        if position + 8 > len(octets):
            raise ProtocolError("A command set is cut short.")
        group, element, length = _ELEMENT.unpack_from(octets, position)
        position += 8
        if group or position + length > len(octets):
            raise ProtocolError("A command set is malformed.")
        raw = bytes(octets[position : position + length])
        position += length
        if element in _NUMBERS:
            if not length:  # an empty one is as good as none: it matters where the element is needed
                continue
            if length != 2:
                raise ProtocolError("A number in a command set has a wrong length.")
            command[element] = int.from_bytes(raw, "little")
        elif element:
            command[element] = raw.decode("latin-1").strip(" \0")
    if COMMAND_FIELD not in command:
        raise ProtocolError("A command set has no Command Field.")
    return command


def number(command: Command, element: int, default: int = 0) -> int:
    """A numeric value."""
    value = command.get(element, default)
    return value if isinstance(value, int) else default


def text(command: Command, element: int) -> str:
    """A text value; empty when absent."""
    value = command.get(element, "")
    return value if isinstance(value, str) else ""


def has_data_set(command: Command) -> bool:
    """Whether a data set follows the command set."""
    return number(command, DATA_SET_TYPE, NO_DATA_SET) != NO_DATA_SET


def comment(message: str) -> str:
    """An Error Comment: LO, at most 64 ASCII characters, no backslash or control characters."""
    clean = "".join(character if " " <= character <= "~" and character != "\\" else "?" for character in message)
    return clean[:64]
