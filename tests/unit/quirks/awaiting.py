"""Files whose rules are not there yet."""

from __future__ import annotations

from typing import Final

AWAITING: Final[frozenset[str]] = frozenset(
    (
        "D01-da-with-dots",
        "D01-da-with-dots-in-a-sequence",
        "D02-da-iso-8601",
        "D03-da-stars",
        "D03-da-with-a-time",
        "D03-da-word",
        "D03-da-zeros",
        "D04-tm-am-pm",
        "D04-tm-colons",
        "D04-tm-colons-and-fraction",
        "D04-tm-no-dot",
        "D04-tm-seven-digits",
        "D05-dt-date-with-dots",
        "D05-dt-no-dot",
        "D06-age-two-digits",
        "D06-age-without-unit-and-birth-date",
        "D07-ds-one-of-six",
        "D07-ds-shorter-form",
        "D08-ds-comma",
        "D08-ds-fortran",
        "D09-is-with-point",
        "I10-patient-id-blanks-around",
        "I10-patient-id-control-character",
        "I10-patient-id-nul-padded",
        "T01-hyphen",
        "T01-latin1",
        "T01-lower-case",
        "T01-two-blanks-utf-8",
        "T01-underscores",
        "T01-utf8",
        "T03-utf-8-declared-latin-1",
        "T04-empty-first-value",
        "T04-ir-6-as-first-value",
        "T05-ir-13-without-2022",
        "T05-korean-without-2022",
        "T06-gb18030-with-5c",
        "T06-gbk-with-5c",
        "T06-korean-without-escapes",
        "T06-shift-jis-with-5c",
        "T07-utf-8-first",
        "T07-utf-8-second",
        "T08-items-with-their-own",
        "T10-control-character",
        "T10-nul-padding",
        "T10-nul-padding-in-a-name",
        "T12-modality-in-lower-case",
        "T12-sex-in-lower-case",
    )
)
"""Names of files of the catalogue. A rule's author takes out what the rule fulfils."""
