"""What holds for every test."""

from __future__ import annotations

import pytest

from ledger import executor

DEFECTS = executor.DEFECTS
"""What is caught outside of tests."""


@pytest.fixture(autouse=True)
def _mistakes_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in the rules fails the test that meets it; in a daemon it refuses one act."""
    monkeypatch.setattr(executor, "DEFECTS", ())
