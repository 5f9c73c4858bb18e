"""What is rejected here is not had elsewhere (IHE IOCM): what was held here from nobody, what was not held from members in whose department whoever rejected it may correct."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from vna_core.domain.access import EVERYTHING, Principal, PrincipalKind, Scope
from vna_core.domain.corrections import HiddenInstances
from vna_core.federation.members import Member, may_ask

MayCorrect = Callable[[Principal], Scope]
"""Where somebody may correct."""


def everywhere(principal: Principal) -> Scope:
    """Whoever it is may correct everything: there are no departments."""
    del principal
    return EVERYTHING


class Rejections(Protocol):
    """Where it is read what is rejected here."""

    def hidden(self, study_instance_uid: str) -> HiddenInstances:
        """What is not given out of a study."""

    def hidden_in(self, studies: Iterable[str]) -> Mapping[str, HiddenInstances]:
        """The same by Study Instance UID, of those studies that have any."""


class NothingRejected:
    """Nothing is."""

    def hidden(self, study_instance_uid: str) -> HiddenInstances:
        """Nothing."""
        del study_instance_uid
        return HiddenInstances()

    def hidden_in(self, studies: Iterable[str]) -> Mapping[str, HiddenInstances]:
        """None."""
        del studies
        return {}


@dataclass(frozen=True, slots=True)
class Hidden:
    """What of one study is rejected.

    Attributes
    ----------
    decided
        SOP Instance UIDs that are not given out, from whomever they come.
    awaited
        Others, with where whoever rejected them may correct.
    """

    decided: frozenset[str] = frozenset()
    awaited: tuple[tuple[str, Scope], ...] = ()

    def at(self, member: Member | None) -> frozenset[str]:
        """What is not given out of that which a member has."""
        return self.decided.union(sop for sop, scope in self.awaited if member is None or may_ask(scope, member))

    def within(self, scope: Scope) -> frozenset[str]:
        """What is not given out to somebody, from whomever it comes: who rejected it may correct wherever they see something."""
        labels = scope.labels
        return self.decided.union(
            sop for sop, theirs in self.awaited if theirs.labels is None or (labels is not None and labels <= theirs.labels)
        )


@dataclass(frozen=True, slots=True)
class Rejected:
    """What is rejected here, and by whom."""

    rejections: Rejections
    may_correct: MayCorrect = everywhere

    def of(self, study: str) -> Hidden:
        """What is rejected of a study."""
        return self._judged(self.rejections.hidden(study))

    def of_each(self, studies: Iterable[str]) -> dict[str, Hidden]:
        """The same, of those studies that have any."""
        return {study: self._judged(one) for study, one in self.rejections.hidden_in(studies).items()}

    def _judged(self, hidden: HiddenInstances) -> Hidden:
        awaited = (
            (sop, self.may_correct(Principal(PrincipalKind(kind), name, address)))
            for sop, (kind, name, address) in hidden.awaited
        )
        return Hidden(hidden.decided, tuple(awaited))


NOTHING_REJECTED: Final = Rejected(NothingRejected())
"""Where nobody looks."""
