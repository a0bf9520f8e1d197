"""RFC 8785: the official vectors, and the fast encoder against the whole standard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import canonical
from tests.builders import make_genesis

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "jcs" / "testdata"
NAMES = ["arrays", "french", "structures", "unicode", "values", "weird"]


@pytest.mark.vectors
@pytest.mark.parametrize("name", NAMES)
def test_official_vectors(name: str) -> None:
    if not VECTORS.is_dir():
        source = "testdata/ of cyberphone/json-canonicalization, 19d51d7, on GitHub"
        pytest.skip(f"official vectors are not at {VECTORS}: {source}")
    value = json.loads((VECTORS / "input" / f"{name}.json").read_bytes())
    want = (VECTORS / "output" / f"{name}.json").read_bytes()
    octets = bytes.fromhex((VECTORS / "outhex" / f"{name}.txt").read_text())
    assert canonical.encode_any(value) == want == octets


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = st.text(st.characters(max_codepoint=127), max_size=4)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5),
    max_leaves=20,
)


@given(documents)
@settings(deadline=None, max_examples=300)
def test_the_fast_encoder_is_the_standard_for_documents_of_ours(document: Any) -> None:
    data = canonical.encode(document)
    assert data == canonical.encode_any(document)
    assert canonical.decode(data) == document


class Inner(msgspec.Struct):
    zeta: int
    alpha: list[Any]


class Outer(msgspec.Struct):
    b: Inner
    a: dict[str, Any]
    B: str = "\u001f\b\u2028"


def test_struct_fields_are_sorted_like_names() -> None:
    value = Outer(Inner(1, [{"y": 1, "x": 2}]), {"d": 1, "c": Inner(2, [])})
    data = canonical.encode(value)
    assert data == canonical.encode_any(msgspec.to_builtins(value))
    genesis = make_genesis(1).genesis
    assert canonical.encode(genesis) == canonical.encode_any(genesis.to_json())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, "\ud800", {1: 2}], ids=repr)
def test_what_has_no_canonical_form(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical.encode_any(value)


def test_what_is_not_json() -> None:
    for data in (b"", b"{", b"nul", b'"\xff"'):
        with pytest.raises(ValueError):
            canonical.decode(data)
