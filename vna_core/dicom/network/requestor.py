"""Opening an association to another node."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from vna_core.dicom.network import pdu
from vna_core.dicom.network.association import Association, Context, Rejected
from vna_core.dicom.network.pdu import Associate, ProposedContext, Role, Type
from vna_core.dicom.network.tls import ClientTls, Stream
from vna_core.domain.errors import PeerError, PeerUnavailable, VnaError

_REJECTIONS = {1: "permanently", 2: "for now"}
_REASONS = {
    (1, 3): ": it does not know our title {calling}. Have it added there, with this machine's address.",
    (1, 7): ": {called} is not its title.",
    (3, 1): ": it has too much to do.",
    (3, 2): ": it has as many associations as it takes.",
}
"""What a peer means, by source and reason (PS3.8 table 9-21), and what to do."""


def request(
    host: str,
    port: int,
    *,
    called: str,
    calling: str,
    contexts: Sequence[tuple[str, tuple[str, ...]]],
    roles: Sequence[Role] = (),
    max_pdu: int = 262_144,
    connect_timeout: float = 10.0,
    idle_timeout: float = 120.0,
    network_timeout: float = 60.0,
    extended: dict[str, bytes] | None = None,
    version: str = "",
    tls: ClientTls | None = None,
) -> Association:
    """Connect and negotiate.

    Parameters
    ----------
    contexts
        At most 128 pairs of abstract syntax and proposed transfer syntaxes. They get the odd ids from 1 in order.
    roles
        Role selection, for what the peer shall send to us.
    version
        Implementation version name that is sent instead of ours (PS3.7 D.3.3.2.3).
    tls
        How the peer is recognized; None: the connection is not encrypted.

    Raises
    ------
    PeerUnavailable
        No connection, or no answer.
    HandshakeFailed
        The peer speaks no TLS, or one side does not accept the other.
    Rejected
        The peer refused the association.
    """
    try:
        connection = socket.create_connection((host, port), timeout=connect_timeout)
        connection.settimeout(None)
    except OSError as error:
        raise PeerUnavailable(f"No connection to {called} at {host}:{port}: {error.strerror or error}.") from error
    stream: Stream = connection
    if tls is not None:
        try:
            stream = tls.secured(connection, host, connect_timeout)
        except VnaError:
            connection.close()
            raise
    association = Association(stream, max_pdu, idle_timeout, network_timeout)
    proposed = tuple(ProposedContext(2 * index + 1, abstract, syntaxes) for index, (abstract, syntaxes) in enumerate(contexts))
    wanted = Associate(
        called,
        calling,
        max_pdu,
        proposed=proposed,
        roles=tuple(roles),
        extended=extended or {},
        implementation_version=version,
    )
    try:
        association.send_octets([pdu.encode_associate(wanted)])
        kind, content = association.read_pdu("Sta5")
        if kind == Type.ASSOCIATE_RJ:
            result, source, reason = (content[1], content[2], content[3]) if len(content) >= 4 else (0, 0, 0)
            raise Rejected(
                f"{called} refused the association {_REJECTIONS.get(result, '')} (source {source}, reason {reason})"
                f"{_REASONS.get((source, reason), '.').format(called=called, calling=calling)}",
                result=result,
                source=source,
                reason=reason,
            )
        answer = pdu.decode_associate(content)
    except PeerError:
        association.close()
        raise
    association.peer_limit = answer.max_length
    association.peer_extended = answer.extended
    association.peer_product = answer.implementation_version or answer.implementation_class_uid
    accepted_roles = {role.sop_class_uid: role for role in answer.roles}
    by_id = {context.id: context for context in proposed}
    for given in answer.results:
        context = by_id.get(given.id)
        if given.result == 0 and context is not None:
            role = accepted_roles.get(context.abstract_syntax)
            association.contexts[given.id] = Context(
                given.id, context.abstract_syntax, given.transfer_syntax, may_send=role is None or role.scu
            )
    return association
