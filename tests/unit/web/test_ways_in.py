"""The description of the interface names the ways in which clients show who they are, as they are configured."""

from __future__ import annotations

from typing import Any

import pytest

from vna_core.configuration import Settings
from vna_core.gateways.admin.openapi import document, ways_in

TOKENS = {"tokens": {"viewer": "ab" * 32}}
CERTIFICATES = {"certificates": {"viewer": "CN=viewer"}}
FILES = {"certificate_file": "/c", "key_file": "/k", "ca_file": "/a"}


def tls(asked: str, only: bool = True) -> dict[str, Any]:
    return {**FILES, "http": {"port": 8443, "only": only, "client_certificates": asked}}


@pytest.mark.parametrize(
    ("configured", "security"),
    [
        ({}, None),
        ({"http": TOKENS}, [{"bearer": []}]),
        ({"http": CERTIFICATES, "tls": tls("optional")}, [{"certificate": []}]),
        ({"http": TOKENS | CERTIFICATES, "tls": tls("optional")}, [{"bearer": []}, {"certificate": []}]),
        ({"http": TOKENS, "tls": tls("required")}, [{"bearer": [], "certificate": []}]),
        ({"http": TOKENS, "tls": tls("required", only=False)}, [{"bearer": []}]),
        ({"tls": tls("required")}, [{"certificate": []}]),
        ({"tls": tls("none")}, None),
    ],
)
def test_every_way_in_is_described(
    configured: dict[str, Any], security: list[dict[str, list[str]]] | None, tmp_path: object
) -> None:
    described = document([], "1", ways_in(Settings.model_validate({"data": tmp_path, **configured})))
    assert described.get("security") == security
    schemes = described["components"].get("securitySchemes", {})
    assert schemes.keys() == {name for way in security or () for name in way}
    assert {name: one["type"] for name, one in schemes.items()}.items() <= {"bearer": "http", "certificate": "mutualTLS"}.items()
