"""Job `place-quarantine`: what lies in quarantine gets copies in the stores that the policy names, with the note beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from vna_core.archival_storage.copying import copy_object
from vna_core.archival_storage.keys import quarantine_keys
from vna_core.catalogue import Catalogue, QuarantineEntry
from vna_core.domain.errors import DigestMismatch, ObjectMissing, VnaError
from vna_core.domain.jobs import Again, Job
from vna_core.ports.jobs import Running
from vna_core.ports.storage import Store

PLACE_QUARANTINE: Final = "place-quarantine"
_EVERY: Final = 60.0
"""Seconds between looks for what came."""

_log = structlog.get_logger(__name__)


class QuarantinePlacer:
    """Handler of the job `place-quarantine`, which is done again and again.

    Parameters
    ----------
    targets
        Stores that get a copy of every item.
    """

    def __init__(self, stores: Mapping[str, Store], catalogue: Catalogue, targets: Sequence[str]) -> None:
        self._stores = stores
        self._catalogue = catalogue
        self._targets = targets

    def __call__(self, job: Job, running: Running) -> Again | None:
        """Copy what has no copy yet; raises what kept a part of it from being done. Ends where no store is named any more."""
        failures: list[VnaError] = []
        for target in self._targets:
            after = ""
            while page := self._catalogue.uncopied_quarantine(target, after):
                for entry in page:
                    if running.stopping:
                        return Again()
                    try:
                        self._copy(entry, target)
                    except VnaError as error:
                        _log.warning("quarantine-not-copied", item=entry.id, store=target, code=error.code)
                        failures.append(error)
                after = page[-1].id
        for failure in sorted(failures, key=lambda one: not one.transient):
            raise failure
        return Again(_EVERY) if self._targets else None

    def _copy(self, entry: QuarantineEntry, target: str) -> None:
        """From the first store that gives it right; the octets first, as where it is kept the note is looked for beside them."""
        octets, note = quarantine_keys(entry.id, entry.sha256)
        sources = dict.fromkeys((entry.store, *self._stores))
        failure: VnaError = ObjectMissing("No good copy of the quarantined octets is left.", id=entry.id)
        for source in (self._stores[name] for name in sources if name in self._stores and name != target):
            try:
                copy_object(source, self._stores[target], octets, entry.sha256)
                _copy_note(source, self._stores[target], note)
                self._catalogue.quarantine_copied(entry.id, target)
                return
            except (ObjectMissing, DigestMismatch) as error:
                failure = error
        raise failure


def _copy_note(source: Store, target: Store, note: str) -> None:
    try:
        copy_object(source, target, note)
    except ObjectMissing:  # the process died before it was written: a rebuild lists the octets without one
        return
