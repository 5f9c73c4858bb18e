"""YAML as configuration: a file with the line of each of its settings, and single values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from vna_core.domain.errors import ConfigurationError


def value_of(text: str) -> Any:
    """One value, as a variable of the environment gives it. Raises `yaml.YAMLError`."""
    return yaml.safe_load(text)


def read_file(path: Path, tree: dict[str, Any], origins: dict[tuple[str, ...], str]) -> None:
    """Put what a file says into `tree`, and into `origins` its name and the line of each setting, whose keys name it.

    Raises ConfigurationError: it cannot be read, is no YAML or no mapping, or says something twice.
    """
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror}).", file=str(path)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        raise ConfigurationError(f"{where}: not valid YAML ({getattr(error, 'problem', error)}).", file=str(path)) from error
    if node is None:
        return
    if not isinstance(node, yaml.MappingNode):
        raise ConfigurationError(f"{path}:1: the configuration must be a mapping of sections.", file=str(path))
    _note_lines(node, (), str(path), origins)
    tree.update(yaml.SafeLoader("").construct_document(node))  # the node is composed already, so nothing is parsed again


def _note_lines(node: yaml.Node, keys: tuple[str, ...], path: str, origins: dict[tuple[str, ...], str]) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            where = f"{path}:{key.start_mark.line + 1}"
            if name in seen:
                raise ConfigurationError(f"{where}: {name!r} stands twice.", file=path)
            seen.add(name)
            origins[(*keys, name)] = where
            _note_lines(value, (*keys, name), path, origins)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            origins[(*keys, str(number))] = f"{path}:{item.start_mark.line + 1}"
            _note_lines(item, (*keys, str(number)), path, origins)
