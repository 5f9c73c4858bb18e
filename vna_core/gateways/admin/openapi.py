"""The OpenAPI 3.1 description of every route, made from the route table and what `openapi_operations` says of each."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any, Final

from starlette.routing import Route

from vna_core.configuration import Settings
from vna_core.gateways.admin.openapi_operations import EVERYWHERE, GLASS, MEANINGS, Operation, operation_of
from vna_core.gateways.web.exchange import Exchange
from vna_core.gateways.web.protection import OPEN_PATHS, Endpoint

_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
_ERROR: Final = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
}

_ERRORS: Final = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
_TEXT: Final = {"type": "string"}
_ANY: Final = {"type": "object", "additionalProperties": _TEXT}

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
                    "content": _ERRORS,
                }
            },
        },
    }
    if ways:
        described["components"]["securitySchemes"] = {name: _SCHEMES[name] for name in sorted(frozenset().union(*ways))}
        described["security"] = [{name: [] for name in sorted(way)} for way in ways]
    return described


def summary_of(route: Route) -> str:
    """What a route does, in a sentence."""
    said = operation_of(route.name).summary
    return said or (inspect.getdoc(type(_handler(route))) or "").split("\n\n")[0].replace("\n", " ").replace("``", "`")


def _handler(route: Route) -> object:
    return route.endpoint.handler if isinstance(route.endpoint, Endpoint) else route.endpoint


def _operation(route: Route, method: str) -> dict[str, Any]:
    told = operation_of(route.name)
    is_guarded = isinstance(route.endpoint, Endpoint) and route.endpoint.needs is not None
    operation: dict[str, Any] = {
        "operationId": f"{route.name}-{method.lower()}",
        "summary": summary_of(route),
        "tags": ["dicomweb" if "/dicom-web" in route.path else "archive"],
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": _TEXT} for name in _PARAMETER.findall(route.path)),
            *_query(told, is_guarded),
        ],
        "responses": _responses(told, is_guarded),
    }
    if told.ranges:
        operation["parameters"].append({"name": "Range", "in": "header", "schema": _TEXT, "description": "bytes=FIRST-LAST."})
    if told.body:
        operation["requestBody"] = {"required": True, "content": {name: {} for name in told.body}}
    if route.path in OPEN_PATHS:
        operation["security"] = []
    return operation


def _query(told: Operation, is_guarded: bool) -> list[dict[str, Any]]:
    """Query parameters. What is in braces stands for any name."""
    said = {**told.query, **(GLASS if is_guarded else {})}
    return [
        {"name": name, "in": "query", "required": name in told.needed, "schema": _TEXT, "description": text}
        if not name.startswith("{")
        else {"name": name.strip("{}"), "in": "query", "style": "form", "explode": True, "schema": _ANY, "description": text}
        for name, text in said.items()
    ]


def _responses(told: Operation, is_guarded: bool) -> dict[str, Any]:
    expected = [*told.errors, *(EVERYWHERE if is_guarded else (400,))]
    answered = {
        str(status): {"description": MEANINGS[status], "content": {name: {} for name in types}}
        for status, types in told.answers.items()
    }
    failed = {
        str(status): {"description": MEANINGS[status], "content": _ERRORS} for status in expected if status not in told.answers
    }
    return {**dict(sorted((answered | failed).items())), "default": {"$ref": "#/components/responses/Error"}}


class Description:
    """GET ``/api/v1/openapi.json``."""

    def __init__(self, routes: Sequence[Route], version: str, ways: Sequence[Way]) -> None:
        self._routes = routes
        self._version = version
        self._ways = ways

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.json(document(self._routes, self._version, self._ways))
