"""The parts of the archive that web routes use, handed in once by the composition root."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from vna_core.access.availability import Availability
from vna_core.access.egress.outgoing import Egress
from vna_core.access.egress.profiles import EgressProfile
from vna_core.access.render import Renderer
from vna_core.access.retrieve import Retriever
from vna_core.access.transcode import Transcoder
from vna_core.configuration import Settings
from vna_core.gateways.web.exchange import Exchange
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.ingest.sharing import Colleagues
from vna_core.metering import Meter

ROOT: Final = "/dicom-web"


@dataclass(frozen=True, slots=True)
class WebArchive:
    """What the routes are made of. The catalogue is not among it: they read it through the permit of each exchange.

    `threads` do what may block for a moment (catalogue, stores); `ingest_threads` wait for flushes, apart, so that writing
    never keeps reading waiting. `root` is where the service's URLs begin.
    """

    settings: Settings
    pipeline: IngestPipeline
    retriever: Retriever
    renderer: Renderer
    transcoder: Transcoder
    egress: Egress
    threads: ThreadPoolExecutor
    ingest_threads: ThreadPoolExecutor
    availability: Availability
    meter: Meter
    colleagues: Colleagues
    root: str = ROOT

    def profile_of(self, exchange: Exchange) -> EgressProfile | None:
        """The egress profile of whoever asks; None: objects as stored."""
        return self.egress.profiles.of_client(exchange.principal, exchange.header(b"user-agent") or "")
