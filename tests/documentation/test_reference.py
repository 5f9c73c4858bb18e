"""The reference is complete: whatever the code offers stands on its page, and generated tables are as the code is."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel

from vna_core.bootstrap import open_archive
from vna_core.bootstrap_federation import open_federation
from vna_core.cli.application import app
from vna_core.configuration import Settings
from vna_core.configuration.federation import FederationSettings
from vna_core.domain.errors import VnaError
from vna_core.federation.members import Outcome
from vna_core.gateways.dicomweb import federated
from vna_core.gateways.dicomweb.app import create_app
from vna_core.gateways.dimse import sop_classes
from vna_core.gateways.dimse.federated import INCOMPLETE
from vna_core.gateways.federated_rows import COMPARED, COUNTS_OF, CREATOR, DECISIONS, DISAGREEMENTS, SOURCES
from vna_core.ingest.normalize import container, encoding, identifiers
from vna_core.ingest.normalize.rule_book import RULE_BOOK
from vna_core.metering.metrics import METRICS
from vna_core.ports import hookspecs
from vna_core.testing.quirks import ENTRIES, NOT_ONE_FILE

PROJECT = Path(__file__).resolve().parents[2]
REFERENCE = PROJECT / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text(encoding="utf-8")


def missing(names: Iterable[str], text: str) -> list[str]:
    """Names that do not stand in code type in a text."""
    return sorted({name for name in names if f"`{name}`" not in text})


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    specification = spec_from_file_location("docs_generate", PROJECT / "docs" / "generate.py")
    assert specification is not None and specification.loader is not None
    module = module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_generated_tables_are_as_the_code_is() -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "docs" / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_stale_table_is_noticed(generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("<!-- begin hooks -->\nold\n<!-- end hooks -->\n")
    monkeypatch.setattr(generate, "DOCS", tmp_path / "docs")
    assert generate.main(["--check"]) == 1
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


def settings(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_every_setting_is_documented_and_says_what_it_means() -> None:
    text = page("configuration")
    assert not missing(settings(Settings), text)
    assert not re.findall(r"^\| `[^`]+` \| [^|]* \| [^|]* \|  \|$", text, re.MULTILINE), "a setting has no description"


def test_every_command_and_option_is_documented() -> None:
    import typer

    text = page("cli")
    found = 0

    def check(name: str, command: object) -> None:
        nonlocal found
        for key, below in (getattr(command, "commands", None) or {}).items():
            check(f"{name} {key}", below)
        if not getattr(command, "commands", None):
            found += 1
            assert f"### `{name}`\n" in text
            chapter = text.split(f"### `{name}`\n")[1].split("\n### ")[0]
            for parameter in command.params:  # type: ignore[attr-defined]
                if parameter.param_type_name == "option" and parameter.name != "help":
                    assert not missing(parameter.opts, chapter), name

    check("vna", typer.main.get_command(app))
    assert found >= 14


def test_every_hook_is_documented() -> None:
    hooks = [name for name, one in vars(hookspecs).items() if hasattr(one, f"{hookspecs.PROJECT}_spec")]
    assert len(hooks) >= 3
    assert not missing(hooks, page("hooks"))


def test_every_error_code_is_documented(generate: ModuleType) -> None:
    classes = generate.error_classes()
    assert VnaError in classes and len(classes) > 25
    assert not missing((one.code for one in classes), page("errors"))
    assert not missing((one.__name__ for one in classes), page("errors"))


def test_every_error_code_written_in_the_code_is_documented() -> None:
    written = re.compile(r'^    code(?:: \w+)? = "([a-z-]+)"$', re.MULTILINE)
    codes = [code for path in sources() for code in written.findall(path.read_text(encoding="utf-8"))]
    assert len(codes) > 20
    assert not missing(codes, page("errors"))


def sources() -> list[Path]:
    return [path for folder in ("vna_core", "plugins") for path in (PROJECT / folder).rglob("*.py")]


def test_every_rule_is_documented() -> None:
    registered = {rule.id for rule in (*container.CONTAINER_RULES, *encoding.ELEMENT_RULES, *identifiers.IDENTIFIER_RULES)}
    assert len(registered) > 50
    assert not missing(registered, page("normalization-rules"))


def test_every_deviation_of_the_catalogue_is_a_rule_or_a_decision() -> None:
    catalogue = set(ENTRIES) | set(NOT_ONE_FILE)
    assert len(catalogue) == 138
    assert sorted(catalogue - {entry.id for entry in RULE_BOOK}) == []
    assert not missing(catalogue, page("normalization-rules"))
    decided = {entry.id for entry in RULE_BOOK if entry.confidence == "none"}
    assert set(NOT_ONE_FILE) <= decided, "what no file can show is a decision"


def test_every_rule_stands_with_its_version_and_the_pages_of_its_vendors() -> None:
    text = page("normalization-rules")
    assert all(entry.version >= 1 and entry.summary.endswith(".") for entry in RULE_BOOK)
    for vendor in (PROJECT / "docs/reference/vendors").glob("*.md"):
        if vendor.stem == "README":
            continue
        for id_ in re.findall(r"`([FENPITDV][0-9]{2})`", vendor.read_text(encoding="utf-8")):
            assert re.search(rf"^\| `{id_}` .*vendors/{vendor.stem}\.md", text, re.MULTILINE), (vendor.stem, id_)


def test_every_rule_id_that_the_code_names_is_documented() -> None:
    named = re.compile(r"\"([FENPITDV][0-9]{2})\"")
    folders = ("vna_core/dicom", "vna_core/ingest", "plugins")
    ids = {
        id_
        for folder in folders
        for path in (PROJECT / folder).rglob("*.py")
        for id_ in named.findall(path.read_text(encoding="utf-8"))
    }
    assert not missing(ids, page("normalization-rules"))


def test_every_route_is_documented(tmp_path: Path) -> None:
    text = page("http-api")
    member = {"members": {"member": {"url": "dicomweb+http://127.0.0.1/dicom-web"}}}
    with open_archive(Settings.model_validate({"data": tmp_path, "federation": member})) as archive:
        federation = open_federation(archive)
        web = create_app(
            archive.settings, archive.pipeline, archive.catalogue, archive.retriever, archive.renderer, federation=federation
        )
        web.close()
        paths = [re.sub(r":\w+\}", "}", route.path) for route in web.routes]  # type: ignore[attr-defined]
    assert len(paths) > 30 and "/federated/members" in paths
    assert not missing(paths, text)
    assert not re.findall(r"^\| \w+ \| `[^`]+` \| *\|$", text, re.MULTILINE), "a route has no description"


def test_what_only_the_federation_says_is_in_the_pages_for_programs() -> None:
    conformance, web = page("dicom-conformance"), page("http-api")
    numbers = (SOURCES, DISAGREEMENTS, COUNTS_OF, DECISIONS, COMPARED)
    assert not missing([CREATOR, FederationSettings().aet], conformance)
    assert [
        row for row in (f"{INCOMPLETE:04X}", *(f"(0009,xx{tag[-2:]})" for tag in numbers)) if f"| {row} |" not in conformance
    ] == []
    fields = (federated.TOKEN, "VNA-Consistency-Token", "VNA-Members", 'Warning: 299 vna "..."', federated.ROOT)
    assert not missing([*fields, *(f'"{one}"' for one in Outcome)], web)


def test_every_metric_is_documented() -> None:
    assert len(METRICS) >= 20
    assert not missing(METRICS, page("metrics"))


def test_every_dimse_service_is_in_the_conformance_statement() -> None:
    text = page("dicom-conformance")
    assert not missing(sop_classes.SERVICES, text)
    for service in ("C-ECHO", "C-STORE", "C-FIND", "C-MOVE", "C-GET", "N-ACTION", "N-EVENT-REPORT"):
        assert service in text


def test_the_storage_layout_names_the_real_keys() -> None:
    from vna_core.archival_storage.keys import QUARANTINE, STUDIES
    from vna_core.dicom.trailer_format import MAGIC

    text = page("storage-layout")
    assert f"`{STUDIES}<2 hex>/" in text and f"`{QUARANTINE}<id>." in text
    assert f"`{MAGIC.decode()}`" in text
