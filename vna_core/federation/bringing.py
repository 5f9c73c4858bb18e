"""Whatever is to be retrieved through the federation is brought here first, as far as members deliver it; then it is served as what is held."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
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
from vna_core.federation.fetching import Brought, Fetcher, FetchOutcome
from vna_core.federation.kept import PassedInstance
from vna_core.federation.locating import Located, Locator
from vna_core.federation.members import LOCAL, MemberReport, Members, may_ask
from vna_core.federation.memory import Brought as Span
from vna_core.federation.memory import Memory
from vna_core.federation.passing import PassingOn
from vna_core.federation.view import FederatedView
from vna_core.ingest.pipeline import IngestPipeline

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
    span
        Where it is remembered; None: it is kept here for good.
    """

    located: Located
    outcome: FetchOutcome
    view: FederatedView
    notes: AccessNotes
    span: Span | None = None

    @property
    def silent(self) -> tuple[MemberReport, ...]:
        """Members that did not say what they hold."""
        return self.located.missing

    @property
    def unheard(self) -> list[str]:
        """What whoever asks must know before anything was brought."""
        return [f"{report.sentence}: instances may be missing." for report in self.silent]

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
    """

    def __init__(
        self,
        members: Members,
        settings: FederationSettings,
        catalogue: Catalogue,
        pipeline: IngestPipeline,
        memory: Memory | None,
    ) -> None:
        self._members = members
        self._settings = settings
        self._catalogue = catalogue
        self._pipeline = pipeline
        self._memory = memory
        self._locate = Locator(members, settings)

    def begin(
        self, permit: Permit, study: str, series: str | None = None, sops: Sequence[str] = (), *, local_only: bool = False
    ) -> Retrieval:
        """Find out where what is asked for is. Nothing is fetched before `instances` is read.

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
        located = self._locate(study, may_ask=lambda member: may_ask(scope, member), local_only=local_only)
        visible = {one.sop_instance_uid for one in view.instances(study=study)}
        held_here = located.holders.get(LOCAL, set())
        elsewhere = {sop for name, held in located.holders.items() if name != LOCAL for sop in held}
        wanted = located.wanted(series, frozenset(sops)) - (held_here - visible - elsewhere)
        # Rejected here: a member that has not heard of it does not undo that.
        wanted -= self._catalogue.rejections.hidden(study) - (held_here & visible)
        if not wanted:
            permit.catalogue.notes.missed(study)
        return Retrieval(located, FetchOutcome(wanted), view, permit.catalogue.notes, span)

    def instances(self, retrieval: Retrieval, destination: str = "") -> Iterator[HeldInstance]:
        """The instances as they are at hand, each taken in. Read to its end, `retrieval.outcome` tells what is missing.

        What was given out, to whoever asks or to `destination`, is noted when it ends, early or not.
        """
        with closing(self.passed_on(retrieval, None, destination)) as brought:
            yield from (one for one in brought if isinstance(one, HeldInstance))

    def passed_on(
        self, retrieval: Retrieval, takes: Callable[[PassedInstance], bool] | None, destination: str = ""
    ) -> Generator[Brought, None, None]:
        """The same, where what whoever asks `takes` as it is comes as the member gave it."""
        given: list[_Given] = []
        try:
            for one in self._brought(retrieval, takes):
                given.append(_Given(one.patient, one.study_instance_uid, one.sop_class_uid))
                yield one
        finally:
            if given:
                retrieval.notes.read(given, destination=destination)

    def _brought(self, retrieval: Retrieval, takes: Callable[[PassedInstance], bool] | None) -> Iterator[Brought]:
        span, view = retrieval.span, retrieval.view
        offer = self._pipeline.offer if span is None else span.pipeline.offer
        passing = None if span is None else PassingOn(span.passed, view.scope.labels, takes)

        def held(study: str, sops: Collection[str]) -> Mapping[str, HeldInstance]:
            only = next(iter(sops)) if len(sops) == 1 else None
            return {one.sop_instance_uid: one for one in view.instances(study=study, sop=only) if one.sop_instance_uid in sops}

        fetcher = Fetcher(self._members, self._settings, offer, held, passing)
        return fetcher.fetch(retrieval.located, retrieval.outcome.wanted, retrieval.outcome)

    def view(self, scope: Scope) -> FederatedView:
        """This archive and what was brought, as far as a scope goes."""
        return self._view(scope, None if self._memory is None else self._memory.present())

    def _view(self, scope: Scope, span: Span | None) -> FederatedView:
        brought = None if span is None else CatalogueView(span.catalogue, scope)
        return FederatedView(self._catalogue, scope, linked=True, brought=brought)
