"""Plugin projects that are written out complete, and work before anything in them was changed.

A kind of plugin is a folder below ``templates``: ``ABOUT`` tells in one line what it makes, every other file ends in
``.template`` and becomes a file of the project. ``MODULE`` in a path and ``$names`` in the text are filled in (`names_of`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Final

from vna_core.domain.errors import InvalidRequest

_ABOUT: Final = "ABOUT"
_SUFFIX: Final = ".template"
_NAME: Final = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


def kinds() -> dict[str, str]:
    """Kinds of plugin to what a project of the kind is."""
    return {
        one.name: (one / _ABOUT).read_text("utf-8").strip() for one in sorted(_templates().iterdir(), key=lambda one: one.name)
    }


def names_of(kind: str, name: str) -> dict[str, str]:
    """What is filled into templates: ``name``, ``project``, ``module``, ``title`` and ``CONSTANT``. Raises InvalidRequest for a name that cannot be one."""
    if not _NAME.fullmatch(name) or len(name) > 40:
        raise InvalidRequest(f"{name!r} is no name for a plugin: use a to z, 0 to 9 and single hyphens, as in 'tape-robot'.")
    words = re.split("[-_]", name)
    return {
        "name": "-".join(words),
        "project": "-".join(("vna", kind, *words)),
        "module": "_".join(("vna", kind, *words)),
        "title": "".join(word.capitalize() for word in words),
        "CONSTANT": "_".join(words).upper(),
    }


def write_project(kind: str, name: str, folder: Path | None = None) -> list[Path]:
    """Write a project; its files.

    Parameters
    ----------
    folder
        Where to; the project's name in the working folder when not given. It may exist, but must be empty.

    Raises
    ------
    InvalidRequest
        The kind is unknown, the name cannot be one, or something is in the folder.
    """
    if kind not in kinds():
        raise InvalidRequest(f"There is no kind of plugin {kind!r}. Known: {', '.join(kinds())}.")
    names = names_of(kind, name)
    folder = folder or Path(names["project"])
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidRequest(f"{folder} is there already and not empty; nothing was written.")
    written = []
    for path, template in _files(_templates() / kind, ""):
        target = folder / path.removesuffix(_SUFFIX).replace("MODULE", names["module"])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(template.read_text("utf-8")).substitute(names), encoding="utf-8")
        written.append(target)
    return written


def _templates() -> Traversable:
    return files(__name__) / "templates"


def _files(folder: Traversable, base: str) -> Iterator[tuple[str, Traversable]]:
    for one in sorted(folder.iterdir(), key=lambda one: one.name):
        if one.is_dir():
            yield from _files(one, f"{base}{one.name}/")
        elif one.name.endswith(_SUFFIX):
            yield base + one.name, one
