"""``vna migrate exceptions``, ``retry`` and ``resolve``: the worklist of a migration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from vna_core.bootstrap import Archive
from vna_core.bootstrap_migration import campaign_name
from vna_core.catalogue.migration_ledger import fetched_anew
from vna_core.catalogue.migration_rows import ExceptionEntry, LedgerInstance
from vna_core.cli.console import Console, Table
from vna_core.cli.migrate_progress import worker_name
from vna_core.cli.options import AsJson, Config, Data, SourceName, account, archive_of, print_json
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.jobs import URGENT
from vna_core.domain.migration import GIVEN_UP, REASONS, InstanceState
from vna_core.migration.campaign import loaded, looked_at
from vna_core.migration.study_jobs import FEED

LIST_EPILOG = """
Examples:

`vna migrate exceptions oldpacs`

`vna migrate exceptions oldpacs --each --json`
"""
RETRY_EPILOG = """
Examples:

`vna migrate retry oldpacs 17 18`

`vna migrate retry oldpacs --reason not-delivered`

`vna migrate retry oldpacs --reason source-changed --json`

What the source corrected after it was moved is fetched once more. Octets that differ are kept as a further version beside the copy, and are
listed as a conflict. The copy stays the one that is given out, unless it was cut before its pixels and what comes now is whole, or
`vna keep` says that another version is right.
"""
RESOLVE_EPILOG = """
Example:

`vna migrate resolve oldpacs 17 --note 'row without a file, seen by J. Doe'`
"""

_NOTHING: Final = "nothing is open"

Reason = Annotated[str | None, typer.Option(help="Only exceptions of this reason.")]
Numbers = Annotated[list[int] | None, typer.Argument(help="Numbers, as `vna migrate exceptions` shows them.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("exceptions", epilog=LIST_EPILOG)(exceptions)
    app.command("retry", epilog=RETRY_EPILOG)(retry)
    app.command("resolve", epilog=RESOLVE_EPILOG)(resolve)


def _entries(archive: Archive, campaign: str, reason: str | None, state: str | None) -> Iterator[ExceptionEntry]:
    if reason is not None and reason not in REASONS:
        raise InvalidRequest(f"{reason!r} is no reason. Known: {', '.join(REASONS)}.")
    after = 0
    while page := archive.catalogue.ledger_reader.exceptions(campaign, reason=reason, state=state, after=after):
        yield from page
        after = page[-1].pk


def _chosen(archive: Archive, campaign: str, numbers: list[int] | None, reason: str | None) -> list[ExceptionEntry]:
    if not numbers and reason is None:
        raise InvalidRequest("Say which: numbers, or --reason.")
    wanted = set(numbers or ())
    chosen = [one for one in _entries(archive, campaign, reason, "open") if not wanted or one.pk in wanted]
    if unknown := sorted(wanted - {one.pk for one in chosen}):
        message = f"No open exception{f' of {reason}' if reason else ''} has the number {', '.join(map(str, unknown))}"
        raise InvalidRequest(f"{message}: `vna migrate exceptions {campaign} --each` shows them.", numbers=unknown)
    return chosen


def _is_about(one: ExceptionEntry, instance: LedgerInstance) -> bool:
    """Whether accepting an exception takes an instance out of the sums: of a study that was given up, all of which nothing is held."""
    lost = instance.state in (InstanceState.INVENTORIED, InstanceState.FAILED, InstanceState.MISSING)
    return instance.pk == one.instance or (one.reason == GIVEN_UP and lost and not fetched_anew(instance))


def _document(one: ExceptionEntry) -> dict[str, Any]:
    known = REASONS[one.reason]
    return {
        **asdict(one),
        "opened_at": one.opened_at.isoformat(),
        "class": known.error_class.value,
        "cause": known.cause,
        "remedy": known.remedy,
    }


def exceptions(
    source: SourceName,
    data: Data = None,
    config: Config = None,
    reason: Reason = None,
    closed: Annotated[bool, typer.Option("--closed", help="Also those that were accepted, retried or solved.")] = False,
    each: Annotated[bool, typer.Option("--each", help="One line an exception; else one a reason.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the worklist: by reason with cause, a sample and what helps, or one by one."""
    grouped: dict[str, list[Any]] = {}
    table = Table("number", "reason", "study", "instance", "state", "detail")
    with archive_of(data, config) as archive:
        campaign = looked_at(archive.catalogue, campaign_name(source), worker_name()).name
        for one in _entries(archive, campaign, reason, None if closed else "open"):
            if each and as_json:
                print_json(_document(one))
            elif each:
                table.add_row(str(one.pk), one.reason, one.study_instance_uid, one.sop_instance_uid, one.state, one.detail)
            else:
                group = grouped.setdefault(one.reason, [0, one])
                group[0] += 1
    if each and not as_json:
        Console().print(table if table.row_count else _NOTHING)
    if not each:
        _print_groups(grouped, as_json)


