"""Protocol data units of the upper layer (PS3.8 section 9.3 and annex D)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct, pack
from typing import Final

from vna_core.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from vna_core.domain.errors import PeerError

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
HEADER: Final = Struct(">BBI")
PDV_HEADER: Final = Struct(">IBB")
LARGEST_CONTROL: Final = 1 << 20
"""Longest PDU other than P-DATA that is read, in octets (128 presentation contexts need about 64 KiB)."""
SMALLEST_LIMIT: Final = 8
"""Shortest P-DATA PDU that brings anything: one fragment's length, context and control, and two octets of it."""


class Type(IntEnum):
    """PDU types (PS3.8 table 9-11 and following)."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    DATA = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class ProtocolError(PeerError):
    """The peer sent octets that the protocol does not allow."""

    code = "dicom-protocol"


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """One presentation context of a request (PS3.8 table 9-13)."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextResult:
    """Answer to a proposed context (PS3.8 table 9-18): 0 accepted, 3 abstract syntax, 4 transfer syntaxes not supported."""

    id: int
    result: int
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class Role:
    """SCP/SCU role selection (PS3.7 D.3.3.4)."""

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class Associate:
    """An A-ASSOCIATE-RQ (with `proposed`) or A-ASSOCIATE-AC (with `results`).

    An empty implementation version name is sent as ours; implementation class UID, application context and protocol version (a bit for each, the
    lowest for version 1) are ours always.
    """

    called: str
    calling: str
    max_length: int = 16384
    proposed: tuple[ProposedContext, ...] = ()
    results: tuple[ContextResult, ...] = ()
    roles: tuple[Role, ...] = ()
    extended: dict[str, bytes] = field(default_factory=dict)
    implementation_class_uid: str = ""
    implementation_version: str = ""
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = 1


# -- writing ----------------------------------------------------------------------------------------------------------


def _item(kind: int, content: bytes) -> bytes:
    return pack(">BBH", kind, 0, len(content)) + content


def _uid(kind: int, uid: str) -> bytes:
    return _item(kind, uid.encode("ascii", "replace"))


def _title(text: str) -> bytes:
    return text.encode("ascii", "replace")[:16].ljust(16)


def _user_information(one: Associate) -> bytes:
    content = _item(0x51, pack(">I", one.max_length)) + _uid(0x52, IMPLEMENTATION_CLASS_UID)
    for role in one.roles:
        uid = role.sop_class_uid.encode("ascii", "replace")
        content += _item(0x54, pack(">H", len(uid)) + uid + bytes((role.scu, role.scp)))
    content += _item(0x55, (one.implementation_version or IMPLEMENTATION_VERSION_NAME).encode("ascii", "replace")[:16])
    for name, octets in one.extended.items():
        uid = name.encode("ascii", "replace")
        content += _item(0x56, pack(">H", len(uid)) + uid + octets)
    return _item(0x50, content)


def encode_associate(one: Associate) -> bytes:
    """The PDU of a request or an acceptance."""
    if one.proposed:
        kind = Type.ASSOCIATE_RQ
        contexts = b"".join(
            _item(
                0x20,
                bytes((context.id, 0, 0, 0))
                + _uid(0x30, context.abstract_syntax)
                + b"".join([_uid(0x40, uid) for uid in context.transfer_syntaxes]),
            )
            for context in one.proposed
        )
    else:
        kind = Type.ASSOCIATE_AC
        contexts = b"".join(
            _item(0x21, bytes((result.id, 0, result.result, 0)) + _uid(0x40, result.transfer_syntax)) for result in one.results
        )
    body = pack(">HH", 1, 0) + _title(one.called) + _title(one.calling) + bytes(32)
    body += _uid(0x10, APPLICATION_CONTEXT) + contexts + _user_information(one)
    return HEADER.pack(kind, 0, len(body)) + body


def reject(result: int, source: int, reason: int) -> bytes:
    """A-ASSOCIATE-RJ (PS3.8 table 9-21)."""
    return HEADER.pack(Type.ASSOCIATE_RJ, 0, 4) + bytes((0, result, source, reason))


def abort(source: int = 2, reason: int = 0) -> bytes:
    """A-ABORT (PS3.8 table 9-26); source 0 service user, 2 service provider."""
    return HEADER.pack(Type.ABORT, 0, 4) + bytes((0, 0, source, reason))


RELEASE_RQ: Final = HEADER.pack(Type.RELEASE_RQ, 0, 4) + bytes(4)
RELEASE_RP: Final = HEADER.pack(Type.RELEASE_RP, 0, 4) + bytes(4)


# -- reading ----------------------------------------------------------------------------------------------------------


