"""Media types and Accept fields."""

from __future__ import annotations

import pytest

from vna_core.domain.errors import UnsupportedMediaType
from vna_core.gateways.dicomweb.media_types import MediaRange, Wanted, choose, choose_json, parse, parse_accept, wanted_forms
from vna_core.gateways.dicomweb.picture_form import picture_forms


def test_a_quoted_parameter_may_hold_separators() -> None:
    parsed = parse('multipart/related; type="application/dicom"; boundary="a;b,\\"c\\"" ; transfer-syntax=1.2')
    assert parsed == MediaRange(
        "multipart/related", {"type": "application/dicom", "boundary": 'a;b,"c"', "transfer-syntax": "1.2"}
    )


def test_ranges_come_best_first_and_refused_ones_are_gone() -> None:
    accept = parse_accept(("image/png;q=0.5, image/jpeg, image/gif;q=0, text/html;q=junk",))
    assert [one.name for one in accept] == ["image/jpeg", "image/png"]


def test_the_query_parameter_goes_before_the_header_field() -> None:
    assert [one.name for one in parse_accept(("image/png", "image/jpeg"))] == ["image/png"]
    assert [one.name for one in parse_accept((None, "image/jpeg"))] == ["image/jpeg"]


def test_nothing_said_means_everything() -> None:
    assert choose(parse_accept((None, None)), ("image/png",)) == "image/png"
    assert choose_json(parse_accept(("",))) == "application/dicom+json"


def test_the_best_offer_follows_the_client() -> None:
    assert choose(parse_accept(("image/*;q=0.2, image/png",)), ("image/jpeg", "image/png")) == "image/png"


@pytest.mark.parametrize(
    ("field", "chosen"),
    [
        ("image/jpeg;q=0, */*", "image/png"),
        ("image/jpeg;q=0, image/*", "image/png"),
        ("image/*;q=0.9, image/jpeg;q=0.1", "image/png"),
        ("*/*, image/*;q=0.5, image/jpeg;q=0.1", "image/png"),
        ("*/*, image/png;q=0.5", "image/jpeg"),
        ("image/*;q=0, */*", None),
        ("image/jpeg;q=0, image/png;q=0, */*", None),
    ],
)
def test_the_most_specific_range_counts(field: str, chosen: str | None) -> None:
    """RFC 9110 section 12.5.1."""
    accept = parse_accept((field,))
    if chosen is not None:
        assert choose(accept, ("image/jpeg", "image/png")) == chosen
        assert picture_forms(accept)[0].media_type == chosen
        return
    with pytest.raises(UnsupportedMediaType):
        choose(accept, ("image/jpeg", "image/png"))
    with pytest.raises(UnsupportedMediaType):
        picture_forms(accept)


def test_xml_is_not_acceptable() -> None:
    with pytest.raises(UnsupportedMediaType):
        choose_json(parse_accept(('multipart/related; type="application/dicom+xml"',)))


def test_forms_name_packaging_type_and_syntax() -> None:
    accept = parse_accept(
        ('multipart/related; type="image/jp2"; transfer-syntax=1.2.840.10008.1.2.4.90, application/dicom, application/zip, */*',)
    )
    assert wanted_forms(accept) == [
        Wanted("multipart", "image/jp2", "1.2.840.10008.1.2.4.90"),
        Wanted("single", "application/dicom", ""),
        Wanted("zip", "application/dicom", "*"),
        Wanted("multipart", "*/*", "*"),
    ]
