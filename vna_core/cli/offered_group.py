"""A few items of a command on their way through the rooms, more than once where the archive can take nothing for a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog

from vna_core.cli.patience import Patience
from vna_core.domain.errors import VnaError
from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.ingest.sharing import Colleague

_log = structlog.get_logger(__name__)

Result = IngestResult | VnaError


class OfferedGroup:
    """Items that are offered together. It owns their octets until `results` returns."""

    def __init__(self, received: Sequence[ReceivedInstance], pipeline: IngestPipeline, patience: Patience) -> None:
        self._received, self._pipeline, self._patience = received, pipeline, patience

    def results(self, colleague: Colleague | None = None) -> list[IngestResult]:
        """What became of each, in order; blocking.

        Parameters
        ----------
        colleague
            Another process that takes them through the rooms. What fails there in passing is tried again here.
        """
        try:
            results = self._offered(self._received, colleague)
            while passing := [place for place, one in enumerate(results) if isinstance(one, VnaError) and one.transient]:
                error = results[passing[0]]
                if not (isinstance(error, VnaError) and self._patience.again(error)):
                    break
                for place, result in zip(passing, self._offered([self._received[one] for one in passing]), strict=True):
                    results[place] = result
            return [IngestResult(Outcome.REFUSED, error=one) if isinstance(one, VnaError) else one for one in results]
        finally:
            for one in self._received:
                one.octets.close()

    def _offered(self, received: Sequence[ReceivedInstance], colleague: Colleague | None = None) -> list[Result]:
        """One attempt, of which the octets are left."""
        copies = [replace(one, octets=one.octets.once_more()) for one in received]
        try:
            results = (colleague or self._pipeline).offer_all(copies)
        except Exception as error:  # a fault of ours costs the item that meets it, and the run goes on to its summary
            if len(received) > 1:
                return [result for one in received for result in self._offered([one])]
            if isinstance(error, VnaError):
                return [error]
            _log.exception("offering-failed")
            return [VnaError(f"An internal error ({type(error).__name__}); see the log.")]
        if any(isinstance(one, IngestResult) for one in results):
            self._patience.taken()
        return results
