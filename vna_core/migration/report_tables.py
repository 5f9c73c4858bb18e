"""The reports of a migration as tables: progress by day, exceptions, identity, reconciliation whose sums close, and fidelity."""

from __future__ import annotations

import csv
import html
import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vna_core.catalogue import Campaign, Catalogue
from vna_core.catalogue.migration_inventories import COMPLETE
from vna_core.catalogue.migration_rows import ExceptionEntry
from vna_core.domain.migration import REASONS
from vna_core.migration.report import summary_of
from vna_core.migration.work_product.finding import WorkProducts

_ENDS: Final = ("held", "duplicate", "conflict", "quarantined", "failed", "missing")
_PIECE: Final = 500
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")

Cell = str | int


@dataclass(frozen=True, slots=True)
class ReportTable:
    """One table. `bar` is the column that is drawn as bars, by its name."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    bar: str = ""


def report_tables(catalogue: Catalogue, campaign: Campaign) -> list[ReportTable]:
    """Every report of a campaign. Reads the whole ledger once for each."""
    return [
        _summary(catalogue, campaign),
        _burn_down(catalogue, campaign.name),
        _exceptions(catalogue, campaign.name),
        _identity(catalogue, campaign.name),
        _reconciliation(catalogue, campaign.name),
        *_fidelity(catalogue, campaign.name),
        _cut_over(catalogue, campaign.name),
        _work_products(catalogue, campaign.name),
    ]


def _summary(catalogue: Catalogue, campaign: Campaign) -> ReportTable:
    rows: list[tuple[Cell, ...]] = [("campaign", campaign.name), ("state", campaign.state)]
    inventory = catalogue.inventories.newest(campaign.name)
    if inventory is not None:
        taken = inventory.finished_at.isoformat() if inventory.state == COMPLETE else "not finished"
        rows += [("inventory", inventory.number), ("inventory taken", taken)]
        rows += [("inventory SHA-256", inventory.digest)]
    rows += [(name, str(value)) for name, value in summary_of(catalogue, campaign.name).as_dict().items()]
    return ReportTable("summary", "Summary", ("what", "value"), tuple(rows))


def _cut_over(catalogue: Catalogue, campaign: str) -> ReportTable:
    """Studies that were fetched while somebody waited for them."""
    fetched = catalogue.ledger_sums.waited_for(campaign)
    whole = sorted(seconds for state, seconds in fetched if state == "stored")
    rows: list[tuple[Cell, ...]] = [
        ("fetched while somebody waited", len(fetched)),
        ("came whole", len(whole)),
        ("came in part", sum(state == "partial" for state, _ in fetched)),
    ]
    if whole:
        for name, share in (("half came within", 0.5), ("95 of 100 came within", 0.95)):
            rows.append((name, f"{whole[min(len(whole) - 1, int(share * len(whole)))]:.1f} s"))
    return ReportTable("cut-over", "Cut-over", ("what", "value"), tuple(rows))


def _work_products(catalogue: Catalogue, campaign: str) -> ReportTable:
    rows = [
        (one.residue.product, one.residue.kind.value, one.residue.name, one.instances, one.marked, one.studies, one.residue.made)
        for one in WorkProducts(catalogue, campaign).count()
    ]
    columns = ("product", "kind", "residue", "instances", "marked", "studies", "becomes")
    return ReportTable("work-products", "Work products in private elements", columns, tuple(rows))


def _burn_down(catalogue: Catalogue, campaign: str) -> ReportTable:
    report, moved = summary_of(catalogue, campaign), catalogue.ledger_sums.moved_by_day(campaign)
    left = report.waiting + sum(instances for _, _, instances in moved)
    rows = []
    for day, studies, instances in moved:
        left -= instances
        rows.append((day, studies, instances, left))
    return ReportTable(
        "burn-down", "Progress by day", ("day", "studies", "instances", "instances left"), tuple(rows), "instances left"
    )


def _exceptions(catalogue: Catalogue, campaign: str) -> ReportTable:
    counts: Counter[tuple[str, ...]] = Counter()
    samples: dict[tuple[str, ...], str] = {}
    after = 0
    while page := catalogue.ledger_reader.exceptions(campaign, state=None, after=after, limit=_PIECE):
        after = page[-1].pk
        vendors = catalogue.ledger_reader.manufacturers([one.study_instance_uid for one in page if one.study_instance_uid])
        for one in page:
            key = (one.reason, one.state, _modality(one), one.study_date[:4], vendors.get(one.study_instance_uid, ""))
            counts[key] += 1
            samples.setdefault(key, one.sample or one.sop_instance_uid or one.study_instance_uid or one.detail)
    rows = tuple(
        (*key, number, samples[key], REASONS[key[0]].error_class.value, REASONS[key[0]].remedy)
        for key, number in sorted(counts.items())
    )
    columns = ("reason", "state", "modality", "year", "vendor", "number", "sample", "done by", "remedy")
    return ReportTable("exceptions", "Exceptions by reason, modality, year and vendor", columns, rows)


def _modality(one: ExceptionEntry) -> str:
    return one.modalities.replace("\\", "+")


def _identity(catalogue: Catalogue, campaign: str) -> ReportTable:
    rows: list[tuple[Cell, ...]] = [
        (issuer or "(none told)", patients, studies, nameless)
        for issuer, patients, studies, nameless in catalogue.ledger_sums.issuers(campaign)
    ]
    opened = catalogue.ledger_reader.exception_counts(campaign)
    for reason in ("stale-header", "shared-study-uid"):
        number = sum(count for (name, _), count in opened.items() if name == reason)
        rows.append((f"exceptions: {reason}", "", number, ""))
    columns = ("issuer", "patients", "studies", "studies without Patient ID")
    return ReportTable("identity", "Patients by issuer of their IDs", columns, tuple(rows))


def _reconciliation(catalogue: Catalogue, campaign: str) -> ReportTable:
    sums: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for year, modalities, state, outcome, number in catalogue.ledger_sums.ends(campaign):
        end = outcome if state == "stored" else "missing" if state == "inventoried" else state
        sums[year or "no date", modalities.replace("\\", "+") or "unknown"][end] += number
    rows: list[tuple[Cell, ...]] = []
    for (year, modality), counted in sorted(sums.items()):
        rows.append((year, modality, *_line(counted)))
    total: Counter[str] = sum(sums.values(), Counter())
    rows.append(("total", "", *_line(total)))
    columns = ("year", "modality", "inventoried", *_ENDS, "excluded", "deleted at source", "sum")
    return ReportTable("reconciliation", "Inventory against the archive, by year and modality", columns, tuple(rows))


def _line(counted: Counter[str]) -> tuple[Cell, ...]:
    beside = counted["excluded"] + counted["deleted_at_source"]
    inventoried = sum(counted.values()) - beside
    closes = inventoried == sum(counted[end] for end in _ENDS)
    ends = (counted[end] for end in _ENDS)
    return (inventoried, *ends, counted["excluded"], counted["deleted_at_source"], "closes" if closes else "DOES NOT CLOSE")


def _fidelity(catalogue: Catalogue, campaign: str) -> list[ReportTable]:
    rules: Counter[tuple[str, str]] = Counter()
    for one in catalogue.deviations(campaign):
        rules.update({(rule, one.manufacturer): 1 for rule in one.changes})
    changed = tuple((rule, vendor, number) for (rule, vendor), number in sorted(rules.items()))
    names = {"": "UID and digest at arrival", "digest": "octets back from every copy", "pixel": "fetched once more and equal"}
    proofs = tuple((names.get(proof, proof), number) for proof, number in sorted(catalogue.ledger_sums.proofs(campaign).items()))
    return [
        ReportTable("proof", "What is proven of stored instances", ("proof", "instances"), proofs),
        ReportTable("changes", "Intended changes by rule", ("rule", "vendor", "instances"), changed),
    ]


def write_csv(tables: Sequence[ReportTable], folder: Path) -> list[Path]:
    """One CSV file a table; the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for table in tables:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(table.columns)
        writer.writerows([_harmless(cell) for cell in row] for row in table.rows)
        path = folder / f"{table.name}.csv"
        path.write_text(text.getvalue(), encoding="utf-8")
        written.append(path)
    return written


