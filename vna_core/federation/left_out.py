"""What members are not asked, as few archives understand it: their answers are looked at here, as far as they tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from vna_core.catalogue.data_set_checks import DataSetCheck, data_set_check, denial
from vna_core.catalogue.sequence_matching import check_number, is_matched
from vna_core.domain.query import Condition, Empty, InSequence, Level, Query
from vna_core.domain.sequence_levels import level_of_sequence
from vna_core.federation.rows import Row, text

_NUMBER_OF_SERIES: Final = 0x00201206


@dataclass(frozen=True, slots=True)
class _Judged:
    """One condition: whether a row fulfils it, and whether a row shows that it does not."""

    condition: Empty | InSequence
    is_fulfilled: DataSetCheck
    is_denied: DataSetCheck

    @classmethod
    def by(cls, one: Empty | InSequence) -> _Judged | None:
        """None for one that everything fulfils. Raises InvalidRequest."""
        is_fulfilled, is_denied = data_set_check(one), denial(one)
        return None if is_fulfilled is None or is_denied is None else cls(one, is_fulfilled, is_denied)


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
        Tags of conditions that some row may not fulfil: of attributes that it says nothing of or not everything, and of sequences below the level asked for.
    """

    asked: Query
    conditions: tuple[_Judged, ...]
    unmatched: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, query: Query) -> LeftOut:
        """What of a question is not asked. Raises InvalidRequest for keys that are not matched here either: of any length or number they cost time."""
        check_number(query.conditions)
        asked: list[Condition] = []
        conditions: list[_Judged] = []
        for one in query.conditions:
            if not isinstance(one, Empty | InSequence):
                asked.append(one)
            elif (judged := _Judged.by(one)) is not None:
                conditions.append(judged)
        inside = [one.condition for one in conditions if isinstance(one.condition, InSequence)]
        below = {one.tag for one in inside if not is_matched(one, query.level)}
        return cls(Query(query.level, tuple(asked)), tuple(conditions), below)

    @property
    def attributes(self) -> tuple[int, ...]:
        """Tags that members are asked to tell, so that their rows can be looked at."""
        tags = tuple(one.condition.tag for one in self.conditions)
        counted = self.asked.level is Level.STUDY and any(isinstance(one.condition, InSequence) for one in self.conditions)
        return (*tags, _NUMBER_OF_SERIES) if counted else tags

    def lets(self, row: Row) -> bool:
        """Whether a member's row may be a match: one that does not show that it is none is not hidden, and what it leaves open is noted."""
        left_open: set[int] = set()
        for one in self.conditions:
            if f"{one.condition.tag:08X}" in row and one.is_fulfilled(row):
                continue
            if self._decides(one.condition, row) and one.is_denied(row):
                return False
            left_open.add(one.condition.tag)
        self.unmatched |= left_open
        return True

    def _decides(self, one: Empty | InSequence, row: Row) -> bool:
        """Whether what a row tells of an attribute stands for all of it.

        What is above a row, and what a study tells, is told by one of several: a study's codes are those of all of its series, an ID of a patient may stand in another study.
        """
        if isinstance(one, Empty):
            return True
        if level_of_sequence(one.tag) is not self.asked.level:
            return False
        return self.asked.level is not Level.STUDY or text(row, f"{_NUMBER_OF_SERIES:08X}").strip() == "1"
