"""Nodes that misbehave: the production machine with an interpreter that lies."""

from __future__ import annotations

from tests.sim.node import SimNode
from ledger.crypto import Signer


class ByzantineNode(SimNode):
    correct = False

    def __init__(self, world, number, name, signer, strategy):
        super().__init__(world, number, name, signer)
        self.strategy = strategy
