"""Options of a storage backend as a typed model: an unknown or wrong one is one clear line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from vna_core.domain.errors import ConfigurationError


class StoreOptions(BaseModel):
    """Base of a backend's options: frozen, and closed to names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


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
        problem = error.errors(include_input=False)[0]
        option = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(option, model.model_fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(sorted(model.model_fields))}."
            message = f"unknown option {option!r}; {hint}"
        elif problem["type"] == "missing":
            message = f"option {option!r} is missing."
        else:
            message = f"{f'option {option!r}: ' if option else ''}{problem['msg'].removeprefix('Value error, ')}."
        raise ConfigurationError(f"Store {name!r} of type {kind}: {message}", store=name) from None


def needs_extra(name: str, kind: str, extra: str, error: ImportError) -> ConfigurationError:
    """What to say when the libraries of a backend are not installed."""
    return ConfigurationError(
        f"Store {name!r} of type {kind} needs {error.name or 'a library'}, which is not installed: "
        f"pip install 'vna-core[{extra}]'.",
        store=name,
    )
