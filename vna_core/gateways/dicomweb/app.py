"""The web face put together: DICOMweb, the API, health and metrics, as one ASGI application."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from vna_core.access.availability import Availability
from vna_core.access.egress.outgoing import Egress
from vna_core.access.gate import Gate
from vna_core.access.policy import Policy
from vna_core.access.render import Renderer
from vna_core.access.retrieve import Retriever
from vna_core.access.transcode import Transcoder
from vna_core.catalogue import Catalogue
from vna_core.configuration import Settings
from vna_core.dicom.network.tls.inspection import own_certificates
from vna_core.domain.access import Action
from vna_core.federation.federation import Federation
from vna_core.gateways.admin.corrections import correction_routes
from vna_core.gateways.admin.health import Exposition, Health, Readiness
from vna_core.gateways.admin.instances import Explained, Original, Versions
from vna_core.gateways.admin.metrics import Measured
from vna_core.gateways.admin.openapi import Description, ways_in
from vna_core.gateways.admin.overview import Conflicts, Totals
from vna_core.gateways.admin.patient_links import InDoubt
from vna_core.gateways.admin.placement import PlacementStatus, Recall
from vna_core.gateways.admin.quarantine import Listed, Octets, Shown
from vna_core.gateways.admin.stewardship import stewardship_routes
from vna_core.gateways.arrays import array_routes
from vna_core.gateways.dicomweb.archive import WebArchive
from vna_core.gateways.dicomweb.federated import ROOT as FEDERATED
from vna_core.gateways.dicomweb.federated import federated_routes
from vna_core.gateways.dicomweb.routes import dicomweb_routes
from vna_core.gateways.web.exchange import Pace
from vna_core.gateways.web.protection import Endpoint, Handler, Protection
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.ingest.sharing import Colleagues
from vna_core.metering import Meter
from vna_core.migration.cutover import CutOver
from vna_core.ports.storage import Store

API = "/api/v1"
READING_THREADS = 32
INGEST_THREADS = 32


class WebApplication(Starlette):
    """Starlette with our own two layers around the router and nothing else: what is not needed costs every request."""

    def __init__(self, routes: list[Route], settings: Settings, archive: WebArchive) -> None:
        self._settings = settings
        self._archive = archive
        super().__init__(routes=routes, lifespan=_lifespan)
        self.router.redirect_slashes = False

    def build_middleware_stack(self) -> ASGIApp:
        return Measured(Protection(self.router, self._settings.http), self._archive.meter, time.perf_counter)

    def close(self) -> None:
        """End the threads; offers under way are finished first."""
        self._archive.ingest_threads.shutdown()
        self._archive.threads.shutdown(cancel_futures=True)


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    if isinstance(app, WebApplication):
        app.close()


def create_app(
    settings: Settings,
    pipeline: IngestPipeline,
    catalogue: Catalogue,
    retriever: Retriever,
    renderer: Renderer,
    transcoder: Transcoder | None = None,
    stores: Mapping[str, Store] | None = None,
    gate: Gate | None = None,
    federation: Federation | None = None,
    availability: Availability | None = None,
    cutover: CutOver | None = None,
    meter: Meter | None = None,
    colleagues: Colleagues | None = None,
) -> WebApplication:
    """The application of one web process.

    Parameters
    ----------
    transcoder
        Shares the renderer's decoding subprocesses when not given.
    stores
        Probed by ``/readyz``; what is deleted is kept there, and purged. Without the landing store nothing can be deleted.
    gate
        What every route but the open ones is behind; one by the settings' policy when not given.
    availability
        Without it everything that needs no recall is told as online, and no copies are asked for.
    federation
        Adds the routes below ``/federated``.
    cutover
        Has fetched what sources in cut-over still have, when it is asked for.
    meter
        Counts, and knows what the other processes of the run count; one of its own when not given.
    colleagues
        Processes that take instances from this one.
    """
    threads = ThreadPoolExecutor(READING_THREADS, "web-read")
    ingest_threads = ThreadPoolExecutor(INGEST_THREADS, "web-ingest")
    transcoder = transcoder or Transcoder(settings.decode, renderer.pool)
    egress = Egress(settings.egress, retriever, transcoder)
    availability = availability or Availability(catalogue)
    meter = meter or Meter.alone()
    archive = WebArchive(
        settings,
        pipeline,
        retriever,
        renderer,
        transcoder,
        egress,
        threads,
        ingest_threads,
        availability,
        meter,
        colleagues or Colleagues(pipeline, meter),
    )
    gate = gate or Gate(Policy(settings), catalogue)
    pace = Pace(threads, settings.http.body_timeout, settings.http.max_body)
    routes = dicomweb_routes(archive, pace, gate, cutover) + array_routes(retriever, pace, gate)

    if federation is not None:
        whole = replace(archive, retriever=federation.retriever, egress=federation.egress, root=FEDERATED)
        routes += federated_routes(federation, whole, catalogue, pace, gate)

    def add(path: str, name: str, needs: Action | None, handler: Handler) -> None:
        routes.append(Route(path, Endpoint(handler, pace, gate, needs), methods=["GET"], name=name))

    add("/healthz", "health", None, Health())
    add("/readyz", "readiness", Action.MONITOR, Readiness(catalogue, stores or {}, gate.auditor, settings.landing))
    add("/metrics", "metrics", Action.MONITOR, Exposition(catalogue, meter.run, own_certificates(settings)))
    add(f"{API}/statistics", "statistics", Action.MONITOR, Totals(catalogue))
    add(f"{API}/instances/{{sop}}", "instance", Action.RETRIEVE, Explained(retriever, settings.ingest, availability))
    add(f"{API}/instances/{{sop}}/original", "instance-original", Action.RETRIEVE, Original(retriever))
    add(f"{API}/instances/{{sop}}/versions", "instance-versions", Action.RETRIEVE, Versions())
    add(f"{API}/quarantine", "quarantine", Action.ADMINISTER, Listed(catalogue))
    add(f"{API}/quarantine/{{id}}", "quarantine-entry", Action.ADMINISTER, Shown(catalogue))
    add(f"{API}/quarantine/{{id}}/original", "quarantine-original", Action.ADMINISTER, Octets(catalogue, pipeline.quarantine))
    add(f"{API}/placement", "placement", Action.MONITOR, PlacementStatus(catalogue, availability.policy))
    recall = Endpoint(Recall(availability), pace, gate, Action.RETRIEVE)
    routes.append(Route(f"{API}/studies/{{study}}/recall", recall, methods=["POST"], name="study-recall"))
    add(f"{API}/conflicts", "conflicts", Action.ADMINISTER, Conflicts(catalogue))
    add(f"{API}/patient-links/in-doubt", "patient-links-in-doubt", Action.ADMINISTER, InDoubt(catalogue))
    if stores and settings.landing in stores:
        routes += stewardship_routes(API, settings, stores, catalogue, pace, gate)
        routes += correction_routes(API, settings, stores, catalogue, pace, gate)
    add(f"{API}/openapi.json", "openapi", None, Description(routes, version("vna-core"), ways_in(settings)))
    return WebApplication(routes, settings, archive)
