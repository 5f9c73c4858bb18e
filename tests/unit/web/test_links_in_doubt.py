"""A link that a rule made of demographics which changed since is listed, with what differs, and stays until somebody takes it back."""

from __future__ import annotations

import json

import httpx2
import pytest
from structlog.testing import capture_logs

from tests.unit.web.web_samples import Web
from vna_core.cli.application import run
from vna_core.domain.access import Principal, PrincipalKind
from vna_core.domain.audit import NoAudit
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import Demographics, LinkKind, LinkOrigin
from vna_core.stewardship.patient_identity import PatientIdentity

FIRST, SECOND, BY_HAND = PatientKey("HIS", "4711"), PatientKey("RAD", "17"), PatientKey("CARD", "9")


def said(key: PatientKey, name: str, birth_date: str = "19600101") -> Demographics:
    return Demographics(key, name, birth_date, "F")


def test_what_a_rule_linked_is_listed_as_soon_as_its_basis_has_changed(
    web: Web, client: httpx2.Client, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    who = Principal(PrincipalKind.LOCAL, "feed")
    feed = PatientIdentity(web.catalogue, NoAudit(), who, ("name", "birth-date"))
    identity = web.catalogue.identity

    def listed(**parameters: str) -> list[tuple[int, list[str]]]:
        answer = client.get("/api/v1/patient-links/in-doubt", params=parameters).json()
        return [(one["id"], one["differs"]) for one in answer["links"]]

    assert feed.update([said(FIRST, "Müller^Anna")], "ADT^A04 1") == []
    (link,) = feed.update([said(SECOND, "MULLER^ANNA")], "ADT^A04 2")
    assert (link.origin, link.reason) == (LinkOrigin.RULE, "equal name, birth-date")
    feed.decide(LinkKind.LINK, FIRST, BY_HAND, "equal name, birth-date", LinkOrigin.HAND)
    feed.update([said(BY_HAND, "SOMEBODY^ELSE")], "ADT^A08 3")
    assert listed() == [], "a person's decision has no basis that could change"
    with capture_logs() as logged:
        feed.update([said(FIRST, "Meier^Anna", "19600102")], "ADT^A08 4")
    assert listed() == [(link.id, ["name", "birth-date"])]
    assert [one for one in logged if one["event"] == "patient-link-in-doubt"] == [
        {"event": "patient-link-in-doubt", "log_level": "warning", "link": link.id, "differs": ["name", "birth-date"]}
    ]
    assert identity.same_person(FIRST) == {FIRST, SECOND, BY_HAND}, "nothing is dissolved in silence"
    assert run(["patient", "review", "--data", str(web.data), "--json"]) == 0
    (row,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (row["id"], row["first"], row["differs"]) == (link.id, "17^^^RAD", ["name", "birth-date"])
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["patient", "review", "--data", str(web.data)]) == 0
    assert "name, birth-date" in capsys.readouterr().out

    feed.update([said(SECOND, "MEIER^ANNA")], "ADT^A08 5")
    assert listed() == [(link.id, ["birth-date"])], "a name that was corrected in both is equal again"
    feed.undo(link.id, "sisters")
    assert listed() == []


def test_pages_go_through_all_decisions(web: Web, client: httpx2.Client) -> None:
    for number in range(3):
        other = PatientKey("LAB", str(number))
        web.catalogue.identity.save_demographics(said(other, "DIFFERENT"))
        web.catalogue.identity.save_demographics(said(FIRST, "Meier^Anna"))
        web.catalogue.identity.decide(LinkKind.LINK, FIRST, other, origin=LinkOrigin.RULE, reason="equal name", by="match")
    after, found = "", []
    while after is not None:
        page = client.get(
            "/api/v1/patient-links/in-doubt", params={"limit": "1", "after": after} if after else {"limit": "1"}
        ).json()
        found += page["links"]
        after = page["next"]
    assert [one["second"] for one in found if one["second"].endswith("^^^LAB")] == [f"{number}^^^LAB" for number in range(3)]
    assert client.get("/api/v1/patient-links/in-doubt", params={"after": "x"}).status_code == 400
