"""The catalogue: the SQL index of what is held, rebuildable from the stores alone (decision D7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import select

from vna_core.catalogue.ages import Ages
from vna_core.catalogue.availability import Availabilities
from vna_core.catalogue.awaited import Awaited
from vna_core.catalogue.campaigns import Campaigns
from vna_core.catalogue.checks import Checks
from vna_core.catalogue.commitments import Commitments
from vna_core.catalogue.conflicts import Conflict, listed_conflicts
from vna_core.catalogue.copies import Copies
from vna_core.catalogue.corrections import Corrections
from vna_core.catalogue.database import Database
from vna_core.catalogue.deletions import Deletions
from vna_core.catalogue.deviations import Deviations, deviations
from vna_core.catalogue.entry_form import EntryForm, entry_form
from vna_core.catalogue.federated_answers import FederatedAnswers
from vna_core.catalogue.fingerprint import fingerprint
from vna_core.catalogue.follow_ups import FollowUps
from vna_core.catalogue.generations import Generations
from vna_core.catalogue.group_commit import GroupCommit
from vna_core.catalogue.holds import Holds
from vna_core.catalogue.identity import Identity
from vna_core.catalogue.jobs import Jobs
from vna_core.catalogue.labelling import Emergencies, Labelling
from vna_core.catalogue.migration_inventories import Inventories
from vna_core.catalogue.migration_ledger import Ledger
from vna_core.catalogue.migration_listing import Listing
from vna_core.catalogue.migration_reading import LedgerReader
from vna_core.catalogue.migration_sums import LedgerSums
from vna_core.catalogue.migration_throttle import Throttle
from vna_core.catalogue.opening import open_database
from vna_core.catalogue.packs import Packs
from vna_core.catalogue.placements import Placements
from vna_core.catalogue.quarantine import Quarantine, QuarantineEntry
from vna_core.catalogue.reading import Explanation, InstanceHeader, ListedHeader, Reader
from vna_core.catalogue.recording import Overtaken, Recorded, Recorder, Result
from vna_core.catalogue.rejections import Rejections
from vna_core.catalogue.schema import totals
from vna_core.catalogue.search import Answer, Search
from vna_core.catalogue.source_headers import SourceHeader, source_headers
from vna_core.catalogue.store_holds import StoreHolds
from vna_core.catalogue.store_identities import StoreIdentities
from vna_core.catalogue.store_sums import StoreSums
from vna_core.catalogue.waiting_jobs import WaitingJobs
from vna_core.configuration import CatalogueSettings
from vna_core.domain.access import EVERYTHING, Scope
from vna_core.domain.corrections import KEY_OBJECT_SELECTION, REJECTION_NOTE
from vna_core.domain.departments import UNDIVIDED, Departments
from vna_core.domain.errors import VnaError
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import HeldInstance, IndexEntry, Location
from vna_core.domain.query import Query

_JOBS: Final[Mapping[str, tuple[str, ...]]] = {KEY_OBJECT_SELECTION: (REJECTION_NOTE,)}
"""Jobs asked for by SOP class: a Key Object Selection document may be a rejection note (IHE IOCM)."""

Compare = Callable[[Sequence[HeldInstance]], Mapping[int, str]]
"""Tells how a new version differs from others: the key of each to ``encoding``, ``header``, ``pixel`` or ``other-parent``."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """How much is held. `instances` counts current versions, `versions` all of them; `bytes` are of canonical objects."""

    patients: int
    studies: int
    series: int
    instances: int
    versions: int
    conflicts: int
    quarantined: int
    bytes: int


class Catalogue:
    """Everything the archive knows in SQL. Every method may be called from several threads and processes at once.

    Every method may raise CatalogueUnavailable (transient) and CatalogueError. After a fork, open a new one in the child.

    Attributes
    ----------
    jobs, waiting_jobs
        The ledger of durable work; which of it waits for a store.
    commitments, campaigns
        Ledgers of storage commitment requests, and of migrations.
    ledger, ledger_reader, ledger_sums, inventories, throttle
        What migrations move: their rows, what they answer, sums over them, snapshots of sources, and what workers share.
    sequences
        What is in the sequences of matches.
    awaited
        What sources in cut-over still have, found as if it were here.
    follow_ups
        Jobs that are asked for whenever versions are added or replaced.
    placements
        Copies as placement makes, moves and drops them, and the ledger of it.
    store_sums
        What each store holds and lacks, in numbers.
    store_identities
        By which identity each store is known.
    availabilities
        How readily matches can be read.
    generations
        Objects made again of the same octets, and the ledger of the runs that made them.
    holds, store_holds, deletions, checks, ages
        What may not be deleted, what stores hold because of that, what was deleted, when each stored object was read last, and how old studies are.
    identity
        Which Patient IDs mean one person.
    corrections, rejections
        What travels to other archives and who has applied it; what is hidden by a reason code.
    packs
        Sealed series: what can be sealed, and where members are.
    labelling, emergencies
        Labels by which departments see instances, and who sees all of them for the moment.
    """

    def __init__(self, database: Database, departments: Departments = UNDIVIDED) -> None:
        self._database = database
        self._departments = departments
        self._reader = Reader(database)
        self.jobs = Jobs(database)
        self.waiting_jobs = WaitingJobs(database)
        self.corrections = Corrections(database, self.jobs)
        self.identity = Identity(database, self.corrections)
        self._search = Search(database, self.identity)
        self.sequences = self._search.sequences
        self.awaited = Awaited(database, self._search, self.identity, departments)
        self._quarantine = Quarantine(database)
        self.follow_ups = FollowUps(database)
        self._copies = Copies(database, self.follow_ups)
        recorder = Recorder(database, self.follow_ups)
        self._record: GroupCommit[Sequence[EntryForm], list[Result]] = GroupCommit(recorder.groups)
        self.federated_answers = FederatedAnswers(database)
        self.commitments = Commitments(database)
        self.campaigns = Campaigns(database)
        self.ledger = Ledger(database)
        self.listing = Listing(database)
        self.ledger_reader = LedgerReader(database)
        self.ledger_sums = LedgerSums(database)
        self.inventories = Inventories(database)
        self.throttle = Throttle(database)
        self.generations = Generations(database, self.follow_ups, departments)
        self.packs = Packs(database, self.follow_ups)
        self.placements = Placements(database)
        self.store_sums = StoreSums(database)
        self.store_identities = StoreIdentities(database)
        self.availabilities = Availabilities(database)
        self.labelling = Labelling(database, self.follow_ups, departments)
        self.emergencies = Emergencies(database)
        self.holds = Holds(database, self.follow_ups)
        self.store_holds = StoreHolds(database)
        self.deletions = Deletions(database, self.follow_ups, self.corrections)
        self.rejections = Rejections(database)
        self.checks = Checks(database)
        self.ages = Ages(database)
        self._statistics = database.prepare(select(*(totals.c[name] for name in _TOTALS)))

    @classmethod
    def open(
        cls,
        settings: CatalogueSettings,
        data: Path,
        departments: Departments = UNDIVIDED,
        *,
        durable: bool = True,
        reading: bool = False,
    ) -> Self:
        """Open the catalogue, and make or migrate its tables where needed. What is recorded gets the labels `departments` say.

        Without `durable` a loss of power takes the last commits (SQLite only): for what can be had again. For `reading` alone a
        disk will do that takes nothing any more. Raises ConfigurationError (the folder cannot be one), CatalogueUnavailable.
        """
        return cls(open_database(settings, data, durable=durable, reading=reading), departments)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give connections back. May be called twice."""
        self._database.close()

    def ping(self) -> None:
        """Ask the database for one row."""
        self.statistics()

    def record(self, entry: IndexEntry, compare: Compare | None = None) -> Recorded:
        """Record one stored version, and return once the transaction that holds it is durable.

        Calls of many threads share transactions. A version whose octets as received are held already is a duplicate and is
        not recorded; any other under the same SOP Instance UID is a further version.

        Parameters
        ----------
        compare
            Asked about the versions that are held. Without it nobody has looked, and conflicts are ``unclassified``.
        """
        (recorded,) = self.record_all(((entry, None if compare is None else {}, compare),))
        if isinstance(recorded, VnaError):
            raise recorded
        return recorded

    def record_all(
        self, entries: Sequence[tuple[IndexEntry, Mapping[int, str] | None, Compare | None]]
    ) -> list[Recorded | VnaError]:
        """Record several versions in one transaction; results in order, errors in their place.

        Parameters
        ----------
        entries
            Each with how it differs from the versions that were held when it was compared, and with what to ask about those that are
            recorded by others meanwhile, or by entries before it: such an entry is compared and recorded once more.
        """
        results: list[Recorded | VnaError | None] = [None] * len(entries)
        waiting = {at: classification for at, (_, classification, _) in enumerate(entries)}
        while waiting:
            overtaken = list[int]()
            for at, result in zip(waiting, self._record(self._forms(entries, waiting)), strict=True):
                if isinstance(result, Overtaken):
                    overtaken.append(at)
                else:
                    results[at] = result
            try:
                waiting = {at: self._compared(entries[at][0], entries[at][2]) for at in overtaken}
            except VnaError as error:
                return [error if result is None else result for result in results]
        return [result for result in results if result is not None]

    def _forms(
        self, entries: Sequence[tuple[IndexEntry, Any, Any]], waiting: Mapping[int, Mapping[int, str] | None]
    ) -> list[EntryForm]:
        return [
            entry_form(entries[at][0], classification, _JOBS.get(entries[at][0].sop_class_uid, ()), self._departments)
            for at, classification in waiting.items()
        ]

    def _compared(self, entry: IndexEntry, compare: Compare | None) -> Mapping[int, str]:
        """How an entry differs from what is held by now."""
        assert compare is not None, "what nobody compares is never overtaken"
        return compare(self.versions(entry.sop_instance_uid))

    def is_new(self, sop_instance_uid: str) -> bool:
        """Whether nothing is held under a SOP Instance UID, and nothing was deleted under it."""
        return self._reader.is_new(sop_instance_uid)

    def versions(self, sop_instance_uid: str, scope: Scope = EVERYTHING) -> tuple[HeldInstance, ...]:
        """Every version under a SOP Instance UID, wherever it is filed."""
        return self._reader.versions(sop_instance_uid, scope)

    def seen(self, pks: Sequence[int], scope: Scope) -> frozenset[int]:
        """Which of these versions lie in a scope."""
        return self._reader.seen(pks, scope)

    def held(self, pk: int) -> HeldInstance:
        """One version by its key. Raises NotFound."""
        return self._reader.by_pk(pk)

    def moved(self, held: HeldInstance) -> HeldInstance:
        """The same object where it is now: read after a copy was not found where it was when `held` was read.

        Raises NotFound for a version that is gone. Without locations the object itself is held no more.
        """
        now = self._reader.by_pk(held.pk)
        if now.sha256 == held.sha256:
            return replace(held, locations=now.locations)
        earlier = [one.location for one in self.generations.of_version(held.pk) if one.sha256 == held.sha256]
        return replace(held, locations=tuple(earlier))

    def replace_copy(self, pk: int, entry: IndexEntry) -> HeldInstance:
        """Point a version whose copy was bad or missing at the object just stored from the same octets."""
        return self._copies.replace(pk, entry_form(entry, {}))

    def add_copy(self, pk: int, location: Location) -> bool:
        """List a further copy of a version; False for one that is listed already. Raises NotFound."""
        return self._copies.add(pk, location)

    def set_location_state(self, pk: int, location: Location, state: str) -> None:
        """Mark one copy ``ok`` or ``bad``. An unknown location is passed over, and on a disk that takes nothing it stays unnoted."""
        if self._database.is_read_only:
            return
        self._copies.set_state(pk, location, state)

    def record_quarantine(self, entry: QuarantineEntry) -> str:
        """Add an item to the quarantine's list, or count it again; its id."""
        return self._quarantine.record(entry)

    def quarantined(self, after: str = "", limit: int = 100) -> list[QuarantineEntry]:
        """Items that wait in the quarantine, by id."""
        return self._quarantine.listed(after, limit)

    def quarantine_entry(self, entry_id: str) -> QuarantineEntry:
        """One item of the quarantine, resolved or not. Raises NotFound."""
        return self._quarantine.entry(entry_id)

    def quarantine_size(self) -> tuple[int, int]:
        """How many items wait, and their octets."""
        return self._quarantine.size()

    def resolve_quarantine(self, entry_id: str, outcome: str) -> None:
        """Note how an item ended. Raises NotFound."""
        self._quarantine.resolve(entry_id, outcome)

    def uncopied_quarantine(self, store: str, after: str = "", limit: int = 100) -> list[QuarantineEntry]:
        """Items, resolved or not, of which a store has no copy, by id."""
        return self._quarantine.uncopied(store, after, limit)

    def quarantine_copied(self, entry_id: str, store: str) -> None:
        """Note that a store has a verified copy of an item."""
        self._quarantine.copied(entry_id, store)

    def search(self, query: Query) -> Answer:
        """Current versions, series, studies or patients that match all conditions. Raises InvalidRequest."""
        return self._search(query)

    def instances(
        self,
        *,
        patient: PatientKey | None = None,
        study: str | None = None,
        series: str | None = None,
        sop: str | None = None,
        all_versions: bool = False,
        scope: Scope = EVERYTHING,
    ) -> list[HeldInstance]:
        """Versions (the current ones, unless all are asked for) that fulfil everything given, in the order of recording."""
        return self._reader.instances(patient, study, series, sop, all_versions, scope)

    def instances_by_uid_list(self, sop_instance_uids: Sequence[str], scope: Scope = EVERYTHING) -> Iterator[HeldInstance]:
        """Current versions of many instances; unknown UIDs are passed over."""
        return self._reader.by_uid_list(sop_instance_uids, scope)

    def headers(
        self, *, study: str, series: str | None = None, sop: str | None = None, scope: Scope = EVERYTHING
    ) -> Iterator[tuple[HeldInstance, bytes]]:
        """Current versions with their DICOM JSON, in the order of recording."""
        return self._reader.headers(study, series, sop, scope)

    def metadata(
        self, *, study: str, series: str | None = None, sop: str | None = None, scope: Scope = EVERYTHING
    ) -> Iterator[InstanceHeader]:
        """DICOM JSON of current versions with the UIDs that address them: the fast way to WADO-RS metadata."""
        return self._reader.metadata(study, series, sop, scope)

    def listed_headers(self, study: str, series: str, scope: Scope = EVERYTHING) -> tuple[ListedHeader, ...]:
        """What `metadata_of` would read for a series; equal as long as that is the same."""
        return self._reader.listed(study, series, None, scope)

    def metadata_of(self, listed: Sequence[ListedHeader]) -> Iterator[InstanceHeader]:
        """DICOM JSON of listed versions, in that order."""
        return self._reader.metadata_of(listed)

    def explanation(self, pk: int) -> Explanation:
        """Where a version came from and what normalization did. Raises NotFound."""
        return self._reader.explanation(pk)

    def deviations(self, source: str | None = None) -> Iterator[Deviations]:
        """What normalization did to each current version, of one source (its name) or of all, in the order of recording."""
        return deviations(self._database, source)

    def source_headers(self, source: str) -> Iterator[SourceHeader]:
        """Current versions that a source delivered, by its name, each with its DICOM JSON, all of a study together."""
        return source_headers(self._database, source)

    def statistics(self) -> Statistics:
        """How much is held; the cost does not grow with the archive."""
        with self._database.session() as session:
            row = session.execute(self._statistics.sql, []).fetchone()
        return Statistics(**dict(zip(_TOTALS, row, strict=True)), quarantined=self._quarantine.size()[0])

    def conflicts(self, after: int = 0, limit: int = 100) -> list[Conflict]:
        """Versions that contradict one another, in the order they were found."""
        return listed_conflicts(self._database, after, limit)

    def fingerprint(self) -> dict[str, Any]:
        """The content in a form that is equal for catalogues that hold the same, whatever the order of recording."""
        return fingerprint(self._database)


_TOTALS: Final = ("patients", "studies", "series", "instances", "versions", "conflicts", "bytes")
