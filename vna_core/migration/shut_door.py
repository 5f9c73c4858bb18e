"""A source that refuses a retrieval: whether it refuses that alone, or lets us in nowhere any more."""

from __future__ import annotations

from vna_core.catalogue import Catalogue
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import PeerError, PeerRefused, PeerUnavailable
from vna_core.domain.octets import ReceivedInstance
from vna_core.ports.pacs import PacsAdapter


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
