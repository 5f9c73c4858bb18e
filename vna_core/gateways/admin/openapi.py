"""The OpenAPI 3.1 description of every route, made from the route table and the handlers' own descriptions."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any, Final

from starlette.routing import Route

from vna_core.gateways.web.exchange import Exchange
from vna_core.gateways.web.protection import OPEN_PATHS, Endpoint

_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
_ERROR: Final = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
}


def public_path(path: str) -> str:
    """A route's path as OpenAPI writes it: without converters."""
    return _PARAMETER.sub(lambda match: "{" + match.group(1) + "}", path)


def document(routes: Sequence[Route], version: str, authenticated: bool) -> dict[str, Any]:
    """The whole description."""
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
    if authenticated:
        described["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"bearer": []}]
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

    def __init__(self, routes: Sequence[Route], version: str, authenticated: bool) -> None:
        self._routes = routes
        self._version = version
        self._authenticated = authenticated

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.json(document(self._routes, self._version, self._authenticated))
