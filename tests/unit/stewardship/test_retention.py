"""Rules of retention delete what is due and nothing else, and the duties of the worker do their work at their time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.stewardship.held_archive import Place, fill
from tests.unit.stewardship.two_stores import Keeper, flip, keeper
from vna_core.bootstrap import open_archive
from vna_core.bootstrap_jobs import ensure_periodic_jobs, job_work
from vna_core.cli.application import run
from vna_core.configuration import Settings, load_settings
from vna_core.configuration.stewardship import RetentionRuleSettings, RetentionSettings, ScrubSettings
from vna_core.domain.errors import ConfigurationError
from vna_core.domain.jobs import Again, Job
from vna_core.domain.stewardship import HIDDEN, PURGED, Extent
from vna_core.stewardship.calendar import after_period, is_within, length_of, seconds_until
from vna_core.stewardship.duties import Duties
from vna_core.stewardship.retention import apply_rules, due_studies

STUDIES = {"1.2.3.1", "1.2.4.2", "1.2.5.9"}  # of the 2nd of January 2026; the first has sources CT_NORTH and south


@pytest.fixture
def kept(new_catalogue: Callable[[str], Place]) -> Iterator[Keeper]:
    with keeper(new_catalogue("archive")) as made:
        yield made


def rule(**values: Any) -> RetentionRuleSettings:
    return RetentionRuleSettings(**{"id": "r", "keep": "10y", **values})


@pytest.mark.parametrize(
    ("rules", "today", "due"),
    [
        ([], date(2100, 1, 1), set()),
        ([rule()], date(2036, 1, 1), set()),
        ([rule()], date(2036, 1, 2), STUDIES),
        ([rule(modality="MR")], date(2100, 1, 1), set()),
        ([rule(modality=["MR", "CT"])], date(2036, 1, 2), STUDIES),
        ([rule(source="south")], date(2036, 1, 2), {"1.2.4.2", "1.2.5.9"}),
        ([rule(source=["south", "CT_NORTH"])], date(2036, 1, 2), STUDIES),
        ([rule(institutional_department="Cardiology")], date(2100, 1, 1), set()),
        ([rule(department="cardiology")], date(2100, 1, 1), set()),
        ([rule(source="south", keep="30y"), rule()], date(2036, 1, 2), {"1.2.3.1"}),
        ([rule(since="arrival", keep="1d")], date.today(), set()),
        ([rule(since="arrival", keep="1d")], date.today() + timedelta(days=2), STUDIES),
    ],
)
def test_what_is_due_follows_the_first_rule_that_fits_all_of_a_study(
    rules: list[RetentionRuleSettings], today: date, due: set[str], kept: Keeper
) -> None:
    before = kept.archive.catalogue.fingerprint()
    assert {one.study.study_instance_uid for one in due_studies(kept.archive.catalogue, rules, today)} == due
    assert kept.archive.catalogue.fingerprint() == before


def test_a_department_is_the_configured_one_and_all_of_a_study_belongs_to_it(tmp_path: Path) -> None:
    departments = {"north": {"holds": [{"name": ["CT_NORTH"]}]}, "south": {"holds": [{"name": ["south"]}]}}
    document = {"data": str(tmp_path / "data"), "departments": departments}
    with open_archive(Settings.model_validate(document)) as archive:
        fill(archive)

        def due(*rules: RetentionRuleSettings) -> set[str]:
            return {one.study.study_instance_uid for one in due_studies(archive.catalogue, rules, date(2100, 1, 1))}

        assert due(rule(department="south")) == {"1.2.4.2", "1.2.5.9"}
        assert due(rule(department="north")) == set(), "one version in the study came from the other department"
        assert due(rule(department=["north", "south"])) == STUDIES
        assert due(rule(institutional_department="north")) == set()


def test_a_rule_about_a_department_that_is_not_configured_is_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "vna.yaml"
    path.write_text("retention:\n  rules:\n    - {id: a, department: Paediatrics, keep: 30y}\n")
    with pytest.raises(
        ConfigurationError, match="vna.yaml:3.*'Paediatrics' is no configured department.*institutional_department"
    ):
        open_archive(load_settings(path).model_copy(update={"data": tmp_path / "data"}))


def test_what_is_due_is_hidden_with_the_rule_as_reason_and_what_is_held_stays(kept: Keeper) -> None:
    deleting = kept.deleting()
    deleting.set_hold(Extent.STUDY, "1.2.3.1", "court", "lawyer")
    due = list(due_studies(kept.archive.catalogue, [rule(id="ten-years")], date(2036, 2, 1)))
    report = apply_rules(due, deleting)
    assert (report.held, {one.uid for one in report.deleted}) == (1, {"1.2.4.2", "1.2.5.9"})
    assert {one.state for one in report.deleted} == {HIDDEN}
    assert {one.reason for one in report.deleted} == {"retention rule ten-years: kept until 2036-01-02"}
    assert {held.study_instance_uid for held in kept.archive.catalogue.instances()} == {"1.2.3.1"}
    deleting.undelete(report.deleted[0].id, "me")
    assert apply_rules(due, deleting).held == 1


def test_a_plan_names_the_holds_on_patient_study_and_series_that_are_in_force(kept: Keeper) -> None:
    deleting = kept.deleting()

    def planned() -> dict[str, list[str]]:
        due = due_studies(kept.archive.catalogue, [rule()], date(2036, 2, 1))
        return {one.study.study_instance_uid: sorted(hold.reason for hold in one.holds) for one in due}

    nothing = {uid: list[str]() for uid in STUDIES}
    assert planned() == nothing
    study = deleting.set_hold(Extent.STUDY, "1.2.3.1", "court", "lawyer")
    deleting.set_hold(Extent.SERIES, "1.2.3.3", "trial", "lawyer")
    deleting.set_hold(Extent.PATIENT, "0042", "the same number elsewhere", "lawyer", "OTHER")
    assert planned() == nothing | {"1.2.3.1": ["court", "trial"]}
    patient = deleting.set_hold(Extent.PATIENT, "0042", "complaint", "lawyer")
    assert planned() == nothing | {"1.2.3.1": ["complaint", "court", "trial"], "1.2.4.2": ["complaint"]}
    for hold in (study, patient):
        deleting.release_hold(hold.id, "lawyer")
    assert planned() == nothing | {"1.2.3.1": ["trial"]}


def test_a_hold_that_is_set_after_the_plan_keeps_the_study(kept: Keeper) -> None:
    deleting = kept.deleting()
    due = list(due_studies(kept.archive.catalogue, [rule()], date(2036, 2, 1)))
    assert not any(one.holds for one in due)
    deleting.set_hold(Extent.STUDY, "1.2.3.1", "court", "lawyer")
    report = apply_rules(due, deleting)
    assert (report.held, {one.uid for one in report.deleted}) == (1, STUDIES - {"1.2.3.1"})


def test_the_printed_plan_tells_what_is_held_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, data = tmp_path / "vna.yaml", tmp_path / "data"
    path.write_text("retention:\n  rules:\n    - {id: r, keep: 10y}\n")
    with open_archive(load_settings(path).model_copy(update={"data": data})) as archive:
        fill(archive)
    options = ["--config", str(path), "--data", str(data)]
    assert run(["hold", "set", "study", "1.2.3.1", "--reason", "court case 7 C 12/26", *options]) == 0
    capsys.readouterr()
    assert run(["retention", "plan", "--on", "2036-02-01", *options]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "court case 7 C 12/26" in told
    assert told.endswith("2 studies can be deleted, 1 are due and under hold")
    assert run(["retention", "plan", "--on", "2036-02-01", "--json", *options]) == 0
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["study_instance_uid"]: one["held"] for one in documents} == {uid: uid == "1.2.3.1" for uid in STUDIES}
    [[hold]] = [one["holds"] for one in documents if one["held"]]
    assert (hold["level"], hold["reason"], hold["released_at"]) == ("study", "court case 7 C 12/26", None)


@given(st.dates(date(1900, 1, 1), date(2200, 1, 1)), st.integers(1, 900), st.sampled_from("dmy"))
def test_a_period_ends_on_the_same_day_or_the_last_of_its_month(begin: date, number: int, unit: str) -> None:
    end = after_period(begin, f"{number}{unit}")
    if unit == "d":
        assert (end - begin).days == number
    else:
        months = number * (12 if unit == "y" else 1)
        assert (end.year * 12 + end.month) - (begin.year * 12 + begin.month) == months
        assert end.day == begin.day or (end.day < begin.day and (end + timedelta(days=1)).day == 1)


def test_times_of_the_day() -> None:
    now = datetime(2026, 1, 5, 23, 30, tzinfo=UTC)
    assert seconds_until("23:31", now) == 60 and seconds_until("23:30", now) == 86_400
    assert [is_within("22:00", "05:00", now.replace(hour=hour)) for hour in (21, 22, 0, 4, 5)] == [False, True, True, True, False]
    assert [is_within("01:00", "05:00", now.replace(hour=hour)) for hour in (0, 1, 5)] == [False, True, False]
    assert is_within("01:00", "", now)
    assert length_of("1m", datetime(2026, 3, 31, tzinfo=UTC)) == timedelta(days=31)
    assert length_of("30d", now) == timedelta(days=30)


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("scrub: {share: 2/3}", "1/30"),
        ("scrub: {at: '25:00'}", "22:30"),
        ("retention: {grace: forever}", "90d, 18m, 10y"),
        ("retention: {grace: 0d}", "at least 1d"),
        ("retention: {rules: [{id: a}]}", "keep"),
        ("retention: {rules: [{id: a, keep: 1y, modalty: CT}]}", "modality"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_one_clear_line(yaml: str, said: str, tmp_path: Any) -> None:
    (tmp_path / "vna.yaml").write_text(yaml)
    with pytest.raises(ConfigurationError, match="vna.yaml:1: ") as raised:
        load_settings(tmp_path / "vna.yaml", environment={})
    assert said in raised.value.message and "\n" not in raised.value.message


class Worker:
    """What a handler sees of the engine."""

    def __init__(self, stopping: bool = False) -> None:
        self.stopping = stopping
        self.told: list[Any] = []

    def tell(self, progress: Any) -> None:
        self.told.append(progress)


def duties(kept: Keeper, now: datetime, **scrub: Any) -> Duties:
    settings = ScrubSettings(**{"at": "01:00", "until": "05:00", "share": "1", **scrub})
    retention = RetentionSettings(at="02:00", grace="1d", rules=(rule(keep="1d"),))
    return Duties(kept.archive.stores, kept.archive.landing, kept.archive.catalogue, settings, retention, lambda: now)


JOB = Job(1, "scrub", "daily")
NIGHT = datetime(2026, 11, 3, 1, 30, tzinfo=UTC)


def test_the_worker_scrubs_and_repairs_at_night(kept: Keeper) -> None:
    flip(kept.path("second", kept.objects()[0]))
    by_day = duties(kept, NIGHT.replace(hour=13)).scrub(JOB, Worker())
    assert by_day == Again(11.5 * 3600) and kept.findings() == {}
    worker = Worker()
    assert duties(kept, NIGHT).scrub(JOB, worker) == Again(23.5 * 3600)
    assert set(kept.findings().values()) == {"bit-rot"} and worker.told
    assert duties(kept, NIGHT, repair=True).scrub(JOB, Worker()) == Again(23.5 * 3600)
    assert kept.findings() == {}
    assert duties(kept, NIGHT, at="").scrub(JOB, Worker()) is None


def test_a_worker_that_is_about_to_end_goes_on_later(kept: Keeper) -> None:
    assert duties(kept, NIGHT).scrub(JOB, Worker(stopping=True)) == Again()
    [run] = kept.archive.catalogue.checks.runs()
    assert run.state == "running"
    duties(kept, NIGHT).scrub(JOB, Worker())
    assert [one.id for one in kept.archive.catalogue.checks.runs()] == [run.id]


def test_the_worker_applies_rules_and_purges_what_was_deleted_long_ago(kept: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=3)
    with monkeypatch.context() as patched:
        patched.setattr("vna_core.stewardship.deletion._now", lambda: long_ago)
        old = kept.deleting().delete(Extent.STUDY, "1.2.5.9", "x", "me")
    assert duties(kept, NIGHT).retain(JOB, Worker()) == Again(1800)
    states = {one.uid: one.state for one in kept.archive.catalogue.deletions.listed()}
    assert states == {"1.2.5.9": PURGED, "1.2.3.1": HIDDEN, "1.2.4.2": HIDDEN} and old.state == HIDDEN
    assert kept.archive.catalogue.instances() == []


def test_the_worker_role_has_the_jobs_that_the_settings_want(new_catalogue: Callable[[str], Place]) -> None:
    at = f"{datetime.now().astimezone() - timedelta(minutes=1):%H:%M}"
    with keeper(new_catalogue("archive"), scrub=ScrubSettings(at=at, share="1")) as kept:
        flip(kept.path("second", kept.objects()[0]))
        ensure_periodic_jobs(kept.archive)
        ensure_periodic_jobs(kept.archive)
        assert len(kept.archive.catalogue.jobs.listed(kind="scrub")) == 1
        assert kept.archive.catalogue.jobs.listed(kind="retention") == []
        job_work(kept.archive, "test").run_until_idle()
        assert set(kept.findings().values()) == {"bit-rot"}
        [waiting] = kept.archive.catalogue.jobs.listed(kind="scrub")
        assert waiting.free_at > datetime.now(UTC) + timedelta(hours=23)
        assert Settings().scrub.at == ""
