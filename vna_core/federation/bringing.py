"""Whatever is to be retrieved through the federation is brought here first, as far as members deliver it; then it is served as what is held."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, NamedTuple

from vna_core.access.gate import Permit
from vna_core.access.notes import AccessNotes
from vna_core.access.view import CatalogueView
from vna_core.catalogue import Catalogue
from vna_core.configuration.federation import FederationSettings
from vna_core.domain.access import Scope
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import HeldInstance
from vna_core.federation.absences import Absences
from vna_core.federation.ahead import Ahead
from vna_core.federation.fetching import Fetcher
from vna_core.federation.gathering import Brought, FetchOutcome, Gathering, Means
from vna_core.federation.kept import PassedInstance
from vna_core.federation.locating import InstanceKey, Located, Locator, key_of
from vna_core.federation.members import LOCAL, MemberReport, Members, may_ask
from vna_core.federation.memory import Brought as Span
from vna_core.federation.memory import Memory
from vna_core.federation.owners import NOTHING_SHARED, Owners, Ownership
from vna_core.federation.passing import PassingOn
from vna_core.federation.rejected import MayCorrect, Rejected, everywhere
from vna_core.federation.view import FederatedView
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.ports.pacs import InventoriedInstance

_ASKABLE: Final = re.compile(r"[0-9.]{1,64}")
"""A UID as far as every archive takes it for one. Leading zeros and empty components occur, and match nothing but themselves."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """One thing to be retrieved.

    Attributes
    ----------
    located
        Where its instances are.
    outcome
        What there is to be, and, once everything has been brought, what is missing and why.
    view
        The catalogue as whoever asks sees it, with what was brought.
    notes
        Where it is noted what was given out.
    fetcher
        Brings it.
    owned
        What of it members hold under several patients, and of what that could not be found out.
    passed_over
        What else there is of it, and is not wanted.
    begun
        What is being brought already; None: nothing. It is to be read to its end, or closed.
    """

    located: Located
    outcome: FetchOutcome
    view: FederatedView
    notes: AccessNotes
    fetcher: Fetcher
    begun: Gathering | None = None
    owned: Ownership = NOTHING_SHARED
    passed_over: frozenset[InstanceKey] = frozenset()

    def only(self, keys: Collection[InstanceKey]) -> Retrieval:
        """Some of it, as a retrieval of its own of which nothing has begun; nothing else is seen through its view."""
        view = replace(self.view, only=frozenset(keys))
        return replace(self, outcome=FetchOutcome(set(keys)), view=view, begun=None, owned=self.owned.of(keys))

    def close(self) -> None:
        """Nothing more is wanted. May be called twice."""
        if self.begun is not None:
            self.begun.close()

    @property
    def strangers(self) -> frozenset[InstanceKey]:
        """What members hold under several patients: it comes from one of them."""
        return self.owned.strangers

    @property
    def silent(self) -> tuple[MemberReport, ...]:
        """Members that did not say what they hold."""
        return self.located.missing

    @property
    def unheard(self) -> list[str]:
        """What whoever asks must know before anything was brought."""
        said = [f"{report.sentence}: instances may be missing." for report in self.silent]
        if self.strangers:
            names = ", ".join(name for name, held in self.located.holders.items() if not held.isdisjoint(self.strangers))
            said.append(
                f"{len(self.strangers)} of {len(self.outcome.wanted)} instances have the UIDs of another patient's, and come from one archive alone: "
                f"ask each for its own ({names})."
            )
        if self.owned.unproved:
            said.append(
                f"It could not be proved that {len(self.owned.unproved)} of {len(self.outcome.wanted)} instances are one patient's: several hold their UIDs, and "
                f"not all said whose they are ({', '.join(self.owned.unheard)}). Compare the patient, or ask each archive for its own."
            )
        return said

    @property
    def warnings(self) -> list[str]:
        """What whoever asks must know when everything has been brought; empty when the answer is whole."""
        said = self.unheard
        if self.outcome.missing:
            reasons = "; ".join(f"{name}: {why}" for name, why in sorted(self.outcome.reasons.items()))
            said.append(
                f"{len(self.outcome.missing)} of {len(self.outcome.wanted)} instances could not be had. {reasons}".strip()
            )
        return said


Takes = Callable[[PassedInstance], bool]
"""Whether whoever asks takes an instance as it is."""
Wants = Callable[[InventoriedInstance], bool]
"""Whether an instance is wanted at all, by what the preferred member lists of it."""


def everything(one: InventoriedInstance) -> bool:
    """Wants whatever there is."""
    return True


class _Given(NamedTuple):
    """What is noted of an instance that was given out; its octets are not kept for that."""

    patient: PatientKey
    study_instance_uid: str
    sop_class_uid: str


class Bringing:
    """Brings studies, series and instances.

    Parameters
    ----------
    memory
        Where they go that this archive does not keep; None: they are kept here for good.
    absences
        Members that are known to have nothing of a study, and are not asked.
    owners
        Tells what members hold under several patients; None: nobody looks.
    may_correct
        Where somebody may correct: what they rejected that is not held here is not brought from there.
    """

    def __init__(
        self,
        members: Members,
        settings: FederationSettings,
        catalogue: Catalogue,
        pipeline: IngestPipeline,
        memory: Memory | None,
        absences: Absences | None = None,
        owners: Owners | None = None,
        may_correct: MayCorrect = everywhere,
    ) -> None:
        self._members = members
        self._settings = settings
        self._catalogue = catalogue
        self._pipeline = pipeline
        self._memory = memory
        self._owners = owners
        self._rejected = Rejected(catalogue.rejections, may_correct)
        self._locate = Locator(members, settings, absences)

    def begin(
        self,
        permit: Permit,
        study: str,
        series: str | None = None,
        sops: Sequence[str] = (),
        *,
        takes: Takes | None = None,
        wants: Wants = everything,
        ahead: bool = False,
        local_only: bool = False,
    ) -> Retrieval:
        """Find out where what is asked for is.

        Parameters
        ----------
        takes
            Whether whoever asks takes an instance as a member gave it; None: nothing but what went through the rooms.
        wants
            Whether an instance is wanted at all, by what the preferred member lists of it.
        ahead
            Fetching begins as soon as the first member has answered; else not before `instances` or `passed_on` is read.

        Raises InvalidRequest for a Study Instance UID that is none: to a member a blank one is all studies, one with ``*`` or ``\\``
        several (PS3.4 C.2.2.2).
        """
        if not _ASKABLE.fullmatch(study):
            raise InvalidRequest(
                "A study is asked for from several archives by a UID of digits and dots: anything else means something else, or "
                "everything, to some of them. Ask the archive that holds it."
            )
        scope = permit.catalogue.scope
        span = None if self._memory is None else self._memory.present()
        view = self._view(scope, span)
        fetcher, outcome = self._fetcher(view, span, takes), FetchOutcome(set())

        @cache
        def shown() -> tuple[set[InstanceKey], dict[str, frozenset[str]]]:
            hidden = self._rejected.of(study)
            return {key_of(one) for one in view.instances(study=study)}, {one.name: hidden.at(one) for one in self._members}

        def there(located: Located) -> set[InstanceKey]:
            return _wanted(located, series, frozenset(sops), *shown())

        def wanted(located: Located) -> set[InstanceKey]:
            return {key for key in there(located) if wants(located.instances[key])}

        early = Ahead(self._members, fetcher, wanted, outcome)
        try:
            located = self._locate(
                study,
                may_ask=lambda member: may_ask(scope, member),
                local_only=local_only,
                heard=early if ahead else lambda located, waiting: None,
            )
            found = there(located)
            outcome.wanted = {key for key in found if wants(located.instances[key])}
            if not found:
                permit.catalogue.notes.missed(study)
            owned = self._owners(located, scope).of(outcome.wanted) if self._owners is not None else NOTHING_SHARED
        except BaseException:
            if early.begun is not None:
                early.begun.close()
            raise
        passed_over = frozenset(found - outcome.wanted)
        return Retrieval(located, outcome, view, permit.catalogue.notes, fetcher, early.begun, owned, passed_over)

    def instances(self, retrieval: Retrieval, destination: str = "") -> Iterator[HeldInstance]:
        """The instances as they are at hand, each taken in. Read to its end, `retrieval.outcome` tells what is missing.

        What was given out, to whoever asks or to `destination`, is noted when it ends, early or not.
        """
        with closing(self.passed_on(retrieval, destination)) as brought:
            yield from (one for one in brought if isinstance(one, HeldInstance))

    def passed_on(self, retrieval: Retrieval, destination: str = "") -> Generator[Brought, None, None]:
        """The same, where what whoever asks takes as it is comes as the member gave it."""
        given: list[_Given] = []
        outcome = retrieval.outcome
        try:
            for one in retrieval.fetcher.fetch(retrieval.located, outcome.wanted, outcome, retrieval.begun):
                given.append(_Given(one.patient, one.study_instance_uid, one.sop_class_uid))
                yield one
        finally:
            retrieval.close()
            if given:
                retrieval.notes.read(given, destination=destination)

    def _fetcher(self, view: FederatedView, span: Span | None, takes: Takes | None) -> Fetcher:
        offer = self._pipeline.offer if span is None else span.pipeline.offer
        passing = None if span is None else PassingOn(span.passed, view.scope.labels, takes)

        def held(study: str, keys: Collection[InstanceKey]) -> Mapping[InstanceKey, HeldInstance]:
            only = next(iter(keys)).sop if len(keys) == 1 else None
            found: dict[InstanceKey, HeldInstance] = {}
            for one in view.instances(study=study, sop=only):
                if (key := key_of(one)) in keys:
                    found.setdefault(key, one)
            return found

        return Fetcher(Means(self._members, self._settings, offer, held, passing))

    def view(self, scope: Scope) -> FederatedView:
        """This archive and what was brought, as far as a scope goes."""
        return self._view(scope, None if self._memory is None else self._memory.present())

    def _view(self, scope: Scope, span: Span | None) -> FederatedView:
        brought = None if span is None else CatalogueView(span.catalogue, scope)
        return FederatedView(self._catalogue, scope, linked=True, brought=brought, rejected=self._rejected)


def _wanted(
    located: Located,
    series: str | None,
    sops: frozenset[str],
    visible: set[InstanceKey],
    rejected: Mapping[str, frozenset[str]],
) -> set[InstanceKey]:
    """What is asked for and may be given out, of what is located.

    Parameters
    ----------
    visible
        What whoever asks may see of what is here or was brought.
    rejected
        Member name to what is rejected of that which it has: one that has not heard of it does not undo that.
    """
    held_here = located.holders.get(LOCAL, set())
    elsewhere = {
        key for name, held in located.holders.items() if name != LOCAL for key in held if key.sop not in rejected.get(name, ())
    }
    return located.wanted(series, sops) & (elsewhere | (held_here & visible))
