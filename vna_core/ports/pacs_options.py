"""Options of a PACS adapter as a typed model, taken from the query of its URL and from the configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import Field, ValidationError

from vna_core.domain.errors import ConfigurationError
from vna_core.ports.options import Options, first_problem


class PacsOptions(Options):
    """What every adapter takes. Base of an adapter's own options."""

    issuer: str = ""
    """Assigning authority of Patient IDs that carry none."""
    concurrency: int = Field(4, ge=1, le=256)
    """Retrievals at once."""
    kept_in: str = ""
    """Folder for what the adapter wants to remember of its source in other processes and later runs; the archive names one of its own
    for each source. Empty: nothing is kept. What lies there may be deleted at any time."""


_PASSWORD: Final = re.compile(r"(://[^/@:?#]*):[^/@?#]*@")

OptionsT = TypeVar("OptionsT", bound=PacsOptions)


def without_secrets(source: str) -> str:
    """A source's URL as it may be shown and recorded: without password and options. Other names are left as they are."""
    return _PASSWORD.sub(r"\1@", source).split("?", 1)[0] if "://" in source else source


def source_address(name: str, url: str) -> SplitResult:
    """A source's URL taken apart; its port is good. Raises ConfigurationError."""
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError as error:
        raise ConfigurationError(f"{without_secrets(url)!r} is not a source: {error}.", source=name) from error
    return parts


def source_options(model: type[OptionsT], name: str, query: str, options: Mapping[str, Any]) -> OptionsT:
    """The options of source `name`: those of its URL's query, and over them those configured.

    Raises
    ------
    ConfigurationError
        The first option that is unknown, missing or wrong, with the nearest known name. Never the value: it may be a secret.
    """
    try:
        return model.model_validate({**dict(parse_qsl(query)), **options})
    except ValidationError as error:
        raise ConfigurationError(f"Source {name!r}: {first_problem(error, model)}", source=name) from None
