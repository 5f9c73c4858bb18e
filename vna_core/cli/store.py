"""``vna store``: which stores the archive knows, and how one takes the place of another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer

from vna_core.bootstrap import configured_stores
from vna_core.catalogue import Catalogue
from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, Config, Data, archive_for, print_json, settings_of
from vna_core.configuration import Settings
from vna_core.domain.errors import NotFound, VnaError
from vna_core.plugin_manager import Plugins
from vna_core.ports.storage import Store
from vna_core.stewardship.knowing_stores import KnowingStores

NOT_SCRUBBED: Final = (
    "it took the place of another store, and nobody has looked since what it lacks: `vna scrub` finds what is missing, "
    "`vna repair` makes it again from other copies."
)

app = typer.Typer(help="List stores, put one in the place of another that is lost.", no_args_is_help=True)


@app.command("list", epilog="Example:\n\n`vna store list --json`")
def list_(data: Data = None, config: Config = None, as_json: AsJson = False) -> int:
    """List the configured stores, the identity by which each is known, and whether it can be used now: a small object is written, read and deleted.

    One that took the place of another is `replaced` until a scrub has looked what it lacks. Exit code 3 when one cannot be used.
    """
    settings = settings_of(data, config)
    configured, table, whole = configured_stores(settings), Table("store", "type", "identity", "state"), True
    with _known(settings) as (catalogue, plugins):
        knowing = KnowingStores(catalogue.store_identities, configured)
        for name, one in configured.items():
            state, message = "ok", ""
            try:
                with _opened(plugins, settings, name) as store:
                    knowing.check(store)
                    if catalogue.store_identities.of(name).identity:  # nothing is made where no store has been yet
                        store.probe()  # one that can only be read, as a disk that failed, is no store for what comes
            except VnaError as error:
                state, message, whole = error.code, error.message, False
            known = catalogue.store_identities.of(name)
            if known.replaced and not message:
                state, message = "replaced", NOT_SCRUBBED
            identity = known.identity
            if as_json:
                said = {"store": name, "type": one.type, "identity": identity, "state": state, "message": message}
                print_json(said)
            table.add_row(name, one.type, identity, f"{state}: {message}" if message else state)
    if not as_json:
        Console().print(table)
    return 0 if whole else 3


@app.command(
    "replace",
    epilog="Examples:\n\n`vna store replace landing`\n\n`vna store replace landing --yes --json; vna scrub; vna repair`",
)
def replace(
    name: Annotated[str, typer.Argument(help="Name of the store in the configuration.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take what is configured under a name in the place of the store that was known by it, which is lost, or has moved.

    Only identities change. Copies that were in the lost store are found missing by `vna scrub`, and made again by `vna repair`.
    """
    settings = settings_of(data, config)
    configured = configured_stores(settings)
    if name not in configured:
        raise NotFound(f"No store {name!r} is configured. Configured: {', '.join(sorted(configured))}.", store=name)
    with _known(settings) as (catalogue, plugins), _opened(plugins, settings, name) as store:
        knowing = KnowingStores(catalogue.store_identities, configured)
        misses = knowing.misses(store)
        if misses and not yes:
            typer.confirm(
                f"Of what the catalogue knows in store {name}, nothing that was looked for is there. If its disk is only not mounted, "
                "or the configuration wrong, say no. Is the store lost, and to be replaced by what is there now?",
                abort=True,
                err=True,
            )
        identity = knowing.replace(store)
        replaced = catalogue.store_identities.of(name).replaced
    archive_for(settings).close()  # which notes the command in the audit trail
    if as_json:
        steps = ["vna scrub", "vna repair"] if replaced else []
        print_json({"store": name, "identity": identity, "objects_missing": misses, "next": steps})
        return
    Console().print(f"store {name} is known as {identity} now", highlight=False)
    if replaced:
        Console().print(
            "Next: `vna scrub` finds what is missing, `vna repair` makes it again from other copies. "
            "`vna store list` says so until a scrub has looked.",
            highlight=False,
        )


@contextmanager
def _known(settings: Settings) -> Iterator[tuple[Catalogue, Plugins]]:
    plugins = Plugins()
    plugins.load()
    with Catalogue.open(settings.catalogue, settings.data) as catalogue:
        yield catalogue, plugins


@contextmanager
def _opened(plugins: Plugins, settings: Settings, name: str) -> Iterator[Store]:
    store = plugins.open_store(name, configured_stores(settings)[name])
    try:
        yield store
    finally:
        store.close()
