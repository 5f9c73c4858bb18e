"""What a retrieval counts, and instances that are not here yet: sent on as members deliver them, and at the end what never came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from vna_core.domain.access import Scope
from vna_core.domain.instance import HeldInstance

_WARNINGS: Final = (0x0001, 0x0107, 0x0116)
"""Statuses of the class Warning beside those that begin with B (PS3.7 annex C)."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who gets what is moved, and what they may see."""

    title: str
    scope: Scope


class Arriving(Protocol):
    """What is on its way."""

    @property
    def total(self) -> int:
        """How many instances there are to be."""

    def instances(self, waiting: Callable[[], object]) -> Iterator[HeldInstance]:
        """Each as soon as it is here; `waiting` is called again and again while none comes. Read once."""

    def missing(self) -> tuple[list[str], str]:
        """SOP Instance UIDs that did not come, and why, once `instances` has ended."""

    @property
    def is_whole(self) -> bool:
        """Whether everybody who may have more of it has said what, once `instances` has ended."""

    def leave(self) -> None:
        """Nobody wants the rest: `instances` ends soon."""


@dataclass(slots=True)
class Progress:
    """Sub-operation counts of PS3.4 C.4.2.1.5. `is_whole`: there is nothing more that could not be counted."""

    remaining: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_uids: list[str] = field(default_factory=list)
    comment: str = ""
    is_whole: bool = True
    reported: float = 0.0

    def count(self, status: int | None, uid: str) -> None:
        self.remaining -= 1
        if status == 0:
            self.completed += 1
        elif status is not None and (status & 0xF000 == 0xB000 or status in _WARNINGS):
            self.warning += 1
        else:
            self.failed += 1
            self.failed_uids.append(uid)
