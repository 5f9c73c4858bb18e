"""Corrections go out: to each member in their order, until it has applied them; one that is dead is tried again and never forgotten."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from vna_core.catalogue import Catalogue
from vna_core.dicom.network.association import Rejected
from vna_core.domain.corrections import Correction, Delivery, DeliveryState
from vna_core.domain.errors import NotOffered, PeerUnavailable, VnaError
from vna_core.domain.jobs import Again, Job
from vna_core.ports.jobs import Running

_FOR_NOW = 2
"""Result of an association rejection that is transient (PS3.8 9.3.4)."""

_log = structlog.get_logger(__name__)


class CorrectionSender:
    """The handler of jobs `SEND`, whose key is a member's name. One job at a time for each member keeps the order."""

    def __init__(self, catalogue: Catalogue, tell: Callable[[Correction, str], None]) -> None:
        self._ledger = catalogue.corrections
        self._tell = tell

    def __call__(self, job: Job, running: Running) -> Again | None:
        """Tell a member everything that waits for it. Raises PeerUnavailable where it does not answer: the engine tries again, later and later."""
        return Again() if not self.send(job.key, lambda: running.stopping) else None

    def send(self, member: str, stopping: Callable[[], bool] = lambda: False) -> bool:
        """The same without a job. False: it was told to stop before everything was sent."""
        while waiting := self._ledger.next_for(member):
            for delivery in waiting:
                if stopping():
                    return False
                self._deliver(delivery)
        return True

    def _deliver(self, delivery: Delivery) -> None:
        """One correction. What the member will not do is noted and passed over: the next ones do not wait for it."""
        state, error = DeliveryState.APPLIED, ""
        try:
            self._tell(delivery.correction, delivery.member)
        except PeerUnavailable as failure:
            self._ledger.ended(delivery, DeliveryState.WAITING, _why(failure))
            raise
        except Rejected as failure:
            if failure.fields.get("result") == _FOR_NOW:
                self._ledger.ended(delivery, DeliveryState.WAITING, _why(failure))
                raise PeerUnavailable(failure.message) from failure
            state, error = DeliveryState.REFUSED, _why(failure)
        except NotOffered as failure:
            state, error = DeliveryState.NOT_TAKEN, _why(failure)
        except VnaError as failure:
            state, error = DeliveryState.REFUSED, _why(failure)
        if error:
            _log.warning("correction-not-applied", member=delivery.member, correction=delivery.correction.id, state=state.value)
        self._ledger.ended(delivery, state, error)


def _why(failure: VnaError) -> str:
    """Why a member has not applied a correction, with its own words, for the ledger: what it says may name patients, and is in no log."""
    said = str(failure.fields.get("said") or "")
    return f"{failure.message} It says: {said}" if said else failure.message
