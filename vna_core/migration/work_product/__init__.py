"""What people did to images in a proprietary archive, and what it left of that in private elements: found, and made standard again."""

from vna_core.migration.work_product.finding import Finding, WorkProducts
from vna_core.migration.work_product.making import Made, Maker
from vna_core.migration.work_product.residues import RESIDUES, Kind, Residue

__all__ = ["RESIDUES", "Finding", "Kind", "Made", "Maker", "Residue", "WorkProducts"]
