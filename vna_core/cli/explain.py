"""``vna explain``: what normalization did, and why."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text

from vna_core.bootstrap import Archive
from vna_core.cli.console import Console, Table, shown
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.domain.errors import NotFound
from vna_core.domain.instance import HeldInstance
from vna_core.domain.octets import spooled
from vna_core.ingest.differences import element_differences
from vna_core.ingest.normalize.rule_book import evidence_of


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(
        "explain",
        epilog="Examples:\n\n`vna explain 1.2.840.113619.2.1.99`\n\n`vna explain 1.2.840.113619.2.1.99 --elements --json`",
    )(explain)


def explain(
    uid: Annotated[str, typer.Argument(help="SOP Instance UID.")],
    data: Data = None,
    config: Config = None,
    elements: Annotated[
        bool, typer.Option("--elements", help="Compare the octets as received with the canonical object, element by element.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show where an instance came from, every change with its rule and the evidence, and what was found and left."""
    with archive_of(data, config, reading=True) as archive:
        versions = archive.catalogue.versions(uid)
        if not versions:
            raise NotFound("No instance has this SOP Instance UID.")
        explained = []
        for held in versions:
            why = archive.catalogue.explanation(held.pk)
            explained.append(
                {
                    "study_instance_uid": held.study_instance_uid,
                    "series_instance_uid": held.series_instance_uid,
                    "sop_instance_uid": held.sop_instance_uid,
                    "version": held.version,
                    "current": held.current,
                    "standing": why.standing,
                    "cut_copies": [one.version for one in why.cut_copies],
                    "whole_copies": [one.version for one in why.whole_copies],
                    "source": asdict(why.source),
                    "received_at": why.received_at.isoformat(),
                    "sha256": held.sha256,
                    "original_sha256": held.original_sha256,
                    "original_size": held.original_size,
                    "rule_set": why.rule_set,
                    "objects": [
                        {
                            "generation": one.number,
                            "current": one.is_current,
                            "run": one.run,
                            "at": one.at.isoformat(),
                            "rule_set": one.rule_set,
                            "sha256": one.sha256,
                        }
                        for one in archive.catalogue.generations.of_version(held.pk)
                    ],
                    "transformations": [asdict(one) | {"evidence": evidence_of(one.rule)} for one in why.transformations],
                    "warnings": [asdict(one) | {"evidence": evidence_of(one.rule)} for one in why.findings],
                    **({"elements": _elements(archive, held)} if elements else {}),
                }
            )
    if as_json:
        for one in explained:
            print_json(one)
        return
    console = Console()
    for one in explained:
        _print(console, one)


def _elements(archive: Archive, held: HeldInstance) -> list[dict[str, Any]]:
    with (
        closing(spooled(archive.retriever.original(held))) as original,
        closing(spooled(archive.retriever.part10(held))) as canonical,
    ):
        return [asdict(one) for one in element_differences(original, canonical, archive.settings.ingest)]


def _print(console: Console, one: dict[str, Any]) -> None:
    source = one["source"]
    version = f" version {one['version']}{' (current)' if one['current'] else ''}"
    console.print(Text.assemble((shown(one["sop_instance_uid"]), "bold"), version), highlight=False)
    if one["standing"]:
        console.print(one["standing"], highlight=False)
    console.print(f"in study {one['study_instance_uid']}, series {one['series_instance_uid']}", highlight=False)
    console.print(f"received {one['received_at']} from {source['kind']} {source['name']} {source['address']}", highlight=False)
    console.print(f"as received: {one['original_size']:,} octets, SHA-256 {one['original_sha256']}", highlight=False)
    console.print(f"normalized by rule set {one['rule_set']}", highlight=False)
    for made in one["objects"]:
        how = f"by run {made['run']} at {made['at']}" if made["run"] else "on arrival"
        current = " (current)" if made["current"] else ""
        console.print(f"object {made['generation']} {how}, rule set {made['rule_set']}{current}", highlight=False)
    if not one["transformations"]:
        console.print("nothing was changed")
    else:
        rules = dict.fromkeys(change["rule"] for change in one["transformations"])
        table = Table("rule", "confidence", "element", "original", "canonical", "count", "detail")
        for change in one["transformations"]:
            element = f"{change['tag']} {change['keyword']}".strip()
            cells = (
                change["rule"],
                change["confidence"],
                element,
                change["original"],
                change["canonical"],
                change["count"],
                change["detail"],
            )
            table.add_row(*("" if cell is None else str(cell).replace("[", r"\[") for cell in cells))
        console.print(table)
        for rule in rules:
            console.print(f"{rule}: {evidence_of(rule)}", highlight=False)
    if "elements" in one:
        table = Table("element", "VR", "as received", "canonical")
        for element in one["elements"]:
            forms = dict.fromkeys(vr for vr in (element["original_vr"], element["canonical_vr"]) if vr)
            name = f"{element['tag']} {element['keyword']}".strip()
            values = ("absent" if value is None else str(value) for value in (element["original"], element["canonical"]))
            table.add_row(*(cell.replace("[", r"\[") for cell in (name, " to ".join(forms), *values)))
        console.print(table)
    for warning in one["warnings"]:
        console.print(f"warning {warning['rule']} {warning['tag']}: {warning['message']}")
