"""The nodes of ``dimse.peers``, as we connect to them."""

from __future__ import annotations

from collections.abc import Sequence

from vna_core.configuration import DimseSettings, PeerSettings
from vna_core.configuration.tls import TlsSettings
from vna_core.dicom.network.association import Association
from vna_core.dicom.network.pdu import Role
from vna_core.dicom.network.requestor import request
from vna_core.dicom.network.tls import ClientTls


class Peers:
    """Opens associations to configured nodes, with TLS to those that are configured so."""

    def __init__(self, settings: DimseSettings, tls: TlsSettings | None = None) -> None:
        self.settings = settings
        self._tls = tls or TlsSettings()

    def associate(
        self,
        title: str,
        peer: PeerSettings,
        contexts: Sequence[tuple[str, tuple[str, ...]]],
        roles: Sequence[Role] = (),
        idle_timeout: float = 120.0,
    ) -> Association:
        """An association with a node. Raises as `request`, ConfigurationError where a certificate cannot be used."""
        return request(
            peer.host,
            peer.port,
            called=title,
            calling=self.settings.aet,
            contexts=contexts,
            roles=roles,
            idle_timeout=idle_timeout,
            network_timeout=self.settings.network_timeout,
            tls=ClientTls.of_peer(self._tls, peer) if peer.tls else None,
        )
