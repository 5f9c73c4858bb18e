"""What the source says it holds: a snapshot, taken so that no capped answer and no odd date hides a study.

Everything is asked for in up to three ways: in one question, by study date, and by the beginning of the Patient ID. Each way
that names a study the others did not shows that an answer was cut short, and from then on answers of that size are not believed.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from vna_core.catalogue import Catalogue
from vna_core.catalogue.migration_inventories import Inventory
from vna_core.catalogue.migration_rows import LedgerStudy, ListedStudy
from vna_core.domain.errors import AnswerCapped, InventoryShrank, NotOffered, PeerError, PeerUnavailable
from vna_core.migration.listed_studies import listed
from vna_core.migration.questions import Questions
from vna_core.migration.refusals import Refusals
from vna_core.migration.spans import ALPHABET, Span, by_date
from vna_core.ports.pacs import InventoriedInstance, PacsAbilities, PacsAdapter

SUSPICIOUS: Final = frozenset(
    (50, 100, 200, 250, 256, 300, 400, 500, 512, 1000, 1024, 2000, 2048, 2500, 4096, 5000, 10000, 20000, 50000, 65535)
)
"""Numbers of answers at which products are known to stop without saying so."""

ISSUER: Final = 0x00100021
REFERRING_PHYSICIAN: Final = 0x00080090
_MANY: Final = 20_000
_FEW: Final = 5
_SMALLEST_CAP: Final = 10
"""No product stops after fewer answers: below, a further way through the source is not needed."""
_TRIES: Final = 3
_HOPELESS: Final = 20
"""Studies whose instances the source does not list, before any whose it does, after which no further one is asked for."""
_NAMELESS: Final = 10_000
"""Answers without Study Instance UID that are told apart; more are not counted."""
_FEW_GONE: Final = 10
_SHARE_GONE: Final = 0.05
"""More studies, and a greater share of those listed before, are not believed to be deleted without somebody's word."""
_WRITE: Final = 1.0
"""Seconds after which it is written down which questions were answered."""

_log = structlog.get_logger(__name__)
Told = Callable[[int, int], object]
"""Is told how many studies, and how many more instances, are known."""


