"""How a campaign stands: sums that close."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass

from vna_core.catalogue import Catalogue
from vna_core.catalogue.migration_writing import FETCHED
from vna_core.catalogue.migration_writing import UNLISTED as NOT_LISTED
from vna_core.domain.migration import UNLISTED, InstanceState


@dataclass(frozen=True, slots=True)
class CampaignReport:
    """Counts of inventoried instances by their end; each is in exactly one of the fields after `inventoried`.

    Attributes
    ----------
    held
        Fetched by this campaign and held now, also hidden by a rejection.
    duplicate
        Held already when the campaign first looked, or fetched with octets that were held.
    missing
        Inventoried, and neither held nor quarantined nor failed for a known reason.
    unexpected
        Delivered by the source though its inventory does not name them (not part of the sum).
    studies
        Those that the source lists; what it lists no more left them, as it left `inventoried`.
    fetched
        How many came from the source, whoever fetched them: in all runs, or in the summary of one run in that.
    waiting
        Of `missing`: not asked for yet.
    excluded, deleted_at_source
        Accepted as not to be moved, and not listed any more by the source; both left `inventoried`, so not part of the sum.
    studies_deleted_at_source
        Studies that the source does not list any more.
    exceptions
        Entries of the worklist that nobody has closed.
    unlisted
        Of `exceptions`: those that tell of something at the source that the sum does not count.
    """

    inventoried: int
    held: int
    duplicate: int
    conflict: int
    quarantined: int
    failed: int
    missing: int
    unexpected: int = 0
    studies: int = 0
    fetched: int = 0
    waiting: int = 0
    excluded: int = 0
    deleted_at_source: int = 0
    exceptions: int = 0
    unlisted: int = 0
    studies_deleted_at_source: int = 0

    @property
    def closes(self) -> bool:
        """Whether every inventoried instance has exactly one end."""
        return self.inventoried == self.held + self.duplicate + self.conflict + self.quarantined + self.failed + self.missing

    @property
    def complete(self) -> bool:
        """Whether nothing failed, nothing is missing, and the sum counts all that the source is known to have or to have had."""
        return self.closes and not self.failed and not self.missing and not self.unlisted

    def as_dict(self) -> dict[str, int | bool]:
        """The counts by name, and whether the sum closes."""
        return {**asdict(self), "closes": self.closes}


def summary_of(catalogue: Catalogue, campaign: str) -> CampaignReport:
    """The counts of a campaign. They are kept by the ledger, so that asking costs the same for ten instances and ten million."""
    ends: Counter[str] = Counter()
    inventoried = studies = unexpected = fetched = not_listed = 0
    for one in catalogue.ledger_reader.tallies(campaign):
        if one.level == "unexpected":
            unexpected += one.number
        elif one.level == "study":
            studies += one.number
        elif one.level == FETCHED:
            fetched += one.number
        elif one.level == NOT_LISTED:
            not_listed += one.number
        elif one.state in (InstanceState.EXCLUDED.value, InstanceState.DELETED_AT_SOURCE.value):
            ends[one.state] += one.number
        else:
            inventoried += one.number
            ends[one.outcome if one.state == InstanceState.STORED.value else one.state] += one.number
    waiting = ends[InstanceState.INVENTORIED.value]
    opened: Counter[str] = Counter()
    for (reason, state), number in catalogue.ledger_reader.exception_counts(campaign).items():
        opened[reason] += number if state == "open" else 0
    return CampaignReport(
        inventoried,
        ends["held"],
        ends["duplicate"],
        ends["conflict"],
        ends["quarantined"],
        ends["failed"],
        ends["missing"] + waiting,
        unexpected,
        studies - not_listed,
        fetched,
        waiting,
        ends["excluded"],
        ends["deleted_at_source"],
        opened.total(),
        sum(opened[reason] for reason in UNLISTED),
        not_listed,
    )
