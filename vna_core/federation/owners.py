"""Under which patients members hold a study: two patients may have one of the same UID, and whoever retrieves by UIDs does not say whose is meant.

Asked only where several hold the same instances, or one lists it twice, and believed for a short while.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from vna_core.domain.access import Scope
from vna_core.domain.query import Equals, Level, Query
from vna_core.federation.locating import InstanceKey, Located
from vna_core.federation.query import FederatedQuery

_STUDY: Final = 0x0020000D
_MOST: Final = 10_000

Holders = tuple[tuple[str, ...], ...]
"""Names of members that hold a study, for each patient whom nobody has linked to another one of them."""


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
        self._known: dict[tuple[str, str, frozenset[str]], tuple[float, Holders]] = {}
        self._lock = threading.Lock()

    def __call__(self, located: Located, scope: Scope) -> frozenset[InstanceKey]:
        """Of what is located, the instances that members hold under several patients."""
        names = frozenset(located.holders)
        if not (located.twice or _is_shared(located)):
            return frozenset()
        holders = self._holders(located.study, scope, names)
        times = Counter(name for group in holders for name in group)
        found: Counter[InstanceKey] = Counter()
        for group in holders:
            of_one = (located.holders.get(name, set()) if times[name] == 1 else located.twice.get(name, set()) for name in group)
            found.update(set().union(*of_one))
        return frozenset(key for key, patients in found.items() if patients > 1)

    def _holders(self, study: str, scope: Scope, names: frozenset[str]) -> Holders:
        key, now = (study, scope.text, names), self._clock()
        with self._lock:
            ends, known = self._known.get(key, (0.0, ()))
        if ends > now:
            return known
        question = Query(Level.STUDY, (Equals(_STUDY, (study,)),))
        found = tuple(row.sources for row in self._query(question, scope=scope, only=names).rows)
        with self._lock:
            if len(self._known) > _MOST:
                self._known.clear()
            self._known[key] = now + self._seconds, found
        return found


def _is_shared(located: Located) -> bool:
    held: Sequence[set[InstanceKey]] = list(located.holders.values())
    return sum(map(len, held)) > len(located.instances)
