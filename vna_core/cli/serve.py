"""``vna serve``: all roles on one machine."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from vna_core.cli.options import Config, Data, settings_of
from vna_core.domain.errors import ConfigurationError

EPILOG = """
Examples:

`vna serve --data /srv/vna`

`vna serve --data /srv/vna --dimse 127.0.0.1:11112 --aet ARCHIVE --peer VIEWER=127.0.0.1:4006`

`vna serve --data /srv/vna --config /etc/vna.yaml --http 127.0.0.1:0 --dimse 127.0.0.1:0`
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("serve", epilog=EPILOG)(serve)


def serve(
    data: Data = None,
    config: Config = None,
    http: Annotated[
        str | None, typer.Option(help="HOST:PORT of the web face; port 0 takes a free one.", metavar="HOST:PORT")
    ] = None,
    dimse: Annotated[
        str | None, typer.Option(help="HOST:PORT of the DIMSE face; port 0 takes a free one.", metavar="HOST:PORT")
    ] = None,
    aet: Annotated[str | None, typer.Option(help="Our application entity title.")] = None,
    peer: Annotated[
        list[str] | None, typer.Option(help="A DICOM node we may send to (repeatable).", metavar="AET=HOST:PORT")
    ] = None,
) -> int:
    """Serve DICOM (DIMSE) and DICOMweb until SIGTERM.

    Prints one line `ready http=HOST:PORT dimse=HOST:PORT` when both accept; what else listens follows (`hl7`, and with TLS `https`, `dimses`, `hl7s`).
    """
    from vna_core.cli.supervisor import Supervisor  # here: other commands need neither sockets nor processes

    flags: dict[str | tuple[str, ...], Any] = {"dimse.aet": aet}
    for name, value in (("http", http), ("dimse", dimse)):
        if value is not None:
            flags[f"{name}.host"], flags[f"{name}.port"] = host_and_port(value, f"--{name}")
    for one in peer or ():
        title, separator, address = one.partition("=")
        if not separator or not title:
            raise ConfigurationError(f"--peer {one!r}: expected AET=HOST:PORT.")
        host, port = host_and_port(address, "--peer")
        flags["dimse", "peers", title] = {"host": host, "port": port}
    settings = settings_of(data, config, flags, quiet=False)
    return Supervisor(settings).run()


def host_and_port(text: str, option: str) -> tuple[str, int]:
    """``HOST:PORT``, with an IPv6 host in brackets. Raises ConfigurationError."""
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise ConfigurationError(f"{option} {text!r}: expected HOST:PORT.")
    return host.strip("[]") or "127.0.0.1", int(port)
