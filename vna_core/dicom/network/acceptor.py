"""Answering an association request; who decides what is accepted is the caller."""

from __future__ import annotations

from collections.abc import Callable

from vna_core.dicom.network import pdu
from vna_core.dicom.network.association import Association, Context
from vna_core.dicom.network.pdu import Associate, ContextResult, ProposedContext


def accept(association: Association, choose: Callable[[ProposedContext], str]) -> Associate:
    """Read the request and accept the contexts for which `choose` names a transfer syntax (empty: refused).

    Raises ProtocolError, ConnectionLost.
    """
    _, content = association.read_pdu("Sta2")
    asked = pdu.decode_associate(content)
    results = []
    for proposed in asked.proposed[:128]:
        chosen = choose(proposed)
        results.append(ContextResult(proposed.id, 0 if chosen else 3, chosen or next(iter(proposed.transfer_syntaxes), "")))
        if chosen:
            association.contexts[proposed.id] = Context(proposed.id, proposed.abstract_syntax, chosen, may_send=False)
    association.peer_limit = asked.max_length
    association.send_octets(
        [pdu.encode_associate(Associate(asked.called, asked.calling, association.max_pdu, results=tuple(results)))]
    )
    return asked
