"""``vna migrate work-product``: what people did to images in the old PACS, found in private elements, and made standard."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from vna_core.bootstrap_migration import campaign_name
from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.domain.errors import InvalidRequest
from vna_core.migration.campaign import loaded
from vna_core.migration.work_product import RESIDUES, Maker, WorkProducts
from vna_core.migration.work_product.finding import Counted

EPILOG = """
Examples:

`vna migrate work-product oldpacs`

`vna migrate work-product oldpacs --make --json`

`vna migrate work-product --list`

Without --make nothing is changed. With it, key object selections and presentation states are stored beside the images, which stay as
they are; run again, only what is new is made.
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("work-product", epilog=EPILOG)(work_product)


def work_product(
    source: Annotated[str | None, typer.Argument(help="Campaign whose images are looked through.")] = None,
    data: Data = None,
    config: Config = None,
    make: Annotated[bool, typer.Option("--make", help="Make standard objects of what is documented, and store them.")] = False,
    show: Annotated[bool, typer.Option("--list", help="Only list what is looked for.")] = False,
    as_json: AsJson = False,
) -> int:
    """Count key image, reject and confidential flags, windows, annotations and more that proprietary archives left in images."""
    if show:
        _list(as_json)
        return 0
    if source is None:
        raise InvalidRequest("Name the campaign whose images are to be looked through, or give --list.")
    console = Console(stderr=True)
    with archive_of(data, config) as archive:
        name = loaded(archive.catalogue, campaign_name(source)).name
        if make:
            _make(Maker(archive.catalogue, archive.pipeline, name), console, as_json)
        columns = (SpinnerColumn(), TextColumn("looking through headers"), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True, disable=as_json) as shown:
            shown.add_task("")
            counted = WorkProducts(archive.catalogue, name).count()
    if as_json:
        for one in counted:
            print_json({"residue": document_of(one)})
    else:
        _print(counted)
    return 0


def document_of(one: Counted) -> dict[str, object]:
    """A count as JSON."""
    residue = one.residue
    return {
        "name": residue.name,
        "product": residue.product,
        "kind": residue.kind.value,
        "instances": one.instances,
        "marked": one.marked,
        "studies": one.studies,
        "sample": one.sample,
        "made": residue.made,
        "why": residue.why,
    }


def _make(maker: Maker, console: Console, as_json: bool) -> None:
    made = there = refused = 0
    columns = (SpinnerColumn(), TextColumn("{task.completed} objects"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=as_json) as shown:
        task = shown.add_task("", total=None)
        for one in maker.make():
            shown.advance(task)
            made += one.outcome == "held"
            there += one.outcome == "there"
            refused += one.outcome not in ("held", "there")
            if as_json:
                print_json({"made": {name: getattr(one, name) for name in one.__dataclass_fields__}})
    if not as_json:
        sys.stdout.write(f"made {made} objects; {there} were there already; {refused} could not be stored\n")


def _print(counted: list[Counted]) -> None:
    table = Table("product", "what", "instances", "marked", "studies", "becomes", title="Work products in private elements")
    for one in counted:
        residue = one.residue
        becomes = residue.made or f"nothing: {residue.why}"
        table.add_row(residue.product, residue.kind.value, str(one.instances), str(one.marked), str(one.studies), becomes)
    Console().print(table if counted else "Nothing that is known of.")


def _list(as_json: bool) -> None:
    for one in RESIDUES.values():
        if as_json:
            print_json(
                {"residue": one.name, "product": one.product, "kind": one.kind.value, "creator": one.creator, "made": one.made}
            )
        else:
            sys.stdout.write(f"{one.name:22} {one.product:26} {one.kind.value:13} {one.made or one.why}\n")
