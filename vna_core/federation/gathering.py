"""One retrieval under way: instances as members deliver them, from the best source first, from another one when it stalls or breaks off.

Comes in: what is wanted, and who holds it. Goes out: every instance once, taken in or as its member gave it; what is missing at the end, and why, is in the
outcome. Each member works in a thread of its own.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Final, Protocol

import structlog

from vna_core.configuration.federation import FederationSettings
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import PeerUnavailable, VnaError
from vna_core.domain.identifiers import Identified
from vna_core.domain.instance import HeldInstance
from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.outcome import IngestResult
from vna_core.federation.kept import PassedInstance
from vna_core.federation.locating import InstanceKey, Located, sources
from vna_core.federation.members import Member, Members
from vna_core.federation.passing import PassingOn

_log = structlog.get_logger(__name__)

_ROUND: Final = 0.25
_AT_HAND: Final = 32 << 20
"""Octets of one retrieval that are in memory until they are sent; more are read from their files."""
_TOGETHER: Final = 1 << 20
"""Octets of small instances that are handed over to whoever sends them at once: each hand-over wakes a thread, which costs more than an instance that waits."""

Brought = HeldInstance | PassedInstance
"""An instance that is here now: taken in, or as a member gave it."""

_Piece = tuple[str | None, set[InstanceKey], bool]
"""Series (None: the whole study), instances, and whether these are all of it."""


class Offer(Protocol):
    """Takes one instance through the rooms of the way in, if it is one of those that `only` names."""

    def __call__(self, received: ReceivedInstance, *, only: Callable[[Identified], bool]) -> IngestResult:
        """How it ended. Raises what the archive cannot take now."""


@dataclass(slots=True)
class FetchOutcome:
    """How a retrieval ended.

    Attributes
    ----------
    wanted, got
        What was to be there, and what is.
    sources
        Member name to the number of instances that came from it.
    reasons
        Member name to why it did not deliver everything.
    waiting
        Called again and again while nothing comes.
    left
        Set by whoever does not want the rest.
    """

    wanted: set[InstanceKey]
    got: set[InstanceKey] = field(default_factory=set)
    sources: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    waiting: Callable[[], object] = field(default=lambda: None, repr=False)
    left: bool = False

    @property
    def missing(self) -> set[InstanceKey]:
        """What is not there."""
        return self.wanted - self.got

    @property
    def is_complete(self) -> bool:
        """Whether the sets are equal."""
        return self.wanted <= self.got

    def is_missing(self, key: InstanceKey) -> bool:
        """Whether one is wanted that is not there."""
        return key in self.wanted and key not in self.got


@dataclass(frozen=True, slots=True)
class Means:
    """What instances are brought with.

    Attributes
    ----------
    offer
        Where they go.
    held
        The current versions of some instances of a study that are held already.
    passing
        What may be passed on as it comes; None: everything goes through the rooms.
    """

    members: Members
    settings: FederationSettings
    offer: Offer
    held: Callable[[str, Collection[InstanceKey]], Mapping[InstanceKey, HeldInstance]]
    passing: PassingOn | None = None


class Gathering:
    """One retrieval under way; to be closed when it ends.

    Parameters
    ----------
    located
        Where instances are. May still be filled while the first source delivers, but not any more when `run` is called.
    """

    def __init__(self, means: Means, located: Located, outcome: FetchOutcome) -> None:
        self._means = means
        self._located = located
        self._outcome = outcome
        self._settings = means.settings
        self._arrived: queue.SimpleQueue[list[Brought] | str] = queue.SimpleQueue()
        self._together: list[Brought] = []
        self._together_size = 0
        self._deadline = Deadline(self._settings.retrieve_deadline)
        self._running: dict[str, Deadline] = {}
        self._tried: set[str] = set()
        self._lock = threading.Lock()
        self._claimed: set[InstanceKey] = set()
        self._at_hand = 0
        passing = means.passing
        self._keeping = passing.keeping(located.study, self._is_wanted) if passing is not None else None

    def __enter__(self) -> Gathering:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End it: whoever still delivers is interrupted. May be called twice."""
        self._deadline.cancel()
        for deadline in self._running.values():
            deadline.cancel()
        if self._keeping is not None:
            self._keeping.close()

    def run(self) -> Iterator[Brought]:
        """Instances as they come, also those that came since it was started."""
        with self._lock:
            self._claimed |= self._outcome.got
        if not self._running:
            self.start(self._outcome.missing)
        last = time.monotonic()
        while not self._outcome.is_complete and self._running and not self._deadline.over and not self._outcome.left:
            try:
                got = self._arrived.get(timeout=min(_ROUND, self._settings.stall))
            except queue.Empty:
                self._outcome.waiting()
                got = self._handed_over()
            if not got:
                if time.monotonic() - last > self._settings.stall and self.start(self._outcome.missing):
                    last = time.monotonic()
            elif isinstance(got, str):
                self._running.pop(got, None)
                if not self._outcome.is_complete and not self._running:
                    self.start(self._outcome.missing)
                    last = time.monotonic()
            else:
                last = time.monotonic()
                yield from self._new_of(got)

    def _new_of(self, arrived: list[Brought]) -> Iterator[Brought]:
        for got in arrived:
            key = self._located.named(got)
            if key is not None and self._outcome.is_missing(key) and not self._outcome.left:
                self._outcome.got.add(key)
                yield got
            self._sent(got)

    def _handed_over(self) -> list[Brought]:
        """What waits to be handed over."""
        with self._lock:
            together, self._together, self._together_size = self._together, [], 0
        return together

    def start(self, missing: set[InstanceKey]) -> bool:
        """Ask the best member that was not tried yet for what is missing. False: there is none."""
        for one, share in sources(self._means.members, self._located, missing):
            if one.name in self._tried:
                continue
            self._tried.add(one.name)
            if not one.under_way.acquire(blocking=False):
                self._outcome.reasons[one.name] = "busy"
                continue
            if not one.breaker.may_ask():
                one.under_way.release()
                self._outcome.reasons[one.name] = "left alone after failures"
                continue
            deadline = Deadline(self._deadline.remaining(self._settings.retrieve_deadline))
            self._running[one.name] = deadline
            take = (one, list(self._parts(share)), deadline)
            threading.Thread(target=self._take, args=take, name=f"fetch-{one.name}", daemon=True).start()
            return True
        return False

    def _take(self, one: Member, parts: list[_Piece], deadline: Deadline) -> None:
        """Fetch a member's share, in its thread."""
        begun = time.monotonic()
        try:
            for series, sops, whole in parts:
                report = one.adapter.fetch(
                    self._located.study,
                    lambda received: self._deliver(one, received, deadline),
                    series,
                    () if whole else tuple(sorted({key.sop for key in sops})),
                    deadline=deadline,
                )
                if report.message:
                    self._outcome.reasons[one.name] = report.message
            one.breaker.succeeded(time.monotonic() - begun)
        except VnaError as error:
            self._outcome.reasons[one.name] = error.message
            if not isinstance(error, PeerUnavailable):
                one.breaker.refused(error.code)
            elif not deadline.over:
                one.breaker.failed(error.code)
        except Exception as error:  # noqa: BLE001 - a fault of one adapter must not end a retrieval that others can finish
            _log.exception("member-crashed", member=one.name)
            self._outcome.reasons[one.name] = type(error).__name__
            one.breaker.failed(type(error).__name__)
        finally:
            one.under_way.release()
            self._arrived.put(self._handed_over())
            self._arrived.put(one.name)

    def _parts(self, share: set[InstanceKey]) -> Iterator[_Piece]:
        """Series, instances, and whether that is all of the series; the whole study in one where nothing is left out."""
        instances = self._located.instances
        if share == set(instances):
            yield None, share, True
            return
        of_series: dict[str, set[InstanceKey]] = {}
        for key in instances:
            of_series.setdefault(key.series, set()).add(key)
        for series in sorted({key.series for key in share}):
            wanted = of_series[series] & share
            yield series, wanted, wanted == of_series[series]

    def _deliver(self, one: Member, received: ReceivedInstance, deadline: Deadline) -> None:
        """Take one instance over, unless another member delivered it meanwhile."""
        only = self._located.only_of(received.sop_instance_uid)
        with self._lock:
            taken = only is not None and only in self._claimed
        if taken or deadline.over:
            received.octets.close()
            deadline.check()
            return
        found = self._taken(one, received)
        key = self._located.named(found) if found is not None else None
        if found is None or key is None:
            return
        with self._lock:
            if key in self._claimed:
                return
            self._claimed.add(key)
            self._outcome.sources[one.name] = self._outcome.sources.get(one.name, 0) + 1
            self._together.append(self._bounded(found))
            self._together_size += found.size
            enough = not isinstance(found, PassedInstance) or self._together_size >= _TOGETHER
        if enough:
            self._arrived.put(self._handed_over())

    def _bounded(self, found: Brought) -> Brought:
        """The same without its octets where enough wait in memory. Called under the lock."""
        if not isinstance(found, PassedInstance) or found.content is None:
            return found
        if self._at_hand + found.size > _AT_HAND:
            return replace(found, content=None)
        self._at_hand += found.size
        return found

    def _sent(self, got: Brought) -> None:
        if isinstance(got, PassedInstance) and got.content is not None:
            with self._lock:
                self._at_hand -= got.size

    def _is_wanted(self, found: Identified) -> bool:
        """Whether it was asked for. A member decides what it delivers, and not what is taken in."""
        return found.study_instance_uid == self._located.study and self._located.named(found) in self._outcome.wanted

    def _taken(self, one: Member, received: ReceivedInstance) -> Brought | None:
        """The instance that was asked for, passed on or taken in; None, and the reason is noted, for anything else."""
        study = self._located.study
        found: Brought | None = self._keeping.keep(received) if self._keeping is not None else None
        if found is not None:
            received.octets.close()
        else:
            result = self._means.offer(received, only=self._is_wanted)
            if not result.outcome.acknowledged:
                why = result.error.message if result.error is not None else result.outcome.value
                self._outcome.reasons[one.name] = f"an instance could not be taken over: {why}"
                return None
            key = InstanceKey(result.series_instance_uid, result.sop_instance_uid)
            found = self._means.held(study, (key,)).get(key)
        if found is None or not self._is_wanted(found):
            self._outcome.reasons[one.name] = "it delivered an instance of another study, or one that was not asked for"
            return None
        return found
