"""The states of a migration, and why something is an exception: tables that the ledger, the runner and the reports share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

WORK_PRODUCT: Final = "work-product"
"""Address in the source of what was made of a former archive's private elements, beside the name of the campaign."""

WORK_PRODUCT_DEVICE: Final = ("vna-core", "VNA work-product rescue")
"""Manufacturer and model name in what was made so: by them it is recognized in every archive, whichever way it came."""


GIVEN_UP: Final = "given-up"
"""Reason and rule of a study whose job nobody tries any more."""


class StudyState(StrEnum):
    """Where a study is on its way.

    A study runs through listed, inventoried, queued, retrieving, stored, verified, committed and reconciled; the others are beside
    the way. ``stored`` says that every inventoried instance has an end; ``verified`` that the octets as received come back from
    every copy; ``committed`` that as many copies as asked for are readable; ``reconciled`` that its pixels were fetched from the
    source once more and are equal.
    """

    LISTED = "listed"
    INVENTORIED = "inventoried"
    QUEUED = "queued"
    RETRIEVING = "retrieving"
    STORED = "stored"
    VERIFIED = "verified"
    COMMITTED = "committed"
    RECONCILED = "reconciled"
    PARTIAL = "partial"
    EXCLUDED = "excluded"
    SOURCE_CHANGED = "source_changed"
    DELETED_AT_SOURCE = "deleted_at_source"


class InstanceState(StrEnum):
    """Where an instance is on its way. All but ``inventoried`` are ends of the fetching."""

    INVENTORIED = "inventoried"
    STORED = "stored"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    MISSING = "missing"
    EXCLUDED = "excluded"
    DELETED_AT_SOURCE = "deleted_at_source"


SWITCHED_FROM: Final[dict[str, frozenset[str]]] = {
    "paused": frozenset(("running", "paused")),
    "running": frozenset(("planned", "paused", "running", "incomplete")),
    "cancelled": frozenset(("planned", "paused", "running", "incomplete", "cancelled")),
}
"""States of a campaign from which somebody may bring it to another."""


class UnknownModalities(IntEnum):
    """What an inventory does not know of the modalities of a study; each includes the ones before."""

    NONE = 0
    OF_SERIES = 1
    OF_STUDY = 2


_MOVED: Final = (StudyState.STORED, StudyState.VERIFIED, StudyState.COMMITTED, StudyState.RECONCILED)

STUDY_MOVES: Final[dict[StudyState, frozenset[StudyState]]] = {
    StudyState.LISTED: frozenset((StudyState.EXCLUDED, StudyState.DELETED_AT_SOURCE)),
    StudyState.INVENTORIED: frozenset((StudyState.QUEUED, StudyState.EXCLUDED, StudyState.DELETED_AT_SOURCE)),
    StudyState.QUEUED: frozenset((StudyState.RETRIEVING, StudyState.PARTIAL, StudyState.EXCLUDED, StudyState.DELETED_AT_SOURCE)),
    StudyState.RETRIEVING: frozenset((StudyState.STORED, StudyState.PARTIAL, StudyState.QUEUED)),
    StudyState.STORED: frozenset((StudyState.VERIFIED, StudyState.PARTIAL)),
    StudyState.VERIFIED: frozenset((StudyState.COMMITTED, StudyState.PARTIAL, StudyState.STORED)),
    StudyState.COMMITTED: frozenset((StudyState.RECONCILED, StudyState.PARTIAL, StudyState.STORED)),
    StudyState.RECONCILED: frozenset((StudyState.PARTIAL, StudyState.STORED)),
    StudyState.PARTIAL: frozenset((StudyState.STORED, StudyState.EXCLUDED, StudyState.DELETED_AT_SOURCE)),
    StudyState.EXCLUDED: frozenset(),
    StudyState.SOURCE_CHANGED: frozenset((StudyState.STORED, StudyState.EXCLUDED, StudyState.DELETED_AT_SOURCE)),
    StudyState.DELETED_AT_SOURCE: frozenset(),
}
"""From a state to those that may follow. Besides, any state may be left for ``inventoried`` (asked for again), and any but
``retrieving`` for ``source_changed``."""

MOVED: Final = frozenset(_MOVED)
"""States of studies whose every instance has an end in the archive."""

