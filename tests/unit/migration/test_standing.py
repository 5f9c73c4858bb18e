"""How a campaign stands is told as it is, also before anything happened."""

from __future__ import annotations

from pathlib import Path

from vna_core.catalogue import Campaign, Catalogue
from vna_core.catalogue.migration_throttle import Load
from vna_core.cli.migrate_progress import status_lines
from vna_core.configuration import CatalogueSettings
from vna_core.migration.report import summary_of
from vna_core.migration.report_tables import report_tables


def told(campaign: Campaign, catalogue: Catalogue, load: Load) -> str:
    return status_lines(campaign, summary_of(catalogue, campaign.name), load, {})


def test_a_campaign_that_has_only_begun(tmp_path: Path) -> None:
    with Catalogue.open(CatalogueSettings(), tmp_path) as catalogue:
        campaign = Campaign("c", "x://c", "running")
        catalogue.campaigns.save(campaign)
        taken = catalogue.inventories.begin("c")
        assert "now: nothing was fetched yet\n" in told(campaign, catalogue, catalogue.throttle.load("c"))
        rows = dict(report_tables(catalogue, campaign)[0].rows)
        assert rows["inventory taken"] == "not finished"
        catalogue.inventories.complete(taken, 0, 0, "ab", {})
        rows = dict(report_tables(catalogue, campaign)[0].rows)
        assert str(rows["inventory taken"])[:4] >= "2026"


def test_what_holds_a_campaign_up(tmp_path: Path) -> None:
    with Catalogue.open(CatalogueSettings(), tmp_path) as catalogue:
        campaign = Campaign("c", "x://c", "running")
        slow = Load(2.0, 1, 1.0, 1.0, 9.0, 2.0, 1.0)
        assert "now: 1 retrievals of at most 2.0, slowest: source\n" in told(campaign, catalogue, slow)
        limited = Load(2.0, 0, 1.0, 1.0, 9.0, 2.0, 1.0, rate_limited=True)
        assert "slowest: limit (rate)\n" in told(campaign, catalogue, limited)
