"""Whole numbers in texts that others wrote."""

from __future__ import annotations


def whole_number(text: str, digits: int = 18) -> int | None:
    """A number from 0 on in at most so many ASCII digits; None for every other text.

    `str.isdigit` is true for digits that `int` refuses, such as a raised two, and `int` refuses thousands of digits. 18 digits are
    what a column of the catalogue takes.

    >>> whole_number("0512"), whole_number("\\u00b2"), whole_number("-1"), whole_number("")
    (512, None, None, None)
    """
    return int(text) if len(text) <= digits and text.isascii() and text.isdigit() else None
