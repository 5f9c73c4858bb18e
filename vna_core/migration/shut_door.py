"""A source that refuses a retrieval: whether it refuses that alone, or lets us in nowhere any more, or never did."""

from __future__ import annotations

from typing import Final

from vna_core.catalogue import Catalogue
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import PeerError, PeerRefused, PeerUnavailable
from vna_core.domain.octets import ReceivedInstance
from vna_core.ports.pacs import PacsAdapter

REFUSALS: Final = 6
"""Refusals in a row after which a run ends whose source never delivered anything; with the rests between them a quarter of a minute."""


def check_never_let_in(catalogue: Catalogue, campaign: str) -> None:
    """Raise PeerRefused where a source has refused every retrieval since the beginning, often enough that waiting is no use.

    One that delivered before is waited for: what has expired is renewed without us.
    """
    if catalogue.throttle.load(campaign).refusals < REFUSALS or catalogue.ledger_reader.fetched_before(campaign) is not None:
        return
    said = " ".join(one.detail for one in catalogue.ledger_reader.exceptions(campaign, reason="source-unavailable", limit=1))
    raise PeerRefused(
        f"The source lists what it holds, and has never let us retrieve any of it: tried {REFUSALS} times. {said} Have it allow "
        "that to us (user, password or token under `sources:`, and the right to retrieve), then run again: nothing is lost meanwhile."
    )


def is_shut(adapter: PacsAdapter, catalogue: Catalogue, campaign: str, patience: float) -> bool:
    """Whether a source that has just refused a study refuses everything: it is greeted, and asked for something that it gave before.

    One that never gave anything is taken for shut: nothing shows that it lets us in. What it gives is thrown away.

    Parameters
    ----------
    patience
        Seconds to wait for its answer.

    Raises
    ------
    PeerError
        It refuses to be greeted, or does not answer any more.
    """
    adapter.probe()
    known = catalogue.ledger_reader.fetched_before(campaign)
    if known is None:
        return True
    study, series, sop = known
    try:
        adapter.fetch(study, _thrown_away, series, (sop,), deadline=Deadline(patience))
    except PeerRefused:
        return True
    except PeerUnavailable:
        raise
    except PeerError:  # it answers: whatever keeps it from delivering that is no door
        return False
    return False


def _thrown_away(received: ReceivedInstance) -> None:
    received.octets.close()