OPEN: Final = frozenset((StudyState.LISTED, StudyState.INVENTORIED, StudyState.QUEUED, StudyState.RETRIEVING))
"""States of studies that wait to be moved."""

AWAITED: Final = OPEN | {StudyState.PARTIAL}
"""States of studies of which something is still to be had at the source."""

WAITED_FOR: Final = "waited for"
"""Rule of the transition of a study that is fetched while somebody waits for it."""


def may_follow(old: StudyState, new: StudyState) -> bool:
    """Whether a study in state `old` may come to state `new`."""
    if old is new:
        return False
    if new is StudyState.INVENTORIED:
        return True
    if new is StudyState.SOURCE_CHANGED:
        return old is not StudyState.RETRIEVING
    return new in STUDY_MOVES[old]


class ErrorClass(StrEnum):
    """What is done about an exception: ask again, wait until the fault is gone, or have somebody decide."""

    REFETCH = "refetch"
    HOLD = "hold"
    HUMAN = "human"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is an exception: what is done about it, what usually causes it, and what helps."""

    code: str
    error_class: ErrorClass
    cause: str
    remedy: str


_REASONS: Final = (
    Reason(
        "source-unavailable",
        ErrorClass.HOLD,
        "The source or the network to it does not answer, or the source refuses us altogether.",
        "Nothing: it is asked again. If it stays so, check address, title, password and the source itself.",
    ),
    Reason(
        "archive-unavailable",
        ErrorClass.HOLD,
        "A store or the catalogue of the archive does not answer, or a disk is full.",
        "Nothing: it is tried again. If it stays so, see `vna jobs list` and the log.",
    ),
    Reason(
        GIVEN_UP,
        ErrorClass.REFETCH,
        "Moving the study failed again and again for a reason of the archive's own, or its processes died over it.",
        "Read the detail, and the log at that time. Then `vna migrate retry`.",
    ),
    Reason(
        "not-delivered",
        ErrorClass.REFETCH,
        "The source lists the instance and did not send it, in as many tries as allowed.",
        "Open it in the old PACS; where it is readable there, `vna migrate retry`, else accept it as unmigratable.",
    ),
    Reason(
        "retrieve-failed",
        ErrorClass.REFETCH,
        "The source refused or broke off the retrieval.",
        "Read the detail; offline media need to be mounted. Then `vna migrate retry`.",
    ),
    Reason(
        "quarantined",
        ErrorClass.HUMAN,
        "The octets cannot be archived as DICOM: damaged in the source, or on the way in every try.",
        "`vna quarantine show`; where the old PACS can show it, export it there and `vna ingest` the file.",
    ),
    Reason(
        "refused",
        ErrorClass.HUMAN,
        "The archive took nothing: the source delivered an empty payload, or exactly what was deleted here.",
        "Read the detail. An empty payload usually is a row without a file: accept it as unmigratable. Accept what was deleted on purpose, too.",
    ),
    Reason(
        "digest-differs",
        ErrorClass.REFETCH,
        "What arrived is not what the source's own digest says.",
        "It was asked for again in every try. Check the source's storage.",
    ),
    Reason(
        "unexpected-instance",
        ErrorClass.HUMAN,
        "The source delivered instances that its inventory does not name; it may make new UIDs on every retrieval.",
        "Both are kept. Compare the sample with the missing instances of the study, and decide which identity holds.",
    ),
    Reason(
        "same-uid-other-content",
        ErrorClass.HUMAN,
        "Under one SOP Instance UID there are several different objects.",
        "All versions are kept, and the first to arrive is given out. Compare them: `vna conflicts` lists them, `vna keep` says which is right.",
    ),
    Reason(
        "count-differs",
        ErrorClass.HUMAN,
        "The source counts more instances in the study than it lists.",
        "Look at the study in the old PACS: instances may be listed only at another level, or the count may be stale.",
    ),
    Reason(
        "no-instances",
        ErrorClass.HUMAN,
        "The study has no instances: made by an order, or its images are gone.",
        "Accept it where the old PACS shows no images either.",
    ),
    Reason(
        "shared-study-uid",
        ErrorClass.HUMAN,
        "The source lists one Study Instance UID for several patients.",
        "Both patients are kept apart. Find out which one is right.",
    ),
    Reason(
        "stale-header",
        ErrorClass.HUMAN,
        "The source's database names another patient or study than the file: corrected there, or never.",
        "The source's database usually is right. Correct the study in the archive, or accept the header.",
    ),
    Reason(
        "source-changed",
        ErrorClass.HUMAN,
        "The study was corrected at the source after its copy moved.",
        "New instances were fetched. `vna migrate retry` fetches the others again; what differs is kept beside the copy, until `vna keep` says which is right. Or correct the copy.",
    ),
    Reason(
        "deleted-at-source",
        ErrorClass.HUMAN,
        "The source does not list any more what was listed before.",
        "The copy is kept. Where the deletion was meant, reject it in the archive too.",
    ),
    Reason(
        "gone-before-moved",
        ErrorClass.HUMAN,
        "The source listed it before and does not any more, and it had not been moved: the archive has no copy.",
        "Look for it in the old PACS. Where it is there, take the inventory again; where it was deleted on purpose, accept it.",
    ),
    Reason(
        "inventory-refused",
        ErrorClass.HUMAN,
        "The source refused questions about some dates or patients, and none that is narrower could be asked.",
        "Look in the old PACS for what the detail names: a damaged row often is the cause. Then take the inventory again.",
    ),
    Reason(
        "inventory-failed",
        ErrorClass.REFETCH,
        "The source refused or broke off the list of the study's instances, in every try, and answered other questions.",
        "Open the study in the old PACS: its row usually is damaged. The next inventory asks again; `vna migrate retry` only where none listed it.",
    ),
    Reason(
        "answer-without-uid",
        ErrorClass.HUMAN,
        "The source lists studies or instances without their UID: they cannot be asked for.",
        "Find them in the old PACS by what the detail names, give them a UID there or export them, and `vna ingest` the files.",
    ),
    Reason(
        "inventory-shrank",
        ErrorClass.HUMAN,
        "The source listed far fewer studies than before: the inventory is not believed, and everything in the one before is kept.",
        "Check the source and what our title may see there, and plan again; with `--accept-deletions` where they were meant.",
    ),
    Reason(
        "inventory-empty",
        ErrorClass.HUMAN,
        "The source was asked and listed nothing at all.",
        "Check title, address and what our title may see at the source; accept it where the source really is empty.",
    ),
    Reason(
        "inventory-capped",
        ErrorClass.HUMAN,
        "An answer of the source may be incomplete, and no narrower question could be asked.",
        "Raise the source's limit for answers, and take the inventory again.",
    ),
    Reason(
        "statistics-differ",
        ErrorClass.HUMAN,
        "The source's own statistics count more studies than could be listed.",
        "Look for studies with empty or impossible dates and without patient ID in the old PACS.",
    ),
    Reason(
        "copy-damaged",
        ErrorClass.REFETCH,
        "A stored copy is missing, cut short or altered.",
        "`vna migrate retry` fetches it again; check the store.",
    ),
    Reason(
        "copies-missing",
        ErrorClass.HOLD,
        "There are fewer readable copies than asked for.",
        "Wait for the copies to be made, or look why they are not; then verify again.",
    ),
    Reason(
        "pixels-differ",
        ErrorClass.HUMAN,
        "Fetched once more, the source delivered other pixels than are stored.",
        "`vna migrate retry` fetches again; look which of both is right: the first or the second transfer was damaged.",
    ),
    Reason(
        "content-differs",
        ErrorClass.HUMAN,
        "Fetched once more, the source delivered other octets, and the difference is no known habit of sources.",
        "Compare both headers; where the difference is meant, accept it.",
    ),
)
REASONS: Final[dict[str, Reason]] = {one.code: one for one in _REASONS}
"""Every reason for an exception by its code."""

REFETCHED: Final = frozenset(("source-changed", "content-differs", "pixels-differ"))
"""Reasons for which a retry fetches also what is stored already: what the source gives now is to be seen beside it."""

OF_A_MOMENT: Final = frozenset(("source-unavailable", "archive-unavailable", GIVEN_UP))
"""Reasons that tell what happened, not how something is: seen again, it is another matter, whoever accepted the one before."""

UNLISTED: Final = frozenset(
    (
        "gone-before-moved",
        "inventory-refused",
        "inventory-failed",
        "answer-without-uid",
        "inventory-shrank",
        "inventory-empty",
        GIVEN_UP,
    )
)
"""Reasons for which the sums do not tell all that is to be moved, or was compared: while one is open, no campaign is complete."""
