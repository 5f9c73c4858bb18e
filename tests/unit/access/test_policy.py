"""The policy decides from the configuration alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna_core.access.policy import Policy
from vna_core.configuration import Settings, load_settings
from vna_core.configuration.access import departments_of
from vna_core.domain.access import EVERYTHING, NOTHING, Action, Principal, PrincipalKind, Scope
from vna_core.domain.errors import ConfigurationError
from vna_core.domain.octets import Source

DIGEST = "0" * 64
ON_INSTANCES = [Action.QUERY, Action.RETRIEVE, Action.STORE, Action.CORRECT, Action.DELETE]
HOSPITAL: dict[str, Any] = {
    "http": {"tokens": dict.fromkeys(("rad", "card", "emergency", "admin", "prometheus", "nobody"), DIGEST)},
    "dimse": {"peers": {"CT1": {"host": "10.0.0.1", "port": 104}, "ECHO1": {"host": "10.0.0.2", "port": 104}}},
    "departments": {
        "radiology": {"principals": "rad", "ae_titles": "CT1", "holds": {"institution": "Imaging*"}},
        "cardiology": {"principals": ["card"], "ae_titles": ["ECHO1"], "may": ["query", "retrieve", "store", "correct"]},
        "emergency": {"principals": "emergency", "may": ["query"]},
    },
    "policy": {
        "grants": [
            {"to": "cardiology", "of": "radiology", "may": "query"},
            {"to": "*", "of": "heart-team", "may": ["query", "retrieve"]},
        ],
        "collections": {"heart-team": {"holds": {"tags": {"StudyDescription": "Heart team*"}}}},
        "break_glass": {"to": "emergency"},
        "administrators": "admin",
        "monitors": "prometheus",
    },
}


def policy(**changes: Any) -> Policy:
    return Policy(Settings.model_validate(HOSPITAL | changes))


def token(name: str) -> Principal:
    return Principal(PrincipalKind.TOKEN, name, "10.9.9.9")


def test_without_departments_whoever_was_let_in_may_do_everything() -> None:
    undivided = Policy(Settings())
    for action in Action:
        for kind in PrincipalKind:
            assert undivided.scope(Principal(kind, "anybody"), action) == EVERYTHING


@pytest.mark.parametrize(
    ("who", "action", "labels"),
    [
        ("rad", Action.QUERY, {"radiology", "collection:heart-team"}),
        ("rad", Action.STORE, {"radiology"}),
        ("rad", Action.CORRECT, set()),
        ("card", Action.QUERY, {"cardiology", "radiology", "collection:heart-team"}),
        ("card", Action.RETRIEVE, {"cardiology", "collection:heart-team"}),
        ("card", Action.CORRECT, {"cardiology"}),
        ("emergency", Action.RETRIEVE, {"collection:heart-team"}),
        ("emergency", Action.STORE, set()),
        ("prometheus", Action.QUERY, set()),
        ("nobody", Action.QUERY, set()),
    ],
)
def test_members_may_what_their_department_and_its_grants_say(who: str, action: Action, labels: set[str]) -> None:
    assert policy().scope(token(who), action) == Scope(frozenset(labels))


def test_administrators_and_monitors_may_what_departments_may_not() -> None:
    assert all(policy().scope(token("admin"), action) == EVERYTHING for action in Action)
    assert policy().scope(token("prometheus"), Action.MONITOR) == EVERYTHING
    for who in ("rad", "prometheus", "nobody"):
        assert policy().scope(token(who), Action.ADMINISTER) == NOTHING
    assert policy().scope(token("rad"), Action.MONITOR) == NOTHING
    assert policy().scope(Principal(PrincipalKind.LOCAL, "operator"), Action.DELETE) == EVERYTHING


def test_an_ae_title_counts_only_from_its_own_address() -> None:
    own = Principal(PrincipalKind.AE_TITLE, "CT1", "10.0.0.1")
    borrowed = Principal(PrincipalKind.AE_TITLE, "CT1", "10.0.0.2")
    assert policy().department(own) == "radiology"
    assert policy().scope(borrowed, Action.QUERY) == NOTHING


def test_a_name_means_something_only_with_its_kind() -> None:
    for kind in (PrincipalKind.AE_TITLE, PrincipalKind.SUBJECT, PrincipalKind.LOCAL):
        assert policy().department(Principal(kind, "rad", "10.0.0.1")) == ""
    assert policy().scope(Principal(PrincipalKind.ANONYMOUS, "admin"), Action.QUERY) == NOTHING


def test_glass_is_broken_only_by_those_it_is_for() -> None:
    decided = policy()
    assert decided.may_break_glass(token("emergency"))
    assert decided.emergency_scope(token("emergency"), Action.RETRIEVE) == Scope(frozenset(HOSPITAL["departments"]))
    for action in (Action.STORE, Action.DELETE, Action.CORRECT, Action.ADMINISTER):
        assert decided.emergency_scope(token("emergency"), action) == NOTHING
    for who in ("rad", "card", "prometheus", "nobody"):
        assert not decided.may_break_glass(token(who))


@given(st.sampled_from(["rad", "card", "emergency", "nobody", "prometheus"]), st.sampled_from(ON_INSTANCES))
def test_nobody_but_administrators_sees_what_has_no_label(who: str, action: Action) -> None:
    assert not policy().scope(token(who), action).is_everything


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        (
            "departments:\n  a:\n    ae_titles: [GONE]\n",
            "vna.yaml:3: setting 'departments.a.ae_titles': 'GONE' is not in dimse.peers.",
        ),
        (
            "departments:\n  a:\n    principals: [x]\n",
            "vna.yaml:3: setting 'departments.a.principals': 'x' is neither in http.tokens nor in http.certificates.",
        ),
        (
            "departments:\n  a: {principals: anonymous}\n  b: {principals: anonymous}\n",
            "vna.yaml:3: setting 'departments.b': 'anonymous' belongs to 'a' already.",
        ),
        ("policy:\n  grants:\n    - {to: x, of: y}\n", "vna.yaml:3: setting 'policy.grants.0.to': 'x' is no department."),
        ("policy:\n  unassigned: x\n", "vna.yaml:2: setting 'policy.unassigned': 'x' is no department."),
        (
            "policy:\n  administrators: x\n",
            "vna.yaml:2: setting 'policy.administrators': 'x' is neither in http.tokens nor in http.certificates.",
        ),
    ],
)
def test_a_policy_about_nobody_is_refused_with_its_line(tmp_path: Path, yaml: str, message: str) -> None:
    path = tmp_path / "vna.yaml"
    path.write_text(yaml)
    with pytest.raises(ConfigurationError) as caught:
        Policy(load_settings(path, environment={}))
    assert caught.value.message.endswith(message)


@pytest.mark.parametrize(
    ("source", "attributes", "labels"),
    [
        (Source("dimse", "CT1", "10.0.0.1"), {}, ("radiology",)),
        (Source("stow", "card"), {}, ("cardiology",)),
        (Source("stow", "card"), {0x00080080: ("Imaging Centre",)}, ("radiology",)),
        (Source("file", "CT1"), {}, ()),
        (Source("dimse", "ELSEWHERE"), {}, ()),
        (Source("stow", "card"), {0x00081030: ("Heart team 7",)}, ("cardiology", "collection:heart-team")),
    ],
)
def test_labels_follow_from_source_and_attributes(
    source: Source, attributes: dict[int, tuple[str, ...]], labels: tuple[str, ...]
) -> None:
    settings = Settings.model_validate(HOSPITAL)
    departments = departments_of(settings.departments, settings.policy)
    assert departments.labels(source, "1.2.3", attributes) == labels


def test_what_belongs_nowhere_goes_where_the_policy_says() -> None:
    settings = Settings.model_validate(HOSPITAL | {"policy": {"unassigned": "emergency"}})
    departments = departments_of(settings.departments, settings.policy)
    assert departments.labels(Source("file", "folder"), "1.2.3", {}) == ("emergency",)
    assert departments.labels(Source("dimse", "CT1"), "1.2.3", {}) == ("radiology",)
