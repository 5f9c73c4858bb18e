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
    "run": Place("migrate:add_to", "Inventory a source, pull what is missing, compare, and report."),
    "plan": Place(
        "migrate:add_to",
        "Take the inventory, put the studies in order, and keep how the source is to be treated; nothing is moved yet.",
    ),
    "status": Place("migrate:add_to", "How campaigns stand."),
    "pause": Place("migrate:add_to", "Start no further retrievals; those that run come to their end."),
    "resume": Place("migrate:add_to", "Go on, by the workers of `vna serve` and whoever helps."),
    "cancel": Place(
        "migrate:add_to", "Give a campaign up. What was moved stays, and so does the ledger; `vna migrate run` takes it up again."
    ),
    "assess": Place(
        "migrate_assess:add_to",
        "Count what a source holds by modality, year and station, probe what it can do and how fast, and project the days.",
    ),
    "cutover": Place(
        "migrate_cutover:add_to",
        "Say or see whether the archive answers for a whole source while its studies are still being moved.",
    ),
    "work-product": Place(
        "migrate_work_product:add_to",
        "Count key image, reject and confidential flags, windows, annotations and more that proprietary archives left in images.",
    ),
    "verify": Place(
        "migrate_proof:add_to",
        "Read every copy of everything moved, rebuild what was received, and compare; with `--pixels` also with the source.",
    ),
    "certify": Place(
        "migrate_proof:add_to",
        "Export the ledger and the worklist and sign their totals: the evidence that is kept when the old PACS is switched off.",
    ),
    "report": Place(
        "migrate_report:add_to",
        "Write the reports: progress by day, exceptions, identity, reconciliation whose sums close, and fidelity.",
    ),
    "exceptions": Place(
        "migrate_exceptions:add_to", "List the worklist: by reason with cause, a sample and what helps, or one by one."
    ),
    "retry": Place(
        "migrate_exceptions:add_to", "Ask the source again for what exceptions are about; the workers, or the next run, do it."
    ),
    "resolve": Place(
        "migrate_exceptions:add_to",
        "Accept exceptions: an instance that cannot be moved leaves the sums, under your name and with your note.",
    ),
}
_IN_AND_OUT: Final = "In and out"
_MIGRATION: Final = "Migration"
_CORRECTIONS: Final = "Corrections and deletion"
_STORES: Final = "Stores and copies"
_OTHERS: Final = "Departments and other archives"
_SETTING_UP: Final = "Setting up"
_MIGRATE: Final = typer.Typer(
    help="Fill the archive from a legacy PACS.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    cls=loaded_when_called(MIGRATE),
)
COMMANDS: Final[Mapping[str, Place]] = {
    "serve": Place("serve:add_to", "Serve DICOM (DIMSE) and DICOMweb until SIGTERM.", _IN_AND_OUT),
    "ingest": Place(
        "ingest:add_to", "Offer files to the archive. Works beside a running server on the same folder.", _IN_AND_OUT
    ),
    "find": Place("find:add_to", "Find patients, studies, series or instances.", _IN_AND_OUT),
    "get": Place(
        "get:add_to", "Write a study, series or instance as plain files. Every octet is verified on its way.", _IN_AND_OUT
    ),
    "explain": Place(
        "explain:add_to",
        "Show where an instance came from, every change with its rule and the evidence, and what was found and left.",
        _IN_AND_OUT,
    ),
    "export": Place("export:app", "Write what is held as arrays and tables for other tools.", _IN_AND_OUT),
    "stats": Place(
        "stats:add_to",
        "Count patients, studies, series, instances, versions, conflicts, quarantined items and octets.",
        _IN_AND_OUT,
    ),
    "conflicts": Place(
        "conflicts:add_to",
        "List versions under one SOP Instance UID that differ, which of them is current, and why.",
        _IN_AND_OUT,
    ),
    "quarantine": Place("quarantine:app", "List, show and retry what could not be archived as DICOM.", _IN_AND_OUT),
    "migrate": Place(_MIGRATE, "Fill the archive from a legacy PACS.", _MIGRATION),
    "certificate": Place("migrate_proof:app", "Check certificates of migrations.", _MIGRATION),
    "inventory": Place(
        "inventory:app", "Inventory instances (DICOM PS3.3 A.88): what an archive holds, and where each file lies.", _MIGRATION
    ),
    "normalize": Place("normalize:app", "What the rules did, would do, and doing it again to what is held.", _CORRECTIONS),
    "patient": Place("patient:app", "Which Patient IDs mean one person: link, merge, move, and take back.", _CORRECTIONS),
    "reject": Place(
        "reject:app",
        "Reject instances (IHE IOCM): hidden here and in the members that are told, never purged, taken back with `vna undelete`.",
        _CORRECTIONS,
    ),
    "keep": Place(
        "keep:app",
        "Say which of several versions under one SOP Instance UID is right: the others are set aside, and taken back with `vna undelete`.",
        _CORRECTIONS,
    ),
    "corrections": Place(
        "corrections:app",
        "Merges, moves, rejections and deletions that travel to members of the federation, and who has applied them.",
        _CORRECTIONS,
    ),
    "delete": Place("delete:app", "Delete, so that it can be taken back: hidden at once, purged later.", _CORRECTIONS),
    "undelete": Place("delete:add_to", "Take a deletion back: what was hidden is held again, exactly as it was.", _CORRECTIONS),
    "purge": Place(
        "delete:add_to",
        "Remove the octets of deletions whose time of grace is over (`retention.grace`), in every store. There is no way back.",
        _CORRECTIONS,
    ),
    "hold": Place("hold:app", "Legal holds: what is under one is deleted by no route.", _CORRECTIONS),
    "retention": Place("retention:app", "Rules of retention (`retention.rules` in the configuration).", _CORRECTIONS),
    "store": Place("store:app", "List stores, put one in the place of another that is lost.", _STORES),
    "place": Place("place:app", "Placement: where copies must be, what that costs, and how far it is.", _STORES),
    "recall": Place("recall:app", "Bring studies back from archive tiers before somebody asks for their images.", _STORES),
    "pack": Place("pack:app", "Packs: one object for a settled series, at once a TAR archive and a Zarr array.", _STORES),
    "scrub": Place(
        "scrub:add_to",
        "Read every copy in every store against its digest. Interrupted, the same command goes on where it was.",
        _STORES,
    ),
    "repair": Place(
        "scrub:add_to",
        "Restore what a scrub found bad or missing from good copies, and record orphans. Exit code 3 when something stays wrong.",
        _STORES,
    ),
    "rebuild": Place(
        "rebuild:add_to",
        "Fill the catalogue from what the stores hold. What it knows already is left as it is, so it may be run again.",
        _STORES,
    ),
    "keys": Place("keys:app", "Make, list and rotate the keys of encrypted stores.", _STORES),
    "departments": Place("departments:app", "Departments: what belongs to them, and who may do what.", _OTHERS),
    "audit": Place("audit:app", "The audit trail: list, verify, export.", _OTHERS),
    "federation": Place("federation:app", "Archives that are asked together with this one.", _OTHERS),
    "config": Place("config:app", "Show and check the configuration.", _SETTING_UP),
    "jobs": Place("jobs:app", "Durable work in the background: what waits, runs or failed.", _SETTING_UP),
    "plugins": Place(
        "plugins:add_to", "List plugins, what they register, and what is broken. Exit code 1 when one is broken.", _SETTING_UP
    ),
    "plugin": Place("plugin:app", "List plugins, write one of your own, try a configured store.", _SETTING_UP),
    "testing": Place("testing:app", "What engineers test archives with.", _SETTING_UP),
}
"""Every command; `vna --help` lists them in this order."""

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
