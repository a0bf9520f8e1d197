"""A four-validator network for each module that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.network import Net, network


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    """Four running validators."""
    with network(tmp_path_factory.mktemp("network")) as running:
        yield running
