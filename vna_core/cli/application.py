"""Puts the commands together and turns errors into messages and exit codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import typer

from vna_core import __version__
from vna_core.cli.commands import Place, loaded_when_called
from vna_core.domain.errors import ConfigurationError, InvalidRequest, VnaError

FAILED = 1
MISUSED = 2
INCOMPLETE = 3

MIGRATE: Final[Mapping[str, Place]] = {
    "run": "migrate:add_to",
    "plan": "migrate:add_to",
    "status": "migrate:add_to",
    "pause": "migrate:add_to",
    "resume": "migrate:add_to",
    "cancel": "migrate:add_to",
    "assess": "migrate_assess:add_to",
    "cutover": "migrate_cutover:add_to",
    "work-product": "migrate_work_product:add_to",
    "verify": "migrate_proof:add_to",
    "certify": "migrate_proof:add_to",
    "report": "migrate_report:add_to",
    "exceptions": "migrate_exceptions:add_to",
    "retry": "migrate_exceptions:add_to",
    "resolve": "migrate_exceptions:add_to",
}
COMMANDS: Final[Mapping[str, Place]] = {
    "serve": "serve:add_to",
    "ingest": "ingest:add_to",
    "find": "find:add_to",
    "get": "get:add_to",
    "explain": "explain:add_to",
    "stats": "stats:add_to",
    "conflicts": "conflicts:add_to",
    "rebuild": "rebuild:add_to",
    "plugins": "plugins:add_to",
    "scrub": "scrub:add_to",
    "repair": "scrub:add_to",
    "undelete": "delete:add_to",
    "purge": "delete:add_to",
    "quarantine": "quarantine:app",
    "inventory": "inventory:app",
    "migrate": typer.Typer(help="Fill the archive from a legacy PACS.", no_args_is_help=True, cls=loaded_when_called(MIGRATE)),
    "certificate": "migrate_proof:app",
    "normalize": "normalize:app",
    "export": "export:app",
    "place": "place:app",
    "store": "store:app",
    "recall": "recall:app",
    "federation": "federation:app",
    "corrections": "corrections:app",
    "reject": "reject:app",
    "pack": "pack:app",
    "jobs": "jobs:app",
    "plugin": "plugin:app",
    "delete": "delete:app",
    "hold": "hold:app",
    "retention": "retention:app",
    "testing": "testing:app",
    "keys": "keys:app",
    "config": "config:app",
    "departments": "departments:app",
    "audit": "audit:app",
    "patient": "patient:app",
}
"""Every command, and where it is; see `Place`."""

app = typer.Typer(
    name="vna",
    help="Vendor-neutral archive for medical imaging.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    cls=loaded_when_called(COMMANDS),
)


@app.callback(invoke_without_command=True)
def root(version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True)) -> None:
    """Vendor-neutral archive for medical imaging."""
    if version:
        typer.echo(f"vna {__version__}")
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit code. 0 success, 1 failure, 2 misuse or configuration, 3 not everything was taken."""
    try:
        result = app(args=list(arguments), standalone_mode=False)
    except typer.Exit as exit_:
        return exit_.exit_code
    except typer.Abort:
        typer.echo("Interrupted.", err=True)
        return 130
    except typer.TyperException as error:
        typer.echo(f"vna: {error.format_message()}", err=True)
        return MISUSED
    except (ConfigurationError, InvalidRequest) as error:
        typer.echo(f"vna: {error.message}", err=True)
        return MISUSED
    except VnaError as error:
        typer.echo(f"vna: {error.message} [{error.code}]", err=True)
        return FAILED
    except BrokenPipeError:
        return FAILED
    except OSError as error:
        if error.errno is None:  # nothing that the system said
            raise
        told = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}."
        typer.echo(f"vna: {told}", err=True)
        return FAILED
    return result if isinstance(result, int) else 0
