"""The section ``egress`` of the configuration: what it accepts, whose a profile is, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from vna_core.access.egress.profiles import EgressProfiles
from vna_core.configuration import Settings, load_settings
from vna_core.domain.errors import ConfigurationError, InvalidRequest

WHOLE = """
egress:
  profiles:
    japan:
      character_set: ISO 2022 IR 13\\ISO 2022 IR 87
      unmappable: replace
    old:
      character_set: [ISO_IR 100]
      transfer_syntaxes: [1.2.840.10008.1.2.1, 1.2.840.10008.1.2]
      uids: conformant
      sop_classes: {retired: current}
      clip_text: true
      values:
        - {tag: '(0008,0080)', set: General Hospital}
        - {tag: PatientID, prefix: X}
      remove: ['00081070', '(0009,1001)']
      append_end_of_image: true
      private: remove
  default: ''
  ae_titles: {WORKSTATION1: old}
  principals: {viewer: japan}
  user_agents: {Old/: old}
"""


def loaded(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "vna.yaml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, environment={})


def test_a_whole_section_is_understood_and_shown_again(tmp_path: Path) -> None:
    settings = loaded(tmp_path, WHOLE)
    shown = yaml.safe_dump(yaml.safe_load(settings.model_dump_json()))
    assert loaded(tmp_path, shown).egress == settings.egress
    profile = EgressProfiles(settings.egress).named("old")
    assert profile.character_set == ("ISO_IR 100",) and profile.conformant_uids and profile.remove_private
    assert profile.remove == {0x00081070, 0x00091001}
    assert profile.sop_classes["1.2.840.10008.5.1.4.1.1.5"] == "1.2.840.10008.5.1.4.1.1.20"
    assert EgressProfiles(settings.egress).named("japan").character_set == ("ISO 2022 IR 13", "ISO 2022 IR 87")


def test_profiles_go_to_whom_they_are_given(tmp_path: Path) -> None:
    profiles = EgressProfiles(loaded(tmp_path, WHOLE).egress)
    assert profiles.of_title("WORKSTATION1") == profiles.named("old")
    assert profiles.of_title("ANYBODY") is None
    assert profiles.of_client("viewer", "Old/1") == profiles.named("japan")
    assert profiles.of_client("anonymous", "Old/1") == profiles.named("old")
    assert profiles.of_client("anonymous", "New/1") is None
    with pytest.raises(InvalidRequest):
        profiles.named("nobody")


def test_the_default_is_for_everybody_else(tmp_path: Path) -> None:
    profiles = EgressProfiles(loaded(tmp_path, WHOLE.replace("default: ''", "default: japan")).egress)
    assert profiles.of_title("ANYBODY") == profiles.of_client("anonymous", "New/1") == profiles.named("japan")
    assert profiles.of_title("WORKSTATION1") == profiles.named("old")


@pytest.mark.parametrize(
    ("found", "wrong", "line", "named"),
    [
        ("[ISO_IR 100]", "[ISO_IR 99]", 8, "ISO_IR 99"),
        ("[ISO_IR 100]", "[ISO_IR 100, ISO 2022 IR 87]", 8, "stands alone"),
        ("'(0008,0080)'", "'(0008,0081)1'", 14, "(0008,0081)1"),
        ("'(0008,0080)'", "'(0008,0079)'", 14, "(0008,0079)"),
        ("tag: PatientID", "tag: PatientIdentity", 15, "PatientIdentity"),
        ("tag: PatientID", "tag: SOPInstanceUID", 15, "SOPInstanceUID"),
        ("tag: PatientID", "tag: Rows", 15, "Rows"),
        ("prefix: X", "prefix: X, set: Y", 15, "exactly one"),
        ("'00081070'", "'7FE00010'", 16, "7FE00010"),
        ("1.2.840.10008.1.2.1,", "1.2.840.10008.5.1,", 9, "1.2.840.10008.5.1"),
        ("{retired: current}", "{1.2.3: 1.2.4}", 11, "no known succession"),
        ("clip_text", "clip_texts", 12, "clip_text"),
        ("WORKSTATION1: old", "WORKSTATION1: new", 20, "new"),
        ("unmappable: replace", "unmappable: ignore", 6, "unmappable"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, found: str, wrong: str, line: int, named: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        loaded(tmp_path, WHOLE.replace(found, wrong))
    assert f"vna.yaml:{line}:" in error.value.message and named in error.value.message
