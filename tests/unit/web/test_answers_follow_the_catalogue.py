"""Answers that are prepared or kept say what the catalogue says at that moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from tests.unit.catalogue.catalogue_entries import entry as recorded_entry
from tests.unit.web.web_samples import Web, store
from vna_core.access.view import CatalogueView
from vna_core.catalogue import Match
from vna_core.domain.access import EVERYTHING
from vna_core.domain.query import Level
from vna_core.gateways.dicomweb.prepared_series import PreparedSeries
from vna_core.gateways.dicomweb.qido_columns import columns_of
from vna_core.gateways.dicomweb.qido_rows import EncodedRows, octets, row_of
from vna_core.testing import phantoms

STUDY = phantoms.uid(8)
SERIES = phantoms.uid(8, 1)


@pytest.fixture
def client(start_web: Callable[..., Web]) -> httpx2.Client:
    return start_web().client()


def value(row: dict[str, Any], tag: str) -> Any:
    return row[tag].get("Value", [None])[0]


def study(client: httpx2.Client, query: str = "") -> dict[str, Any]:
    [row] = client.get(f"/dicom-web/studies?StudyInstanceUID={STUDY}{query}").json()
    return dict(row)


def test_a_study_that_grows_is_answered_as_it_is_now(client: httpx2.Client) -> None:
    store(client, [phantoms.ct(7000, 16, 16)])
    for _ in range(3):
        assert (value(study(client), "00201206"), value(study(client), "00201208")) == (1, 1)
    store(client, [phantoms.ct(7001, 16, 16)])
    assert (value(study(client), "00201206"), value(study(client), "00201208")) == (1, 2)
    store(client, [phantoms.ct(7002, 16, 16, SeriesInstanceUID="2.25.99", Modality="SR")])
    assert (value(study(client), "00201206"), value(study(client), "00201208")) == (2, 3)
    assert study(client)["00080061"]["Value"] == ["CT", "SR"]


def test_a_study_whose_gaps_are_filled_is_answered_as_it_is_now(client: httpx2.Client) -> None:
    store(client, [phantoms.ct(7000, 16, 16, PatientSex="", StudyDescription="")])
    before = study(client)
    assert before["00100040"] == {"vr": "CS"} and "00081030" not in before
    store(client, [phantoms.ct(7001, 16, 16, PatientSex="F", StudyDescription="Head")])
    assert (value(study(client), "00100040"), value(study(client), "00081030")) == ("F", "Head")


def test_each_request_has_its_own_attributes_and_address(client: httpx2.Client) -> None:
    store(client, [phantoms.ct(7000, 16, 16)])
    plain = study(client)
    assert "00101010" not in plain
    assert value(study(client, "&includefield=PatientAge"), "00101010") == "066Y"
    assert set(study(client, "&includefield=all")) > set(plain)
    assert study(client) == plain
    [row] = client.get(f"/dicom-web/studies?StudyInstanceUID={STUDY}", headers={"Host": "viewer.example:81"}).json()
    assert value(row, "00081190") == f"http://viewer.example:81/dicom-web/studies/{STUDY}"


def test_metadata_follows_the_series(client: httpx2.Client) -> None:
    path = f"/dicom-web/studies/{STUDY}/series/{SERIES}/metadata"
    for number in range(3):
        store(client, [phantoms.ct(7000 + number, 16, 16)])
        for _ in range(2):
            rows = client.get(path).json()
            assert [value(row, "00200013") for row in rows] == list(range(1, number + 2))
    [row, *_] = client.get(path, headers={"Host": "viewer.example:81"}).json()
    assert row["7FE00010"]["BulkDataURI"].startswith(
        f"http://viewer.example:81/dicom-web/studies/{STUDY}/series/{SERIES}/instances/"
    )


ALL = columns_of(Level.STUDY, None, 0)


def match(pk: int, name: str) -> Match:
    columns = [(0x0020000D, "UI", False, 3), (0x00100010, "PN", False, 4)]
    return Match(Level.STUDY, (pk, "", "P", f"1.2.{pk}", name), columns, ("", pk))


@pytest.mark.parametrize("name", ["Doe^Jane", 'a"b\\c/d', "Buc^Jérôme=山田^太郎", "", "\udc80"])
def test_kept_rows_are_the_rows(name: str) -> None:
    rows = EncodedRows()
    for base in ("http://one", "https://two:8043"):
        for _ in range(2):
            for available in ("ONLINE", "NEARLINE"):
                made = rows.encoded(match(1, name), ALL, base.encode(), available)
                assert made == octets(row_of(match(1, name), ALL, base, available))


def test_no_more_is_kept_than_the_limit_and_the_oldest_goes_first() -> None:
    one = len(octets(row_of(match(10, "Doe"), ALL, "", "ONLINE")))
    rows = EncodedRows(kept=3 * one)
    for pk in range(10, 60):
        assert json.loads(rows.encoded(match(pk, "Doe"), ALL, b"", "ONLINE"))["0020000D"]["Value"] == [f"1.2.{pk}"]
    assert [key[0][0] for key in rows._known] == [57, 58, 59]
    assert rows._size == 3 * one


def test_prepared_metadata_is_given_up_when_a_copy_is_replaced(start_web: Callable[..., Web]) -> None:
    web = start_web()
    client = web.client()
    store(client, [phantoms.ct(7000, 16, 16)])
    path = f"/dicom-web/studies/{STUDY}/series/{SERIES}/metadata"
    [before] = client.get(path).json()
    [held] = web.catalogue.instances(study=STUDY)
    entry = replace(recorded_entry(), sop_instance_uid=held.sop_instance_uid, json_header=b'{"00080018":{"vr":"UI"}}')
    web.catalogue.replace_copy(held.pk, entry)
    assert client.get(path).json() == [{"00080018": {"vr": "UI"}}] != [before]


def test_no_more_metadata_is_kept_than_the_limit(start_web: Callable[..., Web]) -> None:
    web = start_web()
    store(web.client(), [phantoms.ct(number * 1000, 16, 16) for number in range(7, 12)])
    studies = [(phantoms.uid(number), phantoms.uid(number, 1)) for number in range(8, 13)]
    view = CatalogueView(web.catalogue, EVERYTHING)
    listed, nothing = PreparedSeries().known(view, *studies[0], b"http://x")
    assert nothing is None
    one = len(PreparedSeries().make(view, *studies[0], listed, b"") or b"")
    prepared = PreparedSeries(kept=3 * one)
    for study, series in studies:
        listed, _ = prepared.known(view, study, series, b"")
        assert prepared.make(view, study, series, listed, b"http://x") == prepared.known(view, study, series, b"http://x")[1]
    assert [prepared.known(view, *one, b"")[1] is None for one in studies] == [True, True, True, False, False]
    assert prepared.known(view, "1.2.3", "1.2.4", b"") == ((), None)
