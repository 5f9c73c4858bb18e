"""Under which patients members hold a study: two patients may have one of the same UID, and whoever retrieves by UIDs does not say whose is meant.

Asked only where several hold the same instances, or one lists it twice, and believed for a short while. Who does not say it leaves the question open, and that is told.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from vna_core.domain.access import Scope
from vna_core.domain.query import Equals, Level, Query
from vna_core.federation.locating import InstanceKey, Located
from vna_core.federation.members import LOCAL
from vna_core.federation.query import FederatedQuery

_STUDY: Final = 0x0020000D
_MOST: Final = 10_000

Holders = tuple[tuple[str, ...], ...]
"""Names of members that hold a study, for each patient whom nobody has linked to another one of them."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """What is known of whose the instances of a study are.

    Attributes
    ----------
    strangers
        What members hold under several patients: it comes from one of them, as a UID does not say whose is meant.
    unproved
        What several hold, or one twice, of whom not all said under whom: it may be several patients'.
    unheard
        Names of those who did not say it: they may not be asked, did not answer, or answered nothing.
    """

    strangers: frozenset[InstanceKey] = frozenset()
    unproved: frozenset[InstanceKey] = frozenset()
    unheard: tuple[str, ...] = ()

    def of(self, wanted: Collection[InstanceKey]) -> Ownership:
        """The same of some instances alone."""
        unproved = self.unproved.intersection(wanted)
        return Ownership(self.strangers.intersection(wanted), unproved, self.unheard if unproved else ())


NOTHING_SHARED: Final = Ownership()


class Owners:
    """Asks members under whom they hold a study. May be used by several threads.

    Parameters
    ----------
    seconds
        For how long their answer is believed.
    """

    def __init__(self, query: FederatedQuery, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._query = query
        self._seconds = seconds
        self._clock = clock
        self._known: dict[tuple[str, str, frozenset[str]], tuple[float, Holders, frozenset[str]]] = {}
        self._lock = threading.Lock()

    def __call__(self, located: Located, scope: Scope) -> Ownership:
        """Whose what is located is."""
        names = frozenset(located.holders)
        if not (located.twice or _is_shared(located)):
            return NOTHING_SHARED
        holders, unheard = self._holders(located.study, scope, names)
        times = Counter(name for group in holders for name in group)
        found: Counter[InstanceKey] = Counter()
        for group in holders:
            of_one = (located.holders.get(name, set()) if times[name] == 1 else located.twice.get(name, set()) for name in group)
            found.update(set().union(*of_one))
        strangers = frozenset(key for key, patients in found.items() if patients > 1)
        return Ownership(strangers, _shared_by(located, unheard) - strangers, tuple(sorted(unheard)))

    def _holders(self, study: str, scope: Scope, names: frozenset[str]) -> tuple[Holders, frozenset[str]]:
        """Who holds the study under whom, and who of them did not say it. Not believed for a while where somebody was silent who may speak the next time."""
        key, now = (study, scope.text, names), self._clock()
        with self._lock:
            ends, known, silent = self._known.get(key, (0.0, (), frozenset[str]()))
        if ends > now:
            return known, silent
        question = Query(Level.STUDY, (Equals(_STUDY, (study,)),))
        answer = self._query(question, scope=scope, only=names)
        found = tuple(row.sources for row in answer.rows)
        whole = {one.name for one in answer.reports if one.outcome.is_whole}
        # This archive, asked within a scope, has no row of what lies outside it: that is no silence.
        unheard = names - whole.intersection((*(name for group in found for name in group), LOCAL))
        if answer.missing:
            return found, unheard
        with self._lock:
            if len(self._known) > _MOST:
                self._known.clear()
            self._known[key] = now + self._seconds, found, unheard
        return found, unheard


def _shared_by(located: Located, names: frozenset[str]) -> frozenset[InstanceKey]:
    """What one of some members holds and another holds too, or that one itself twice."""
    times = Counter(key for held in located.holders.values() for key in held)
    theirs = (located.twice.get(name, set()) | {key for key in located.holders[name] if times[key] > 1} for name in names)
    return frozenset().union(*theirs)


def _is_shared(located: Located) -> bool:
    held: Sequence[set[InstanceKey]] = list(located.holders.values())
    return sum(map(len, held)) > len(located.instances)
