"""``vna keys``: the keys of encrypted stores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vna_core.archival_storage.key_file import add_key
from vna_core.archival_storage.wrappers.composition import key_rings
from vna_core.archival_storage.wrappers.key_ring import StoreKey
from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.domain.errors import InvalidRequest

app = typer.Typer(help="Make, list and rotate the keys of encrypted stores.", no_args_is_help=True)


@app.command("make", epilog="Example:\n\n`vna keys make /etc/vna/master.key`")
def make(path: Annotated[Path, typer.Argument(help="Key file; made when missing.")], as_json: AsJson = False) -> None:
    """Put a fresh master key before those of a key file. Keep a copy of the file elsewhere: without it the store is lost."""
    key_id = add_key(path)
    if as_json:
        print_json({"path": str(path), "master_key": key_id})
    else:
        Console().print(f"{path}: key {key_id} is the current one now", highlight=False)


@app.command("list", epilog="Example:\n\n`vna keys list --json`")
def list_(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """List the store keys of every encrypted store, and which master key wraps them."""
    with archive_of(data, config) as archive:
        _show({name: ring.all() for name, ring in key_rings(archive.stores).items()}, as_json)


@app.command("rotate", epilog="Example:\n\n`vna keys make /etc/vna/master.key; vna keys rotate`")
def rotate(
    store: Annotated[str | None, typer.Argument(help="Name of the store; all that are encrypted when not given.")] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Wrap the store keys with the current master key, and make a fresh store key for new objects. No object is written again."""
    with archive_of(data, config) as archive:
        rings = key_rings(archive.stores)
        if not rings or (store is not None and store not in rings):
            raise InvalidRequest(f"No store is encrypted under this name. Encrypted: {', '.join(sorted(rings)) or 'none'}.")
        _show({name: ring.rotate() for name, ring in rings.items() if store in (None, name)}, as_json)


def _show(keys: dict[str, list[StoreKey]], as_json: bool) -> None:
    table = Table("store", "generation", "store key", "wrapped by")
    for name, found in sorted(keys.items()):
        for one in found:
            if as_json:
                said = {"store": name, "generation": one.generation, "store_key": one.id.hex(), "master_key": one.master_key_id}
                print_json(said)
            table.add_row(name, str(one.generation), one.id.hex(), one.master_key_id)
    if not as_json:
        Console().print(table)
