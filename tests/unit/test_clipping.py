"""Texts of others in sentences: cut, and counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schema.clipping import SENTENCE_LENGTH, clip, listed
from schema.errors import PermanentError


@given(st.text(), st.integers(3, 50))
def test_a_text_is_cut_to_its_length_and_says_so(text: str, length: int) -> None:
    cut = clip(text, length)
    assert cut == text if len(text) <= length else len(cut) == length and cut.endswith("...")


def test_names_are_listed_and_the_rest_counted() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(["a", "b", "c", "d"], 2) == "a, b and 2 more"
    assert listed(iter([])) == ""
    assert len(listed(["x" * 1_000] * 1_000)) < 6_000


def test_an_error_is_short_whatever_was_put_into_it() -> None:
    info = PermanentError("x" * 100_000, remediation="y" * 100_000).info()
    assert len(info.message) == len(info.remediation) == SENTENCE_LENGTH


def test_an_error_says_once_what_it_is_about() -> None:
    error = PermanentError("It is empty.")
    error.locate("a.kml")
    error.locate("a.kml")
    assert error.message == str(error) == "a.kml: It is empty."
