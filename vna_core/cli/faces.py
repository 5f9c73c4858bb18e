"""Where the faces listen: each without TLS, with it, or both, as configured."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final

from vna_core.cli.listening import address, listen, listen_in_group
from vna_core.configuration import Settings
from vna_core.configuration.tls import TlsFaceSettings

_SECURE: Final = ("https", "dimses", "hl7s")
"""Names of the faces with TLS."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Listening sockets of a process: without TLS, and with it."""

    plain: socket.socket | None = None
    secure: socket.socket | None = None

    @property
    def all(self) -> tuple[socket.socket, ...]:
        """Those that there are."""
        return tuple(one for one in (self.plain, self.secure) if one is not None)

    def close(self) -> None:
        """Take no connections any more. May be called twice."""
        for one in self.all:
            one.close()


class Faces:
    """Every listening socket of this machine's roles.

    Raises
    ------
    ConfigurationError
        An address cannot be bound.
    """

    def __init__(self, settings: Settings) -> None:
        tls, web = settings.tls, settings.http
        self._web_host = web.host
        self.dimse = _pair(settings.dimse.host, settings.dimse.port, tls.dimse, "dimse")
        self.hl7 = _pair(settings.hl7.host, settings.hl7.port, tls.hl7, "hl7")
        plain = [] if tls.http.only else listen_in_group(web.host, web.port, "http", web.workers)
        secure = [] if tls.http.port is None else listen_in_group(web.host, tls.http.port, "tls.http", web.workers)
        self.web = [
            Listeners(plain[number] if plain else None, secure[number] if secure else None) for number in range(web.workers)
        ]
        self._web_ports = tuple(group[0].getsockname()[1] if group else None for group in (plain, secure))

    def web_again(self) -> Listeners:
        """Sockets for a web process whose own were closed."""
        plain, secure = self._web_ports
        return Listeners(
            None if plain is None else listen(self._web_host, plain, "http", of_group=True),
            None if secure is None else listen(self._web_host, secure, "tls.http", of_group=True),
        )

    def described(self) -> str:
        """``NAME=HOST:PORT`` of each, for the line that says that all accept."""
        named = (("http", self.web[0]), ("dimse", self.dimse), ("hl7", self.hl7))
        plain = [f"{name}={address(one.plain)}" for name, one in named if one.plain is not None]
        secure = [
            f"{name}={address(one.secure)}" for (_, one), name in zip(named, _SECURE, strict=True) if one.secure is not None
        ]
        return " ".join([*plain, *secure])


def _pair(host: str, port: int | None, tls: TlsFaceSettings, name: str) -> Listeners:
    plain = None if port is None or tls.only else listen(host, port, name)
    secure = None if tls.port is None else listen(host, tls.port, f"tls.{name}")
    return Listeners(plain, secure)
