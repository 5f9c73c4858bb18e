"""Writes the tables of the reference from the code they describe, between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.

``python docs/generate.py`` writes them, ``python docs/generate.py --check`` fails and names the pages that are not as the code is.
"""

from __future__ import annotations

import inspect
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Annotated, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from pydicom.uid import UID

import vna_core
from vna_core.bootstrap import open_archive
from vna_core.bootstrap_federation import open_federation
from vna_core.catalogue.matching import MATCHABLE
from vna_core.cli.application import app
from vna_core.configuration import Settings, section_inside
from vna_core.configuration.wrappers import WRAPPERS
from vna_core.dicom.dictionary import keyword_of
from vna_core.domain.data_dictionary import UIDS
from vna_core.domain.errors import VnaError
from vna_core.domain.query import Level
from vna_core.domain.sequence_levels import SEQUENCES
from vna_core.gateways.admin.openapi import public_path, summary_of
from vna_core.gateways.dicomweb.app import create_app
from vna_core.gateways.dimse import sop_classes
from vna_core.gateways.web.protection import Endpoint
from vna_core.ingest.normalize.engine import RULE_SET
from vna_core.ingest.normalize.rule_book import RULE_BOOK
from vna_core.metering.metrics import METRICS, Kind
from vna_core.ports import hookspecs

DOCS = Path(__file__).resolve().parent
_BLOCK = re.compile(r"(<!-- begin (?P<name>[a-z-]+) -->\n).*?(<!-- end (?P=name) -->)", re.DOTALL)


