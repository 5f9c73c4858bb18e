"""``vna conflicts``: versions under one SOP Instance UID that do not say the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from vna_core.catalogue import Catalogue, Conflict
from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("conflicts", epilog="Examples:\n\n`vna conflicts`\n\n`vna conflicts --json`")(conflicts)


def conflicts(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """List versions under one SOP Instance UID that differ, which of them is current, and why.

    Both are kept: `vna explain UID` tells where each came from, `vna get UID --all-versions` writes them, and `vna keep` says which is right.
    """
    table = Table("instance", "difference", "versions", "which is current")
    with archive_of(data, config, reading=True) as archive:
        for one in _listed(archive.catalogue):
            if as_json:
                print_json(_document(one))
            else:
                versions = f"{one.first.version}, {one.second.version}"
                table.add_row(one.sop_instance_uid, one.classification, versions, one.why)
    if not as_json:
        Console().print(table if table.row_count else "no conflicts")


def _listed(catalogue: Catalogue) -> Iterator[Conflict]:
    after = 0
    while page := catalogue.conflicts(after=after):
        yield from page
        after = page[-1].pk


def _document(one: Conflict) -> dict[str, Any]:
    return {
        "sop_instance_uid": one.sop_instance_uid,
        "classification": one.classification,
        "why": one.why,
        "detected_at": one.detected_at.isoformat(),
        "first": one.first.as_dict(),
        "second": one.second.as_dict(),
    }
