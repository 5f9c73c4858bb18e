"""The routes of the Studies Service (PS3.18 tables 10.3-1 to 10.7-1)."""

from __future__ import annotations

from starlette.routing import Route

from vna_core.domain.query import Level
from vna_core.gateways.admin.metrics import Metrics
from vna_core.gateways.dicomweb.archive import ROOT, WebArchive
from vna_core.gateways.dicomweb.bulkdata import BulkData
from vna_core.gateways.dicomweb.capabilities import Capabilities
from vna_core.gateways.dicomweb.frames import Frames
from vna_core.gateways.dicomweb.metadata import Metadata
from vna_core.gateways.dicomweb.qido import Search
from vna_core.gateways.dicomweb.rendered import Rendered
from vna_core.gateways.dicomweb.stow import Store
from vna_core.gateways.dicomweb.wado import Retrieve
from vna_core.gateways.web.exchange import Pace
from vna_core.gateways.web.protection import Endpoint, Handler

_STUDY = f"{ROOT}/studies/{{study}}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"
_FRAMES = _INSTANCE + "/frames/{frames}"


def dicomweb_routes(archive: WebArchive, pace: Pace, metrics: Metrics) -> list[Route]:
    """Every route below ``/dicom-web``; the ones that viewers ask for most come first, as the table is walked in order."""
    routes: list[Route] = []

    def add(path: str, name: str, handler: Handler, *methods: str) -> None:
        routes.append(Route(path, Endpoint(handler, pace), methods=list(methods or ("GET",)), name=name))

    retrieve, metadata = Retrieve(archive), Metadata(archive)
    rendered, thumbnail = Rendered(archive, thumbnail=False), Rendered(archive, thumbnail=True)
    studies, series, instances = (Search(archive, level) for level in (Level.STUDY, Level.SERIES, Level.IMAGE))
    store = Store(archive, metrics)

    add(_INSTANCE, "retrieve-instance", retrieve)
    add(_FRAMES, "retrieve-frames", Frames(archive))
    add(f"{ROOT}/studies", "search-studies", studies)
    add(f"{ROOT}/studies", "store", store, "POST")
    add(_SERIES + "/metadata", "series-metadata", metadata)
    add(_INSTANCE + "/metadata", "instance-metadata", metadata)
    add(_STUDY + "/metadata", "study-metadata", metadata)
    add(_SERIES, "retrieve-series", retrieve)
    add(_STUDY, "retrieve-study", retrieve)
    add(_STUDY, "store-in-study", store, "POST")
    add(_STUDY + "/series", "search-study-series", series)
    add(_STUDY + "/instances", "search-study-instances", instances)
    add(_SERIES + "/instances", "search-series-instances", instances)
    add(f"{ROOT}/series", "search-series", series)
    add(f"{ROOT}/instances", "search-instances", instances)
    add(_INSTANCE + "/rendered", "instance-rendered", rendered)
    add(_FRAMES + "/rendered", "frame-rendered", rendered)
    add(_INSTANCE + "/thumbnail", "instance-thumbnail", thumbnail)
    add(_FRAMES + "/thumbnail", "frame-thumbnail", thumbnail)
    add(_SERIES + "/thumbnail", "series-thumbnail", thumbnail)
    add(_STUDY + "/thumbnail", "study-thumbnail", thumbnail)
    add(_INSTANCE + "/bulkdata/{element:path}", "bulkdata", BulkData(archive))
    capabilities = Capabilities(routes)
    add(f"{ROOT}/capabilities", "capabilities", capabilities, "GET", "OPTIONS")
    add(ROOT, "options", capabilities, "OPTIONS")
    add(f"{ROOT}/", "options-root", capabilities, "OPTIONS")
    return routes
