"""An archive on four stores to which anything may happen, beside a model of what must be in it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import astuple, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from tests.unit.life.offers import STUDIES, Offer, garbage, image, odd, rejection, sop_uid
from tests.unit.life.shelves import COLD, Killed, Shelf, Shelves
from tests.unit.stewardship.held_archive import worker
from vna_core.archival_storage.key_file import add_key
from vna_core.archival_storage.wrappers.composition import key_rings
from vna_core.bootstrap import Archive, open_archive, pack_keeper
from vna_core.bootstrap_jobs import ensure_periodic_jobs, job_handlers
from vna_core.catalogue import Scope
from vna_core.configuration import Settings
from vna_core.configuration.jobs import JobsSettings
from vna_core.domain.access import Principal, PrincipalKind
from vna_core.domain.errors import InvalidRequest, ObjectArchived, StoreUnavailable, UnderHold, VnaError
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import LinkKind, LinkOrigin
from vna_core.domain.instance import HeldInstance
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.domain.placement import RECALL
from vna_core.domain.stewardship import HIDDEN, PURGED, PURGING, UNDOING, Deletion, Extent
from vna_core.jobs import LedgerWork
from vna_core.plugin_manager import Plugins
from vna_core.stewardship.deletion import Deleting
from vna_core.stewardship.patient_identity import PatientIdentity
from vna_core.stewardship.rebuild import rebuild
from vna_core.stewardship.repair import Repairing, RepairReport
from vna_core.stewardship.scrub import Scrub

STORES: Final = ("landing", "second", "third", "deep")
"""The third is encrypted, the last has an archive tier."""
POLICIES: Final[Mapping[str, tuple[dict[str, Any], ...]]] = {
    "none": (),
    "kept": ({"store": "landing"}, {"store": "second"}),
    "moved": ({"store": "second"}, {"store": "third"}),
    "cold": ({"store": "second"}, {"store": "deep", "tiers": [{"tier": COLD}]}),
    "deep": ({"store": "deep", "tiers": [{"tier": COLD}]},),
}
JOBS: Final = JobsSettings(poll=0.01, pause=0.001, max_attempts=1000)
RULE: Final[dict[str, Any]] = {"id": "north", "when": {"source": {"name": "CT_NORTH"}}, "institution": "Hospital"}
ME: Final = Principal(PrincipalKind.LOCAL, "me")
LIVE: Final = "live"
GONE: Final = "gone"

T = TypeVar("T")


class Died(Exception):
    """The process was killed in the middle, and another one has taken its place."""


@dataclass
class Item:
    """Octets that were acknowledged. `state` is live, the id of the deletion that hides them, or gone."""

    octets: bytes
    mark: bytes
    patient: PatientKey
    study: str
    series: str
    sop: str
    state: str = LIVE

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.octets).hexdigest()


@dataclass
class World:
    """Every method is something that happens to the archive, and what the model says about it."""

    folder: Path
    new_catalogue: Callable[[], str | None]
    """The URL of an empty database; None: a file."""
    shelves: Shelves = field(default_factory=Shelves)
    policy: str = "none"
    items: dict[bytes, Item] = field(default_factory=dict)
    offered: dict[str, Offer] = field(default_factory=dict)
    """Digest of octets to who sent them, acknowledged or not: what was not may be held all the same."""
    waiting: dict[str, bytes] = field(default_factory=dict)
    """Quarantine id to octets; with those that found their place."""
    holds: dict[str, tuple[Extent, str, str]] = field(default_factory=dict)
    rejections: set[str] = field(default_factory=set)
    set_aside: set[str] = field(default_factory=set)
    """Deletions of versions beside the one that is right."""
    awaited: dict[tuple[str, str], str] = field(default_factory=dict)
    """Study and SOP Instance UID of what was rejected before it came, to the note."""
    unsure: set[str] = field(default_factory=set)
    """Deletions whose taking back was kept from its end."""
    damaged: set[tuple[str, str]] = field(default_factory=set)
    given_up: set[tuple[str, str]] = field(default_factory=set)
    """Damaged objects that a rebuild has left where they are."""
    links: dict[int, tuple[LinkKind, PatientKey, PatientKey, str]] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    undoing: bool = False
    """The last run of normalization is being taken back, which was kept from its end."""
    catalogues: int = 0

    def __post_init__(self) -> None:
        add_key(self.folder / "master.key")
        self.plugins = Plugins()
        self.plugins.load()
        self.plugins.register(self.shelves, "shelves")
        self._new_settings()
        self.archive = self._opened()

    # -- opening and closing ----------------------------------------------------------------------------------------------

    def _new_settings(self) -> None:
        self.catalogues += 1
        url = self.new_catalogue()
        self.where = {"data": str(self.folder / f"data{self.catalogues}"), **({"catalogue": {"url": url}} if url else {})}

    def settings(self) -> Settings:
        def store(name: str) -> dict[str, Any]:
            made: dict[str, Any] = {"type": "shelf", "options": {"path": str(self.folder / name), "tiers": name == "deep"}}
            if name == "third":
                made["wrap"] = [{"type": "encrypting", "key": f"file:{self.folder}/master.key"}]
            return made

        copies = POLICIES[self.policy]
        placement = {"rules": [{"name": self.policy, "copies": list(copies)}]} if copies else {}
        return Settings.model_validate(
            {
                **self.where,
                "stores": {name: store(name) for name in STORES},
                "placement": {"settle": 0, "recall": {"poll": 0.001}, "quarantine": ["second"], **placement},
                "packs": {"quiet": 0, "removal_delay": 0},
                "decode": {"processes": 1},
                "audit": {"enabled": False},
            }
        )

    def _opened(self) -> Archive:
        return open_archive(self.settings(), plugins=self.plugins)

    def restart(self) -> None:
        self.archive.close()
        self.archive = self._opened()

    def close(self) -> None:
        self.archive.close()
        shutil.rmtree(self.folder)

    def run(self, action: Callable[[], T]) -> T:
        """Do something; where the process was to end in it, raises Died with the next process there."""
        try:
            return action()
        except Killed as killed:
            self.shelves.left = None
            self.restart()
            raise Died from killed
        finally:
            self.shelves.left = None

    # -- asking the archive -----------------------------------------------------------------------------------------------

    def deleting(self) -> Deleting:
        return Deleting(self.archive.stores, self.archive.landing, self.archive.catalogue)

    def identity(self) -> PatientIdentity:
        return PatientIdentity(self.archive.catalogue, self.archive.audit, ME)

    def held(self) -> dict[str, HeldInstance]:
        """Digest of the octets as received to the version that stands for them."""
        found = self.archive.catalogue.instances(all_versions=True)
        by_digest = {one.original_sha256: one for one in found}
        assert len(by_digest) == len(found), "two versions of the same octets"
        return by_digest

    def down(self) -> list[str]:
        return [name for name in STORES if self.shelves.of(name).down]

    def shelf(self, name: str) -> Shelf:
        return self.shelves.of(name)

    def live(self) -> list[Item]:
        return [one for one in self.items.values() if one.state == LIVE]

    def hidden(self) -> dict[str, list[Item]]:
        found: dict[str, list[Item]] = {}
        for one in self.items.values():
            if one.state not in (LIVE, GONE):
                found.setdefault(one.state, []).append(one)
        return found

    # -- what comes -------------------------------------------------------------------------------------------------------

    def offer(self, offer: Offer) -> IngestResult | None:
        """None: it was not acknowledged."""
        known = self.items.get(offer.octets)
        self.offered[hashlib.sha256(offer.octets).hexdigest()] = offer

        def offered() -> IngestResult:
            with self.archive.pipeline.reception(offer.source) as reception:
                reception.write(offer.octets)
                return self.archive.pipeline.offer(reception.finish())

        try:
            result = self.run(offered)
        except (Died, VnaError) as error:
            assert isinstance(error, Died | StoreUnavailable) or self.shelf("landing").read_only, error
            held = self.held().get(hashlib.sha256(offer.octets).hexdigest())
            if known is None and held is not None:
                self._came(offer, held)
            return None
        if known is not None and known.state != LIVE and known.state not in self.unsure:
            assert result.outcome is Outcome.REFUSED, result
        elif result.outcome is Outcome.QUARANTINED:
            assert known is None, "what was read once is read again"
            assert result.quarantine_id is not None
            self.waiting[result.quarantine_id] = offer.octets
        else:
            assert result.outcome.acknowledged, result
            held = self.held().get(hashlib.sha256(offer.octets).hexdigest())
            if known is None:
                self._came(offer, held, result)
            elif known.state in self.unsure:
                known.state = LIVE
        return result

    def _came(self, offer: Offer, held: HeldInstance | None, result: IngestResult | None = None) -> None:
        """Something new was acknowledged, or is here though it was not: it is held from now on, or hidden by a note."""
        if held is not None:
            item = Item(
                offer.octets, offer.mark, held.patient, held.study_instance_uid, held.series_instance_uid, held.sop_instance_uid
            )
        else:
            assert result is not None and result.patient is not None
            names = (result.study_instance_uid, result.series_instance_uid, result.sop_instance_uid)
            item = Item(offer.octets, offer.mark, result.patient, *names)
        if result is not None and result.outcome is not Outcome.DUPLICATE:
            assert (item.study, item.series, item.sop) == (
                result.study_instance_uid,
                result.series_instance_uid,
                result.sop_instance_uid,
            )
        self.items[offer.octets] = item
        if (item.study, item.sop) in self.awaited:
            self.work()  # whoever died, or looked a moment ago, leaves it to the worker
            del self.awaited[item.study, item.sop]
            for one in self.items.values():
                if (one.study, one.sop) == (item.study, item.sop) and one.state == LIVE:
                    self._hidden_by(one)

    def _hidden_by(self, item: Item) -> None:
        found = self.archive.catalogue.deletions.find(item.sop, item.sha256)
        assert found is not None and found.state == HIDDEN and found.rejection, item
        item.state = found.id
        self.rejections.add(found.id)

    def image(self, kind: str, sender: int, study: int, series: int, number: int) -> None:
        self.offer(image(kind, sender, study, series, number))

    def series(self, sender: int, study: int, series: int) -> None:
        for number in (1, 2, 3):
            self.image("plain", sender, study, series, number)

    def odd(self, number: int) -> None:
        self.offer(odd(number))

    def garbage(self, number: int) -> None:
        self.offer(garbage(number))

    def retry_quarantine(self) -> None:
        for entry in self.archive.catalogue.quarantined():
            octets = b"".join(self.archive.pipeline.quarantine.octets(entry.id))
            self.offer(Offer(octets, entry.source))

    def note(self, number: int, sender: int, study: int, named: Collection[tuple[int, int]]) -> None:
        """A rejection note arrives."""
        offer = rejection(number, sender, study, sorted(named))
        if offer.octets in self.items:
            self.offer(offer)
            return
        place = STUDIES[study]
        sops = {sop_uid(place, *one) for one in named}
        before = {id(one): one for one in self.live() if one.study == place and one.sop in sops}
        result = self.offer(offer)
        item = self.items.get(offer.octets)
        if item is None and result is None:
            item = self._died_hiding(offer)
        if item is None:
            return
        self.work()
        for one in (*before.values(), item):
            self._hidden_by(one)
        for sop in sops - {one.sop for one in before.values()}:
            self.awaited.setdefault((place, sop), item.sop)

    def awaited_comes(self, pick: int) -> None:
        """An instance comes that a note has rejected before."""
        if self.awaited:
            study, sop = sorted(self.awaited)[pick % len(self.awaited)]
            series, number = sop.removeprefix(f"{study}.").split(".")
            self.image("plain", pick % 2, STUDIES.index(study), int(series), int(number))

    def _died_hiding(self, offer: Offer) -> Item | None:
        """The note that was recorded and hidden with what it rejects before its sender heard of it."""
        sha256 = hashlib.sha256(offer.octets).hexdigest()
        for deletion in self._deletions():
            for one in self.archive.catalogue.deletions.versions(deletion.id):
                if one.original_sha256 == sha256:
                    names = (one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid)
                    item = Item(offer.octets, b"", PatientKey(one.issuer, one.patient_id), *names)
                    self.items[offer.octets] = item
                    return item
        return None

    def take_unacknowledged(self, held: Mapping[str, HeldInstance]) -> None:
        """What was stored when the process died, and found by a repair or a rebuild."""
        known = {one.sha256 for one in self.items.values()}
        for digest in held.keys() - known:
            self._came(self.offered[digest], held[digest])

    # -- what workers do --------------------------------------------------------------------------------------------------

    def work(self, rounds: int = 2) -> None:
        """Every job is done, those that wait for their time or for another look as well."""
        self._tolerating(lambda: self._work(rounds))

    def _work(self, rounds: int) -> None:
        ensure_periodic_jobs(self.archive)
        jobs = self.archive.catalogue.jobs
        for _ in range(rounds):
            for job in jobs.every():
                jobs.reopen(job.pk)
            ledger_work = LedgerWork(jobs, job_handlers(self.archive), JOBS, "test")
            ledger_work.run_until_idle(most=500)

    def _tolerating(self, action: Callable[[], object]) -> bool:
        """Do what may die, or be kept from its end by a store that does not answer."""
        try:
            self.run(action)
        except Died:
            return False
        except VnaError as error:
            assert (self.down() and isinstance(error, StoreUnavailable)) or isinstance(error, ObjectArchived), error
            return False
        return True

    def seal(self) -> None:
        def sealing() -> None:
            for place in self.archive.catalogue.packs.series():
                pack_keeper(self.archive).seal(place)

        self._tolerating(sealing)

    def compact(self) -> None:
        def compacting() -> None:
            for place in self.archive.catalogue.packs.series():
                pack_keeper(self.archive).compact(place)

        self._tolerating(compacting)

    def clean(self) -> None:
        self._tolerating(lambda: pack_keeper(self.archive).remove_leftovers(at_once=True))

    def normalize_again(self) -> None:
        def again() -> None:
            self.runs.append(worker(self.archive, RULE).apply(Scope()).id)

        self._tolerating(again)

    def normalize_back(self) -> None:
        if self.runs:
            run = self.runs[-1]
            self.undoing = not self._tolerating(lambda: worker(self.archive, RULE).undo(run))
            if not self.undoing:
                self.runs.pop()

    def place_otherwise(self, policy: str) -> None:
        """The policy is changed, which needs a restart."""
        self.policy = policy
        self.restart()

    # -- what people do ---------------------------------------------------------------------------------------------------

    def _covered(self, items: Collection[Item]) -> bool:
        return any(
            (level is Extent.SERIES and one.series == identifier)
            or (level is Extent.STUDY and one.study == identifier)
            or (level is Extent.PATIENT and one.patient == PatientKey(issuer, identifier))
            for level, identifier, issuer in self.holds.values()
            for one in items
        )

    def delete(self, level: Extent, pick: int) -> None:
        live = self.live()
        if not live:
            return
        chosen = live[pick % len(live)]
        attribute = {Extent.STUDY: "study", Extent.SERIES: "series", Extent.INSTANCE: "sop"}[level]
        uid = getattr(chosen, attribute)
        gone = [one for one in live if getattr(one, attribute) == uid]
        try:
            deletion = self._hides(lambda: self.deleting().delete(level, uid, "by mistake", "me"), gone)
        except UnderHold:
            assert self._covered(gone)
            return
        assert not deletion or not self._covered(gone), "what is under a hold was deleted"

    def _hides(self, hide: Callable[[], Deletion], gone: Collection[Item]) -> str:
        """The deletion that hides these from now on, also where whoever made it died; empty: there is none."""
        before = {one.id for one in self._deletions()}
        try:
            deletion = self.run(hide).id
        except (Died, StoreUnavailable):
            new = [one.id for one in self._deletions() if one.id not in before]
            if not new:
                return ""
            (deletion,) = new
        for one in gone:
            one.state = deletion
        return deletion

    def keep(self, pick: int) -> None:
        """One of several versions of an instance is right."""
        by_instance: dict[tuple[PatientKey, str, str, str], list[Item]] = {}
        for one in self.live():
            by_instance.setdefault((one.patient, one.study, one.series, one.sop), []).append(one)
        several = [items for items in by_instance.values() if len(items) > 1]
        if not several:
            return
        items, held = several[pick % len(several)], self.held()
        right = items[pick % len(items)]
        away = [one for one in items if one is not right]
        pks = [held[one.sha256].pk for one in away]
        deletion = self._hides(
            lambda: self.deleting().delete(Extent.VERSION, right.sop, "that one is right", "me", versions=pks), away
        )
        if deletion:
            self.set_aside.add(deletion)

    def _is_rejected(self, items: Collection[Item]) -> bool:
        rejected = {(one.study, one.sop) for one in self.items.values() if one.state in self.rejections}
        return any((one.study, one.sop) in rejected for one in items)

    def _deletions(self) -> list[Any]:
        return self.archive.catalogue.deletions.listed(limit=10_000)

    def undelete(self, pick: int) -> None:
        hidden = self.hidden()
        if hidden:
            self.take_back(sorted(hidden)[pick % len(hidden)])

    def take_back(self, deletion: str) -> None:
        items = self.hidden()[deletion]
        try:
            self.run(lambda: self.deleting().undelete(deletion, "me"))
        except InvalidRequest:
            assert deletion in self.set_aside and self._is_rejected(items)
            return
        except (Died, VnaError) as error:
            assert isinstance(error, Died | ObjectArchived) or self.down(), error
            if self.archive.catalogue.deletions.deletion(deletion).state in (HIDDEN,):
                return
            self.unsure.add(deletion)
            self._taken_back_note(deletion)
            return
        self.unsure.discard(deletion)
        self._taken_back_note(deletion)
        for one in items:
            one.state = LIVE

    def _taken_back_note(self, deletion: str) -> None:
        note = self.archive.catalogue.deletions.deletion(deletion).note
        self.awaited = {key: by for key, by in self.awaited.items() if by != note}

    def purge(self, pick: int) -> None:
        hidden = self.hidden()
        if hidden:
            self.purge_one(sorted(hidden)[pick % len(hidden)])

    def purge_one(self, deletion: str) -> None:
        items = self.hidden()[deletion]
        try:
            report = self.run(lambda: self.deleting().purge("me", timedelta(0), deletion))
        except InvalidRequest:
            assert deletion in self.rejections | self.set_aside | self.unsure
            return
        except (Died, StoreUnavailable):
            if self.archive.catalogue.deletions.deletion(deletion).state in (HIDDEN, UNDOING):
                return
        else:
            if deletion in report.held:
                assert self._covered(items)
                return
        assert not self._covered(items), "what is under a hold was purged"
        assert deletion not in self.rejections | self.set_aside | self.unsure
        assert self.archive.catalogue.deletions.deletion(deletion).state in (PURGING, PURGED)
        for one in items:
            one.state = GONE

    def hold(self, level: Extent, pick: int) -> None:
        known = list(self.items.values())
        if not known:
            return
        one = known[pick % len(known)]
        identifier = {Extent.PATIENT: one.patient.patient_id, Extent.STUDY: one.study, Extent.SERIES: one.series}[level]
        issuer = one.patient.issuer if level is Extent.PATIENT else ""
        if not identifier:
            return
        try:
            hold = self.run(lambda: self.deleting().set_hold(level, identifier, "case", "lawyer", issuer))
            self.holds[hold.id] = (level, identifier, issuer)
        except Died:
            for found in self.archive.catalogue.holds.listed():
                self.holds.setdefault(found.id, (found.level, found.identifier, found.issuer))

    def delete_held(self, pick: int) -> None:
        """Somebody deletes what a hold was put on a moment ago."""
        live = self.live()
        if live:
            one = live[pick % len(live)]
            self.hold(Extent.SERIES, list(self.items.values()).index(one))
            self.delete(Extent.INSTANCE, pick)

    def purge_held(self, pick: int) -> None:
        """The same where it was deleted before."""
        hidden = self.hidden()
        if hidden:
            deletion = sorted(hidden)[pick % len(hidden)]
            self.hold(Extent.STUDY, list(self.items.values()).index(hidden[deletion][0]))
            self.purge_one(deletion)

    def release(self, pick: int) -> None:
        if not self.holds:
            return
        hold = sorted(self.holds)[pick % len(self.holds)]
        try:
            self.run(lambda: self.deleting().release_hold(hold, "judge"))
        except Died:
            if hold in {one.id for one in self.archive.catalogue.holds.listed()}:
                return
        del self.holds[hold]

    def merge(self, first: int, second: int) -> None:
        keys = sorted({one.patient for one in self.items.values() if one.patient.patient_id}, key=astuple)
        if keys and keys[first % len(keys)] != keys[second % len(keys)]:
            self._decide(LinkKind.MERGE, keys[first % len(keys)], keys[second % len(keys)], "")

    def move(self, pick: int, second: int) -> None:
        items = [one for one in self.items.values() if one.patient.patient_id]
        keys = sorted({one.patient for one in items}, key=astuple)
        if items and items[pick % len(items)].patient != keys[second % len(keys)]:
            one = items[pick % len(items)]
            self._decide(LinkKind.MOVE, one.patient, keys[second % len(keys)], one.study)

    def _decide(self, kind: LinkKind, first: PatientKey, second: PatientKey, study: str) -> None:
        try:
            link = self.identity().decide(kind, first, second, "the same person", LinkOrigin.HAND, study)
        except InvalidRequest:  # it would close a circle
            assert kind is LinkKind.MERGE and survivor_of(second, self.links) == first
            return
        self.links[link.id] = (kind, first, second, study)

    def undo_link(self, pick: int) -> None:
        if self.links:
            link = sorted(self.links)[pick % len(self.links)]
            self.identity().undo(link, "two persons")
            del self.links[link]

    # -- what goes wrong --------------------------------------------------------------------------------------------------

    def goes_down(self, name: str) -> None:
        if name != "landing":
            self.shelf(name).down = True

    def comes_back(self) -> None:
        names = self.down()
        for name in names:
            self.shelf(name).down = False
        if names:
            self.restart()

    def offer_in_vain(self, offer: Offer, how: str) -> None:
        """The landing store is read-only, or does not answer, for a moment."""
        setattr(self.shelf("landing"), how, True)
        try:
            if offer.octets not in self.items:
                assert self.offer(offer) is None
        finally:
            setattr(self.shelf("landing"), how, False)

    def rotate_keys(self) -> None:
        add_key(self.folder / "master.key")
        if not self.down():
            self.restart()
            self._tolerating(lambda: [ring.rotate() for ring in key_rings(self.archive.stores).values()])

    def damage(self, name: str, how: str, pick: int) -> None:
        """A bit is flipped in an object that has a good copy elsewhere, or the object is cut or gone; a scrub finds it."""
        if self.down() or {one for one, _ in self.damaged} - {name}:
            return
        self.work()
        keys = sorted(key for key in self.stored(name) if self.can_be_lost(name, key))
        if not keys:
            return
        key = keys[pick % len(keys)]
        path = self.folder / name / key
        octets = bytearray(path.read_bytes())
        path.unlink()
        if how == "flip":
            octets[len(octets) * 2 // 3] ^= 1
            path.write_bytes(octets)
        elif how == "cut":
            path.write_bytes(octets[:-9])
        self.damaged.add((name, key))
        self.scrub()

    def stored(self, name: str) -> list[str]:
        return [
            one.key
            for one in self.archive.stores[name].list()
            if one.key.startswith(("studies/", "packs/")) and not one.key.endswith(".json")
        ]

    def can_be_lost(self, name: str, key: str) -> bool:
        """Whether whatever lies in an object lies, in another object that is good, in another store."""
        versions = self.archive.catalogue.instances(all_versions=True)
        there = [one for one in versions if any((where.store, where.key) == (name, key) for where in one.locations)]
        if not all(
            any(where.store != name and (where.store, where.key) not in self.damaged for where in one.locations) for one in there
        ):
            return False
        elsewhere = [one for one in STORES if one != name and (self.folder / one / key).exists()]
        return any((one, key) not in self.damaged for one in elsewhere) or (
            bool(there) and not key.startswith("packs/") and self.archive.catalogue.deletions.of_key(key) is None
        )

    def scrub(self) -> None:
        def scrubbing() -> None:
            report = Scrub(self.archive.stores, self.archive.catalogue).run()
            assert report.complete or self.down()

        self._tolerating(scrubbing)

    def repair(self) -> None:
        self.scrub()
        report: list[RepairReport] = []
        if not self._tolerating(lambda: report.append(Repairing(self.archive.stores, self.archive.catalogue).run())):
            return
        if not self.down():
            left = [one for one in report[0].repairs if one.outcome in ("lost", "failed")]
            assert not left, left
            self.damaged.clear()

    def lose_catalogue(self) -> None:
        """It is made anew from the stores, all of which must answer."""
        if self.down():
            return
        self.recall_everything()
        self.archive.close()
        self._new_settings()
        self.archive = self._opened()

        def rebuilding() -> list[str]:
            return rebuild(self.archive.stores, self.archive.catalogue).damaged

        try:
            damaged = self.run(rebuilding)
        except Died:
            damaged = self.run(rebuilding)
        assert {one.split("@")[0] for one in damaged} <= {f"{store}:{key}" for store, key in self.damaged}, damaged
        self.given_up |= self.damaged
        self.runs.clear()
        self.undoing = False
        self.links.clear()
        self.rebuilt()

    def rebuilt(self) -> None:
        """What was being taken back when the catalogue was lost is taken back."""
        for deletion in self.unsure:
            for one in self.hidden().get(deletion, ()):
                one.state = LIVE
        self.unsure.clear()

    def recall_everything(self) -> None:
        """Have whatever lies in an archive tier brought back, as an operator does at the service itself."""
        shelf = self.shelf("deep")
        shelf.recalled |= {key for key, tier in shelf.tiers.items() if tier == COLD}

    def recall(self, study: str) -> None:
        self.archive.catalogue.jobs.add(RECALL, study)
        self.work(3)

    def every_store_object(self) -> Iterator[tuple[str, str, bytes]]:
        """Every object of every store, as the archive reads it."""
        for name, store in self.archive.stores.items():
            for one in list(store.list()):
                yield name, one.key, store.read(one.key)


def survivor_of(key: PatientKey, links: Mapping[int, tuple[LinkKind, PatientKey, PatientKey, str]]) -> PatientKey:
    """Where a chain of merges ends."""
    into = {first: second for _, (kind, first, second, _study) in sorted(links.items()) if kind is LinkKind.MERGE}
    while key in into:
        key = into[key]
    return key
