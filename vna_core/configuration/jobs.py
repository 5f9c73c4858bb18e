"""The section ``jobs``: durable work in the background."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from vna_core.configuration.section import Section


class JobsSettings(Section):
    """Durable work in the background: copies, packs, checks, migrations."""

    engine: str = Field(
        "embedded", description="What runs the jobs: `embedded`, which needs no service, or an engine of a plugin: `celery`."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Options of the engine; `embedded` has none.")
    processes: int = Field(1, ge=0, le=64, description="Worker processes on this machine; 0 leaves the work to other machines.")
    threads: int = Field(2, ge=1, le=64, description="Jobs at once in one worker process.")
    poll: float = Field(1.0, gt=0, description="Seconds between looks for new jobs when there is nothing to do.")
    lease: float = Field(60.0, ge=3, description="Seconds after which the job of a worker that died is taken by another one.")
    pause: float = Field(
        5.0, gt=0, description="Seconds before the second attempt at a failed job; doubled each time, up to ten minutes."
    )
    max_attempts: int = Field(
        8,
        ge=1,
        description="Attempts at a job that fails for another reason than something not answering, and workers in a row that "
        "may die over one; then it waits for somebody.",
    )
