"""Lists come in pages that say at which height they began, and whether the state moved since."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from ledger import canonical
from ledger.registry import tasks
from ledger.registry.pending import PENDING_SECONDS
from node.jsonrpc import Method, RpcError
from node.methods import governance, record, registry
from node.service import NodeService
from tests.builders import EXP, GENESIS_TIME_MS
from tests.node.chains import Grown, document
from tests.services.hostile import SOURCE, definition

PAIR = SOURCE.replace(
    "shut: {from: open, to: shut, by: party(owner)}",
    "shut: {from: open, to: shut, by: 'party(owner) and is(input.with)', input: {with: party}}\n"
    "      wait: {from: open, to: open, by: party(owner),"
    " do: [{timer: {name: ring, at: now + 60}}]}",
)


class Node:
    """A chain of one node with a service on it, and its methods."""

    def __init__(self) -> None:
        self.grown = Grown()
        parts = SimpleNamespace(
            chain=self.grown.chain, machine=SimpleNamespace(store=self.grown.store)
        )
        service = cast(NodeService, parts)
        self.methods: dict[str, Method] = {
            method.name: method
            for module in (governance, record, registry)
            for method in module.methods(service)
        }

    @property
    def head(self) -> int:
        return self.grown.chain.height

    def call(self, name: str, **params: Any) -> dict[str, Any]:
        method = self.methods[name]
        try:
            given = msgspec.convert(params, method.params)
        except msgspec.ValidationError as error:
            raise RpcError(-32602, "PARAMS_INVALID", str(error)) from None

        async def answer() -> dict[str, Any]:
            found: dict[str, Any] = await method.handler(given)
            return found

        return asyncio.run(answer())

    def pages(self, name: str, member: str = "items", **params: Any) -> list[list[Any]]:
        """All pages of a list that nobody changes."""
        pages: list[list[Any]] = []
        cursor: dict[str, str] = {}
        while True:
            answer = self.call(name, **params, **cursor)
            assert answer["at"]["height"] == answer["began"] == self.head
            assert answer["moved"] is False
            pages.append(answer[member])
            if answer["next_cursor"] is None:
                return pages
            cursor = {"cursor": answer["next_cursor"]}

    def run(self, *ops: dict[str, Any], party: str = "agency-0") -> list[dict[str, Any]]:
        """Results of one transaction in a block of its own."""
        candidate = self.grown.block(self.grown.tx(*ops, party=party))
        entry = canonical.decode(candidate.execution.entries[0])
        assert entry["reason"] == "", entry
        results: list[dict[str, Any]] = entry["results"]
        return results

    def propose(self, name: str, kind: str, body: dict[str, Any]) -> None:
        self.run(
            {
                "op": "gov.propose",
                "proposal": name,
                "kind": kind,
                "body": body,
                "rationale": "0" * 64,
                "effective_height": 0,
                "until": GENESIS_TIME_MS // 1000 + 3_600,
            }
        )

    def activate(self, name: str = "odd") -> None:
        source = PAIR.replace("odd", name)
        made = canonical.decode(definition(source).encode())
        self.propose(f"service-{name}", "activate", {"definition": made})
        vote = {"op": "gov.vote", "proposal": f"service-{name}", "accept": True}
        for agency in ("agency-1", "agency-2"):
            self.run(vote, party=agency)
        self.grown.block()

    def boxes(self, count: int) -> list[str]:
        data = {"owner": "agency-0"}
        create = {"op": "record.create", "type": "odd-box", "version": 1, "data": data}
        return [self.run(create)[0]["record"] for _ in range(count)]


def act(record: str, transition: str, **given: Any) -> dict[str, Any]:
    return {"op": "record.act", "id": record, "transition": transition, "input": given}


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    """Its clock is that of its newest block."""
    monkeypatch.setattr(registry, "time", SimpleNamespace(time=lambda: 0.0))
    return Node()


def refusal(node: Node, name: str, **params: Any) -> str:
    with pytest.raises(RpcError) as caught:
        node.call(name, **params)
    return caught.value.reason


def test_every_version_of_a_record_in_pages(node: Node) -> None:
    node.activate()
    (box,) = node.boxes(1)
    for _ in range(6):
        node.run(act(box, "work"))
    pages = node.pages("record_history", "versions", id=box, limit=3)
    assert [[version["seq"] for version in page] for page in pages] == [[0, 1, 2], [3, 4, 5], [6]]
    first = node.call("record_history", id=box, limit=7)
    assert (len(first["versions"]), first["next_cursor"]) == (7, None)
    short = node.call("record_history", id=box, limit=5)
    node.run(act(box, "work"))
    rest = node.call("record_history", id=box, cursor=short["next_cursor"])
    assert (rest["began"], rest["moved"]) == (node.head - 1, True)
    assert [version["seq"] for version in rest["versions"]] == [5, 6, 7]
    beyond = node.call("record_history", id=box, cursor=f"{node.head}:90")
    assert (beyond["versions"], beyond["next_cursor"]) == ([], None)


def test_proposals_in_pages(node: Node) -> None:
    for number in range(5):
        node.propose(f"p{number}", "parameter", {"parameters": {"effects_max": 9}})
    pages = node.pages("gov_list", limit=2)
    assert [[item["id"] for item in page] for page in pages] == [["p0", "p1"], ["p2", "p3"], ["p4"]]
    assert all("body" not in item for page in pages for item in page)
    assert node.call("gov_get", proposal="p1")["proposal"]["body"] is not None
    node.run({"op": "gov.withdraw", "proposal": "p1"})
    shown = node.call("gov_get", proposal="p1")["proposal"]
    assert (shown["status"], shown["body"]) == ("withdrawn", None)


def test_services_in_pages(node: Node) -> None:
    names = ["even", "odd", "odd-2", "prime", "zero"]
    for name in reversed(names):
        node.activate(name)
    pages = node.pages("service_list", limit=2)
    assert [[item["service"] for item in page] for page in pages] == [
        names[:2],
        names[2:4],
        names[4:],
    ]
    assert all(item["current"] == 1 for page in pages for item in page)
    assert len(node.call("service_list")["items"]) == len(names)


def test_a_list_that_changes_shows_each_record_that_stayed_once(node: Node) -> None:
    node.activate()
    boxes = sorted(node.boxes(6))
    page = node.call("record_list", type="odd-box", state="open", limit=2)
    assert (page["began"], page["moved"], page["complete"]) == (node.head, False, False)
    # One that was shown leaves, the one that the cursor names leaves, and others come.
    for box in (boxes[0], boxes[2]):
        node.run(act(box, "shut", **{"with": "agency-1"}))
        (waiting,) = node.call("task_list", party="agency-1")["items"]
        approve = {"op": "record.approve", "id": box, "pending": waiting["pending"]}
        node.run(approve, party="agency-1")
    fresh = node.boxes(3)
    seen = [item["id"] for item in page["items"]]
    while page["next_cursor"] is not None:
        page = node.call(
            "record_list", type="odd-box", state="open", limit=2, cursor=page["next_cursor"]
        )
        assert page["moved"] is True
        assert page["began"] < page["at"]["height"] == node.head
        seen += [item["id"] for item in page["items"]]
    assert len(seen) == len(set(seen))
    stayed = set(boxes) - {boxes[0], boxes[2]}
    assert stayed <= set(seen) <= stayed | {boxes[0]} | set(fresh)
    assert seen == sorted(seen)


def test_what_waits_for_a_party_in_pages(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.activate()
    boxes = node.boxes(5)
    for box in boxes:
        node.run(act(box, "shut", **{"with": "agency-1"}))
    pages = node.pages("task_list", party="agency-1", limit=2)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [item["record"] for page in pages for item in page] == sorted(boxes)
    assert node.pages("task_list", party="agency-2") == [[]]
    # A page looks at so many acts only, and says where to go on: nothing is passed over.
    monkeypatch.setattr(tasks, "PAGE_COST_MAX", 1)
    for party, found in (("agency-1", sorted(boxes)), ("agency-2", [])):
        pages = node.pages("task_list", party=party)
        assert len(pages) == 5
        assert [item["record"] for page in pages for item in page] == found


def test_a_task_is_there_until_it_is_done_and_after_it_expired(node: Node) -> None:
    node.activate()
    first, second = node.boxes(2)
    names = [
        node.run(act(box, "shut", **{"with": "agency-1"}))[0]["pending"] for box in (first, second)
    ]
    task = node.call("task_get", record=first, pending=names[0])["task"]
    assert (task["transition"], task["signers"], task["pending"]) == (
        "shut",
        ["agency-0"],
        names[0],
    )
    node.run({"op": "record.approve", "id": first, "pending": names[0]}, party="agency-1")
    assert refusal(node, "task_get", record=first, pending=names[0]) == "PENDING_UNKNOWN"
    end = GENESIS_TIME_MS + (PENDING_SECONDS + 60) * 1000
    node.grown.block(time_ms=end)
    task = node.call("task_get", record=second, pending=names[1])["task"]
    assert (task["status"], task["record"], task["signers"]) == ("expired", second, ["agency-0"])
    assert node.call("task_list", party="agency-1")["items"] == []


def test_deadlines_in_pages(node: Node) -> None:
    node.activate()
    boxes = node.boxes(5)
    for box in boxes:
        node.run(act(box, "wait"))
    pages = node.pages("deadline_list", until=EXP, limit=2)
    assert [len(page) for page in pages] == [2, 2, 1]
    times = [item["at"] for page in pages for item in page]
    assert times == sorted(times)
    assert {item["record"] for page in pages for item in page} == set(boxes)


@pytest.mark.parametrize(
    ("name", "params", "cursor"),
    [
        ("record_list", {"type": "odd-box"}, "odd-box/" + "0" * 32),
        ("record_list", {"type": "odd-box"}, "0:odd-lid/" + "0" * 32),
        ("record_list", {"type": "odd-box"}, "0:odd-box"),
        ("record_list", {"type": "odd-box"}, "999:odd-box/" + "0" * 32),
        ("record_history", {"id": "ID"}, "0:-1"),
        ("record_history", {"id": "ID"}, "0:x"),
        ("gov_list", {}, "0:a/b"),
        ("gov_list", {}, "0:"),
        ("service_list", {}, "0:A"),
        ("service_list", {}, "0:"),
        ("task_list", {"party": "agency-0"}, "0:odd-box/0"),
        ("deadline_list", {}, "0:5/odd-box/ring"),
    ],
)
def test_a_cursor_of_another_list_is_refused(
    node: Node, name: str, params: dict[str, Any], cursor: str
) -> None:
    results = node.run(document(1))
    given = {key: results[0]["record"] if value == "ID" else value for key, value in params.items()}
    assert refusal(node, name, **given, cursor=cursor) == "PARAMS_INVALID"
