"""Every dialect has its page, and the page tells what the dialect does and how anybody knows."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from vna_core.plugin_manager import Plugins
from vna_core.ports.dialect import Dialect

PROJECT = Path(__file__).resolve().parents[2]
REFERENCE = PROJECT / "docs" / "reference"
HEADINGS = ("Recognized by", "Models and versions seen", "What is odd", "How we know")


def installed() -> tuple[Dialect, ...]:
    plugins = Plugins()
    plugins.load()
    return plugins.dialects()


def rules_of(dialect: Dialect) -> set[str]:
    """Rule ids that stand in the sources of a dialect's package."""
    package = import_module(type(dialect).__module__.partition(".")[0])
    assert package.__file__ is not None
    sources = Path(package.__file__).parent.rglob("*.py")
    return {id_ for path in sources for id_ in re.findall(r'"([A-Z][0-9]{2})"', path.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("dialect", installed(), ids=lambda dialect: dialect.name)
def test_a_dialect_has_its_page(dialect: Dialect) -> None:
    page = REFERENCE / dialect.vendor_page
    assert page == REFERENCE / "vendors" / f"{dialect.name}.md"
    text = page.read_text(encoding="utf-8")
    assert f"`{dialect.name}`" in text
    assert [heading for heading in HEADINGS if f"\n## {heading}\n" not in text] == []
    assert re.search(r"\]\(https?://", text.split("## How we know")[1]), "nothing public is named as evidence"


@pytest.mark.parametrize("dialect", installed(), ids=lambda dialect: dialect.name)
def test_every_rule_of_a_dialect_stands_on_its_page(dialect: Dialect) -> None:
    text = (REFERENCE / dialect.vendor_page).read_text(encoding="utf-8")
    assert sorted(rule for rule in rules_of(dialect) if f"`{rule}`" not in text) == []


@pytest.mark.parametrize("dialect", installed(), ids=lambda dialect: dialect.name)
def test_every_marker_stands_on_its_page(dialect: Dialect) -> None:
    text = (REFERENCE / dialect.vendor_page).read_text(encoding="utf-8").lower()
    markers = dialect.markers
    named = [*markers.uids, *markers.transfer_syntaxes]
    assert [one for one in named if one.rstrip(".") not in text] == []
    assert [f"{tag:08X}" for tag in markers.tags if f"({tag >> 16:04x},{tag & 0xFFFF:04x})" not in text] == []


def test_the_index_lists_every_dialect() -> None:
    text = (REFERENCE / "vendors" / "README.md").read_text(encoding="utf-8")
    assert [one.name for one in installed() if f"({one.name}.md) | `{one.name}`" not in text] == []
    listed = set(re.findall(r"\(([a-z-]+)\.md\) \| `", text))
    assert listed == {one.name for one in installed()}
