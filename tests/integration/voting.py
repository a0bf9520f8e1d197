"""A service voted in on a network of processes."""

from __future__ import annotations

import time
from typing import Any

from ledger import canonical
from ledger.registry.definition import Definition
from tests.integration.network import Net

PROPOSER = "treasury"
SECONDS = 20


def committed(net: Net, party: str, *operations: dict[str, Any]) -> tuple[str, list[Any]]:
    """Transaction id and results."""
    fate = net.commit(net.sign(party, *operations))
    assert fate["status"] == "committed", fate
    return fate["id"], net.call(0, "tx_get", id=fate["id"])["entry"]["results"]


def vote_in(net: Net, definition: Definition) -> None:
    """Propose the network's first service, vote for it, and wait until it is in force."""
    propose = {
        "op": "gov.propose",
        "proposal": definition.service,
        "kind": "activate",
        "body": {"definition": canonical.decode(definition.encode())},
        "rationale": "ab" * 32,
        "effective_height": 0,
        "until": int(time.time()) + 3_600,
    }
    committed(net, PROPOSER, propose)
    for agency in ("land-registry", "health-agency"):
        vote = {"op": "gov.vote", "proposal": definition.service, "accept": True}
        committed(net, agency, vote)
    deadline = time.monotonic() + SECONDS
    while not net.call(0, "service_list")["items"]:
        assert time.monotonic() < deadline, "the service is not in force"
        time.sleep(0.2)
