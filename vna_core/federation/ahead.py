"""A retrieval begins before everybody has said what they hold: from a member that has, and to whom nobody who has not is preferred.

What the others list is united with it while it flows. Nothing is given out before all have answered or their time is over, so that the answer still says
first who was silent; what it waits for is being brought meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from vna_core.federation.fetching import Fetcher
from vna_core.federation.gathering import FetchOutcome, Gathering
from vna_core.federation.locating import InstanceKey, Located, sources
from vna_core.federation.members import LOCAL, Member, Members


class Ahead:
    """Begins one retrieval, once: to be told whenever a member has listed what it holds (`vna_core.federation.locating.Heard`).

    Parameters
    ----------
    wanted
        What is wanted of that which is located so far.

    Attributes
    ----------
    begun
        What has begun, to be gone on with or closed.
    """

    def __init__(
        self, members: Members, fetcher: Fetcher, wanted: Callable[[Located], set[InstanceKey]], outcome: FetchOutcome
    ) -> None:
        self._members = members
        self._fetcher = fetcher
        self._wanted = wanted
        self._outcome = outcome
        self._decided = False
        self.begun: Gathering | None = None

    def __call__(self, located: Located, waiting: Collection[Member]) -> None:
        """Begin, if it is time to."""
        if self._decided:
            return
        found = sources(self._members, located, located.instances)
        # What is here need not be fetched, and what is rejected here is not: this archive is always heard first.
        if not found or any(one.name == LOCAL or one.settings.priority < found[0][0].settings.priority for one in waiting):
            return
        self._decided = True
        self._outcome.wanted = self._wanted(located)
        self.begun = self._fetcher.begin(located, self._outcome)
