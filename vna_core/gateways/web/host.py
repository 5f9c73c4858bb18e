"""The address that the client used, for absolute URLs in answers."""

from __future__ import annotations

import re
from typing import Final

from starlette.types import Scope

_AUTHORITY: Final = re.compile(r"[A-Za-z0-9._~\-]{1,255}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


def base_of(scope: Scope, host: str | None) -> str:
    """``scheme://authority``: from the Host field where it is one, else from the listening socket."""
    scheme = "https" if scope.get("scheme") == "https" else "http"
    server = scope.get("server") or ("127.0.0.1", 0)
    # Some clients leave the port out of Host (vendor behaviour of dicomweb-client); the bare address of our own socket, which no
    # proxy would name, shows that.
    if host is not None and _AUTHORITY.fullmatch(host) and host != server[0]:
        return f"{scheme}://{host}"
    return f"{scheme}://{server[0]}:{server[1]}"
