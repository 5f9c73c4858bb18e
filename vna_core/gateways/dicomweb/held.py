"""What is held under the UIDs of a path, and the URLs of what is held."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from vna_core.access.view import CatalogueView
from vna_core.domain.errors import NotFound
from vna_core.domain.identifiers import Identified
from vna_core.domain.instance import HeldInstance


def held_under(catalogue: CatalogueView, path: Mapping[str, Any]) -> list[HeldInstance]:
    """Current versions under a study, series or instance. Raises NotFound when there are none."""
    found = catalogue.instances(study=path["study"], series=path.get("series"), sop=path.get("instance"))
    if not found:
        raise NotFound("Nothing is held under these UIDs.")
    return found


def quoted(uid: str) -> str:
    """A UID as a segment of a URL path."""
    return uid if uid.isascii() and uid.replace(".", "").isdigit() else quote(uid, safe="", errors="surrogatepass")


def instance_url(base: str, held: Identified) -> str:
    """Absolute URL of an instance; `base` ends with the root of the service."""
    study, series, instance = quoted(held.study_instance_uid), quoted(held.series_instance_uid), quoted(held.sop_instance_uid)
    return f"{base}/studies/{study}/series/{series}/instances/{instance}"
