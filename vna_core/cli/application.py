"""Puts the commands together and turns errors into messages and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
import typer
from rich.console import Console

from vna_core import __version__
from vna_core.cli import (
    audit,
    config,
    corrections,
    delete,
    departments,
    explain,
    export,
    federation,
    find,
    get,
    hold,
    ingest,
    inventory,
    jobs,
    keys,
    migrate,
    migrate_assess,
    migrate_cutover,
    migrate_exceptions,
    migrate_proof,
    migrate_report,
    migrate_work_product,
    normalize,
    pack,
    patient,
    place,
    plugin,
    plugins,
    quarantine,
    rebuild,
    recall,
    reject,
    retention,
    scrub,
    serve,
    stats,
    testing,
)
from vna_core.domain.errors import ConfigurationError, InvalidRequest, VnaError

FAILED = 1
MISUSED = 2
INCOMPLETE = 3

app = typer.Typer(
    name="vna",
    help="Vendor-neutral archive for medical imaging.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _module in (serve, ingest, find, get, explain, stats, rebuild, plugins, scrub, delete):
    _module.add_to(app)
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(inventory.app, name="inventory")
migrate.app.command("assess", epilog="Example:\n\n`vna migrate assess dimse://OLDPACS@10.0.0.7:104`")(migrate_assess.assess)
migrate.app.command("cutover", epilog=migrate_cutover.EPILOG)(migrate_cutover.cutover)
migrate.app.command("work-product", epilog=migrate_work_product.EPILOG)(migrate_work_product.work_product)
migrate.app.command("verify", epilog=migrate_proof.VERIFY_EPILOG)(migrate_proof.verify)
migrate.app.command("certify", epilog=migrate_proof.CERTIFY_EPILOG)(migrate_proof.certify)
migrate.app.command("report", epilog=migrate_report.EPILOG)(migrate_report.report)
migrate.app.command("exceptions", epilog=migrate_exceptions.LIST_EPILOG)(migrate_exceptions.exceptions)
migrate.app.command("retry", epilog=migrate_exceptions.RETRY_EPILOG)(migrate_exceptions.retry)
migrate.app.command("resolve", epilog=migrate_exceptions.RESOLVE_EPILOG)(migrate_exceptions.resolve)
app.add_typer(migrate.app, name="migrate")
app.add_typer(migrate_proof.app, name="certificate")
app.add_typer(normalize.app, name="normalize")
app.add_typer(export.app, name="export")
app.add_typer(place.app, name="place")
app.add_typer(recall.app, name="recall")
app.add_typer(federation.app, name="federation")
app.add_typer(corrections.app, name="corrections")
app.add_typer(reject.app, name="reject")
app.add_typer(pack.app, name="pack")
app.add_typer(jobs.app, name="jobs")
app.add_typer(plugin.app, name="plugin")
app.add_typer(delete.app, name="delete")
app.add_typer(hold.app, name="hold")
app.add_typer(retention.app, name="retention")
app.add_typer(testing.app, name="testing")
app.add_typer(keys.app, name="keys")
app.add_typer(config.app, name="config")
app.add_typer(departments.app, name="departments")
app.add_typer(audit.app, name="audit")
app.add_typer(patient.app, name="patient")


@app.callback(invoke_without_command=True)
def root(version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True)) -> None:
    """Vendor-neutral archive for medical imaging."""
    if version:
        typer.echo(f"vna {__version__}")
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit code. 0 success, 1 failure, 2 misuse or configuration, 3 not everything was taken."""
    console = Console(stderr=True, highlight=False)
    try:
        result = app(args=list(arguments), standalone_mode=False)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.exceptions.Abort:
        console.print("Interrupted.")
        return 130
    except click.ClickException as error:
        error.show(sys.stderr)
        return MISUSED
    except (ConfigurationError, InvalidRequest) as error:
        console.print(f"vna: {error.message}", markup=False)
        return MISUSED
    except VnaError as error:
        console.print(f"vna: {error.message} [{error.code}]", markup=False)
        return FAILED
    except BrokenPipeError:
        return FAILED
    return result if isinstance(result, int) else 0
