"""``vna jobs``: durable work that waits, runs or failed."""

from __future__ import annotations

import signal
import sys
import threading
from dataclasses import asdict
from typing import Annotated, Any

import typer

from vna_core.bootstrap_jobs import ensure_periodic_jobs, job_engine, job_work
from vna_core.catalogue.jobs import ListedJob
from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.ports.jobs import JobEngine

app = typer.Typer(help="Durable work in the background: what waits, runs or failed.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(help="Number of the job, as `vna jobs list` shows it.")]


def _document(job: ListedJob) -> dict[str, Any]:
    return {**asdict(job), "created_at": job.created_at.isoformat(), "free_at": job.free_at.isoformat()}


@app.command(
    "list", epilog="Examples:\n\n`vna jobs list`\n\n`vna jobs list --failed --json`\n\n`vna jobs list --waits-for cloud`"
)
def list_(
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
    kind: Annotated[str | None, typer.Option(help="Only jobs of this kind.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only jobs that wait for somebody to look at them.")] = False,
    waits_for: Annotated[str | None, typer.Option(help="Only jobs that wait for this store to answer again.")] = None,
) -> None:
    """List jobs, and below them what was wrong at the last attempt at each. What waits for a store goes on when that answers again."""
    table, errors = (
        Table("job", "kind", "about", "state", "attempts", "worker", "free at", "waits for", "progress"),
        Table.grid(padding=(0, 1)),
    )
    with archive_of(data, config) as archive:
        for job in archive.catalogue.jobs.every(kind=kind, state="failed" if failed else None, waits_for=waits_for):
            if as_json:
                print_json(_document(job))
            else:
                state = "running" if job.worker and job.state == "open" else job.state
                progress = " ".join(f"{name}={value}" for name, value in job.progress.items())
                row = (str(job.pk), job.kind, job.key, state, str(job.attempts), job.worker)
                table.add_row(*row, f"{job.free_at:%Y-%m-%d %H:%M:%S}", job.waits_for, progress)
                if job.error:  # a sentence: among the columns it would be broken into a few letters a line
                    errors.add_row(f"job {job.pk}:", job.error)
    if not as_json:
        console = Console()
        console.print(table)
        if errors.row_count:
            console.print(errors)


@app.command("retry", epilog="Example:\n\n`vna jobs retry 17`")
def retry(job: Number, data: Data = None, config: Config = None) -> None:
    """Have a job taken as soon as possible."""
    with archive_of(data, config) as archive:
        archive.catalogue.jobs.reopen(job)


@app.command("cancel", epilog="Example:\n\n`vna jobs cancel 17`")
def cancel(job: Number, data: Data = None, config: Config = None) -> None:
    """Forget a job."""
    with archive_of(data, config) as archive:
        archive.catalogue.jobs.cancel(job)


@app.command("run", epilog="Examples:\n\n`vna jobs run --until-idle`\n\n`vna jobs run --config /etc/vna.yaml`")
def run(
    data: Data = None,
    config: Config = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End when nothing is free to be done.")] = False,
) -> None:
    """Do jobs in this process, beside the workers of `vna serve` or without them; Ctrl-C ends it."""
    with archive_of(data, config) as archive:
        ensure_periodic_jobs(archive)
        if until_idle:
            sys.stdout.write(f"{job_work(archive, 'cli').run_until_idle()} done\n")
            return
        engine = job_engine(archive, "cli")
        _until_stopped(engine)


def _until_stopped(engine: JobEngine) -> None:
    """Run the engine until Ctrl-C or SIGTERM. Raises what ended it before."""
    stop, failures = threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            engine.run(stop)
        except BaseException as error:  # told below, in the thread that can end the process
            failures.append(error)

    working = threading.Thread(target=work, name="jobs")
    working.start()
    earlier = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        while working.is_alive():
            working.join(0.5)
    finally:
        stop.set()
        working.join()
        signal.signal(signal.SIGTERM, earlier)
    if failures:
        raise failures[0]
