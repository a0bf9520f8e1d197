"""Strict base64url: one text for each byte string."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import base64url


@given(st.binary(max_size=80))
@settings(deadline=None, max_examples=200)
def test_round_trip(data: bytes) -> None:
    text = base64url.encode(data)
    assert text == base64.urlsafe_b64encode(data).decode().rstrip("=")
    assert base64url.decode(text) == base64url.decode(text.encode()) == data


@given(st.text("AQgwBZ-_+/= \n", max_size=9) | st.text(max_size=4))
@settings(deadline=None, max_examples=400)
def test_decodes_exactly_what_encodes_back(text: str) -> None:
    """The reference: RFC 4648's alphabet, a length that can be, no bits left over."""
    good = re.fullmatch(r"[A-Za-z0-9_-]*", text) is not None and len(text) % 4 != 1
    if good:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        good = base64.urlsafe_b64encode(data).decode().rstrip("=") == text
    if good:
        assert base64url.encode(base64url.decode(text)) == text
    else:
        with pytest.raises(ValueError):
            base64url.decode(text)


@pytest.mark.parametrize(
    "text", ["A", "AB", "AAB", "AA==", "AA=", "A+AA", "A/AA", "AA AA", "AAAA\n", "AA\0A", "ÄÄÄÄ"]
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        base64url.decode(text)
    with pytest.raises(ValueError):
        base64url.decode(text.encode())
