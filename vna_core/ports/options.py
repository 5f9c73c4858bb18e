"""Options of plugins as typed models: an unknown or wrong one is one clear line, which never shows a value: that may be a secret."""

from __future__ import annotations

import difflib

from pydantic import BaseModel, ConfigDict, ValidationError


class Options(BaseModel):
    """Base of a plugin's options: frozen, and closed to names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def first_problem(error: ValidationError, model: type[Options]) -> str:
    """The first option that is unknown, with the nearest known name, or missing or wrong."""
    problem = error.errors(include_input=False)[0]
    option = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(option, model.model_fields, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(sorted(model.model_fields))}."
        return f"unknown option {option!r}; {hint}"
    if problem["type"] == "missing":
        return f"option {option!r} is missing."
    return f"{f'option {option!r}: ' if option else ''}{problem['msg'].removeprefix('Value error, ')}."
