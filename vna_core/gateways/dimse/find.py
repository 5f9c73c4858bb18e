"""C-FIND as SCP (PS3.4 section C.4.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from vna_core.access.availability import Availability
from vna_core.access.view import CatalogueView
from vna_core.catalogue import Match
from vna_core.dicom.dictionary import vr_of
from vna_core.dicom.matching_keys import condition
from vna_core.dicom.network import command as commands
from vna_core.dicom.network.association import Association, Message
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.identifier import (
    QUERY_RETRIEVE_LEVEL,
    SPECIFIC_CHARACTER_SET,
    Identifier,
    decode_identifier,
    encode_identifier,
)
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.query import Condition, Level, Query
from vna_core.gateways.dimse.sop_classes import FIND

PENDING: Final = 0xFF00
PENDING_KEYS_IGNORED: Final = 0xFF01
CANCELLED: Final = 0xFE00
_RETRIEVE_AE_TITLE: Final = 0x00080054
_AVAILABILITY: Final = 0x00080056
_TIMEZONE: Final = 0x00080201
_NOT_MATCHED: Final = frozenset((SPECIFIC_CHARACTER_SET, QUERY_RETRIEVE_LEVEL, _RETRIEVE_AE_TITLE, _AVAILABILITY, _TIMEZONE))
_EMPTY: Final = ('""',)
"""A key of empty value matching (PS3.4 C.2.2.2.7), which is not offered in the negotiation: it matches everything."""
_CHECK_EVERY: Final = 16
_AT_ONCE: Final = 256
"""Matches whose availability is looked up together."""


def response(request: Command, status: int, comment: str = "") -> Command:
    """C-FIND-RSP (PS3.7 section 9.3.2.2)."""
    answered: Command = {
        commands.AFFECTED_SOP_CLASS: commands.text(request, commands.AFFECTED_SOP_CLASS),
        commands.COMMAND_FIELD: Field.FIND_RSP,
        commands.RESPONDED_TO: commands.number(request, commands.MESSAGE_ID),
        commands.STATUS: status,
    }
    if comment:
        answered[commands.ERROR_COMMENT] = commands.comment(comment)
    return answered


def find(association: Association, message: Message, catalogue: CatalogueView, aet: str, availability: Availability) -> None:
    """Answer one C-FIND. Raises InvalidRequest and CatalogueError for the caller to answer; lost connections pass through."""
    context = association.contexts[message.context_id]
    identifier = decode_identifier(message.data or b"", context.transfer_syntax)
    level = level_of(identifier, FIND[context.abstract_syntax])
    answer = catalogue.search(Query(level, conditions_of(identifier)))
    unsupported = set(answer.unmatched) | {tag for tag in identifier.items if identifier.items[tag]}
    unsupported |= {tag for tag, values in identifier.values.items() if values == _EMPTY}
    status = PENDING_KEYS_IGNORED if unsupported else PENDING
    message_id = commands.number(message.command, commands.MESSAGE_ID)
    constant = {QUERY_RETRIEVE_LEVEL: (level.value,), _RETRIEVE_AE_TITLE: (aet,)}
    pending = response(message.command, status)
    for count, (match, available) in enumerate(_with_availability(answer.matches, level, availability)):
        if count % _CHECK_EVERY == 0 and association.is_cancelled(message_id):
            association.send(message.context_id, response(message.command, CANCELLED, "Cancelled."))
            return
        values = _returned(identifier, match.attributes, {**constant, _AVAILABILITY: (available,)})
        sequences = dict.fromkeys(identifier.items, ())
        association.send(message.context_id, pending, [encode_identifier(values, context.transfer_syntax, sequences)])
    association.send(message.context_id, response(message.command, 0))


def _with_availability(matches: Iterator[Match], level: Level, availability: Availability) -> Iterator[tuple[Match, str]]:
    """Matches with their Instance Availability, some looked up at once."""
    while page := list(islice(matches, _AT_ONCE)):
        yield from availability.of_matches(level, page)


def level_of(identifier: Identifier, allowed: tuple[Level, ...]) -> Level:
    """Query/Retrieve Level. Raises InvalidRequest for none, or one the information model has not."""
    named = identifier.first(QUERY_RETRIEVE_LEVEL).strip().upper()
    try:
        level = Level(named)
    except ValueError as error:
        raise InvalidRequest("Query/Retrieve Level is missing or unknown.") from error
    if level not in allowed:
        raise InvalidRequest(f"The information model has no level {level.value}.")
    return level


def conditions_of(identifier: Identifier) -> tuple[Condition, ...]:
    """Matching keys as conditions; keys without a value match everything."""
    conditions = []
    for tag, values in identifier.values.items():
        if values and tag not in _NOT_MATCHED and vr_of(tag) != "SQ":
            one = condition(tag, "\\".join(values))
            if one is not None:
                conditions.append(one)
    return tuple(conditions)


def _returned(
    identifier: Identifier, attributes: Mapping[int, tuple[str, ...]], constant: Mapping[int, tuple[str, ...]]
) -> dict[int, tuple[str, ...]]:
    """Return keys asked for, empty where nothing is known, and where to get it (PS3.4 C.4.1.1.3.2)."""
    values = {tag: attributes.get(tag, ()) for tag in identifier.values}
    values.update(constant)
    return values
