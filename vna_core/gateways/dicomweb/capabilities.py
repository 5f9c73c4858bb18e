"""What this service can do, as WADL 2009 (PS3.18 section 8.9 and annex H), and OPTIONS."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from starlette.routing import Route

from vna_core.gateways.dicomweb.archive import ROOT
from vna_core.gateways.web.exchange import Exchange

WADL = "application/vnd.sun.wadl+xml"


def wadl(base: str, routes: Sequence[Route], root: str = ROOT) -> bytes:
    """A WADL document of the DICOMweb routes below `root`."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<application xmlns="http://wadl.dev.java.net/2009/02">']
    lines.append(f"<resources base={quoteattr(base + root)}>")
    for route in routes:
        if not route.path.startswith(f"{root}/") and route.path != root:
            continue
        lines.append(f"<resource path={quoteattr(route.path.removeprefix(root + '/').replace(':path', ''))}>")
        lines.extend(
            f"<method name={quoteattr(method)} id={quoteattr(route.name + '-' + method.lower())}/>"
            for method in sorted(route.methods or ())
            if method not in ("HEAD", "OPTIONS")
        )
        lines.append("</resource>")
    lines.append("</resources></application>")
    return "\n".join(lines).encode()


class Capabilities:
    """GET ``/capabilities`` and OPTIONS of the service's root."""

    def __init__(self, routes: Sequence[Route], root: str = ROOT) -> None:
        self._routes, self._root = routes, root

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.octets(wadl(exchange.base, self._routes, self._root), WADL, headers={"Allow": "GET, HEAD, OPTIONS, POST"})
