"""``vna migrate verify`` and ``certify``, and ``vna certificate verify``: proof that everything arrived."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vna_core.bootstrap_migration import campaign_name, open_campaign_source
from vna_core.cli.console import Console
from vna_core.cli.migrate_progress import worker_name
from vna_core.cli.options import AsJson, Config, Data, SourceName, archive_of, print_json
from vna_core.migration import certificate as certificates
from vna_core.migration.campaign import looked_at
from vna_core.migration.comparison import Verification, Verifier
from vna_core.migration.handlers import CampaignOptions
from vna_core.migration.report import summary_of

app = typer.Typer(help="Check certificates of migrations.", no_args_is_help=True)

VERIFY_EPILOG = """
Examples:

`vna migrate verify oldpacs`

`vna migrate verify oldpacs --pixels 0.05`

`vna migrate verify oldpacs --pixels 1 --again`

Interrupted, it goes on where it was. Exit code 0 only if nothing is damaged, short of copies or different, else 3.
"""
CERTIFY_EPILOG = """
Examples:

`vna migrate certify oldpacs --out /srv/evidence`

`vna certificate verify /srv/evidence --public-key 5f1c...`
"""
CHECK_EPILOG = """
Example:

`vna certificate verify /srv/evidence --public-key 5f1c...`

Needs neither the archive nor a network. Exit code 0 only if nothing was altered, else 3.
"""


def add_to(app: typer.Typer) -> None:
    """Register the commands of `vna migrate`."""
    app.command("verify", epilog=VERIFY_EPILOG)(verify)
    app.command("certify", epilog=CERTIFY_EPILOG)(certify)


@app.callback()
def group() -> None:
    """Check certificates of migrations."""


def verify(
    source: SourceName,
    data: Data = None,
    config: Config = None,
    pixels: Annotated[
        float, typer.Option(help="Share of the studies that are fetched once more and compared, 0 to 1.", min=0, max=1)
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Chooses the sample.")] = 0,
    again: Annotated[bool, typer.Option("--again", help="Also what was verified before.")] = False,
    as_json: AsJson = False,
) -> int:
    """Read every copy of everything moved, rebuild what was received, and compare; with `--pixels` also with the source."""
    console = Console(stderr=True)
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with archive_of(data, config) as archive:
        campaign = looked_at(archive.catalogue, campaign_name(source), worker_name())
        adapter = open_campaign_source(archive, campaign) if pixels else None
        states = {one.state: one.number for one in archive.catalogue.ledger_reader.tallies(campaign.name) if one.level == "study"}
        try:
            with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
                everything = again or pixels
                waiting = ("stored", "verified", *(("committed", "reconciled") if everything else ()))
                task = bars.add_task("verifying", total=sum(states.get(state, 0) for state in waiting))
                if adapter is not None:
                    adapter.probe()
                result = Verifier(
                    campaign.name,
                    archive.catalogue,
                    archive.retriever,
                    archive.pipeline,
                    worker_name(),
                    copies=CampaignOptions.of(campaign).copies,
                    adapter=adapter,
                    share=pixels,
                    seed=seed,
                    told=lambda so_far: bars.update(task, completed=so_far.studies),
                ).run(again=again)
        finally:
            if adapter is not None:
                adapter.close()
    not_whole = sum(states.get(state, 0) for state in ("inventoried", "queued", "retrieving", "partial"))
    if as_json:
        print_json({"verification": {**asdict(result), "clean": result.clean, "not_whole": not_whole}})
    else:
        _print(result, campaign.name, not_whole)
    return 0 if result.clean else 3


def _print(result: Verification, name: str, not_whole: int) -> None:
    lines = [
        f"{result.studies} studies, {result.instances} instances: {result.octets} octets as received came back from their copies",
        f"  {result.committed} committed, {result.verified} with too few copies, {result.damaged} with damaged copies",
    ]
    if before := result.studies - result.committed - result.verified - result.damaged:
        lines.append(f"  the copies of {before} studies were read before: --again reads them once more")
    if result.fetched_again:
        lines.append(
            f"  {result.fetched_again} fetched once more: {result.equal_octets} with equal octets, {result.equal_pixels} with equal "
            f"pixels, {result.explained} of them otherwise explained, {result.accepted} different as accepted, {result.differing} different"
        )
    if result.damaged or result.verified or result.differing:
        lines.append(f"  the worklist names them: vna migrate exceptions {shlex.quote(name)}")
    if not_whole:
        lines.append(
            f"  {not_whole} studies were not moved whole: what is held of them is read when the rest was moved, or accepted with "
            "vna migrate resolve"
        )
    sys.stdout.write("\n".join(lines) + "\n")


def certify(
    source: SourceName,
    data: Data = None,
    config: Config = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for certificate, ledger and worklist.", show_default="DATA/certificates/...")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Signing key (PEM), made on first use.", show_default="DATA/keys/...")] = None,
    as_json: AsJson = False,
) -> None:
    """Export the ledger and the worklist and sign their totals: the evidence that is kept when the old PACS is switched off."""
    with archive_of(data, config) as archive:
        campaign = looked_at(archive.catalogue, campaign_name(source), worker_name())
        folder = out or archive.settings.data / "certificates" / _folder_name(campaign.name)
        key_file = key or archive.settings.data / "keys" / "certificate.pem"
        rule_set = archive.pipeline.site.rule_set
        document = certificates.issue(archive.catalogue, campaign.name, folder, key_file, rule_set)
        open_ones = summary_of(archive.catalogue, campaign.name).exceptions
    if as_json:
        print_json({"certificate": str(folder / certificates.CERTIFICATE), **document})
    else:
        sys.stdout.write(
            f"{folder / certificates.CERTIFICATE}: {document['ledger']['rows']} rows, root {document['ledger']['merkle_root']}\n"
            f"public key {document['public_key']}: keep it elsewhere, and give it to whoever checks\n"
        )
        if document["state"] != "complete" or open_ones:
            sys.stdout.write(f"it certifies a campaign that is {document['state']}, with {open_ones} open on the worklist\n")


def _folder_name(campaign: str) -> str:
    return "".join(one if one.isalnum() or one in "-." else "_" for one in campaign)[:100]


@app.command("verify", epilog=CHECK_EPILOG)
def check(
    folder: Annotated[
        Path, typer.Argument(help="Folder with certificate.json, the ledger and the worklist.", exists=True, file_okay=False)
    ],
    public_key: Annotated[str, typer.Option(help="Public key that is trusted (hexadecimal).")] = "",
    as_json: AsJson = False,
) -> int:
    """Check a certificate against its exported ledger and worklist; any altered row is named."""
    result = certificates.check(folder, public_key)
    if as_json:
        print_json({**asdict(result), "holds": result.holds})
    else:
        words = {True: "holds", False: "DOES NOT HOLD"}
        lines = [f"signature {words[result.signature]}, root {words[result.root]}, totals {words[result.totals]}"]
        for what, rows in (("ledger", result.rows), ("worklist", result.exceptions)):
            lines.append(f"altered rows of the {what}: {', '.join(map(str, rows[:50])) or 'none'}")
        for name in result.files:
            lines.append(
                f"{name}.jsonl.zst is cut short, or something stands behind its end: it is not the file that was exported"
            )
        lines.append(f"{result.checked} rows checked")
        if not public_key:
            lines.append("Without --public-key this proves only that the files belong together.")
        sys.stdout.write("\n".join(lines) + "\n")
    return 0 if result.holds else 3
