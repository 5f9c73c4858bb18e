"""``vna migrate assess``: what a migration will be like."""

from __future__ import annotations

import typer

from vna_core.bootstrap_migration import campaign_name, open_campaign_source
from vna_core.catalogue import Campaign
from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, Config, Data, SourceName, archive_of, print_json
from vna_core.migration.assessment import Assessment
from vna_core.migration.assessment import assess as assess_source
from vna_core.migration.estimate import duration


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("assess", epilog="Example:\n\n`vna migrate assess dimse://OLDPACS@10.0.0.7:104`")(assess)


def assess(source: SourceName, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Count what a source holds by modality, year and station, probe what it can do and how fast, and project the days.

    A few studies are fetched and thrown away; nothing is kept.
    """
    with archive_of(data, config) as archive:
        adapter = open_campaign_source(archive, Campaign(campaign_name(source), source))
        try:
            found = assess_source(adapter)
        finally:
            adapter.close()
    if as_json:
        print_json({"assessment": found.as_dict()})
    else:
        _print(found)


def _print(found: Assessment) -> None:
    console = Console()
    told = found.as_dict()
    about = "" if found.instances_known else "about "
    console.print(
        f"{found.studies} studies, {about}{found.instances} instances, about {told['projected_octets'] / 1e9:.1f} GB; "
        f"{found.without_date} studies without a date"
    )
    console.print(
        f"{found.abilities.product or 'the source'}: retrieves by {found.abilities.retrieve}, {found.abilities.concurrency} at once, "
        f"answers {found.find_rate:.0f}/s, delivers {found.fetch_rate:.1f} instances/s in one retrieval"
    )
    if found.projected_days:
        console.print(f"projected: {duration(found.projected_days * 86400)} at that speed, day and night")
    table = Table("modality", "studies", "", "year", "studies", "", "station (sample)", "series")
    columns = (found.modalities.most_common(30), sorted(found.years.items(), reverse=True)[:30], found.stations.most_common(30))
    for number in range(max(map(len, columns), default=0)):
        cells: list[str] = []
        for column in columns:
            cells += [column[number][0], str(column[number][1]), ""] if number < len(column) else ["", "", ""]
        table.add_row(*cells[:-1])
    console.print(table)
    for remark in found.remarks:
        console.print(f"! {remark}")