def _items(octets: memoryview) -> Iterator[tuple[int, memoryview]]:
    position = 0
    while position < len(octets):
        if position + 4 > len(octets):
            raise ProtocolError("An item of an association PDU is cut short.")
        length = int.from_bytes(octets[position + 2 : position + 4], "big")
        if position + 4 + length > len(octets):
            raise ProtocolError("An item of an association PDU is longer than the PDU.")
        yield octets[position], octets[position + 4 : position + 4 + length]
        position += 4 + length


def _text(octets: memoryview) -> str:
    return bytes(octets).decode("latin-1").strip(" \0")


def _named(octets: memoryview) -> tuple[str, memoryview]:
    length = int.from_bytes(octets[:2], "big")
    if len(octets) < 2 or 2 + length > len(octets):
        raise ProtocolError("A sub-item of the user information is cut short.")
    return _text(octets[2 : 2 + length]), octets[2 + length :]


def decode_associate(body: memoryview) -> Associate:
    """Read the variable part of A-ASSOCIATE-RQ or -AC. Raises ProtocolError."""
    if len(body) < 68:
        raise ProtocolError("An association PDU is too short.")
    proposed: list[ProposedContext] = []
    results: list[ContextResult] = []
    roles: list[Role] = []
    extended: dict[str, bytes] = {}
    max_length, implementation, version, application = 16384, "", "", APPLICATION_CONTEXT
    for kind, content in _items(body[68:]):
        if kind == 0x10:
            application = _text(content)
        elif kind in (0x20, 0x21):
            if len(content) < 4:
                raise ProtocolError("A presentation context is cut short.")
            below = list(_items(content[4:]))
            transfer = tuple(_text(value) for sub, value in below if sub == 0x40)
            if kind == 0x20:
                abstract = next((_text(value) for sub, value in below if sub == 0x30), "")
                proposed.append(ProposedContext(content[0], abstract, transfer))
            else:
                results.append(ContextResult(content[0], content[2], transfer[0] if transfer else ""))
        elif kind == 0x50:
            for sub, value in _items(content):
                if sub == 0x51 and len(value) == 4:
                    max_length = int.from_bytes(value, "big")
                elif sub == 0x52:
                    implementation = _text(value)
                elif sub == 0x55:
                    version = _text(value)
                elif sub == 0x54:
                    uid, rest = _named(value)
                    if len(rest) >= 2:
                        roles.append(Role(uid, bool(rest[0]), bool(rest[1])))
                elif sub == 0x56:
                    uid, rest = _named(value)
                    extended[uid] = bytes(rest)
    if 0 < max_length < SMALLEST_LIMIT:
        raise ProtocolError(f"The peer takes PDUs of {max_length} octets, in which nothing can be sent.")
    return Associate(
        called=_text(body[4:20]),
        calling=_text(body[20:36]),
        max_length=max_length,
        proposed=tuple(proposed),
        results=tuple(results),
        roles=tuple(roles),
        extended=extended,
        implementation_class_uid=implementation,
        implementation_version=version,
        application_context=application,
        protocol_version=int.from_bytes(body[:2], "big"),
    )


def fragments(pieces: Iterable[bytes | memoryview]) -> Iterator[tuple[bytes | memoryview, bool]]:
    """Every piece, and whether it is the last; empty ones are left out unless nothing else comes.

    All but the last are of even length, as fragments have to be: DCMTK ends an association over an odd one.
    """
    held: bytes | memoryview | None = None
    for piece in pieces:
        if not len(piece):
            continue
        following = piece
        if held is not None:
            if len(held) & 1:
                held, following = held[:-1], bytes(held[-1:]) + piece
            if len(held):
                yield held, False
        held = following
    yield (held if held is not None else b""), True


def data_pdus(
    context_id: int, is_command: bool, pieces: Sequence[memoryview], last: bool, limit: int
) -> Iterator[list[bytes | memoryview]]:
    """P-DATA-TF PDUs for some octets of a message, as lists of buffers for one gathered write.

    Parameters
    ----------
    last
        The message's command or data set ends with these octets; without it every fragment but a short rest is full, and the
        rest is sent as a fragment too.
    limit
        Longest PDU the peer takes, header not counted (0: no limit).
    """
    room = ((limit or 262_144) - 6) & ~1
    for index, piece in enumerate(pieces):
        final_piece = last and index == len(pieces) - 1
        position = 0
        while True:
            part = piece[position : position + room]
            position += len(part)
            ends = position >= len(piece)
            control = (1 if is_command else 0) | (2 if final_piece and ends else 0)
            size = len(part)
            yield [HEADER.pack(Type.DATA, 0, size + 6) + PDV_HEADER.pack(size + 2, context_id, control), part]
            if ends:
                break
