"""Clients wait for their answers while many transactions wait for a block."""

from __future__ import annotations

import pytest

from node import machine
from node.machine import Patience
from node.outputs import Answer, NodeEvent, Output, Submitted, Tick
from tests.chain import document
from tests.node.small_net import Net, Node

BELOW = 5


def _net(monkeypatch: pytest.MonkeyPatch) -> Net:
    """A started network whose member 0 holds batches while five transactions wait."""
    net = Net()
    net.start()
    net.settle()
    monkeypatch.setattr(
        net.nodes[0].machine, "_patience", Patience(admit_below=BELOW), raising=True
    )
    return net


def _submit(net: Net, ticket: int) -> list[Output]:
    """A batch of two."""
    raws = [net.kit.sign("agency-0", f"jti-{ticket}-{n}", [document()]) for n in range(2)]
    return net.post(net.nodes[0], Submitted(tuple(raws), ticket))


def _answered(outputs: list[Output]) -> list[int]:
    return [output.ticket for output in outputs if isinstance(output, Answer)]


def test_who_comes_when_many_wait_is_answered_after_the_next_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = _net(monkeypatch)
    answers = [_answered(_submit(net, ticket)) for ticket in range(6)]
    assert answers == [[0], [1], [2], [], [], []]
    assert len(net.nodes[0].machine.mempool) == 6
    late: list[int] = []
    original = net.post

    def post(node: Node, event: NodeEvent) -> list[Output]:
        outputs = original(node, event)
        late.extend(_answered(outputs))
        return outputs

    monkeypatch.setattr(net, "post", post)
    net.settle()
    assert late == [3], "the first block made room for one"
    net.run(2_000)
    assert late == [3, 4, 5], "in the order in which they came"
    assert len(net.nodes[0].machine.mempool) == 0
    state = net.nodes[0].machine.chain
    assert sum(len(state.archive.entries(height)) for height in range(1, state.height + 1)) == 12


def test_nobody_waits_longer_than_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    net = _net(monkeypatch)
    for ticket in range(4):
        _submit(net, ticket)
    net.frames.clear()  # no block will come
    net.ms += machine.HOLD_MS - 1
    assert _answered(net.post(net.nodes[0], Tick())) == []
    net.ms += 1
    assert _answered(net.post(net.nodes[0], Tick())) == [3]


def test_few_wait_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net = _net(monkeypatch)
    monkeypatch.setattr(machine, "HELD_MAX", 2)
    answers = [_answered(_submit(net, ticket)) for ticket in range(7)]
    assert answers == [[0], [1], [2], [], [], [3], [4]]


def test_few_bytes_wait_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net = _net(monkeypatch)
    size = sum(len(net.kit.sign("agency-0", f"jti-0-{n}", [document()])) for n in range(2))
    monkeypatch.setattr(machine, "HELD_BYTES_MAX", 2 * size + size // 2)
    answers = [_answered(_submit(net, ticket)) for ticket in range(7)]
    assert answers == [[0], [1], [2], [], [], [3], [4]]
    # A batch that is too large by itself makes room for itself, in its turn.
    raws = tuple(net.kit.sign("agency-0", f"large-{n}", [document()]) for n in range(6))
    assert _answered(net.post(net.nodes[0], Submitted(raws, 7))) == [5, 6, 7]
    # What was answered holds no room any more.
    assert [_answered(_submit(net, ticket)) for ticket in (8, 9, 10)] == [[], [], [8]]


def test_a_single_transaction_is_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    net = _net(monkeypatch)
    for ticket in range(4):
        _submit(net, ticket)
    raw = net.kit.sign("agency-0", "alone", [document()])
    assert _answered(net.post(net.nodes[0], Submitted((raw,), 9))) == [9]
