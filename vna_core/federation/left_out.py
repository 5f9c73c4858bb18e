"""What members are not asked, as few archives understand it: their answers are looked at here, as far as they tell."""

from __future__ import annotations

from dataclasses import dataclass, field

from vna_core.catalogue.data_set_checks import item_check
from vna_core.catalogue.sequence_matching import is_matched
from vna_core.dicom.answers import matches
from vna_core.domain.query import Condition, Empty, InSequence, Query
from vna_core.federation.rows import Row


@dataclass(slots=True)
class LeftOut:
    """Conditions on empty values and on sequences in a question to members.

    Attributes
    ----------
    asked
        The question as members are asked it.
    conditions
        What they are not asked.
    unmatched
        Tags of conditions that some row may not fulfil: of attributes that it says nothing of, and of sequences below the level asked for.
    """

    asked: Query
    conditions: tuple[Empty | InSequence, ...]
    unmatched: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, query: Query) -> LeftOut:
        """What of a question is not asked. Raises InvalidRequest for keys that are not matched here either: of any length they cost time."""
        left_out = tuple(one for one in query.conditions if isinstance(one, Empty | InSequence))
        asked: tuple[Condition, ...] = tuple(one for one in query.conditions if not isinstance(one, Empty | InSequence))
        inside = [one for one in left_out if isinstance(one, InSequence)]
        for one in inside:
            item_check(one)
        below = {one.tag for one in inside if not is_matched(one, query.level)}
        return cls(Query(query.level, asked), left_out, below)

    @property
    def attributes(self) -> tuple[int, ...]:
        """Tags that members are asked to tell, so that their rows can be looked at."""
        return tuple(one.tag for one in self.conditions)

    def lets(self, row: Row) -> bool:
        """Whether a member's row may be a match: one that says nothing of an attribute is not hidden, and it is noted."""
        told = tuple(one for one in self.conditions if f"{one.tag:08X}" in row)
        if not matches(row, told):
            return False
        self.unmatched.update(one.tag for one in self.conditions if one not in told)
        return True
