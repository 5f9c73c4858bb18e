"""Options of a storage backend as a typed model: an unknown or wrong one is one clear line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from vna_core.domain.errors import ConfigurationError
from vna_core.ports.options import Options, first_problem


class StoreOptions(Options):
    """Base of a backend's options."""


OptionsT = TypeVar("OptionsT", bound=StoreOptions)


def checked_options(model: type[OptionsT], name: str, kind: str, options: Mapping[str, Any]) -> OptionsT:
    """The options of store `name` of type `kind`.

    Raises
    ------
    ConfigurationError
        The first option that is unknown, missing or wrong, with the nearest known name. Never the value: it may be a secret.
    """
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        raise ConfigurationError(f"Store {name!r} of type {kind}: {first_problem(error, model)}", store=name) from None


def needs_extra(name: str, kind: str, extra: str, error: ImportError) -> ConfigurationError:
    """What to say when the libraries of a backend are not installed."""
    return ConfigurationError(
        f"Store {name!r} of type {kind} needs {error.name or 'a library'}, which is not installed: "
        f"pip install 'vna-core[{extra}]'.",
        store=name,
    )
