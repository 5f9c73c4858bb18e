"""A source over HTTP: its options, its address and the client for it, as every adapter that speaks to one needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import SplitResult

from vna_core.dicom.network.tls import ClientTls
from vna_core.dicom.network.tls.options import TlsOptions
from vna_core.dicom.network.web_client import WebClient, authorization
from vna_core.domain.errors import ConfigurationError
from vna_core.ports.pacs_options import source_address, source_options


class WebSourceOptions(TlsOptions):
    """Options of a source over HTTP."""

    token: str = ""
    """Bearer token."""
    user: str = ""
    password: str = ""
    """Basic authentication; they may also stand in the URL."""


OptionsT = TypeVar("OptionsT", bound=WebSourceOptions)


@dataclass(frozen=True, slots=True)
class WebSource(Generic[OptionsT]):
    """Where a source is and how it is spoken to.

    Attributes
    ----------
    shown
        The address as it may be recorded: without secrets and options.
    """

    options: OptionsT
    shown: str
    _address: SplitResult
    _tls: ClientTls | None

    @classmethod
    def of(cls, model: type[OptionsT], name: str, url: str, options: Mapping[str, Any], form: str) -> WebSource[OptionsT]:
        """From ``PRODUCT+https://HOST:PORT/ROOT?option=value``. Raises ConfigurationError.

        Parameters
        ----------
        form
            How such a source is given, for the message about one without a host.
        """
        address = source_address(name, url)
        if not address.hostname:
            raise ConfigurationError(f"{form}.", source=name)
        checked = source_options(model, name, address.query, options)
        plain = address._replace(scheme=address.scheme.rpartition("+")[2])
        shown = f"{plain.scheme}://{plain.hostname}{f':{plain.port}' if plain.port else ''}{plain.path}"
        return cls(checked, shown, plain, checked.tls(name, plain.scheme == "https"))

    def client(self, headers: Mapping[str, str] | None = None) -> WebClient:
        """A client that authenticates itself and sends `headers` with every request."""
        options = self.options
        known = authorization(self._address, options.token, options.user, options.password)
        return WebClient(self._address, {**known, **(headers or {})}, self._tls)
