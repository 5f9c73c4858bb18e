"""Options that commands share, and the archive they open."""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vna_core.cli.commands import CALLED, importing
from vna_core.configuration import Settings, load_settings
from vna_core.domain.access import Principal, PrincipalKind
from vna_core.domain.audit import AuditEvent, AuditEventId
from vna_core.logging_setup import set_up_logging

if TYPE_CHECKING:
    from vna_core.bootstrap import Archive
    from vna_core.plugin_manager import Plugins

Data = Annotated[Path | None, typer.Option("--data", "-d", help="Data folder.", show_default="vna-data")]
Config = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration file (YAML).", envvar="VNA_CONFIG")]
SourceName = Annotated[
    str, typer.Argument(help="URL of the source (dimse://CALLED@HOST:PORT), or its name in the configuration.")
]
Processes = Annotated[
    int | None,
    typer.Option(help="Processes that compute at once; as many as there are processors where not given.", min=1, max=64),
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output on standard output.")]


def settings_of(
    data: Path | None, config: Path | None, flags: Mapping[str | tuple[str, ...], Any] | None = None, quiet: bool = True
) -> Settings:
    """Settings for a command, and logging set up by them. `quiet` commands log warnings only, unless configured otherwise."""
    settings = load_settings(config, {"data": str(data) if data is not None else None, **(flags or {})})
    logging = settings.logging
    if quiet and "level" not in logging.model_fields_set:
        logging = logging.model_copy(update={"level": "warning", "format": "console"})
    set_up_logging(logging)
    return settings


def archive_of(data: Path | None, config: Path | None, reading: bool = False) -> Archive:
    """The archive a command works on; for `reading` alone its disk may be mounted read-only."""
    return archive_for(settings_of(data, config), reading=reading)


def archive_for(settings: Settings, processes: int = 1, reading: bool = False, plugins: Plugins | None = None) -> Archive:
    """The same for settings that were read, and `plugins` that were loaded already; `processes` share the memory budget."""
    with importing():  # here, as it is the root of everything: commands that open no archive need none of it
        from vna_core.bootstrap import open_archive

    archive = open_archive(settings, processes=processes, reading=reading, plugins=plugins)
    archive.audit.note(AuditEvent(AuditEventId.ACTIVITY, operator(), description=f"command {CALLED.get()}"))
    return archive


def operator() -> Principal:
    """Whoever runs commands on the archive's own data folder."""
    return Principal(PrincipalKind.LOCAL, account())


def account() -> str:
    """Whoever runs the command, by the name that the system has for the number; by the number where it has none, as in many containers."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def print_json(document: object) -> None:
    """One JSON document a line on standard output, flushed, so that a reader at the other end sees it at once."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + os.linesep)
    sys.stdout.flush()
