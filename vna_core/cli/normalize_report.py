"""``vna normalize report``: which deviations every source sends, by vendor and model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.progress import Progress

from vna_core.catalogue.deviations import Deviations
from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.ingest.normalize.rule_book import evidence_of


@dataclass(slots=True)
class Line:
    """One rule on what one model of one vendor sent through one source.

    Attributes
    ----------
    instances
        Current versions in which the rule changed or flagged something, of `of_instances` from that model.
    elements
        Elements changed or flagged in them.
    sample
        SOP Instance UID of the first of them.
    """

    source: str
    manufacturer: str
    model: str
    rule: str
    kind: str
    instances: int
    of_instances: int
    elements: int
    sample: str
    evidence: str


def tally(found: Iterable[Deviations]) -> list[Line]:
    """Lines by source, vendor and model; the rule that fires most comes first."""
    totals: dict[tuple[str, str, str], int] = defaultdict(int)
    lines: dict[tuple[tuple[str, str, str], str, str], Line] = {}
    for one in found:
        model = (f"{one.source_kind} {one.source_name}".strip(), one.manufacturer, one.model)
        totals[model] += 1
        for kind, rules in (("changed", one.changes), ("flagged", one.findings)):
            for rule, elements in rules.items():
                line = lines.get((model, rule, kind))
                if line is None:
                    line = lines[(model, rule, kind)] = Line(*model, rule, kind, 0, 0, 0, one.sop_instance_uid, evidence_of(rule))
                line.instances += 1
                line.elements += elements
    for (model, _, _), line in lines.items():
        line.of_instances = totals[model]
    return sorted(lines.values(), key=lambda one: (one.source, one.manufacturer, one.model, -one.instances, one.rule, one.kind))


def report(
    source: Annotated[str | None, typer.Option("--source", help="Name of one source (AE title, PACS, token's owner).")] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Count the deviations that each source sends, by vendor and model. With --json: one object a line."""
    console = Console()
    with archive_of(data, config) as archive:
        total = archive.catalogue.statistics().instances
        with Progress(console=Console(stderr=True), transient=True, disable=as_json) as progress:
            task = progress.add_task("reading the journal", total=total)
            lines = tally(progress.track(archive.catalogue.deviations(source), task_id=task))
    if as_json:
        for line in lines:
            print_json(asdict(line))
        return
    if not lines:
        console.print("Nothing was changed or flagged in what is held.")
        return
    table = Table("source", "manufacturer", "model", "rule", "", "instances", "elements", "sample")
    for line in lines:
        share = f"{line.instances:,} of {line.of_instances:,}"
        cells = (line.source, line.manufacturer, line.model, line.rule, line.kind, share, f"{line.elements:,}", line.sample)
        table.add_row(*(cell.replace("[", r"\[") for cell in cells))
    console.print(table)
