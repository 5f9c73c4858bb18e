"""What can be configured about the broker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from vna_core.domain.errors import ConfigurationError


class CeleryOptions(BaseModel):
    """The options ``jobs.options`` of the engine ``celery``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    broker: SecretStr = Field(
        description="URL of the broker: `amqps://USER:PASSWORD@HOST/VHOST`, or `redis://` with the package redis installed."
    )
    queue: str = Field(
        "vna-jobs", pattern="^[A-Za-z0-9_.-]{1,100}$", description="Queue; archives that share a broker need one each."
    )
    heartbeat: int = Field(10, ge=1, le=600, description="Seconds after which a silent connection counts as lost.")

    @classmethod
    def checked(cls, options: Mapping[str, Any]) -> Self:
        """The options as configured. Raises ConfigurationError with the first that is unknown, missing or wrong, never its value."""
        try:
            return cls.model_validate(dict(options))
        except ValidationError as error:
            problem = error.errors(include_input=False)[0]
            option = ".".join(str(part) for part in problem["loc"])
            known = ", ".join(sorted(cls.model_fields))
            raise ConfigurationError(
                f"jobs.options.{option}: {problem['msg']}. The engine celery takes {known}.", setting="jobs.options"
            ) from None