def table(heads: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


# -- configuration --------------------------------------------------------------------------------------------------------


_INSIDE = {
    "dimse.peers": ".<AET>",
    "stores": ".<NAME>",
    "sources": ".<NAME>",
    "sources.<NAME>.windows": "[]",
    "site_rules": "[]",
    "placement.rules": "[]",
    "placement.rules[].copies": "[]",
    "placement.rules[].copies[].tiers": "[]",
    "placement.prices": ".<NAME>",
    "placement.prices.<NAME>.tiers": ".<TIER>",
    "egress.profiles": ".<NAME>",
    "departments": ".<NAME>",
    "departments.<NAME>.holds": "[]",
    "policy.grants": "[]",
    "retention.rules": "[]",
    "policy.collections": ".<NAME>",
    "policy.collections.<NAME>.holds": "[]",
    "egress.profiles.<NAME>.values": "[]",
}
"""How an entry of a mapping or list of sections is named."""


def settings_rows(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Dotted name, type, default and meaning of every setting."""
    for name, field in section.model_fields.items():
        annotation, dotted = field.annotation, prefix + (field.alias or name)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from settings_rows(annotation, f"{dotted}.")
            continue
        below = section_inside(annotation)
        default = (
            "required"
            if field.default is PydanticUndefined and field.default_factory is None
            else _default(field.get_default(call_default_factory=True))
        )
        is_price = dotted.startswith("placement.prices.") and annotation is float
        kind = "number" if is_price or dotted == "sources.<NAME>.rate" else _type(annotation)
        yield f"`{dotted}`", kind, default, field.description or ""
        if below is not None:
            yield from settings_rows(below, f"{dotted}{_INSIDE.get(dotted, '')}.")
        if dotted == "stores.<NAME>.wrap":
            for entries in WRAPPERS.values():
                yield from settings_rows(entries, f"{dotted}[].")


def _type(annotation: object) -> str:
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _type(arguments[0])
    if get_origin(annotation) is tuple:
        return "text or list of texts" if arguments[0] is str else "list"
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{one}`" for one in arguments)
    if type(None) in arguments:
        return _type(next(one for one in arguments if one is not type(None)))
    text = annotation.__name__ if isinstance(annotation, type) and not getattr(annotation, "__args__", ()) else str(annotation)
    text = re.sub(r"\b(?:\w+\.)+", "", text)
    return {
        "Path": "path",
        "str": "text",
        "int": "whole number",
        "float": "seconds",
        "bool": "true or false",
    }.get(text, "mapping")


def _default(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and value >= 1 << 16 and value % (1 << 10) == 0:
        for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
            if value % size == 0:
                return f"`{value}` ({value // size} {unit})"
    return "empty" if value in ("", {}, (), None) else f"`{value}`"


def configuration() -> str:
    return table(("setting", "type", "default", "meaning"), settings_rows(Settings))


# -- errors ---------------------------------------------------------------------------------------------------------------


def error_classes() -> list[type[VnaError]]:
    """Every exception of the house, in the core and in its packages, deepest last."""
    for package in (
        vna_core,
        import_module("vna_storage_filesystem"),
        import_module("vna_pacs_dimse"),
        import_module("vna_pacs_dicomweb"),
    ):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            if (
                ".testing" not in module.name
                and ".migrations" not in module.name
                and not module.name.endswith((".role", "decode_worker"))
            ):
                import_module(module.name)
    found: dict[type[VnaError], None] = {}
    waiting = [VnaError]
    while waiting:
        one = waiting.pop()
        found[one] = None
        waiting += sorted(
            (child for child in one.__subclasses__() if child not in found), key=lambda child: child.__name__, reverse=True
        )
    return [one for one in found if one.__module__.startswith(("vna_core.", "vna_storage_", "vna_pacs_"))]


def errors() -> str:
    rows = [
        (
            f"`{one.code}`",
            f"`{one.__name__}`",
            f"`{one.__bases__[0].__name__}`" if one is not VnaError else "",
            f"{one.dimse_status:04X}",
            str(one.http_status),
            "yes" if one.transient else "no",
            (inspect.getdoc(one) or "").split("\n\n")[0],
        )
        for one in error_classes()
    ]
    return table(("code", "class", "kind of", "DIMSE", "HTTP", "try again", "meaning"), rows)


# -- hooks ----------------------------------------------------------------------------------------------------------------


def hook_functions() -> list[Callable[..., object]]:
    """Every hook specification."""
    return [one for _, one in inspect.getmembers(hookspecs, inspect.isfunction) if hasattr(one, f"{hookspecs.PROJECT}_spec")]


def hooks() -> str:
    rows = []
    for one in hook_functions():
        kind = "notification" if one.__name__.startswith("observe_") else "registration"
        signature = re.sub(r"\b(?:\w+\.)+", "", str(inspect.signature(one)).replace("'", ""))
        rows.append((f"`{one.__name__}`", kind, f"`{signature}`", (inspect.getdoc(one) or "").replace("``", "`")))
    return table(("hook", "kind", "signature", "meaning"), rows)


# -- command line ---------------------------------------------------------------------------------------------------------


def commands() -> list[tuple[str, object]]:
    """Full name of every command and the command itself."""
    found: list[tuple[str, object]] = []

    def descend(name: str, command: object) -> None:
        below = getattr(command, "commands", None)
        if below:
            for key in below:
                descend(f"{name} {key}", below[key])
        else:
            found.append((name, command))

    descend("vna", typer.main.get_command(app))
    return found


def cli() -> str:
    parts = []
    for name, command in commands():
        parts += [f"### `{name}`", "", inspect.cleandoc(getattr(command, "help", "") or ""), ""]
        rows = []
        for parameter in command.params:  # type: ignore[attr-defined]
            if getattr(parameter, "name", "") == "help":
                continue
            if parameter.param_type_name == "argument":
                shown = f"`{(parameter.metavar or parameter.name).upper()}`" + ("" if parameter.required else " (optional)")
            else:
                shown = ", ".join(f"`{one}`" for one in (*parameter.opts, *parameter.secondary_opts))
                if parameter.metavar:
                    shown += f" `{parameter.metavar}`"
                if parameter.multiple:
                    shown += " (repeatable)"
            rows.append((shown, getattr(parameter, "help", "") or ""))
        parts += [table(("argument or option", "meaning"), rows), ""]
        epilog = inspect.cleandoc(getattr(command, "epilog", "") or "")
        if epilog:
            parts += [epilog, ""]
    return "\n".join(parts).rstrip()


# -- rules ----------------------------------------------------------------------------------------------------------------


def rules() -> str:
    rows = [
        (f"`{one.id}`", str(one.version), one.layer.name.lower(), one.confidence, one.summary, vendors_of(one.id))
        for one in RULE_BOOK
    ]
    titles = ("rule", "version", "layer", "confidence", "what is found, and what becomes of it", "vendors")
    return f"Rule set `{RULE_SET}`.\n\n" + table(titles, rows)


def vendors_of(rule: str) -> str:
    """Links to the vendors' pages that name a rule."""
    pages = sorted(path for path in (DOCS / "reference" / "vendors").glob("*.md") if path.stem != "README")
    named = [path for path in pages if f"`{rule}`" in path.read_text(encoding="utf-8")]
    return ", ".join(f"[{path.stem}](vendors/{path.name})" for path in named)


# -- faces ----------------------------------------------------------------------------------------------------------------


def routes() -> list[tuple[str, str, str, str]]:
    """Method, path, what whoever asks must be allowed to do, and first sentence of every route."""
    found = []
    member = {"members": {"member": {"url": "dicomweb+http://127.0.0.1/dicom-web"}}}
    settings = Settings.model_validate({"data": "vna-data", "federation": member})
    with tempfile.TemporaryDirectory() as folder, open_archive(settings.model_copy(update={"data": Path(folder)})) as archive:
        web = create_app(
            archive.settings,
            archive.pipeline,
            archive.catalogue,
            archive.retriever,
            archive.renderer,
            archive.transcoder,
            archive.stores,
            federation=open_federation(archive),
        )
        for route in web.routes:
            described = summary_of(route)  # type: ignore[arg-type]
            for method in sorted(set(route.methods or ()) - {"HEAD"}):  # type: ignore[attr-defined]
                needs = (route.endpoint.needs or "") if isinstance(route.endpoint, Endpoint) else ""  # type: ignore[attr-defined]
                found.append((method, public_path(route.path), str(needs), described))  # type: ignore[attr-defined]
        web.close()
    return sorted(found, key=lambda one: (one[1], one[0]))


def http_api() -> str:
    return table(
        ("method", "path", "needs", "what it does"),
        [(method, f"`{path}`", needs, text) for method, path, needs, text in routes()],
    )


def metric_rows() -> list[tuple[str, str, str, str]]:
    """Name as it is scraped, kind, labels and meaning of our metrics."""
    kinds = {Kind.READ: "gauge"}
    return sorted((one.name, kinds.get(one.kind, one.kind), ", ".join(one.labels), one.meaning) for one in METRICS.values())


def metrics() -> str:
    return table(
        ("metric", "kind", "labels", "meaning"), [(f"`{name}`", kind, labels, text) for name, kind, labels, text in metric_rows()]
    )


def dimse_rows() -> list[tuple[str, str, str]]:
    """UID, name and role of every service class SOP class that the DIMSE face negotiates."""
    roles = {sop_classes.VERIFICATION: "SCP of C-ECHO", sop_classes.STORAGE_COMMITMENT: "SCP of N-ACTION, sends N-EVENT-REPORT"}
    roles |= dict.fromkeys(sop_classes.FIND, "SCP of C-FIND")
    roles |= dict.fromkeys(sop_classes.MOVE, "SCP of C-MOVE, SCU of its C-STORE sub-operations")
    roles |= dict.fromkeys(sop_classes.GET, "SCP of C-GET")
    return [(uid, UID(uid).name, roles[uid]) for uid in sorted(sop_classes.SERVICES)]


def dimse() -> str:
    return table(("SOP class UID", "name", "role"), [(f"`{uid}`", name, role) for uid, name, role in dimse_rows()])


def storage_classes() -> str:
    """Storage SOP classes of the standard's edition that the dictionary knows."""
    names = [(uid, name) for uid, (name, kind, *_) in UIDS.items() if kind == "SOP Class" and sop_classes.is_stored(uid)]
    return table(("SOP class UID", "name"), [(f"`{uid}`", name) for uid, name in sorted(names, key=lambda one: one[1])])


def searchable() -> str:
    rows = []
    for level in Level:
        named = [
            f"{one.keyword} ({one.tag >> 16:04X},{one.tag & 0xFFFF:04X})" for one in MATCHABLE.values() if one.level is level
        ]
        rows.append((level.value.lower(), ", ".join(named)))
    return table(("level", "attributes that can be matched"), rows)


def sequences() -> str:
    rows = []
    for level in (Level.PATIENT, Level.STUDY, Level.SERIES):
        named = [f"{keyword_of(tag)} ({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag, own in SEQUENCES.items() if own is level]
        rows.append((level.value.lower(), ", ".join(named)))
    rows.append((Level.IMAGE.value.lower(), "every other sequence of the standard"))
    return table(("level", "sequences that can be matched and returned"), rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "configuration": configuration,
    "errors": errors,
    "hooks": hooks,
    "cli": cli,
    "rules": rules,
    "http-api": http_api,
    "metrics": metrics,
    "dimse": dimse,
    "storage-classes": storage_classes,
    "searchable": searchable,
    "sequences": sequences,
}


def pages() -> Iterator[tuple[Path, str, str]]:
    """Every page with a generated block: its path, its text, and the text as it should be."""
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        wanted = _BLOCK.sub(lambda match: f"{match.group(1)}{BLOCKS[match.group('name')]()}\n{match.group(3)}", text)
        if _BLOCK.search(text):
            yield path, text, wanted


def main(arguments: Sequence[str]) -> int:
    """Write the blocks, or with ``--check`` name what is stale; the exit code."""
    stale = [(path, wanted) for path, text, wanted in pages() if text != wanted]
    for path, wanted in stale:
        if "--check" in arguments:
            sys.stderr.write(f"{path.relative_to(DOCS.parent)} is stale; run: python docs/generate.py\n")
        else:
            path.write_text(wanted, encoding="utf-8")
            sys.stdout.write(f"wrote {path.relative_to(DOCS.parent)}\n")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
