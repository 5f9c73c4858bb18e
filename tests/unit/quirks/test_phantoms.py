"""Phantoms say what is wrong with what they are asked for."""

from __future__ import annotations

import pytest

from vna_core.testing import phantoms


def test_an_element_that_the_phantom_has_not_is_named() -> None:
    with pytest.raises(TypeError, match="no PatientMood"):
        phantoms.ct(PatientName="Doe^Jane", PatientMood="good")
