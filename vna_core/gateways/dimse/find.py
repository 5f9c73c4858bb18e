"""C-FIND as SCP (PS3.4 section C.4.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from vna_core.access.availability import Availability
from vna_core.access.view import CatalogueView
from vna_core.catalogue import Items, Match
from vna_core.dicom.dictionary import vr_of
from vna_core.dicom.matching_keys import EMPTY, Manner, condition
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
from vna_core.dicom.network.sequence_items import item_of
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.query import Condition, InSequence, Level, Query
from vna_core.gateways.dimse.sop_classes import FIND

PENDING: Final = 0xFF00
PENDING_KEYS_IGNORED: Final = 0xFF01
CANCELLED: Final = 0xFE00
_RETRIEVE_AE_TITLE: Final = 0x00080054
_AVAILABILITY: Final = 0x00080056
_TIMEZONE: Final = 0x00080201
_NOT_MATCHED: Final = frozenset((SPECIFIC_CHARACTER_SET, QUERY_RETRIEVE_LEVEL, _RETRIEVE_AE_TITLE, _AVAILABILITY, _TIMEZONE))
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
    keys = keys_of(identifier, manner_of(association, context.abstract_syntax))
    answer = catalogue.search(Query(level, keys.conditions))
    status = PENDING_KEYS_IGNORED if answer.unmatched or keys.ignored else PENDING
    in_items = keys.in_items(identifier)
    message_id = commands.number(message.command, commands.MESSAGE_ID)
    constant = {QUERY_RETRIEVE_LEVEL: (level.value,), _RETRIEVE_AE_TITLE: (aet,)}
    pending = response(message.command, status)
    for count, (match, available, sequences) in enumerate(_told(answer.matches, level, availability, catalogue, in_items)):
        if count % _CHECK_EVERY == 0 and association.is_cancelled(message_id):
            association.send(message.context_id, response(message.command, CANCELLED, "Cancelled."))
            return
        values = _returned(identifier, match.attributes, {**constant, _AVAILABILITY: (available,)})
        items = {
            tag: [item_of(one, next(iter(asked), None)) for one in sequences.get(tag, ())]
            for tag, asked in identifier.items.items()
        }
        association.send(message.context_id, pending, [encode_identifier(values, context.transfer_syntax, items)])
    association.send(message.context_id, response(message.command, 0))


def _told(
    matches: Iterator[Match],
    level: Level,
    availability: Availability,
    catalogue: CatalogueView,
    in_items: Mapping[int, InSequence | None],
) -> Iterator[tuple[Match, str, Mapping[int, Items]]]:
    """Matches with their Instance Availability and the sequences asked for, some looked up at once."""
    while page := list(islice(matches, _AT_ONCE)):
        found = availability.of_matches(level, page)
        sequences = catalogue.sequences(page, in_items, whole=False) if in_items else ((match, {}) for match in page)
        yield from ((match, available, items) for (match, available), (_, items) in zip(found, sequences, strict=True))


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


@dataclass(frozen=True, slots=True)
class Keys:
    """Matching keys of an identifier.

    Attributes
    ----------
    conditions
        What is to be matched; keys without a value match everything.
    ignored
        Tags of keys that are not matched: for empty values where that was not agreed on, or of sequences with several items.
    """

    conditions: tuple[Condition, ...]
    ignored: frozenset[int]

    def in_items(self, identifier: Identifier) -> dict[int, InSequence | None]:
        """Sequences that are to be returned, with what their items have to fulfil."""
        asked = {one.tag: one for one in self.conditions if isinstance(one, InSequence)}
        return {tag: asked.get(tag) for tag in identifier.items}


def manner_of(association: Association, abstract_syntax: str) -> Manner:
    """What was agreed on for a SOP class (PS3.4 table C.5-2)."""
    agreed = association.agreed.get(abstract_syntax, b"").ljust(7, b"\0")
    return Manner(fuzzy=bool(agreed[2]), empty=bool(agreed[5]), several=bool(agreed[6]))


def keys_of(identifier: Identifier, manner: Manner) -> Keys:
    """Matching keys as conditions. Raises InvalidRequest."""
    conditions: list[Condition] = []
    ignored: set[int] = set()
    for tag, values in identifier.values.items():
        if values and tag not in _NOT_MATCHED and vr_of(tag) != "SQ":
            text = "\\".join(values)
            if text == EMPTY and not manner.empty:
                ignored.add(tag)
            elif (one := condition(tag, text, manner)) is not None:
                conditions.append(one)
    for tag, items in identifier.items.items():
        inside = [keys_of(item, manner) for item in items]
        if len(inside) > 1 or any(keys.ignored for keys in inside):  # a key has one item (PS3.4 C.2.2.2.6)
            ignored.add(tag)
        if len(inside) == 1 and inside[0].conditions:
            conditions.append(InSequence(tag, inside[0].conditions))
    return Keys(tuple(conditions), frozenset(ignored))


def _returned(
    identifier: Identifier, attributes: Mapping[int, tuple[str, ...]], constant: Mapping[int, tuple[str, ...]]
) -> dict[int, tuple[str, ...]]:
    """Return keys asked for, empty where nothing is known, and where to get it (PS3.4 C.4.1.1.3.2)."""
    values = {tag: attributes.get(tag, ()) for tag in identifier.values}
    values.update(constant)
    return values
