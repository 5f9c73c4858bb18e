"""The jobs of migrations: one that feeds a campaign's queue, and one for each study that is to be moved."""

from __future__ import annotations

from typing import Any, Final

from vna_core.catalogue import Catalogue
from vna_core.domain.jobs import NORMAL

FEED: Final = "migration-feed"
STUDY: Final = "migration-study"


def job_key(campaign: str, pk: int) -> str:
    """Key of the job of one study: of each there is one at most, whoever asks."""
    return f"{campaign} {pk}"


def ask_for_study(
    catalogue: Catalogue, campaign: str, session: Any, pk: int, priority: int = NORMAL, asked: bool = False
) -> None:
    """Ask for the job of one study in the transaction of a session.

    Parameters
    ----------
    asked
        Somebody waits for it: it is fetched whatever the window, the rate and a pause of the campaign say.
    """
    payload = {"campaign": campaign, "study": pk, **({"asked": True} if asked else {})}
    catalogue.jobs.add_in(session, STUDY, job_key(campaign, pk), payload, priority=priority)
