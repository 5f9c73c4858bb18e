"""Pages lead somewhere: relative links and anchors exist, every page is reachable, examples are real, decisions have their form."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
import yaml

from vna_core.cli.application import app
from vna_core.configuration import load_settings

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"
PAGES = sorted([PROJECT / "README.md", *DOCS.rglob("*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def name_of(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def anchors(path: Path) -> set[str]:
    """Anchors as GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def targets(path: Path) -> list[tuple[str, Path, str]]:
    """Relative links of a page: as written, the file, the anchor."""
    found = []
    for link in LINK.findall(FENCE.sub("", path.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", link):
            file, _, anchor = link.partition("#")
            found.append((link, (path.parent / file).resolve() if file else path, anchor))
    return found


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_relative_links_lead_to_a_page_and_a_heading(path: Path) -> None:
    for link, file, anchor in targets(path):
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [PROJECT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += [file for _, file, _ in targets(path) if file.suffix == ".md" and file.exists()]
    assert not set(PAGES) - reached


def test_every_configuration_that_is_printed_is_right(tmp_path: Path) -> None:
    checked = 0
    for path in PAGES:
        for block in re.findall(r"^```yaml\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            assert isinstance(yaml.safe_load(block), dict)
            file = tmp_path / "vna.yaml"
            file.write_text(block, encoding="utf-8")
            settings = load_settings(file, environment={})
            assert all(len({*digest}) == 1 for digest in settings.http.tokens.values()), (
                f"{name_of(path)}: somebody knows the token"
            )
            checked += 1
    assert checked >= 5


def test_every_vna_command_that_is_printed_exists() -> None:
    root = typer.main.get_command(app)
    known = root.commands  # type: ignore[attr-defined]
    for path in PAGES:
        for block in re.findall(r"^```(?:sh|bash)\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            for words in (line.split() for line in re.findall(r"^(?:\w+=\S+ )?vna (.+)$", block, re.MULTILINE)):
                assert words[0] in known, f"{name_of(path)}: vna {words[0]}"
                command = known[words[0]]
                if getattr(command, "commands", None):
                    assert words[1] in command.commands, f"{name_of(path)}: vna {words[0]} {words[1]}"
                    command = command.commands[words[1]]
                options = {one for parameter in command.params for one in parameter.opts}
                used = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
                assert used <= options, f"{name_of(path)}: vna {' '.join(words)}"


def test_the_readme_begins_with_the_two_commands() -> None:
    first = re.findall(r"^```sh\n(.*?)^```$", (PROJECT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[0]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["bash examples/quickstart.sh", "bash tests/run.sh"]


@pytest.mark.parametrize("path", sorted((DOCS / "explanation" / "decisions").glob("0*.md")), ids=lambda path: path.stem)
def test_a_decision_is_a_problem_a_choice_in_one_bold_sentence_and_consequences(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {path.stem[:4]}. ")
    choices = re.findall(r"^\*\*([^*]+)\*\*$", text, re.MULTILINE)
    assert len(choices) == 1 and choices[0].endswith(".")
    assert text.index("**Problem.**") < text.index(choices[0]) < text.index("**Consequences.**")


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(path.stem[:4]) for path in sorted((DOCS / "explanation" / "decisions").glob("0*.md"))]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 13
