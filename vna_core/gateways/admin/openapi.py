"""The OpenAPI 3.1 description of every route, made from the route table and the handlers' own descriptions."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any, Final

from starlette.routing import Route

from vna_core.configuration import Settings
from vna_core.gateways.web.exchange import Exchange
from vna_core.gateways.web.protection import OPEN_PATHS, Endpoint

_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
_ERROR: Final = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
}

BEARER: Final = "bearer"
CERTIFICATE: Final = "certificate"
_SCHEMES: Final[dict[str, dict[str, str]]] = {
    BEARER: {"type": "http", "scheme": "bearer", "description": "A token whose digest is in `http.tokens`."},
    CERTIFICATE: {
        "type": "mutualTLS",
        "description": "A certificate of the authorities in `tls.ca_file`; one that is in `http.certificates` stands for a token.",
    },
}
Way = frozenset[str]
"""Names of schemes that are needed together."""


def ways_in(settings: Settings) -> list[Way]:
    """The ways in which clients may show who they are, as it is configured; none: everybody is let in."""
    face = settings.tls.http
    asked = {CERTIFICATE} if face.only and face.client_certificates == "required" else set()
    ways = [frozenset({BEARER, *asked})] if settings.http.tokens else []
    if settings.http.certificates or (asked and not ways):
        ways.append(frozenset({CERTIFICATE}))
    return ways


def public_path(path: str) -> str:
    """A route's path as OpenAPI writes it: without converters."""
    return _PARAMETER.sub(lambda match: "{" + match.group(1) + "}", path)


def document(routes: Sequence[Route], version: str, ways: Sequence[Way] = ()) -> dict[str, Any]:
    """The whole description; `ways` are those by which clients show who they are."""
    paths: dict[str, Any] = {}
    for route in routes:
        operations = paths.setdefault(public_path(route.path), {})
        for method in sorted(route.methods or ()):
            if method != "HEAD":
                operations[method.lower()] = _operation(route, method)
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Vendor-neutral archive",
            "version": version,
            "description": "DICOMweb, provenance, quarantine, health and metrics.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR},
            "responses": {
                "Error": {
                    "description": "What went wrong.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
            },
        },
    }
    if ways:
        described["components"]["securitySchemes"] = {name: _SCHEMES[name] for name in sorted(frozenset().union(*ways))}
        described["security"] = [{name: [] for name in sorted(way)} for way in ways]
    return described


def _operation(route: Route, method: str) -> dict[str, Any]:
    endpoint = route.endpoint
    handler = endpoint.handler if isinstance(endpoint, Endpoint) else endpoint
    described = inspect.getdoc(type(handler)) or ""
    operation: dict[str, Any] = {
        "operationId": f"{route.name}-{method.lower()}",
        "summary": described.split("\n\n")[0].replace("\n", " "),
        "tags": ["dicomweb" if route.path.startswith("/dicom-web") else "archive"],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in _PARAMETER.findall(route.path)
        ],
        "responses": {"200": {"description": "The answer."}, "default": {"$ref": "#/components/responses/Error"}},
    }
    if route.path in OPEN_PATHS:
        operation["security"] = []
    return operation


class Description:
    """GET ``/api/v1/openapi.json``."""

    def __init__(self, routes: Sequence[Route], version: str, ways: Sequence[Way]) -> None:
        self._routes = routes
        self._version = version
        self._ways = ways

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.json(document(self._routes, self._version, self._ways))
