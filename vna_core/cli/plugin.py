"""``vna plugin``: list what is installed, begin a plugin of one's own, try a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vna_core.bootstrap import configured_stores, open_store
from vna_core.catalogue import Catalogue, is_made
from vna_core.cli.console import Console
from vna_core.cli.options import AsJson, Config, Data, print_json, settings_of
from vna_core.cli.plugins import plugins
from vna_core.cli.store import NOT_SCRUBBED
from vna_core.configuration import Settings
from vna_core.domain.errors import NotFound
from vna_core.plugin_manager import Plugins
from vna_core.testing.plugin_projects import kinds, write_project
from vna_core.testing.storage_doctor import Check, Diagnosis, examine

app = typer.Typer(help="List plugins, write one of your own, try a configured store.", no_args_is_help=True)
app.command("list", epilog="Example:\n\n`vna plugin list --json`")(plugins)


@app.command(
    "new",
    help="Write a complete plugin project: it works, and passes its tests, before anything is changed in it.\n\n"
    + "\n\n".join(f"`{kind}`: {about}" for kind, about in kinds().items()),
    epilog="Examples:\n\n`vna plugin new storage tape-robot`\n\n`vna plugin new dialect acme --output plugins/acme`",
)
def new(
    kind: Annotated[str, typer.Argument(help="What it is to be: " + ", ".join(kinds()) + ".")],
    name: Annotated[str, typer.Argument(help="Its name, as in `type: NAME`: a to z, 0 to 9, hyphens.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for it.", show_default="vna-KIND-NAME here")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """See `help` above."""
    written = write_project(kind, name, output)
    folder = min(written, key=lambda path: len(path.parts)).parent
    if as_json:
        print_json({"folder": str(folder), "files": [str(path) for path in written]})
        return
    console = Console(highlight=False)
    for path in written:
        console.print(str(path))
    console.print(f"\nNext: pip install -e '{folder}[test]' && pytest {folder}")


@app.command(
    "doctor",
    epilog="Examples:\n\n`vna plugin doctor`\n\n`vna plugin doctor bucket --config vna.yaml --complete`\n\n`vna plugin doctor --timings`",
)
def doctor(
    store: Annotated[str | None, typer.Argument(help="A configured store.", show_default="all of them")] = None,
    complete: Annotated[bool, typer.Option("--complete", help="The whole kit, with 10,000 keys: takes minutes.")] = False,
    timings: Annotated[bool, typer.Option("--timings", help="Only how long the store takes; needs no pytest.")] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Try what a store promises (races, torn writes, ranges, listings, errors), and how long it takes. Exit code 1 when something differs, or a plugin is broken.

    Everything is written under `doctor/` in the store and removed afterwards. Objects of the archive are not touched. A store in whose
    place something else lies (its disk is not mounted) is refused, as by the archive itself.
    """
    console = Console(stderr=True, highlight=False)
    settings = settings_of(data, config)
    loaded = Plugins()
    loaded.load()
    broken = [state for state in loaded.states if state.error]
    for state in broken:
        console.print(f"plugin {state.name} ({state.target}) is broken: {state.error}", soft_wrap=True)
    configured = sorted(configured_stores(settings))
    if store is not None and store not in configured:
        raise NotFound(f"No store {store!r} is configured. Configured: {', '.join(configured)}.", store=store)
    with ExitStack() as closing:
        known = closing.enter_context(_catalogue(settings))
        opened = []
        for name in configured if store is None else [store]:
            opened.append(open_store(settings, loaded, name, known.store_identities if known is not None else None))
            closing.callback(opened[-1].close)
        with console.status("examining", spinner="line") as status:

            def told(check: Check) -> None:
                status.update(check.statement)

            found = [examine(one, complete, told, kit=not timings) for one in opened]
        replaced = {one.name for one in opened if known is not None and known.store_identities.of(one.name).replaced}
    for diagnosis in found:
        if as_json:
            print_json({**asdict(diagnosis), "healthy": diagnosis.healthy, "replaced": diagnosis.store in replaced})
        else:
            _print(diagnosis)
            if diagnosis.store in replaced:
                Console(highlight=False).print(f"  replaced   {NOT_SCRUBBED}", soft_wrap=True)
    return 0 if all(diagnosis.healthy for diagnosis in found) and not broken else 1


@contextmanager
def _catalogue(settings: Settings) -> Iterator[Catalogue | None]:
    """What knows the stores again; None where no archive has been made yet, and so no store can be taken for another."""
    if not is_made(settings.catalogue, settings.data):
        yield None
        return
    with Catalogue.open(settings.catalogue, settings.data) as catalogue:
        yield catalogue


def _print(diagnosis: Diagnosis) -> None:
    console = Console(highlight=False)
    declared = [
        name if value is True else f"{name} ({', '.join(value)})" for name, value in asdict(diagnosis.abilities).items() if value
    ]
    absent = [name for name, value in asdict(diagnosis.abilities).items() if not value]
    console.print(f"store {diagnosis.store}")
    console.print(f"  declares: {', '.join(declared) or 'nothing'}; not: {', '.join(absent) or 'nothing'}")
    for one in diagnosis.timings:
        size = f" of {one.octets // 1024} KiB" if one.octets else ""
        console.print(
            f"  {one.median * 1000:8.2f} ms {one.operation}{size}: median of {one.count}, slowest {one.slowest * 1000:.2f} ms"
        )
    for check in _by_statement(diagnosis.checks):
        word = {"passed": "works", "failed": "DIFFERS", "skipped": "not tried"}[check.outcome]
        console.print(f"  {word:<10} {check.statement}{f': {check.detail}' if check.detail else ''}", soft_wrap=True)
    if diagnosis.left_over:
        console.print(f"  {diagnosis.left_over} objects under doctor/ could not be removed.")
    counted = {
        outcome: sum(check.outcome == outcome for check in diagnosis.checks) for outcome in ("passed", "failed", "skipped")
    }
    if diagnosis.checks:
        console.print(f"  {counted['passed']} work, {counted['failed']} differ, {counted['skipped']} not tried")


def _by_statement(checks: list[Check]) -> list[Check]:
    """One line a statement: of its cases those that differ, otherwise the first."""
    grouped: dict[str, list[Check]] = {}
    for check in checks:
        grouped.setdefault(check.statement.split(" (")[0], []).append(check)
    found = []
    for statement, cases in grouped.items():
        failed = [case for case in cases if case.outcome == "failed"]
        found += failed or [Check(statement, cases[0].outcome, cases[0].detail)]
    return found
