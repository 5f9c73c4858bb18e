"""How instances end that did not come, and those that were stored and were fetched once more; and what the worklist says of either."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from vna_core.catalogue.migration_ledger import compared_anew
from vna_core.catalogue.migration_rows import InstanceEnd
from vna_core.catalogue.migration_writing import Writing
from vna_core.domain.migration import InstanceState
from vna_core.domain.outcome import Outcome

SAME: Final = "fetched once more: the same octets"
OTHER: Final = "fetched once more: other octets, kept beside the first; `vna conflicts` says which is current"
HELD: Final = "fetched once more: other octets, which are held already; `vna conflicts` says which is current"
_ANEW: Final = "fetch-again"
_OF_INSTANCES: Final = ("content-differs", "pixels-differ")


def is_lost(end: InstanceEnd) -> bool:
    """Whether the archive has nothing of an instance."""
    return end.state in (InstanceState.MISSING, InstanceState.FAILED)


def reason_of(end: InstanceEnd, said: bool, bad_digest: bool) -> str:
    """Code of the exception for an instance that did not come as it should.

    Parameters
    ----------
    said
        The source said why.
    bad_digest
        What came was not what the source's own digest says.
    """
    if end.state is InstanceState.QUARANTINED or end.quarantine_id:
        return "quarantined"
    if end.outcome == Outcome.REFUSED.value:
        return "refused"
    if bad_digest:
        return "digest-differs"
    return "retrieve-failed" if said else "not-delivered"


def as_came(end: InstanceEnd) -> InstanceEnd:
    """The end of an instance that came: one that was stored is what it was where its octets are the same."""
    one = end.instance
    if not compared_anew(one):
        return end
    known, duplicate = one.received_sha256, end.outcome == Outcome.DUPLICATE.value
    if end.received_sha256 == known or (duplicate and not known):
        return replace(end, outcome=one.outcome or end.outcome, detail=SAME, rule=_ANEW)
    return replace(end, detail=HELD if duplicate else OTHER, rule=_ANEW)


def as_left(lost: InstanceEnd) -> InstanceEnd:
    """The end of an instance that did not come: one that was stored stays so."""
    one = lost.instance
    if not compared_anew(one):
        return lost
    known = (one.received_sha256, one.received_size, one.stored_sop_instance_uid, lost.quarantine_id)
    return InstanceEnd(one, InstanceState.STORED, one.outcome, f"kept; fetched once more: {lost.detail}", *known, rule="kept")


def settle(writing: Writing, study: int, came: Iterable[InstanceEnd], left: Iterable[InstanceEnd]) -> None:
    """Say on the worklist what became of what was fetched once more: whatever is as it was stands there again."""
    anew = [end for end in came if compared_anew(end.instance)]
    kept = [end for end in left if compared_anew(end.instance)]
    if not anew and not kept:
        return
    other = sum(end.detail != SAME for end in anew)
    told = f"fetched once more: {other} of {len(anew) + len(kept)} with other octets, {len(kept)} not delivered"
    if other and not kept:
        writing.solve(study, ("source-changed",), told, states=("retried",))
    else:
        writing.reopen(study, ("source-changed",), told)
    for end in anew:
        writing.solve(study, _OF_INSTANCES, end.detail, end.instance.pk)
    for end in kept:
        writing.reopen(study, _OF_INSTANCES, end.detail, end.instance.pk)
