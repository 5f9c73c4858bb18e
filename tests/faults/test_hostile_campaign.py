"""A source that misbehaves in every way it can: nothing is lost in silence, and nobody is blamed without a reason.

More seeds: ``python -m tests.faults.hostile_campaign --seeds 50``, and the same with ``--face web``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.hostile_campaign import judge
from vna_core.testing.hostile_pacs.faults import Face


@pytest.mark.slow
@pytest.mark.parametrize(("face", "seed"), [(Face.DIMSE, 1), (Face.DIMSE, 2), (Face.WEB, 5), (Face.WEB, 7)])
def test_every_fault_is_caught_and_none_is_invented(tmp_path: Path, face: Face, seed: int) -> None:
    found = judge(seed, tmp_path, studies=20, face=face)
    assert found.silent_losses == []
    assert found.false_alarms == []
    assert found.injections > 20 and len(found.kinds) > 10
    assert found.instances == found.held + found.flagged


@pytest.mark.parametrize("face", list(Face))
def test_a_source_that_behaves_raises_no_alarm(tmp_path: Path, face: Face) -> None:
    found = judge(7, tmp_path, studies=12, faults="none", face=face)
    assert (found.injections, found.held, found.false_alarms) == (0, found.instances, [])


@pytest.mark.parametrize("fault", ["H1", "H2", "H5", "W8"])
def test_odd_pages_alone_cost_no_study_and_no_instance(tmp_path: Path, fault: str) -> None:
    """Studies of more instances than a page holds, and more studies than the source lists at once."""
    found = judge(3, tmp_path, studies=14, most=11, faults=f"{fault}=1", face=Face.WEB)
    assert found.kinds == {fault}
    assert (found.held, found.false_alarms) == (found.instances, [])
