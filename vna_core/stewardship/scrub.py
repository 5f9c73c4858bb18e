"""Every copy in every store is read against its digest: bit rot, missing, truncated and orphaned objects come to light.

A scrub compares the listing of each store with the catalogue, which finds what is missing, orphaned or of another size, and
reads a share of the objects, those first that were not read for longest. It stops at any point and goes on from there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final

import structlog

from vna_core.archival_storage.keeping import is_there
from vna_core.archival_storage.keys import QUARANTINE, STUDIES, array_key, digest_of_content, digest_of_pack, is_array, is_pack
from vna_core.catalogue import Catalogue
from vna_core.catalogue.checks import BAD, DONE, MEMBERS, OK, ExpectedObject, ObjectCheck, ScrubRun, outcomes
from vna_core.domain.errors import DigestMismatch, KeyUnavailable, ObjectArchived, ObjectMissing, StoreUnavailable
from vna_core.domain.octets import ByteRange
from vna_core.ports.storage import Store, StoredObject
from vna_core.stewardship.descriptions import is_another, is_lacking
from vna_core.stewardship.side_by_side import side_by_side
from vna_core.stewardship.throttle import Throttle

MISSING: Final = "missing"
TRUNCATED: Final = "truncated"
ROT: Final = "bit-rot"
ORPHANED: Final = "orphaned"
NO_STORE: Final = "store-not-configured"
FINDINGS: Final = (MISSING, TRUNCATED, ROT, ORPHANED, NO_STORE)
"""Everything that can be wrong with an object."""

_COMPARE: Final = "compare"
_READ: Final = "read"
_BATCH: Final = 200

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ScrubReport:
    """What a scrub did. `complete` is false when it was stopped, or a store did not answer (`unavailable`)."""

    run: ScrubRun
    complete: bool
    unavailable: tuple[str, ...] = ()


class Scrub:
    """Compares and reads.

    Parameters
    ----------
    rate
        Octets a second that are read at most; 0: no limit.
    after_step
        Called with the name of each step left; fault tests end the process there.
    """

    def __init__(
        self,
        stores: Mapping[str, Store],
        catalogue: Catalogue,
        *,
        rate: int = 0,
        after_step: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._stores = dict(sorted(stores.items()))
        self._catalogue = catalogue
        self._checks = catalogue.checks
        self._throttle = Throttle(rate)
        self._after_step = after_step

    def run(
        self,
        share: Fraction = Fraction(1),
        progress: Callable[[ScrubRun], object] = lambda _: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> ScrubReport:
        """Scrub; an unfinished scrub of the same share is gone on with.

        Parameters
        ----------
        share
            Part of all objects of each store to be read; the comparison of names and sizes is always complete.

        Raises
        ------
        CatalogueError
            The catalogue cannot go on now; the next call goes on.
        """
        run = self._checks.unfinished(str(share)) or self._begun(share)
        unavailable = list[str]()
        for name, store in self._stores.items():
            if name in _done(run):
                continue
            try:
                for step in self._of_store(run, name, store, share):
                    run = step
                    self._after_step(str(run.position.get("phase", "")))
                    progress(run)
                    if stopping():
                        return ScrubReport(run, False, tuple(unavailable))
            except StoreUnavailable as error:
                _log.error("store-not-scrubbed", store=name, code=error.code)
                unavailable.append(name)
        if unavailable:
            return ScrubReport(run, False, tuple(unavailable))
        self._note_unconfigured()
        run = replace(run, state=DONE, updated_at=datetime.now(UTC))
        self._checks.save(run)
        return ScrubReport(run, True)

    def _begun(self, share: Fraction) -> ScrubRun:
        now = datetime.now(UTC)
        run = ScrubRun(now.strftime("%Y%m%dT%H%M%S%fZ"), str(share), now, updated_at=now)
        self._checks.save(run)
        return run

    def _of_store(self, run: ScrubRun, name: str, store: Store, share: Fraction) -> Iterator[ScrubRun]:
        """The run after each step that is on record."""
        if run.position.get("store") != name:
            run = run.advanced(_position(run, store=name, phase=_COMPARE, key=""))
        if run.position["phase"] == _COMPARE:
            for step in self._compare(run, name, store, share):
                run = step
                yield run
        for step in self._read(run, name, store):
            run = step
            yield run
        run = run.advanced({"done": [*_done(run), name]})
        self._checks.save(run)
        yield run

    # -- names and sizes --------------------------------------------------------------------------------------------------

    def _compare(self, run: ScrubRun, name: str, store: Store, share: Fraction) -> Iterator[ScrubRun]:
        """What is missing, orphaned or of another size. The last step is the first of reading."""
        after = str(run.position["key"])
        noted, gone, compared, key = list[ObjectCheck](), list[ObjectCheck](), 0, after
        streams = (store.list(after=after), self._checks.expected(name, after), self._checks.registered(name, after))
        for key, (stored, wanted, known) in side_by_side(*streams):
            compared += 1
            found = self._compared(name, key, stored, wanted, known)
            if found is None:
                gone += [known] if known is not None else []
            elif found != known:
                noted.append(found)
            if compared >= _BATCH * 5:
                run = self._note(run, _position(run, store=name, phase=_COMPARE, key=key), noted, gone, compared=compared)
                yield run
                noted, gone, compared = [], [], 0
        run = self._note(run, _position(run, store=name, phase=_COMPARE, key=key), noted, gone, compared=compared)
        self._look_again(name, store)
        if not after:  # the whole listing, begun by whoever ends it
            self._catalogue.store_identities.compared(name)
        quota = -(-self._checks.count(name) * share.numerator // share.denominator)
        run = run.advanced(_position(run, store=name, phase=_READ, left=quota))
        self._checks.save(run)
        yield run

    def _compared(
        self, store: str, key: str, stored: StoredObject | None, wanted: ExpectedObject | None, known: ObjectCheck | None
    ) -> ObjectCheck | None:
        """What is to be noted about an object after a look at its name and size; None: nothing, it is nowhere."""
        if key.startswith(PASSING):
            return None
        if stored is None:
            if wanted is None:
                return known if known is not None and known.outcome == MISSING and is_array(key) else None
            return ObjectCheck(store, key, datetime.now(UTC), MISSING)
        if wanted is None:
            if self._is_orphan(store, key):
                return known if known is not None and known.outcome == ORPHANED else ObjectCheck(store, key, None, ORPHANED)
            return ObjectCheck(store, key) if known is None or known.outcome == ORPHANED else known
        if stored.size < wanted.size or (not wanted.packed and stored.size != wanted.size):
            outcome, detail = TRUNCATED if stored.size < wanted.size else ROT, f"{stored.size} of {wanted.size} octets"
            if is_pack(key):
                with contextlib.suppress(ObjectArchived, ObjectMissing, KeyUnavailable):  # where they cannot be read, all are bad
                    detail = f"{MEMBERS}{self._members(self._stores[store], key)[1]}: {detail}"
            return ObjectCheck(store, key, datetime.now(UTC), outcome, detail)
        if known is None or known.outcome in (MISSING, TRUNCATED, ORPHANED):
            return ObjectCheck(store, key)  # to be read as soon as possible
        return known

    def _is_orphan(self, store: str, key: str) -> bool:
        """Whether nobody knows an object that is not on record: not as an earlier or a deleted one, nor as one that is packed."""
        if not key.startswith((STUDIES, QUARANTINE)) or not digest_of_content(key):
            return False
        if self._catalogue.generations.knows(key) or self._catalogue.packs.is_left_over(store, key):
            return False
        return self._catalogue.deletions.of_key(key) is None

    def _look_again(self, name: str, store: Store) -> None:
        """What came or went while the listing was read is neither missing nor orphaned."""
        after = (name, "")
        while page := self._checks.findings(store=name, after=after):
            known = self._checks.expected_at(name, [one.key for one in page])
            noted, gone = list[ObjectCheck](), list[ObjectCheck]()
            for one in page:
                if one.outcome == MISSING and is_array(one.key):
                    if is_there(store, one.key):
                        noted.append(ObjectCheck(name, one.key))
                elif one.outcome == MISSING and (one.key not in known or is_there(store, one.key)):
                    (noted if one.key in known else gone).append(ObjectCheck(name, one.key))
                    self._checks.mark(name, one.key, "ok")
                elif one.outcome == ORPHANED and (one.key in known or not is_there(store, one.key)):
                    (noted if one.key in known else gone).append(ObjectCheck(name, one.key))
            self._checks.note(noted, gone)
            after = (name, page[-1].key)

    # -- octets -----------------------------------------------------------------------------------------------------------

    def _read(self, run: ScrubRun, name: str, store: Store) -> Iterator[ScrubRun]:
        while (left := int(run.position["left"])) > 0:
            due = self._checks.due(name, run.started_at, min(left, _BATCH))
            if not due:
                return
            wanted = self._checks.expected_at(name, [one.key for one in due])
            noted, beside, octets, since = list[ObjectCheck](), list[ObjectCheck](), 0, time.monotonic()
            for one in due:
                found, size = self._checked(store, one, wanted.get(one.key))
                noted.append(found)
                octets += size
                if found.outcome == OK and is_pack(one.key) and is_lacking(store, one.key):
                    beside.append(ObjectCheck(name, array_key(one.key), found.checked_at, MISSING))
                if time.monotonic() - since > 1:  # a slow store, or large objects: what is done is kept, and people see it
                    break
            left -= len(noted)
            position = _position(run, store=name, phase=_READ, left=left)
            run = self._note(run, position, noted + beside, read=len(noted), octets=octets)
            yield run

    def _checked(self, store: Store, due: ObjectCheck, wanted: ExpectedObject | None) -> tuple[ObjectCheck, int]:
        """What reading an object showed, and how much was read."""
        now, size, detail = datetime.now(UTC), 0, ""
        if wanted is None and due.outcome != ORPHANED and self._is_orphan(due.store, due.key):
            return ObjectCheck(due.store, due.key, now, ORPHANED), 0
        try:
            if wanted is not None and wanted.packed:
                outcome, bad, size = self._members(store, due.key)
                detail = f"{MEMBERS}{bad}" if bad else ""
            else:
                outcome, size = self._whole(store, due.key, wanted)
            if outcome in BAD and is_pack(due.key):  # its members tell by their own digests which of them are bad
                _, bad, again = self._members(store, due.key)
                detail, size = f"{MEMBERS}{bad}", size + again
        except ObjectMissing:
            outcome = MISSING
        except DigestMismatch:  # a store that checks what it reads tells of damage itself
            outcome = ROT
        except (ObjectArchived, KeyUnavailable) as error:
            return ObjectCheck(due.store, due.key, now, "", error.code), size
        if due.outcome == ORPHANED and wanted is None:
            return ObjectCheck(due.store, due.key, now, ORPHANED, "" if outcome == OK else outcome), size
        if outcome != OK:
            _log.error("stored-copy-damaged", store=due.store, key=due.key, how=outcome, size=size)
        return ObjectCheck(due.store, due.key, now, outcome, detail), size

    def _whole(self, store: Store, key: str, wanted: ExpectedObject | None) -> tuple[str, int]:
        sha256 = (wanted.sha256 if wanted is not None else "") or digest_of_content(key) or digest_of_pack(key)
        if not sha256:
            return self._note_is_whole(store, key)
        digest, size = self._digest(store, key)
        if digest == sha256:
            return OK, size
        return (TRUNCATED if digest and wanted is not None and size < wanted.size else ROT), size

    def _digest(self, store: Store, key: str, part: ByteRange | None = None) -> tuple[str, int]:
        """Digest of what was read, and how much that was; empty where a store that checks what it reads calls it damaged."""
        digest, size = hashlib.sha256(), 0
        try:
            for piece in store.chunks(key, part):
                digest.update(piece)
                size += len(piece)
                self._throttle.passed(len(piece))
        except DigestMismatch:
            return "", size
        return digest.hexdigest(), size

    def _note_is_whole(self, store: Store, key: str) -> tuple[str, int]:
        """Notes carry no digest; they are JSON or they are damaged. Of other objects only the size is known."""
        if not key.endswith(".json"):
            return OK, 0
        content = store.read(key)
        if is_array(key) and is_another(store, key, content):
            return ROT, len(content)
        try:
            json.loads(content)
        except ValueError:
            return ROT, len(content)
        return OK, len(content)

    def _members(self, store: Store, key: str) -> tuple[str, int, int]:
        """Mark those versions in an object of several that are damaged. Outcome, how many they are, and octets read."""
        outcome, bad, read = OK, 0, 0
        for member in self._checks.members(store.name, key):
            digest, size = self._digest(store, key, ByteRange(member.offset, member.length))
            read += size
            good = digest == member.sha256
            if not good:
                outcome, bad = TRUNCATED if digest and size < member.length else ROT, bad + 1
            if good != (member.state == OK):
                self._checks.mark(store.name, key, OK if good else "bad", member.instance)
        return outcome, bad, read

    # -- the ledger -------------------------------------------------------------------------------------------------------

    def _note(
        self,
        run: ScrubRun,
        position: Mapping[str, object],
        noted: list[ObjectCheck],
        gone: list[ObjectCheck] | None = None,
        **more: int,
    ) -> ScrubRun:
        found = {outcome: count for outcome, count in outcomes(noted).items() if outcome not in ("", OK)}
        run = replace(run.advanced(position, **more, **found), updated_at=datetime.now(UTC))
        self._checks.note(noted, gone or [], run)
        return run

    def _note_unconfigured(self) -> None:
        noted = []
        for name in self._checks.stores():
            if name not in self._stores:
                noted.append(ObjectCheck(name, "", None, NO_STORE, f"{self._checks.copies_in(name)} copies"))
        gone = [one for one in self._checks.findings(limit=100_000) if one.outcome == NO_STORE and one.store in self._stores]
        self._checks.note(noted, gone)


def _done(run: ScrubRun) -> list[str]:
    return list(run.position.get("done", ()))


def _position(run: ScrubRun, **now: object) -> dict[str, object]:
    return {"done": _done(run), **now}


PASSING: Final = ("probe/", "doctor/")
"""Beginnings of keys of what is written and removed again."""