def _print_groups(grouped: dict[str, list[Any]], as_json: bool) -> None:
    table = Table("reason", "number", "done by", "cause", "sample", "remedy")
    for reason, (count, first) in sorted(grouped.items(), key=lambda one: -one[1][0]):
        known, sample = REASONS[reason], first.sample or first.sop_instance_uid or first.study_instance_uid or first.detail
        if as_json:
            document = {"reason": reason, "number": count, "class": known.error_class.value}
            print_json({**document, "cause": known.cause, "sample": sample, "detail": first.detail, "remedy": known.remedy})
        else:
            table.add_row(reason, str(count), known.error_class.value, known.cause, sample, known.remedy)
    if not as_json:
        Console().print(table if table.row_count else _NOTHING)


def retry(
    source: SourceName,
    numbers: Numbers = None,
    data: Data = None,
    config: Config = None,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Ask the source again for what exceptions are about; the workers, or the next run, do it.

    What has nothing to be asked for stays open, and is named.
    """
    with archive_of(data, config) as archive:
        campaign = looked_at(archive.catalogue, campaign_name(source), worker_name())
        chosen = _chosen(archive, campaign.name, numbers, reason)
        retried = archive.catalogue.ledger.retry(campaign.name, chosen, account())
        if campaign.state in ("running", "complete", "incomplete") and retried.studies:
            archive.catalogue.campaigns.set_state(campaign.name, "running")
            archive.catalogue.jobs.add(FEED, campaign.name, priority=URGENT)
    left = [one for one in chosen if one.pk in set(retried.left)]
    if as_json:
        print_json({"retried": list(retried.asked), "studies": retried.studies, "left": [_document(one) for one in left]})
        return
    typer.echo(f"{len(retried.asked)} exceptions, {retried.studies} studies are asked for again")
    if left:
        typer.echo(f"{len(left)} exceptions stay open: there is nothing to be fetched for them")
        for one in left:
            typer.echo(f"  {one.pk} {one.reason} {one.study_instance_uid or '-'}: {REASONS[one.reason].remedy}")


def resolve(
    source: SourceName,
    note: Annotated[str, typer.Option(help="Why; it stands in the certificate.")],
    numbers: Numbers = None,
    data: Data = None,
    config: Config = None,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Accept exceptions: an instance that cannot be moved leaves the sums, under your name and with your note."""
    by = account()
    with archive_of(data, config) as archive:
        reader, ledger = archive.catalogue.ledger_reader, archive.catalogue.ledger
        campaign = loaded(archive.catalogue, campaign_name(source)).name
        chosen = _chosen(archive, campaign, numbers, reason)
        for one in chosen:
            if one.study and (one.instance or one.reason == GIVEN_UP):
                found = [instance for instance in reader.instances(one.study) if _is_about(one, instance)]
                ledger.exclude(reader.study(one.study), found, by, note)
        ledger.close_exceptions(campaign, [one.pk for one in chosen], "accepted", by, note)
    if as_json:
        print_json({"accepted": [one.pk for one in chosen], "by": by})
    else:
        typer.echo(f"{len(chosen)} exceptions accepted")
