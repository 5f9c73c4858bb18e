"""The routes of the Studies Service (PS3.18 tables 10.3-1 to 10.7-1)."""

from __future__ import annotations

from starlette.routing import Route

from vna_core.access.gate import Gate
from vna_core.domain.access import Action
from vna_core.domain.query import Level
from vna_core.gateways.dicomweb.archive import ROOT, WebArchive
from vna_core.gateways.dicomweb.bulkdata import BulkData
from vna_core.gateways.dicomweb.capabilities import Capabilities
from vna_core.gateways.dicomweb.fetched import FetchedFirst
from vna_core.gateways.dicomweb.frames import Frames
from vna_core.gateways.dicomweb.metadata import Metadata
from vna_core.gateways.dicomweb.qido import Search
from vna_core.gateways.dicomweb.rendered import Rendered, Thumbnail
from vna_core.gateways.dicomweb.stow import Store
from vna_core.gateways.dicomweb.wado import Retrieve
from vna_core.gateways.web.exchange import Pace
from vna_core.gateways.web.protection import Endpoint, Handler
from vna_core.migration.cutover import CutOver

_STUDY = f"{ROOT}/studies/{{study}}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"
_FRAMES = _INSTANCE + "/frames/{frames}"


def dicomweb_routes(archive: WebArchive, pace: Pace, gate: Gate, cutover: CutOver | None = None) -> list[Route]:
    """Every route below ``/dicom-web``; the ones that viewers ask for most come first, as the table is walked in order.

    With `cutover`, retrievals first have fetched what sources in cut-over still have.
    """
    routes: list[Route] = []

    def whole(handler: Handler) -> Handler:
        return handler if cutover is None else FetchedFirst(handler, cutover)

    def add(path: str, name: str, needs: Action | None, handler: Handler, *methods: str) -> None:
        routes.append(Route(path, Endpoint(handler, pace, gate, needs), methods=list(methods or ("GET",)), name=name))

    retrieve, metadata = whole(Retrieve(archive)), whole(Metadata(archive))
    rendered, thumbnail = whole(Rendered(archive)), whole(Thumbnail(archive))
    studies, series, instances = (Search(archive, level) for level in (Level.STUDY, Level.SERIES, Level.IMAGE))
    store = Store(archive)

    add(_INSTANCE, "retrieve-instance", Action.RETRIEVE, retrieve)
    add(_FRAMES, "retrieve-frames", Action.RETRIEVE, whole(Frames(archive)))
    add(f"{ROOT}/studies", "search-studies", Action.QUERY, studies)
    add(f"{ROOT}/studies", "store", Action.STORE, store, "POST")
    add(_SERIES + "/metadata", "series-metadata", Action.RETRIEVE, metadata)
    add(_INSTANCE + "/metadata", "instance-metadata", Action.RETRIEVE, metadata)
    add(_STUDY + "/metadata", "study-metadata", Action.RETRIEVE, metadata)
    add(_SERIES, "retrieve-series", Action.RETRIEVE, retrieve)
    add(_STUDY, "retrieve-study", Action.RETRIEVE, retrieve)
    add(_STUDY, "store-in-study", Action.STORE, store, "POST")
    add(_STUDY + "/series", "search-study-series", Action.QUERY, series)
    add(_STUDY + "/instances", "search-study-instances", Action.QUERY, instances)
    add(_SERIES + "/instances", "search-series-instances", Action.QUERY, instances)
    add(f"{ROOT}/series", "search-series", Action.QUERY, series)
    add(f"{ROOT}/instances", "search-instances", Action.QUERY, instances)
    add(_INSTANCE + "/rendered", "instance-rendered", Action.RETRIEVE, rendered)
    add(_FRAMES + "/rendered", "frame-rendered", Action.RETRIEVE, rendered)
    add(_SERIES + "/rendered", "series-rendered", Action.RETRIEVE, rendered)
    add(_STUDY + "/rendered", "study-rendered", Action.RETRIEVE, rendered)
    add(_INSTANCE + "/thumbnail", "instance-thumbnail", Action.RETRIEVE, thumbnail)
    add(_FRAMES + "/thumbnail", "frame-thumbnail", Action.RETRIEVE, thumbnail)
    add(_SERIES + "/thumbnail", "series-thumbnail", Action.RETRIEVE, thumbnail)
    add(_STUDY + "/thumbnail", "study-thumbnail", Action.RETRIEVE, thumbnail)
    add(_INSTANCE + "/bulkdata/{element:path}", "bulkdata", Action.RETRIEVE, whole(BulkData(archive)))
    capabilities = Capabilities(routes)
    add(f"{ROOT}/capabilities", "capabilities", None, capabilities, "GET", "OPTIONS")
    add(ROOT, "options", None, capabilities, "OPTIONS")
    add(f"{ROOT}/", "options-root", None, capabilities, "OPTIONS")
    return routes
