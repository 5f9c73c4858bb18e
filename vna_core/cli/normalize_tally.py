"""How ``vna normalize check`` tells what the rules would do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from vna_core.cli.console import Console
from vna_core.cli.options import print_json
from vna_core.ingest.normalize import SiteRules
from vna_core.ingest.normalize.rule_book import RULE_BOOK
from vna_core.stewardship.rule_tally import RuleCount, RuleTally, Sample

_WIDEST: Final = 64
_SUMMARIES: Final = {entry.id: entry.summary for entry in RULE_BOOK}


def print_tally(tally: RuleTally, site: SiteRules, as_json: bool) -> None:
    """Print each rule that fires with its samples, what would go to quarantine, and the sums."""
    if as_json:
        _print_json(tally, site)
        return
    console = Console()
    for count in tally.counts:
        for style, line in _lines(count):
            console.print(line, style=style, highlight=False, soft_wrap=True)
    for name, error in tally.failures:
        console.print(f"would be quarantined: {name}: {error.message}", highlight=False)
    sys.stdout.write(
        f"{tally.examined:,} examined by rule set {site.rule_set}: {tally.changed:,} would change, "
        f"{len(tally.failures):,} would be quarantined; nothing was written\n"
    )


def _lines(count: RuleCount) -> Iterator[tuple[str, str]]:
    """Style and text of each line about a rule."""
    yield (
        "bold",
        f"{count.rule} (version {count.version}, {count.confidence}): fires on {count.instances:,}, {count.changed:,} would change",
    )
    if count.rule in _SUMMARIES:
        yield "", f"  {_SUMMARIES[count.rule]}"
    for sample in count.samples:
        yield "dim", f"    {_sample(sample)}"


def _sample(sample: Sample) -> str:
    element = f"{sample.tag} {sample.keyword}".strip()
    if sample.original is None and sample.canonical is None:
        what = sample.message
    else:
        what = f"{_shown(sample.original)} -> {_shown(sample.canonical)}"
    return f"{element}: {what}  ({sample.instance})" if what else f"{element}  ({sample.instance})"


def _shown(value: str | None) -> str:
    if value is None:
        return "(absent)"
    return repr(value if len(value) <= _WIDEST else value[: _WIDEST - 3] + "...")


def _print_json(tally: RuleTally, site: SiteRules) -> None:
    for count in tally.counts:
        print_json(asdict(count))
    for name, error in tally.failures:
        print_json({"quarantined": name, "code": error.code, "message": error.message})
    print_json(
        {
            "summary": {
                "rule_set": site.rule_set,
                "examined": tally.examined,
                "would_change": tally.changed,
                "would_be_quarantined": len(tally.failures),
            }
        }
    )
