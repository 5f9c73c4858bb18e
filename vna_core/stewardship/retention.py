"""Rules of retention: which studies need not be kept any longer. What they delete is hidden first, like any other deletion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from vna_core.catalogue import Catalogue
from vna_core.catalogue.ages import StudyAge
from vna_core.configuration import Settings
from vna_core.configuration.stewardship import RetentionRuleSettings
from vna_core.domain.corrections import CorrectionKind
from vna_core.domain.errors import ConfigurationError, NotFound, UnderHold
from vna_core.domain.stewardship import Deletion, Extent, Hold
from vna_core.stewardship.calendar import after_period
from vna_core.stewardship.deletion import Deleting

BY: Final = "retention"


@dataclass(frozen=True, slots=True)
class DueStudy:
    """A study whose time is over: by which rule, and since when. Where something of it is under `holds` it stays."""

    study: StudyAge
    rule: str
    since: date
    holds: tuple[Hold, ...] = ()


@dataclass(slots=True)
class RetentionReport:
    """What applying the rules did. `held` counts studies that a hold keeps."""

    deleted: list[Deletion] = field(default_factory=list)
    held: int = 0


def due_studies(catalogue: Catalogue, rules: Sequence[RetentionRuleSettings], today: date) -> Iterator[DueStudy]:
    """Studies that need not be kept any longer, and the holds that keep them nevertheless. Nothing is changed.

    A study without a date that the rule needs is kept: nobody knows how old it is.
    """
    held = catalogue.holds.by_study()
    for study in catalogue.ages():
        rule = next((one for one in rules if _fits(one, study)), None)
        begin = None if rule is None else _begin(rule, study)
        if rule is not None and begin is not None:
            end = after_period(begin, rule.keep)
            if end <= today:
                yield DueStudy(study, rule.id, end, held.get(study.study_instance_uid, ()))


def apply_rules(
    due: Iterable[DueStudy],
    deleting: Deleting,
    progress: Callable[[Deletion], object] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
) -> RetentionReport:
    """Delete studies that are due, so that they can be taken back during the time of grace. What is under hold stays."""
    report = RetentionReport()
    for one in due:
        if stopping():
            break
        if one.holds:
            report.held += 1
            continue
        reason = f"retention rule {one.rule}: kept until {one.since:%Y-%m-%d}"
        try:
            deletion = deleting.delete(Extent.STUDY, one.study.study_instance_uid, reason, BY, kind=CorrectionKind.EXPIRE)
        except UnderHold:  # set since the study was found
            report.held += 1
            continue
        except NotFound:  # somebody deleted it meanwhile
            continue
        report.deleted.append(deletion)
        progress(deletion)
    return report


def check_departments(settings: Settings) -> None:
    """Refuse rules about departments that are not configured. Raises ConfigurationError that names the line."""
    for number, rule in enumerate(settings.retention.rules):
        unknown = sorted(set(rule.department) - settings.departments.keys())
        if unknown:
            raise ConfigurationError(
                f"{settings.where('retention', 'rules', number, 'department')}: {unknown[0]!r} is no configured department. For what "
                "images say in Institutional Department Name (0008,1040) write institutional_department.",
                department=unknown[0],
            )


def _fits(rule: RetentionRuleSettings, study: StudyAge) -> bool:
    wanted = (
        (rule.modality, study.modalities),
        (rule.source, study.sources),
        (rule.department, study.departments),
        (rule.institutional_department, study.institutional_departments),
    )
    return all(not named or found <= set(named) for named, found in wanted)


def _begin(rule: RetentionRuleSettings, study: StudyAge) -> date | None:
    if rule.since == "arrival":
        return study.arrived_at.date()
    try:
        return datetime.strptime(study.study_date, "%Y%m%d").date()
    except ValueError:
        return None