def _harmless(cell: Cell) -> Cell:
    """What a spreadsheet would take for a formula becomes text: the values come from images."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def html_page(tables: Sequence[ReportTable], title: str) -> str:
    """One page with every table, without anything from elsewhere."""
    parts = [_HEAD.format(title=html.escape(title))]
    for table in tables:
        widest = max((int(row[table.columns.index(table.bar)]) for row in table.rows), default=0) if table.bar else 0
        parts.append(f"<h2>{html.escape(table.title)}</h2>\n<table><thead><tr>")
        parts += [f"<th>{html.escape(column)}</th>" for column in table.columns]
        parts.append("</tr></thead><tbody>")
        for row in table.rows:
            cells = "".join(_cell(column, cell, table.bar, widest) for column, cell in zip(table.columns, row, strict=True))
            parts.append(f"<tr>{cells}</tr>")
        parts.append("</tbody></table>" if table.rows else "</tbody></table><p>None.</p>")
    return "\n".join([*parts, "</body></html>\n"])


def _cell(column: str, cell: Cell, bar: str, widest: int) -> str:
    if column == bar and widest:
        width = round(100 * int(cell) / widest)
        return f'<td class="n"><span class="bar" style="width:{width}px"></span> {cell}</td>'
    return f'<td class="n">{cell}</td>' if isinstance(cell, int) else f"<td>{html.escape(cell)}</td>"


_HEAD: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1b2733; }}
h1 {{ font-size: 1.4rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #d5dde5; vertical-align: top; overflow-wrap: anywhere; }}
th {{ background: #eef3f7; }} td.n {{ font-variant-numeric: tabular-nums; white-space: nowrap; }}
.bar {{ display: inline-block; height: .7em; background: #2b7bba; }}
</style></head><body><h1>{title}</h1>"""
