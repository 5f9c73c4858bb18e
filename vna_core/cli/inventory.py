"""``vna inventory``: standard Inventory instances, of ourselves or of a source, written, read and checked."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from vna_core.cli.console import Console
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.dicom.inventory_tree import inventoried_studies, local_path
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.inventory_records import DICOM, FileAccess, StudyRecord
from vna_core.migration.campaign import loaded
from vna_core.migration.inventory_files import PER_FILE, InventoryWriter, held_studies, listed_studies

app = typer.Typer(
    help="Inventory instances (DICOM PS3.3 A.88): what an archive holds, and where each file lies.", no_args_is_help=True
)

WRITE_EPILOG = """
Examples:

`vna inventory write --out /srv/export`

`vna inventory write --out /srv/export --campaign oldpacs --json`

The stores and these files are all that another archive needs to take everything over.
"""
READ_EPILOG = """
Examples:

`vna inventory read /srv/export/inventory.dcm`

`vna inventory read /srv/export/inventory.dcm --verify`

`vna inventory read /srv/export/inventory.dcm --list --json`

Needs neither the archive nor its catalogue. Exit code 3 when `--verify` finds a file missing or different.
"""
_PIECE = 1 << 20


@app.command("write", epilog=WRITE_EPILOG)
def write(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the files; made when it is not there.", file_okay=False)],
    data: Data = None,
    config: Config = None,
    campaign: Annotated[
        str | None, typer.Option(help="Write the newest inventory of this campaign's source instead of what is held here.")
    ] = None,
    per_file: Annotated[int, typer.Option("--studies-per-file", help="Studies in one file.", min=1)] = PER_FILE,
    as_json: AsJson = False,
) -> int:
    """Write what is held here, or what a source was found to hold, as standard Inventory instances."""
    console = Console(stderr=True)
    columns = (TextColumn("inventory: {task.completed} of about {task.total} instances"), TimeElapsedColumn())
    with (
        archive_of(data, config, reading=True) as archive,
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
    ):
        catalogue = archive.catalogue
        if campaign is None:
            held = catalogue.statistics()
            expected, instances, base = held.studies, held.instances, archive.landing.base_uri
            records, purpose = held_studies(catalogue, archive.stores, base), "Content of this archive"
        else:
            name = loaded(catalogue, campaign).name
            taken = catalogue.inventories.newest(name)
            if taken is None or taken.state != "complete":
                raise InvalidRequest(f"The inventory of {name!r} is not complete: run `vna migrate plan` first.")
            expected, instances, base = taken.studies, taken.instances, ""
            records, purpose = listed_studies(catalogue, name, taken.number), f"Inventory of {name}"[:10240]
        task = progress.add_task("inventory", total=instances)
        writer = InventoryWriter(out, base_uri=base, purpose=purpose, told=lambda count: progress.advance(task, count))
        written = writer.write(records, expected, per_file)
    if as_json:
        print_json({"inventory": {**asdict(written), "path": str(written.path)}})
        return 0
    sys.stdout.write(f"{written.path}: {written.studies} studies, {written.instances} instances in {written.files} file(s)\n")
    if written.unreachable and campaign is None:
        sys.stdout.write(
            f"{written.unreachable} instances lie in stores that others cannot read (encrypted, or without a URI): "
            "their place is not told; export them with `vna get`.\n"
        )
    return 0


@app.command("read", epilog=READ_EPILOG)
def read(
    file: Annotated[
        Path, typer.Argument(help="The root Inventory instance; its parts lie beside it.", exists=True, dir_okay=False)
    ],
    list_: Annotated[bool, typer.Option("--list", help="Print every instance with the places of its file.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Read every file on this machine, and compare its digest.")] = False,
    partial: Annotated[bool, typer.Option("--partial", help="Take an Inventory that does not say it is complete.")] = False,
    as_json: AsJson = False,
) -> int:
    """Say what an Inventory lists, check that it is complete, and that the files are what it says."""
    console = Console(stderr=True)
    counts: Counter[str] = Counter()
    with Progress(
        TextColumn("{task.completed} instances"), TimeElapsedColumn(), console=console, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("read", total=None)
        for study in inventoried_studies(file, partial=partial):
            counts.update(studies=1, series=len(study.series), instances=study.instances)
            if list_:
                _print(study, as_json)
            if verify:
                counts.update(_verified(study, file.parent))
            progress.advance(task, study.instances)
    if as_json:
        names = ("studies", "series", "instances", *(("good", "different", "missing", "elsewhere") if verify else ()))
        print_json({"inventory": {name: counts[name] for name in names}})
    else:
        sys.stdout.write(f"{counts['studies']} studies, {counts['series']} series, {counts['instances']} instances\n")
        if verify:
            sys.stdout.write(
                f"{counts['good']} files good, {counts['different']} different, {counts['missing']} missing, "
                f"{counts['elsewhere']} not on this machine\n"
            )
    return 3 if counts["different"] or counts["missing"] else 0


def _print(study: StudyRecord, as_json: bool) -> None:
    uid = next(iter(study.attributes.get(0x0020000D, ())), "")
    for series in study.series:
        name = next(iter(series.attributes.get(0x0020000E, ())), "")
        for one in series.instances:
            document = {"study": uid, "series": name, **asdict(one)}
            if as_json:
                print_json(document)
            else:
                places = " ".join(file.uri + (f"#{file.member}" if file.member else "") for file in one.files)
                sys.stdout.write(f"{uid} {name} {one.sop_instance_uid} {places}\n")


def _verified(study: StudyRecord, folder: Path) -> Counter[str]:
    """How many instances have a file that is good, different, missing, or somewhere else."""
    found: Counter[str] = Counter()
    order = ("good", "different", "missing", "elsewhere")
    for series in study.series:
        for one in series.instances:
            states = {_state(file, folder) for file in one.files} or {"elsewhere"}
            found[next(state for state in order if state in states)] += 1
    return found


def _state(file: FileAccess, folder: Path) -> str:
    path = local_path(file.uri, folder)
    if path is None or (file.container != DICOM and file.offset < 0):
        return "elsewhere"
    digest, left = hashlib.sha256(), file.length
    try:
        with path.open("rb") as stream:
            stream.seek(max(file.offset, 0))
            while left and (piece := stream.read(min(_PIECE, left) if left > 0 else _PIECE)):
                digest.update(piece)
                left -= len(piece) if left > 0 else 0
    except OSError:
        return "missing"
    return "good" if left <= 0 and file.sha256 in ("", digest.hexdigest()) else "different"
