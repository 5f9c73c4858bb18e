"""What members are not asked, as few archives understand it: their answers are looked at here, as far as they tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vna_core.dicom.answers import matches
from vna_core.domain.query import Condition, Empty, InSequence
from vna_core.federation.rows import Row


@dataclass(slots=True)
class LeftOut:
    """Conditions on empty values and on sequences in a question to members.

    Attributes
    ----------
    asked
        The conditions that members are asked.
    attributes
        Tags that they are asked to tell, so that their rows can be looked at.
    unmatched
        Tags of conditions that some row may not fulfil: of sequences, and of attributes that a row says nothing of.
    """

    asked: tuple[Condition, ...]
    attributes: tuple[int, ...]
    unmatched: set[int] = field(default_factory=set)

    _empty: tuple[Empty, ...] = ()
    _in_sequences: tuple[int, ...] = ()

    @classmethod
    def of(cls, conditions: Sequence[Condition]) -> LeftOut:
        """What of a question is not asked."""
        empty = tuple(one for one in conditions if isinstance(one, Empty))
        inside = tuple(one.tag for one in conditions if isinstance(one, InSequence))
        asked = tuple(one for one in conditions if not isinstance(one, Empty | InSequence))
        return cls(asked, tuple(one.tag for one in empty), set(), empty, inside)

    def lets(self, row: Row) -> bool:
        """Whether a member's row may be a match: one that says nothing of an attribute is not hidden, and it is noted."""
        self.unmatched.update(self._in_sequences)
        told = tuple(one for one in self._empty if f"{one.tag:08X}" in row)
        if not matches(row, told):
            return False
        self.unmatched.update(one.tag for one in self._empty if one not in told)
        return True
