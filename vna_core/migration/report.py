"""How a campaign stands: sums that close."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class CampaignReport:
    """Counts of inventoried instances by their end; each is in exactly one of the fields after `inventoried`.

    Attributes
    ----------
    held
        Fetched by this campaign and held now.
    duplicate
        Held already when the campaign first looked, or fetched with octets that were held.
    missing
        Inventoried, and neither held nor quarantined nor failed for a known reason.
    unexpected
        Delivered by the source though its inventory does not name them (not part of the sum).
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

    @property
    def closes(self) -> bool:
        """Whether every inventoried instance has exactly one end."""
        return self.inventoried == self.held + self.duplicate + self.conflict + self.quarantined + self.failed + self.missing

    @property
    def complete(self) -> bool:
        """Whether nothing failed and nothing is missing."""
        return self.closes and not self.failed and not self.missing

    def as_dict(self) -> dict[str, int | bool]:
        """The counts by name, and whether the sum closes."""
        return {**asdict(self), "closes": self.closes}
