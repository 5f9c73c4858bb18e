"""The SQL index of what is held. SQLAlchemy lives here and nowhere else."""

from vna_core.catalogue.answers import Match
from vna_core.catalogue.campaigns import Campaign, Campaigns
from vna_core.catalogue.catalogue import Catalogue, Compare, Statistics
from vna_core.catalogue.commitments import Commitment, Commitments
from vna_core.catalogue.conflicts import Conflict
from vna_core.catalogue.database import is_made
from vna_core.catalogue.generations import Generation, Generations, NormalizationRun, Replacement, Scope
from vna_core.catalogue.quarantine import QuarantineEntry
from vna_core.catalogue.reading import Explanation, InstanceHeader, ListedHeader
from vna_core.catalogue.recording import Recorded
from vna_core.catalogue.search import Answer
from vna_core.catalogue.sequence_matching import Items

__all__ = [
    "Answer",
    "Campaign",
    "Campaigns",
    "Catalogue",
    "Commitment",
    "Compare",
    "Commitments",
    "Conflict",
    "Explanation",
    "Generation",
    "Generations",
    "InstanceHeader",
    "Items",
    "ListedHeader",
    "Match",
    "NormalizationRun",
    "QuarantineEntry",
    "Recorded",
    "Replacement",
    "Scope",
    "Statistics",
    "is_made",
]
