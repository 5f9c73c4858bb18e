"""``vna retention``: what the rules of retention would delete, and having it deleted."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import typer

from vna_core.cli.console import Console, Table
from vna_core.cli.delete import deleting_of
from vna_core.cli.hold import hold_json
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.stewardship.retention import DueStudy, apply_rules, due_studies

app = typer.Typer(help="Rules of retention (`retention.rules` in the configuration).", no_args_is_help=True)


def _document(one: DueStudy) -> dict[str, Any]:
    study = one.study
    return {
        "study_instance_uid": study.study_instance_uid,
        "rule": one.rule,
        "since": one.since.isoformat(),
        "study_date": study.study_date,
        "arrived_at": study.arrived_at.isoformat(),
        "modalities": sorted(study.modalities),
        "sources": sorted(study.sources),
        "departments": sorted(filter(None, study.departments)),
        "institutional_departments": sorted(study.institutional_departments),
        "versions": study.versions,
        "held": bool(one.holds),
        "holds": [hold_json(hold) for hold in one.holds],
    }


@app.command("plan", epilog="Examples:\n\n`vna retention plan`\n\n`vna retention plan --on 2036-01-01 --json`")
def plan(
    on: Annotated[str, typer.Option(help="As it would be on this day (YYYY-MM-DD).", show_default="today")] = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List studies that need not be kept any longer, and by which rule. Nothing is changed.

    Those of which something is under a legal hold are listed as held, with the reason: `apply` leaves them.
    """
    try:
        today = date.fromisoformat(on) if on else date.today()
    except ValueError as error:
        raise typer.BadParameter(f"{on!r} is no date such as 2036-01-01.") from error
    table, holds = Table("study", "rule", "since", "study date", "modalities", "versions", "state"), Table.grid(padding=(0, 1))
    held = free = 0
    with archive_of(data, config) as archive:
        for one in due_studies(archive.catalogue, archive.settings.retention.rules, today):
            if as_json:
                print_json(_document(one))
            modalities = ", ".join(sorted(one.study.modalities))
            row = (one.study.study_instance_uid, one.rule, f"{one.since}", one.study.study_date, modalities)
            table.add_row(*row, str(one.study.versions), "held" if one.holds else "due")
            for hold in one.holds:  # a sentence: among the columns it would be broken into a few letters a line
                since = f"{hold.set_at:%Y-%m-%d}"
                holds.add_row(
                    f"{one.study.study_instance_uid}:", f"{hold.level.value} held since {since}: {hold.reason} ({hold.id})"
                )
            held, free = held + bool(one.holds), free + (not one.holds)
    if not as_json:
        console = Console()
        console.print(table)
        if held:
            console.print(holds)
        console.print(f"{free} studies can be deleted, {held} are due and under hold")


@app.command("apply", epilog="Example:\n\n`vna retention apply --json`")
def apply(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Delete what `plan` lists as due, so that it can be taken back until it is purged. What is under hold stays."""
    with archive_of(data, config) as archive:
        due = list(due_studies(archive.catalogue, archive.settings.retention.rules, date.today()))
        report = apply_rules(due, deleting_of(archive))
    if as_json:
        print_json({"deleted": [one.as_dict() for one in report.deleted], "held": report.held})
    else:
        Console().print(f"{len(report.deleted)} studies deleted, {report.held} under hold")
