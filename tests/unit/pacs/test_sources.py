"""Sources by name, URL or path; windows; deadlines; options that cannot be meant."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from vna_core.bootstrap import open_source, source_settings
from vna_core.configuration import load_settings
from vna_core.configuration.sources import SourceSettings, WindowSettings
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import ConfigurationError, PeerUnavailable
from vna_core.domain.windows import Window
from vna_core.migration.windows import Windows
from vna_core.plugin_manager import Plugins
from vna_pacs_dicomweb.adapter import DicomwebAdapter
from vna_pacs_dimse.adapter import DimseAdapter
from vna_pacs_media.adapter import MediaAdapter
from vna_pacs_orthanc.adapter import OrthancAdapter

MONDAY = datetime(2026, 6, 1)


def test_a_source_is_opened_by_name_url_or_path(tmp_path: Path) -> None:
    (tmp_path / "vna.yaml").write_text(
        "sources:\n  oldpacs:\n    url: dimse://OLDPACS@127.0.0.1:1\n    issuer: RADIOLOGY\n    concurrency: 3\n"
        "    windows: [{days: [mon], hours: '19:00-06:00'}]\n    options: {calling: US}\n"
    )
    settings = load_settings(tmp_path / "vna.yaml", environment={})
    plugins = Plugins()
    plugins.load()
    named = open_source(settings, plugins, "oldpacs")
    assert isinstance(named, DimseAdapter)
    assert (named._options.issuer, named._options.concurrency, named._options.calling) == ("RADIOLOGY", 3, "US")
    kinds = {
        str(tmp_path): MediaAdapter,
        f"file://{tmp_path}": MediaAdapter,
        "orthanc+http://127.0.0.1:1": OrthancAdapter,
        "dicomweb+https://127.0.0.1:1/dicom-web": DicomwebAdapter,
    }
    for url, kind in kinds.items():
        assert isinstance(open_source(settings, plugins, url), kind)
    assert source_settings(settings, "elsewhere").url == "elsewhere"
    with pytest.raises(ConfigurationError, match="elsewhere"):
        open_source(settings, plugins, "elsewhere")
    with pytest.raises(ConfigurationError, match="gopher"):
        open_source(settings, plugins, "gopher://x")


@pytest.mark.parametrize(
    "url", ["dimse://A@127.0.0.1:1?concurency=2", "orthanc+http://x?page=0", "dicomweb+http://", "dimse://A@h:99999"]
)
def test_what_cannot_be_meant_is_refused_without_its_value(url: str) -> None:
    plugins = Plugins()
    plugins.load()
    with pytest.raises(ConfigurationError) as caught:
        plugins.open_pacs("old", url, {})
    assert "2" not in caught.value.message.replace(url, "") or "concurrency" in caught.value.message


def test_secrets_of_sources_are_not_shown(tmp_path: Path) -> None:
    from tests.peers.archive import vna

    (tmp_path / "vna.yaml").write_text(
        "sources:\n  a: {url: 'orthanc+http://user:SECRET1@h:1', options: {token: SECRET2}}\n"
        "  b: {url: 'dicomweb+http://h/x?token=SECRET3&page=5'}\n"
    )
    _, lines, _ = vna("config", "show", "--config", str(tmp_path / "vna.yaml"))
    assert "SECRET" not in str(lines) and "page=5" in str(lines)


def test_a_password_in_a_url_is_neither_recorded_nor_said() -> None:
    plugins = Plugins()
    plugins.load()
    url = "orthanc+http://reader:SECRET@h:1/o?token=SECRET"
    assert plugins.open_pacs(url, url, {}).name == "orthanc+http://reader@h:1/o"
    assert plugins.open_pacs("dimse://OLDPACS@h:1?calling=US", "dimse://OLDPACS@h:1", {}).name == "dimse://OLDPACS@h:1"
    for wrong in ("orthanc+http://reader:SECRET@h:99999", "dimse://:SECRET@h:1"):
        with pytest.raises(ConfigurationError) as caught:
            plugins.open_pacs("old", wrong, {})
        assert "SECRET" not in caught.value.message


@pytest.mark.parametrize("hours", ["19-06", "25:00-26:00", "19:00-24:30", "", "19:00 - 06:00"])
def test_hours_that_are_none_are_refused(hours: str) -> None:
    with pytest.raises(ValidationError):
        WindowSettings(hours=hours)


def test_a_window_over_midnight_belongs_to_the_day_it_opens() -> None:
    source = SourceSettings(url="x", windows=(WindowSettings(days=("mon",), hours="19:00-06:00"),))
    windows = Windows.of(source.open_windows())
    open_at = [MONDAY + timedelta(hours=hour) for hour in (19, 23.99, 24, 29.9)]
    shut_at = [MONDAY + timedelta(hours=hour) for hour in (0, 5, 18.9, 30, 43)]
    assert all(map(windows.is_open, open_at)) and not any(map(windows.is_open, shut_at))
    assert windows.next_opening(MONDAY + timedelta(hours=30)) == MONDAY + timedelta(days=7, hours=19)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.builds(Window, st.frozensets(st.integers(0, 6)), st.integers(0, 1439), st.integers(1, 1440)), max_size=3),
    st.integers(0, 7 * 1440 - 1),
)
def test_the_next_opening_is_open_and_nothing_before_it_is(windows: list[Window], minute: int) -> None:
    moment = MONDAY + timedelta(minutes=minute)
    hours = Windows.of(windows)
    opening = hours.next_opening(moment)
    assert hours.is_open(opening)
    waited = int((opening - moment).total_seconds() // 60)
    assert not any(hours.is_open(moment + timedelta(minutes=n)) for n in range(0, waited, 7))


def test_a_cancelled_deadline_wakes_who_waits() -> None:
    deadline, woken = Deadline(None), threading.Event()
    with deadline.waking(woken.set):
        assert not deadline.over
        deadline.cancel()
        assert woken.is_set() and deadline.over and deadline.remaining(5.0) == 0.0
    with pytest.raises(PeerUnavailable):
        deadline.check()
    again = threading.Event()
    with deadline.waking(again.set):
        assert again.is_set()
    assert Deadline(0.0).over and not Deadline(1000.0).over and Deadline(1000.0).remaining(5.0) == 5.0
