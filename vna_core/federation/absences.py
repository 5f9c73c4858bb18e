"""What members said they do not hold is believed for a short while, so that whoever asked what there is and then asks for it asks only those who have it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from vna_core.domain.query import Equals, Level, Query

_STUDY: Final = 0x0020000D
_MOST: Final = 10_000


class Absences:
    """Studies of which a member holds nothing. May be used by several threads.

    Parameters
    ----------
    seconds
        For how long a member is believed.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._ends: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def note(self, name: str, study: str) -> None:
        """A member has listed all it holds of a study, and that was nothing."""
        now = self._clock()
        with self._lock:
            if len(self._ends) > _MOST:
                self._ends = {key: ends for key, ends in self._ends.items() if ends > now}
            self._ends[name, study] = now + self._seconds

    def known(self, name: str, study: str) -> bool:
        """Whether a member said so a short while ago."""
        with self._lock:
            return self._ends.get((name, study), 0.0) > self._clock()


def study_asked_for(query: Query) -> str:
    """The study that a question is about and nothing else: who has no answer to it has nothing of that study. Empty for other questions.

    Instances are asked for below a series; what an archive says to anybody who names only the study proves nothing (PS3.4 C.4.1.2.1).
    """
    if query.level not in (Level.STUDY, Level.SERIES) or len(query.conditions) != 1:
        return ""
    only = query.conditions[0]
    return only.values[0] if isinstance(only, Equals) and only.tag == _STUDY and len(only.values) == 1 else ""
