"""``/api/v1/instances``: where an instance came from, what was changed in it and why, and its octets as received."""

from __future__ import annotations

import base64
from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import Any

from vna_core.access.availability import Availability
from vna_core.access.choice import Choice
from vna_core.access.retrieve import Retriever
from vna_core.access.view import CatalogueView
from vna_core.configuration import IngestSettings
from vna_core.domain.errors import InvalidRequest, NotFound
from vna_core.domain.identifiers import key_segment
from vna_core.domain.instance import HeldInstance
from vna_core.domain.octets import spooled
from vna_core.gateways.admin.placement import placement_json
from vna_core.gateways.dicomweb.archive import ROOT
from vna_core.gateways.dicomweb.held import SHA256, instance_url
from vna_core.gateways.resource_paths import quoted
from vna_core.gateways.web.exchange import Exchange
from vna_core.ingest.differences import element_differences
from vna_core.ingest.normalize.rule_book import evidence_of


def choice_of(exchange: Exchange) -> Choice:
    """What ``?version=`` (1-based), ``?study=`` and ``?sha256=`` say. Raises InvalidRequest."""
    return Choice.of(exchange.parameter("version"), exchange.parameter("study"), exchange.parameter("sha256"))


def version_json(held: HeldInstance, base: str) -> dict[str, Any]:
    """One version as the API shows it, with the URLs that lead to it and to no other; `base` is scheme and authority."""
    sop = quoted(held.sop_instance_uid)
    return {
        **held.as_dict(),
        "url": f"{instance_url(base + ROOT, held)}?{SHA256}={held.sha256}",
        "original_url": f"{base}/api/v1/instances/{sop}/original?{SHA256}={held.original_sha256}",
    }


class Explained:
    """GET ``/api/v1/instances/{sop}``; with ``?elements=true`` also every element that is not as it was received."""

    def __init__(self, retriever: Retriever, limits: IngestSettings, availability: Availability) -> None:
        self._retriever = retriever
        self._limits = limits
        self._availability = availability

    async def __call__(self, exchange: Exchange) -> None:
        elements = exchange.parameter("elements")
        if elements not in (None, "true", "false"):
            raise InvalidRequest("This parameter is true or false.", parameter="elements")
        explain = partial(self._explain, exchange.catalogue, exchange.path_parameters["sop"], choice_of(exchange), exchange.base)
        await exchange.json(await exchange.blocking(explain, elements == "true"))

    def _elements(self, held: HeldInstance) -> list[dict[str, Any]]:
        with (
            closing(spooled(self._retriever.original(held))) as original,
            closing(spooled(self._retriever.part10(held))) as canonical,
        ):
            return [asdict(one) for one in element_differences(original, canonical, self._limits)]

    def _explain(self, catalogue: CatalogueView, sop: str, choice: Choice, base: str, elements: bool) -> dict[str, Any]:
        versions = catalogue.versions(sop)
        held = choice.one_of(versions)
        explanation = catalogue.explanation(held)
        source = explanation.source
        return {
            **version_json(held, base),
            "received_at": explanation.received_at.isoformat(),
            "rule_set": explanation.rule_set,
            "source": {"kind": source.kind, "name": source.name, "address": source.address, "issuer": source.issuer},
            "transformations": [
                {
                    "tag": one.tag,
                    "keyword": one.keyword,
                    "original": one.original,
                    "canonical": one.canonical,
                    "rule": one.rule,
                    "confidence": one.confidence.value,
                    "count": one.count,
                    "detail": one.detail,
                    "evidence": evidence_of(one.rule),
                }
                for one in explanation.transformations
            ],
            "warnings": [
                {"rule": one.rule, "message": one.message, "tag": one.tag, "evidence": evidence_of(one.rule)}
                for one in explanation.findings
            ],
            **({"elements": self._elements(held)} if elements else {}),
            **placement_json(self._availability, held),
            "standing": explanation.standing,
            "cut_copies": [one.version for one in explanation.cut_copies],
            "whole_copies": [one.version for one in explanation.whole_copies],
            "versions": [version_json(one, base) for one in versions],
        }


class Versions:
    """GET ``/api/v1/instances/{sop}/versions``."""

    async def __call__(self, exchange: Exchange) -> None:
        versions = await exchange.blocking(exchange.catalogue.versions, exchange.path_parameters["sop"])
        if not versions:
            raise NotFound("Nothing is held under this UID.")
        await exchange.json({"versions": [version_json(held, exchange.base) for held in versions]})


class Original:
    """GET ``/api/v1/instances/{sop}/original``: the octets as received, proven by their digest while they stream."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever

    async def __call__(self, exchange: Exchange) -> None:
        versions = await exchange.blocking(exchange.catalogue.versions, exchange.path_parameters["sop"])
        held = choice_of(exchange).one_of(versions)
        here = f"{exchange.base}/api/v1/instances/{quoted(held.sop_instance_uid)}"
        headers = {
            "Content-Location": f"{here}/original?{SHA256}={held.original_sha256}",
            "Link": f'<{here}/versions>; rel="version-history"',
            "Content-Disposition": f'attachment; filename="{key_segment(held.sop_instance_uid)}.original.dcm"',
            "Repr-Digest": f"sha-256=:{_base64(held.original_sha256)}:",
        }
        pieces = self._retriever.original(held)
        await exchange.stream(pieces, "application/octet-stream", held.original_size, headers=headers)


def _base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()
