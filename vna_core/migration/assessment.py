"""What a migration from a source will be like: how much there is, what the source can do, how fast it is. Nothing is kept."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from vna_core.domain.errors import AnswerCapped, NotOffered, PeerError, PeerUnavailable
from vna_core.domain.numbers import whole_number
from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.query import Equals, Level, Query
from vna_core.migration.inventory import SUSPICIOUS
from vna_core.migration.listed_studies import listed
from vna_core.migration.refusals import Refusals
from vna_core.migration.sampled_series import STATION, UNKNOWN, SampledSeries
from vna_core.migration.spans import ALPHABET, Span, by_date
from vna_core.migration.work_product.finding import creators_in
from vna_core.ports.pacs import PacsAbilities, PacsAdapter

_SAMPLE: Final = 20
"""Studies whose series are asked for, to see stations, sizes, and modalities where the source tells none of studies."""

_FETCHED: Final = 3
"""Studies that are fetched and thrown away, to see the speed."""


@dataclass(slots=True)
class Assessment:
    """What was found. Counts are of studies as the source answers; `seconds` and rates are of this moment.

    Attributes
    ----------
    without_date
        Studies whose date is empty or impossible.
    projected_days
        For everything at the speed seen, at the source's concurrency, day and night; 0.0 where nothing could be fetched.
    work_products
        Products whose private elements were met in what was fetched, with the number of instances.
    remarks
        What somebody should look at before the migration.
    """

    abilities: PacsAbilities
    studies: int = 0
    instances: int = 0
    instances_known: bool = True
    without_date: int = 0
    cap: int | None = None
    modalities: Counter[str] = field(default_factory=Counter)
    years: Counter[str] = field(default_factory=Counter)
    stations: Counter[str] = field(default_factory=Counter)
    find_rate: float = 0.0
    fetch_rate: float = 0.0
    octets_per_instance: float = 0.0
    projected_octets: float = 0.0
    projected_days: float = 0.0
    work_products: Counter[str] = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        abilities = self.abilities
        return {
            "product": abilities.product,
            "retrieve": abilities.retrieve,
            "concurrency": abilities.concurrency,
            "response_limit": abilities.response_limit,
            "studies": self.studies,
            "instances": self.instances if self.instances_known else None,
            "without_date": self.without_date,
            "cap": self.cap,
            "modalities": dict(self.modalities.most_common()),
            "years": dict(sorted(self.years.items())),
            "stations": dict(self.stations.most_common(50)),
            "find_rate": round(self.find_rate, 1),
            "fetch_rate": round(self.fetch_rate, 1),
            "octets_per_instance": round(self.octets_per_instance),
            "projected_octets": round(self.projected_octets),
            "projected_days": round(self.projected_days, 2),
            "work_products": dict(self.work_products.most_common()),
            "remarks": self.remarks,
        }


def assess(adapter: PacsAdapter) -> Assessment:
    """Ask the source, fetch a few studies, project. Raises PeerUnavailable, PeerError."""
    found = Assessment(adapter.probe(thorough=True))
    found.cap = found.abilities.response_limit
    studies = _count(adapter, found)
    sample = list(studies)[:: max(1, len(studies) // _SAMPLE)][:_SAMPLE]
    series = SampledSeries()
    per_study = _look_at_series(adapter, found, sample, series)
    if not found.instances_known:
        found.instances = round(per_study * found.studies)
    _measure(adapter, found, sample[:_FETCHED], series)
    found.stations = series.stations()
    _look_up_modalities(found, [study for study in sample if not studies[study]], series)
    if found.work_products:
        products = ", ".join(sorted(found.work_products))
        found.remarks.append(f"Images carry work products of {products}: see `vna migrate work-product` once they are moved.")
    _statistics(adapter, found)
    return found


def _count(adapter: PacsAdapter, found: Assessment) -> Mapping[str, bool]:
    """Count the studies of the source; every UID once, with whether the source tells its modalities."""
    begun, seen, answers = time.perf_counter(), dict[str, bool](), 0
    spans: list[Span] = [Span(), *by_date(datetime.now(UTC).date(), 10)]
    everything, refusals, unanswered = -1, Refusals(), 0
    while spans:
        span = spans.pop(0)
        count, new, capped = 0, 0, False
        try:
            told = list(_answers(adapter, span.query))
            refusals.answered()
        except PeerUnavailable:
            raise
        except PeerError as error:
            parts = refusals.narrower(span, error, ALPHABET)
            spans += parts
            unanswered += span.days > 0 and not parts
            everything = max(everything, 0)
            continue
        for answer in told:
            if answer is None:
                capped = True
                continue
            count += 1
            study = listed(answer)
            if not study.study_instance_uid or study.study_instance_uid in seen:
                continue
            new += 1
            seen[study.study_instance_uid] = bool(study.modalities)
            _tally(found, study.modalities, study.study_date, study.instances)
        answers += count
        if everything < 0:
            everything = count
        elif new and found.cap is None and everything:
            found.cap = everything
            found.remarks.append(f"The source stops after {everything} answers without saying so.")
        if span.days > 1 and (capped or count in SUSPICIOUS or (found.cap is not None and count >= found.cap > 0)):
            spans += span.narrower()
    refusals.check()
    found.studies = len(seen)
    found.find_rate = answers / max(time.perf_counter() - begun, 1e-6)
    if not everything and seen:
        found.remarks.append("The source refuses to list all its studies in one answer; it was asked by study date.")
    if unanswered:
        found.remarks.append(
            f"The source refused {unanswered} questions that could not be narrowed: what they are about is not counted."
        )
    if found.without_date:
        found.remarks.append(f"{found.without_date} studies have an empty or impossible date.")
    return seen


def _answers(adapter: PacsAdapter, query: Query) -> Iterator[Any]:
    """Answers, and None where the source says that there are more."""
    try:
        yield from adapter.find(query)
    except AnswerCapped:
        yield None


def _tally(found: Assessment, modalities: str, date: str, instances: int) -> None:
    for modality in modalities.split("\\"):
        found.modalities[modality or UNKNOWN] += 1
    year = date[:4]
    plausible = len(date) == 8 and whole_number(date) is not None and 1960 <= int(year) <= datetime.now(UTC).year
    found.years[year if plausible else "no date"] += 1
    found.without_date += not plausible
    if instances < 0:
        found.instances_known = False
    elif found.instances_known:
        found.instances += instances


def _look_at_series(adapter: PacsAdapter, found: Assessment, sample: list[str], series: SampledSeries) -> float:
    """Ask for the series of the sample; how many instances a study has."""
    total = 0
    for study in sample:
        try:
            for answer in adapter.find(Query(Level.SERIES, (Equals(0x0020000D, (study,)),)), attributes=(STATION,)):
                series.answered(study, answer)
            total += sum(1 for _ in adapter.inventory(study))
        except PeerError as error:
            found.remarks.append(f"A study could not be looked at: {error.message}")
    return total / len(sample) if sample else 0.0


def _look_up_modalities(found: Assessment, untold: list[str], series: SampledSeries) -> None:
    """Count studies of the sample, of which the source tells no modalities, by those of their series."""
    for study in untold:
        if modalities := series.modalities(study):
            found.modalities[UNKNOWN] -= 1
            found.modalities.update(modalities)
    found.modalities += Counter()  # leaves out what is not above zero
    if found.modalities[UNKNOWN]:
        found.remarks.append(
            f"The source does not tell the modalities of {found.modalities[UNKNOWN]} studies: the inventory asks their series."
        )


def _measure(adapter: PacsAdapter, found: Assessment, sample: list[str], series: SampledSeries) -> None:
    count, octets = 0, 0

    def take(received: ReceivedInstance) -> None:
        nonlocal count, octets
        count, octets = count + 1, octets + received.octets.size
        head = next(iter(received.octets.chunks()), b"")
        found.work_products.update(creators_in(head))
        series.delivered(bytes(head))
        received.octets.close()

    begun = time.perf_counter()
    for study in sample:
        try:
            adapter.fetch(study, take)
        except PeerError as error:
            found.remarks.append(f"A study could not be fetched: {error.message}")
    if count:
        found.fetch_rate = count / max(time.perf_counter() - begun, 1e-6)
        found.octets_per_instance = octets / count
        found.projected_octets = found.octets_per_instance * found.instances
        found.projected_days = found.instances / (found.fetch_rate * max(1, found.abilities.concurrency)) / 86400


def _statistics(adapter: PacsAdapter, found: Assessment) -> None:
    if not found.abilities.statistics:
        return
    try:
        told = adapter.statistics()
    except NotOffered:
        return
    if told.studies > found.studies:
        found.remarks.append(f"The source counts {told.studies} studies and lists {found.studies}.")
