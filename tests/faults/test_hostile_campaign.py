"""A source that misbehaves in every way it can: nothing is lost in silence, and nobody is blamed without a reason.

More seeds: ``python -m tests.faults.hostile_campaign --seeds 50``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.hostile_campaign import judge


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_every_fault_is_caught_and_none_is_invented(tmp_path: Path, seed: int) -> None:
    found = judge(seed, tmp_path, studies=20)
    assert found.silent_losses == []
    assert found.false_alarms == []
    assert found.injections > 20 and len(found.kinds) > 10
    assert found.instances == found.held + found.flagged


def test_a_source_that_behaves_raises_no_alarm(tmp_path: Path) -> None:
    found = judge(7, tmp_path, studies=12, faults="none")
    assert (found.injections, found.held, found.false_alarms) == (0, found.instances, [])
