"""From the assessment to the certificate, against DCMTK's dcmqrscp: what is proven is proven, and a damaged copy is found and healed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.peers.archive import vna
from tests.peers.dcmqrscp import dcmqrscp
from vna_core.testing import phantoms
from vna_core.testing.fill import fill

pytest.importorskip("cryptography")
pytestmark = pytest.mark.xdist_group("migration")


def test_a_campaign_from_assessment_to_certificate(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with dcmqrscp(tmp_path / "pacs") as pacs:
        for number in (1, 2):
            fill("127.0.0.1", pacs.port, "OLDPACS", phantoms.series(4, number=number))
        code, lines, error = vna("migrate", "assess", pacs.source, data=data)
        assert (code, lines[-1]["assessment"]["studies"]) == (0, 2), error
        assessed = lines[-1]["assessment"]
        assert assessed["fetch_rate"] > 0
        # dcmqrscp tells neither: series say the modality, and the images that are fetched the station.
        assert (assessed["modalities"], assessed["stations"]) == ({"CT": 2}, {"CT1": 2})
        planned = vna("migrate", "plan", pacs.source, "--rate", "100000", data=data)[1][-1]["plan"]
        assert (planned["instances"], planned["options"]["rate"]) == (8, 100000.0)
        assert vna("migrate", "run", pacs.source, "--no-inventory", data=data)[0] == 0
        stands = vna("migrate", "status", data=data)[1][-1]
        assert (stands["state"], stands["states"]) == ("complete", {"stored": 2})
        code, lines, _ = vna("migrate", "verify", pacs.source, "--pixels", "1", data=data)
        proven = lines[-1]["verification"]
        assert (code, proven["committed"], proven["reconciled"], proven["equal_octets"]) == (0, 2, 2, 8)

        evidence = tmp_path / "evidence"
        certificate = vna("migrate", "certify", pacs.source, "--out", str(evidence), data=data)[1][-1]
        assert certificate["totals"]["held"] == 8 and certificate["inventory"]["sha256"] == planned["sha256"]
        code, lines, _ = vna("certificate", "verify", str(evidence), "--public-key", certificate["public_key"])
        assert (code, lines[-1]["holds"]) == (0, True)
        written = json.loads((evidence / "certificate.json").read_text())
        written["totals"]["held"] = 9
        (evidence / "certificate.json").write_text(json.dumps(written))
        assert vna("certificate", "verify", str(evidence))[0] == 3

        damaged = next(path for path in (data / "store").rglob("*.dcm"))
        damaged.chmod(0o644)
        damaged.write_bytes(damaged.read_bytes()[:-200] + bytes(200))
        assert vna("migrate", "verify", pacs.source, "--again", data=data)[0] == 3
        (listed,) = vna("migrate", "exceptions", pacs.source, data=data)[1]
        assert (listed["reason"], listed["number"]) == ("copy-damaged", 1) and listed["remedy"]
        code, lines, _ = vna("migrate", "run", pacs.source, "--no-inventory", data=data)
        assert (code, lines[-1]["summary"]["fetched"], lines[-1]["summary"]["exceptions"]) == (0, 1, 0)
        assert vna("migrate", "verify", pacs.source, "--again", data=data)[0] == 0
    tables = {one["table"]: one["rows"] for one in vna("migrate", "report", pacs.source, data=data)[1]}
    assert tables["reconciliation"][-1]["sum"] == "closes"
    assert {row["reason"]: row["state"] for row in tables["exceptions"]} == {"copy-damaged": "solved"}
