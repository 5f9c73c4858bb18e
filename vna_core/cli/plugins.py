"""``vna plugins``: what is installed and whether it loads."""

from __future__ import annotations

from dataclasses import asdict

import typer

from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, print_json
from vna_core.configuration import LoggingSettings
from vna_core.jobs.embedded import NAME as EMBEDDED
from vna_core.logging_setup import set_up_logging
from vna_core.plugin_manager import Plugins


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("plugins", epilog="Example:\n\n`vna plugins --json`")(plugins)


def plugins(as_json: AsJson = False) -> int:
    """List plugins, what they register, and what is broken. Exit code 1 when one is broken."""
    set_up_logging(LoggingSettings())  # on standard error: what is broken is logged, and must not stand in a document
    loaded = Plugins()
    loaded.load()
    backends, adapters = sorted(loaded.storage_backends()), sorted(loaded.pacs_adapters())
    engines = [EMBEDDED, *sorted(loaded.job_engines())]
    dialects = [dialect.name for dialect in loaded.dialects()]
    if as_json:
        print_json(
            {
                "plugins": [asdict(state) for state in loaded.states],
                "storage_backends": backends,
                "pacs_adapters": adapters,
                "job_engines": engines,
                "dialects": dialects,
            }
        )
    else:
        table = Table("plugin", "module", "distribution", "state")
        for state in loaded.states:
            table.add_row(state.name, state.target, f"{state.distribution} {state.version}", state.error or "loaded")
        console = Console()
        console.print(table)
        console.print(f"storage backends: {', '.join(backends) or 'none'}; PACS adapters: {', '.join(adapters) or 'none'}")
        console.print(f"job engines: {', '.join(engines)}")
        console.print(f"dialects: {', '.join(dialects) or 'none'}")
    return 1 if any(state.error for state in loaded.states) else 0
