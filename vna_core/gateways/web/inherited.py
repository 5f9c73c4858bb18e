"""granian's embedded server on a listening socket of ours instead of one that it opens itself."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.embed import Server
from starlette.types import ASGIApp

from vna_core.configuration import HttpSettings
from vna_core.configuration.tls import TlsSettings

BACKLOG: Final = 1024
CONCURRENT: Final = 1024
"""Connections served at the same time; more wait in the backlog."""
_VERSIONS: Final[Mapping[str, SSLProtocols]] = {"1.2": SSLProtocols.tls12, "1.3": SSLProtocols.tls13}


class InheritedServer(Server):  # type: ignore[misc]
    """Serves until `signal_handler_interrupt`; then it accepts nothing more, and requests under way may end.

    Parameters
    ----------
    tls
        Speak TLS, with what lies in these files now.
    grace
        Seconds that requests under way may take.
    """

    def __init__(
        self, app: ASGIApp, listening_socket: socket.socket, settings: HttpSettings, tls: TlsSettings | None, grace: float
    ) -> None:
        self._listening = listening_socket
        super().__init__(
            app,
            interface=Interfaces.ASGINL,  # several servers may share the application: none of them begins or ends it
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=CONCURRENT,
            http1_settings=HTTP1Settings(header_read_timeout=int(settings.header_timeout * 1000)),
            log_enabled=False,
            **({} if tls is None else _encryption(tls)),
        )
        self.workers_kill_timeout = grace

    def _init_shared_socket(self) -> None:
        from granian._granian import SocketHolder

        # The holder owns its descriptor; the caller keeps the original.
        self._shd: Any = SocketHolder(self._listening.dup().detach(), False, BACKLOG)  # type: ignore[call-arg]
        self._sfd = self._shd.get_fd()
        self._ssp = None


def _encryption(tls: TlsSettings) -> dict[str, Any]:
    asked = tls.http.client_certificates
    return {
        "ssl_cert": Path(tls.certificate_file).absolute(),
        "ssl_key": Path(tls.key_file).absolute(),
        "ssl_protocol_min": _VERSIONS[tls.minimum_version],
        "ssl_ca": Path(tls.ca_file).absolute() if asked != "none" else None,
        "ssl_crl": [Path(one).absolute() for one in tls.crl_files] if asked != "none" else [],
        "ssl_client_verify": asked == "required",
    }
