"""What is held under the UIDs of a path, and the URLs of what is held."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from vna_core.access.choice import Choice
from vna_core.access.view import CatalogueView
from vna_core.domain.errors import NotFound
from vna_core.domain.identifiers import Identified
from vna_core.domain.instance import HeldInstance
from vna_core.gateways.resource_paths import quoted
from vna_core.gateways.web.exchange import Exchange

SHA256: Final = "sha256"
"""Query parameter that names one of several instances, or versions of one, under the UIDs of a path."""

_BULK_DATA: Final = re.compile(rb'("BulkDataURI":"@/[^"]*)')


def asked_for(exchange: Exchange) -> dict[str, Any]:
    """The UIDs of a request's path, and the digest where it gives one."""
    digest = exchange.parameter(SHA256)
    return exchange.path_parameters if digest is None else {**exchange.path_parameters, SHA256: digest}


def held_under(catalogue: CatalogueView, path: Mapping[str, Any]) -> list[HeldInstance]:
    """Current versions under a study, series or instance; of an instance with a digest, the version that has it.

    Raises NotFound when there are none, InvalidRequest for what can be no digest.
    """
    study, series, sop = path["study"], path.get("series"), path.get("instance")
    if SHA256 in path and sop is not None:
        choice = Choice.of(study=study, sha256=path[SHA256])
        found = [held for held in choice.among(catalogue.versions(sop)) if held.series_instance_uid == series]
    else:
        found = catalogue.instances(study=study, series=series, sop=sop)
    if not found:
        raise NotFound("Nothing is held under these UIDs.")
    return found


def instance_url(base: str, held: Identified) -> str:
    """Absolute URL of an instance; `base` ends with the root of the service."""
    study, series, instance = quoted(held.study_instance_uid), quoted(held.series_instance_uid), quoted(held.sop_instance_uid)
    return f"{base}/studies/{study}/series/{series}/instances/{instance}"


class Selectors:
    """What is put behind the URLs of one answer, so that each leads to the instance it stands at.

    Two patients may have a study of one UID. Its URL without a selector leads to what was recorded first.
    """

    def __init__(self) -> None:
        self._given: set[tuple[str, str, str]] = set()

    def of(self, study: str, series: str, sop: str, sha256: str) -> str:
        """The selector of the next instance, in the order of recording: nothing, unless its URL was given to another."""
        uids = (study, series, sop)
        if uids in self._given:
            return f"?{SHA256}={sha256}"
        self._given.add(uids)
        return ""

    def of_held(self, held: HeldInstance) -> str:
        """The same for a version as the catalogue knows it."""
        return self.of(held.study_instance_uid, held.series_instance_uid, held.sop_instance_uid, held.sha256)


def selected(header: bytes, selector: bytes) -> bytes:
    """A header as ingest prepared it, with a selector behind each address of its bulk data.

    Inside a JSON string every quotation mark is escaped, so the pattern cannot match in a value.
    """
    return _BULK_DATA.sub(lambda match: match[1] + selector, header)
