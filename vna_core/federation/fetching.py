"""A study brought together from its members: best source first, another one when it stalls, until the set of UIDs is whole.

What a member delivers goes through the rooms of the way in into the archive or into its memory of what members hold; or, where whoever asks takes it as it
is, on to them (`vna_core.federation.passing`).
Each instance is asked for again only where it is missing, and the end is decided by the set of UIDs, never by what a source says.
"""

from __future__ import annotations

from collections.abc import Iterator

from vna_core.domain.octets import Source
from vna_core.federation.gathering import Brought, FetchOutcome, Gathering, Means
from vna_core.federation.kept import PassedInstance
from vna_core.federation.locating import InstanceKey, Located, key_of, sources
from vna_core.federation.members import Member
from vna_core.federation.passing import PassingOn


class Fetcher:
    """Brings instances here."""

    def __init__(self, means: Means) -> None:
        self._means = means

    def fetch(
        self, located: Located, wanted: set[InstanceKey], outcome: FetchOutcome, begun: Gathering | None = None
    ) -> Iterator[Brought]:
        """The wanted instances as they are at hand: those that are here first, then the others as they come.

        `outcome` is filled while it goes on, and tells at the end what is missing and why. What was `begun` goes on, and is closed at the end.
        """
        with begun or Gathering(self._means, located, outcome) as gathering:
            here = self._means.held(located.study, wanted)
            for key in sorted(wanted & here.keys()):
                outcome.got.add(key)
                yield here[key]
            for key, known in self._passed_before(located, outcome):
                outcome.got.add(key)
                yield known
            if not outcome.is_complete and not outcome.left:
                yield from gathering.run()

    def begin(self, located: Located, outcome: FetchOutcome) -> Gathering | None:
        """Have the best source deliver what is wanted so far, but for what is here or kept. None: nothing has to be delivered, or nobody can now.

        To be given to `fetch`, or closed.
        """
        missing = outcome.wanted - self._means.held(located.study, outcome.wanted).keys()
        if self._means.passing is not None:
            for member, _ in sources(self._means.members, located, missing):
                missing -= self._means.passing.passed.known(source_of(member), located.study).keys()
        gathering = Gathering(self._means, located, outcome)
        if missing and gathering.start(missing):
            return gathering
        gathering.close()
        return None

    def _passed_before(self, located: Located, outcome: FetchOutcome) -> Iterator[tuple[InstanceKey, Brought]]:
        """What is kept as members gave it: passed on again, or taken in where that is needed now."""
        passing = self._means.passing
        if passing is None:
            return
        for member, share in sources(self._means.members, located, outcome.missing):
            source = source_of(member)
            known = passing.passed.known(source, located.study)
            for key in sorted((share - outcome.got) & known.keys()):
                one = passing.passed.read(known[key])
                if one is None:
                    continue
                if passing.is_taken(one, source):
                    yield key, one
                elif self._taken_in(passing, one, source) and (held := self._means.held(located.study, (key,))):
                    yield key, held[key]

    def _taken_in(self, passing: PassingOn, one: PassedInstance, source: Source) -> bool:
        """Whether what is kept could be taken in."""
        try:
            received = passing.passed.received(one, source)
        except FileNotFoundError:
            return False
        study, key = one.study_instance_uid, key_of(one)
        result = self._means.offer(received, only=lambda found: found.study_instance_uid == study and key_of(found) == key)
        return result.outcome.acknowledged


def source_of(member: Member) -> Source:
    """What a member delivers is told to come from."""
    settings = member.settings
    return Source("migration", member.name, "", str(settings.options.get("issuer", settings.issuer)))
