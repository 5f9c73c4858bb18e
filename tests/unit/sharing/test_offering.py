"""Files are offered in groups, here and to processes that help: each has its result, in order, whatever happens to those processes."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import pytest

from tests.unit.ingest.ct_samples import ct
from tests.unit.sharing.shared_archive import Shared
from tests.unit.sharing.test_sharing import is_held, uid
from vna_core.cli.offering import GROUP, Offering
from vna_core.cli.patience import Patience
from vna_core.dicom.offered_files import OfferedFile
from vna_core.domain.errors import StoreUnavailable, VnaError
from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.ingest.sharing import Colleagues

OTHERS: list[tuple[bytes, Outcome]] = [
    (b"this is not DICOM", Outcome.QUARANTINED),
    (ct(2, PatientName="Other"), Outcome.CONFLICT),
    (ct(1), Outcome.DUPLICATE),
    (b"", Outcome.REFUSED),
]
"""What comes after others, and how it ends."""


def offered(contents: Sequence[bytes]) -> list[OfferedFile]:
    def opening(octets: bytes) -> Callable[[], io.BytesIO]:
        return lambda: io.BytesIO(octets)

    return [OfferedFile(f"{place}.dcm", len(octets), opening(octets)) for place, octets in enumerate(contents)]


def results(offering: Offering, items: Sequence[OfferedFile]) -> list[IngestResult]:
    """What became of each; they come in order."""
    found = list(offering.results(items))
    assert [item for item, _ in found] == list(items)
    return [result for _, result in found]


def helped(shared: Shared, *dies: str) -> Offering:
    """An offering for which a process waits that helps."""
    process = shared.help(*dies)
    while not shared.colleagues.any_idle:  # it sits down soon after it said so
        assert process.poll() is None
    return Offering(shared.archive.pipeline, "", Patience(0), shared.colleagues)


def test_every_item_has_its_result_in_order_and_nothing_is_kept_of_it(shared: Shared) -> None:
    large = ct(3, rows=20_000)  # beyond `ingest.spool_threshold`: it lies in a file
    first = [ct(1), ct(2), large, *(ct(number) for number in range(4, 3 * GROUP))]
    offering = helped(shared)
    assert {one.outcome for one in results(offering, offered(first))} == {Outcome.HELD}
    assert shared.counted()["taken"] >= GROUP
    after = results(offering, offered([octets for octets, _ in OTHERS]))
    assert [one.outcome for one in after] == [outcome for _, outcome in OTHERS]
    assert [one.sop_instance_uid for one in after[1:3]] == [uid(2), uid(1)]
    assert is_held(shared, large, uid(3))
    statistics = shared.archive.catalogue.statistics()
    assert (statistics.instances, statistics.versions, statistics.quarantined) == (len(first), len(first) + 1, 1)
    assert shared.archive.pipeline.budget.free == shared.archive.pipeline.budget.maximum, "the octets were given back"


@pytest.mark.parametrize("place", ["given", "index", "answer"])
def test_a_process_that_dies_with_a_group_costs_nothing(shared_embedded: Shared, place: str) -> None:
    contents = [ct(number) for number in range(1, 2 * GROUP)]
    found = results(helped(shared_embedded, place, "3"), offered(contents))
    assert {one.outcome for one in found} <= {Outcome.HELD, Outcome.DUPLICATE}, "what was stored before it died is a duplicate"
    assert [one.sop_instance_uid for one in found] == [uid(number) for number in range(1, 2 * GROUP)]
    assert all(is_held(shared_embedded, octets, uid(number)) for number, octets in enumerate(contents, 1))
    assert shared_embedded.archive.catalogue.statistics().versions == len(contents)


class Failing:
    """Has the way in fail as it is told: each entry is for one call."""

    def __init__(self, shared: Shared, failures: Sequence[Callable[[ReceivedInstance], VnaError | None]]) -> None:
        self._offer_all, self._failures = shared.archive.pipeline.offer_all, list(failures)

    def __call__(self, received: Sequence[ReceivedInstance]) -> list[IngestResult | VnaError]:
        failure = self._failures.pop(0) if self._failures else lambda one: None
        errors = [failure(one) for one in received]
        taken = iter(self._offer_all([one for one, error in zip(received, errors, strict=True) if error is None]))
        return [next(taken) if error is None else error for error in errors]


def alone(shared: Shared, patience: Patience) -> Offering:
    return Offering(shared.archive.pipeline, "", patience, Colleagues(shared.archive.pipeline, shared.meter))


def unavailable(one: ReceivedInstance) -> VnaError | None:
    return StoreUnavailable("It is away.") if one.source.address in {"0.dcm", "2.dcm"} else None


def test_what_failed_in_passing_is_tried_again_and_only_that(shared_embedded: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_embedded.archive.pipeline, "offer_all", Failing(shared_embedded, [unavailable] * 3))
    told: list[VnaError] = []
    found = results(
        alone(shared_embedded, Patience(60, told.append, sleep=lambda seconds: None)), offered([ct(n) for n in range(4)])
    )
    assert [one.outcome for one in found] == [Outcome.HELD] * 4, "nothing was offered twice that was taken"
    assert told


def test_without_patience_it_is_refused_and_nothing_more_is_read(
    shared_embedded: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_embedded.archive.pipeline, "offer_all", Failing(shared_embedded, [unavailable]))
    read: list[str] = []

    def items() -> list[OfferedFile]:
        return offered([ct(number) for number in range(200)])

    offering = alone(shared_embedded, Patience(0))
    found = list(offering.results(read.append(item.path) or item for item in items()))  # type: ignore[func-returns-value]
    assert found[0][1].outcome is Outcome.REFUSED
    assert len(found) == len(read) < 200


def test_a_fault_of_ours_costs_the_item_that_meets_it(shared_embedded: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(one: ReceivedInstance) -> VnaError | None:
        if one.source.address == "1.dcm":
            raise ZeroDivisionError
        return None

    monkeypatch.setattr(shared_embedded.archive.pipeline, "offer_all", Failing(shared_embedded, [broken] * 9))
    found = results(alone(shared_embedded, Patience(0)), offered([ct(number) for number in range(3)]))
    assert [one.outcome for one in found] == [Outcome.HELD, Outcome.REFUSED, Outcome.HELD]
    assert found[1].error is not None and "internal error (ZeroDivisionError)" in found[1].error.message
