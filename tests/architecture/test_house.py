"""The tree is still the house that the architecture page draws."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*PROJECT.joinpath("vna_core").rglob("*.py"), *PROJECT.joinpath("plugins").rglob("*.py")])
TOP_LEVEL = {"pyproject.toml", "vna_core", "plugins", "tests", "examples", "docs", "README.md", "LICENSE"}
LONGEST_MODULE = 600


def test_import_contracts_are_kept() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")], cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_top_level_is_the_agreed_one() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=False).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    names = {path.split("/", 1)[0] for path in tracked}
    assert {name for name in names if not name.startswith(".")} == TOP_LEVEL


def test_no_module_is_nameless_or_overlong() -> None:
    nameless = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [path for path in SOURCES if path.stem in nameless] == []
    long = {path.name: lines for path in SOURCES if (lines := len(path.read_text().splitlines())) > LONGEST_MODULE}
    assert long == {}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_module_says_what_it_is_and_swallows_nothing(path: Path) -> None:
    tree = ast.parse(path.read_text())
    if not tree.body:
        return
    assert ast.get_docstring(tree), "the module has no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            catches_all = node.type is None or (
                isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
            )
            silent = len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
            assert not (catches_all and silent), f"line {node.lineno} swallows every error"


@pytest.mark.xdist_group("together")
def test_tests_that_share_a_server_stay_together(request: pytest.FixtureRequest) -> None:
    """Groups end silently where pytest and pytest-xdist do not fit, and tests then miss what earlier ones of their group did."""
    if getattr(request.config.option, "loadgroup", False):
        assert request.node.nodeid.endswith("@together")