class InventoryTaker:
    """Takes one snapshot; interrupted, the next call goes on with it.

    Parameters
    ----------
    thorough
        Also ask by Patient ID where nothing shows a need for it. A source whose statistics agree is believed without, and so is
        one with few studies.
    deletions_accepted_by
        Who said that whatever the source does not list any more was deleted on purpose; empty: nobody.
    """

    def __init__(
        self,
        campaign: str,
        adapter: PacsAdapter,
        abilities: PacsAbilities,
        catalogue: Catalogue,
        worker: str,
        told: Told = lambda studies, instances: None,
        *,
        thorough: bool = True,
        deletions_accepted_by: str = "",
    ) -> None:
        self._campaign, self._adapter, self._abilities = campaign, adapter, abilities
        self._catalogue, self._worker, self._told = catalogue, worker, told
        self._thorough, self._accepted_by = thorough, deletions_accepted_by
        self._questions = Questions(adapter, (ISSUER, REFERRING_PHYSICIAN), 1)
        self._cap = abilities.response_limit
        self._alphabet = ALPHABET
        self._studies = 0
        self._everything = 0
        self._doubted: list[Span] = []
        self._refusals = Refusals()
        self._nameless: set[tuple[str, ...]] = set()
        self._nameless_written = 0
        self._answered: dict[str, int] = {}
        self._noted: list[tuple[str, int, str]] = []
        self._written = -math.inf

    def take(self, workers: int) -> Inventory:
        """Take the snapshot, or go on with the one that is open; it is complete afterwards.

        Raises PeerUnavailable, PeerError: what was answered before is kept, and a further call goes on behind it.
        InventoryShrank: too much of what was listed before is not any more; nothing is concluded, a further call asks anew.
        """
        inventories = self._catalogue.inventories
        inventory = inventories.begin(self._campaign)
        self._questions = Questions(self._adapter, (ISSUER, REFERRING_PHYSICIAN), workers)
        self._answered = inventories.answered(inventory)
        self._nameless = {tuple(one) for one in inventory.details.get("nameless", ())}
        self._nameless_written = len(self._nameless)
        try:
            self._walk(inventory)
            self._refusals.check()
        finally:
            self._write_down(inventory)
        self._tell_nameless()
        self._believe(inventory)
        self._ask_instances(inventory, workers)
        self._catalogue.listing.remove_unlisted(self._campaign, inventory.number, self._worker, self._accepted_by)
        digest, studies, instances = snapshot_digest(self._catalogue, self._campaign, inventory.number)
        inventories.complete(inventory, studies, instances, digest, self._details(inventory, studies))
        complete = inventories.newest(self._campaign)
        assert complete is not None
        return complete

    def _believe(self, inventory: Inventory) -> None:
        """A source whose database was just restored, or that hides what it has from our title, answers as if all was deleted."""
        gone, known = self._catalogue.listing.unlisted(self._campaign, inventory.number)
        shrank = gone and (gone == known or gone > max(_FEW_GONE, known * _SHARE_GONE))
        with self._catalogue.ledger.writing(self._campaign, self._worker) as writing:
            if not shrank or self._accepted_by:
                writing.solve(0, ("inventory-shrank",), "inventory")
                return
            writing.except_("inventory-shrank", detail=f"{gone} of {known} studies are not listed any more")
        self._catalogue.inventories.doubt(inventory)
        raise InventoryShrank(
            f"The source does not list {gone} of the {known} studies that it listed before. Nothing is concluded from that, and what "
            "was not moved yet is kept in the inventory before: check the source and what our title may see there, then plan "
            "again. `--no-inventory` goes on with the inventory before; `--accept-deletions` says that they were deleted on purpose.",
            gone=gone,
            known=known,
        )

    # -- studies ----------------------------------------------------------------------------------------------------------

    def _walk(self, inventory: Inventory) -> None:
        try:
            answers, capped, _ = self._ask(inventory, Span())
        except PeerError as error:
            self._narrower_than_refused(Span(), error)
            answers, capped = 0, True
        self._everything = answers
        years = 1 if answers > _MANY else 10
        fresh = self._spans(inventory, by_date(datetime.now(UTC).date(), years))
        if fresh:
            self._prove_capped(inventory)
        believed = not (fresh or capped or self._believed_capped(answers))
        if believed and (not self._thorough or answers < _SMALLEST_CAP or self._statistics() == self._studies):
            return
        if self._spans(inventory, Span().narrower(self._alphabet)) and not fresh:
            self._prove_capped(inventory)

    def _prove_capped(self, inventory: Inventory) -> None:
        """One way named studies that the first question did not: its number of answers is a cap, and other answers of that size
        are asked for again in smaller parts."""
        if not self._everything:
            return
        self._cap = min(self._cap or self._everything, self._everything)
        doubted, self._doubted = self._doubted, []
        for span in doubted:
            self._write_down(inventory)
            self._catalogue.inventories.forget_span(inventory, span.name)
            del self._answered[span.name]
            self._span(inventory, span)

    def _spans(self, inventory: Inventory, spans: Sequence[Span]) -> int:
        """Ask questions whose answers do not depend on one another; what they mean is found in their order. How many studies were new."""
        unanswered = [one for one in spans if one.name not in self._answered]
        with self._questions.ahead(unanswered) as in_turn:
            return sum(self._span(inventory, span) for span in in_turn)

    def _span(self, inventory: Inventory, span: Span) -> int:
        """Ask one question, and narrower ones where its answer may be capped; how many studies were new."""
        return self._asked(inventory, span)[1]

    def _asked(self, inventory: Inventory, span: Span) -> tuple[int, int]:
        """Number of answers to a question, and how many studies it and its narrower ones brought. It counts as answered, for an
        interrupted inventory that goes on, when the narrower ones are."""
        if span.name in self._answered:
            return self._answered[span.name], 0
        try:
            answers, capped, fresh = self._ask(inventory, span)
        except PeerError as error:
            return self._in_smaller_parts(inventory, span, error)
        narrower: list[Span] = []
        state = "done"
        if capped or self._believed_capped(answers):
            narrower = span.narrower(self._alphabet)
            state = "done" if narrower else "capped"
        elif answers == self._everything >= _FEW:
            narrower = span.narrower(self._alphabet) if span.days > 1 else []
            self._doubted += [] if narrower else [span]
        below = [self._asked(inventory, one) for one in narrower]
        if narrower and (span.prefix or span.days == 1) and sum(count for count, _ in below) < answers:
            state = "capped"  # patients whose whole ID is the beginning that was asked for are in none of the narrower answers
        if state == "capped":
            _log.warning("answer-may-be-capped", span=span.name, answers=answers)
        self._note(inventory, span, answers, state)
        return answers, fresh + sum(new for _, new in below)

    def _in_smaller_parts(self, inventory: Inventory, span: Span, error: PeerError) -> tuple[int, int]:
        """What a question would have brought that was refused or broken off. Raises as `_narrower_than_refused`."""
        narrower = self._narrower_than_refused(span, error)
        fresh = sum(self._asked(inventory, one)[1] for one in narrower)
        self._note(inventory, span, 0, "done" if narrower else "refused")
        return 0, fresh

    def _narrower_than_refused(self, span: Span, error: PeerError) -> list[Span]:
        """Raises PeerUnavailable: the source is gone."""
        if isinstance(error, PeerUnavailable):
            self._adapter.probe()
        return self._refusals.narrower(span, error, self._alphabet)

    def _note(self, inventory: Inventory, span: Span, answers: int, state: str) -> None:
        """A question was answered, and those below it. An interruption costs the questions of the last second."""
        self._answered[span.name] = answers
        self._noted.append((span.name, answers, state))
        if time.monotonic() - self._written >= _WRITE:
            self._write_down(inventory)

    def _write_down(self, inventory: Inventory) -> None:
        if len(self._nameless) > self._nameless_written:  # first: what an answered question brought is not asked for again
            self._nameless_written = len(self._nameless)
            self._catalogue.inventories.keep(inventory, {"nameless": sorted(self._nameless)})
        noted, self._noted, self._written = self._noted, [], time.monotonic()
        self._catalogue.inventories.note_spans(inventory, noted)

    def _believed_capped(self, answers: int) -> bool:
        return answers in SUSPICIOUS or (self._cap is not None and answers >= self._cap > 0)

    def _ask(self, inventory: Inventory, span: Span) -> tuple[int, bool, int]:
        """Ask, and write the studies down: number of answers, whether the source said that there are more, and how many were new."""
        for attempt in range(_TRIES):
            try:
                answers, capped, new = self._answers(inventory, span)
                break
            except PeerError as error:
                if attempt == _TRIES - 1 or ("status" in error.fields and span.days != 1):
                    raise
        self._refusals.answered()
        if capped:
            self._cap = min(self._cap or answers, answers)
        return answers, capped, new

    def _answers(self, inventory: Inventory, span: Span) -> tuple[int, bool, int]:
        count, new = 0, 0
        answers = self._questions.ask(span)
        for piece in answers.pieces():
            count += len(piece)
            studies = [listed(answer) for answer in piece]
            named = [study for study in studies if study.study_instance_uid]
            if len(named) < len(studies):
                self._note_nameless([study for study in studies if not study.study_instance_uid])
            added = self._catalogue.listing.list_studies(self._campaign, inventory.number, named, self._worker)
            new += added
            self._studies += added
            self._learn(named)
            self._told(self._studies, 0)
        return count, answers.capped, new

    def _note_nameless(self, studies: Sequence[ListedStudy]) -> None:
        """What cannot be asked for counts once, whichever questions it answers to."""
        for one in studies:
            if len(self._nameless) < _NAMELESS:
                self._nameless.add((one.patient_id, one.accession_number, one.study_date, one.described))

    def _tell_nameless(self) -> None:
        """Put it on the worklist when every question was answered: one that was accepted stays so while it is of the same studies."""
        with self._catalogue.ledger.writing(self._campaign, self._worker) as writing:
            if not self._nameless:
                writing.solve(0, ("answer-without-uid",), "inventory")
                return
            told = [f"patient {one[0] or '(none)'} accession {one[1] or '(none)'}" for one in sorted(self._nameless)]
            detail = f"{len(told)} studies without Study Instance UID: {'; '.join(told)}"
            writing.except_("answer-without-uid", detail=detail, sample=told[0], cause="\0".join(told))

    def _learn(self, studies: Sequence[ListedStudy]) -> None:
        characters = {one for study in studies for one in study.patient_id if one not in self._alphabet}
        self._alphabet += "".join(sorted(characters))[:64]

    def _statistics(self) -> int:
        if not self._abilities.statistics:
            return -1
        try:
            return self._adapter.statistics().studies
        except NotOffered:
            return -1

    # -- instances --------------------------------------------------------------------------------------------------------

    def _ask_instances(self, inventory: Inventory, workers: int) -> None:
        """Ask for the instances of every study whose number is not what is known already."""
        reader, last = self._catalogue.ledger_reader, 0
        listed = failed = 0
        with ThreadPoolExecutor(workers, "inventory") as pool:
            while waiting := reader.to_be_asked(self._campaign, inventory.number, after=last):
                last = waiting[-1].pk
                for result in pool.map(lambda study: self._instances_of(study, inventory), waiting):
                    if isinstance(result, int):
                        listed += 1
                        self._told(self._studies, result)
                        continue
                    failed += 1
                    if failed >= _HOPELESS and not listed:
                        raise PeerError(f"The source lists the instances of none of {failed} studies. {result}")

    def _instances_of(self, study: LedgerStudy, inventory: Inventory) -> int | str:
        """How many instances of a study were listed; or what the source said instead, which is put on the worklist, since one
        damaged row of its database must not hold up all others. Raises PeerError: the source does not answer at all."""
        found: Mapping[tuple[str, str, str], InventoriedInstance] = {}
        capped = False
        for attempt in range(_TRIES):
            try:
                found, capped = self._listed(study.study_instance_uid)
            except PeerError as error:
                if attempt == _TRIES - 1:
                    self._adapter.probe()
                    self._catalogue.listing.record_failure(study, error.message, self._worker)
                    return f"Study {study.study_instance_uid}: {error.message}"
                continue
            if len(found) >= study.told_instances:
                break
        self._catalogue.listing.record_instances(study, inventory.number, list(found.values()), self._worker)
        if capped and not 0 <= study.told_instances <= len(found):
            with self._catalogue.ledger.writing(self._campaign, self._worker) as writing:
                writing.except_("count-differs", study.pk, detail=f"the list was capped after {len(found)} instances")
        return len(found)

    def _listed(self, study: str) -> tuple[Mapping[tuple[str, str, str], InventoriedInstance], bool]:
        """The instances of a study as the source lists them, each once, and whether it has more than it lists.

        Files under one UID that differ by the digest that the source names (of two persons, say) are two.
        """
        found: dict[tuple[str, str, str], InventoriedInstance] = {}
        try:
            for number, one in enumerate(self._adapter.inventory(study)):
                found[one.series_instance_uid, one.sop_instance_uid or f"none {number}", one.digest] = one
        except AnswerCapped:
            return found, True
        return found, False

    def _details(self, inventory: Inventory, studies: int) -> dict[str, Any]:
        capped = self._catalogue.inventories.unfinished_spans(inventory, "capped")
        refused = self._catalogue.inventories.unfinished_spans(inventory, "refused")
        counted = self._statistics()
        with self._catalogue.ledger.writing(self._campaign, self._worker) as writing:
            for reason, wrong, detail, spans in (
                *(
                    (reason, bool(spans), f"{len(spans)} questions, the first: {next(iter(spans), '')}", spans)
                    for reason, spans in (("inventory-capped", capped), ("inventory-refused", refused))
                ),
                ("inventory-empty", not studies, "the source listed no study", []),
                ("statistics-differ", counted > studies, f"the source counts {counted} studies, {studies} were listed", []),
            ):
                if wrong:
                    writing.except_(reason, detail=detail, cause="\0".join(spans))
                else:
                    writing.solve(0, (reason,), "inventory")
            if self._accepted_by:
                writing.accept(0, "inventory-empty", self._accepted_by, "--accept-deletions")
        questions = self._catalogue.inventories.questions(inventory)
        told = {"questions": questions, "cap": self._cap, "capped": capped[:100], "statistics": counted}
        return {**told, "refused": refused[:100], "studies_without_uid": len(self._nameless)}


def snapshot_digest(catalogue: Catalogue, campaign: str, number: int) -> tuple[str, int, int]:
    """SHA-256 over the sorted lines of a snapshot, and how many studies and instances it lists."""
    digest, studies, instances, last = hashlib.sha256(), 0, 0, ""
    for uids in catalogue.ledger_reader.snapshot(campaign, number):
        digest.update(("\t".join(uids) + "\n").encode("utf-8", "surrogatepass"))
        studies += uids[0] != last
        last = uids[0]
        instances += 1
    return digest.hexdigest(), studies, instances
