"""The linear-time matcher against Python's re on the subset that both understand."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.registry.pattern import Pattern
from tests.work import lines_run

_atoms = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "[a-c]", r"\.", "0"])
_repeats = st.sampled_from(["", "?", "*", "+", "{2}", "{0,2}", "{1,3}"])
_sources = st.lists(st.tuples(_atoms, _repeats), max_size=6).map(
    lambda items: "".join(atom + repeat for atom, repeat in items)
)


@settings(max_examples=400, deadline=None)
@given(_sources, st.text(alphabet="abc.0", max_size=8))
def test_agrees_with_re(source: str, text: str) -> None:
    assert Pattern(source).matches(text) == (re.fullmatch(source, text, re.DOTALL) is not None)


@pytest.mark.parametrize(
    "source",
    ["(a)", "a|b", "^a", "a$", "a{", "a{2,1}", "a{999}", "[", "[]", "[b-a]", "a**", r"\d", "a\\"],
)
def test_refuses_what_is_not_in_the_subset(source: str) -> None:
    with pytest.raises(ValueError):
        Pattern(source)


def test_a_pattern_that_backtracks_elsewhere_is_linear_here() -> None:
    pattern = Pattern("a?" * 25 + "a{25}")
    (found, missed), lines = lines_run(
        lambda: (pattern.matches("a" * 25), pattern.matches("a" * 24))
    )
    assert (found, missed) == (True, False)
    assert lines < 5_000


def test_bounds() -> None:
    with pytest.raises(ValueError, match="128"):
        Pattern("a" * 129)
    with pytest.raises(ValueError, match="positions"):
        Pattern("a{256}" * 5)
