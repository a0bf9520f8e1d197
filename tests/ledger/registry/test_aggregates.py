"""Aggregates: count and sum without limit, min and argmin of ordered ones within theirs."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.registry import aggregates
from ledger.registry.check import check
from ledger.registry.definition import Aggregate, SetEffect, Type
from ledger.registry.fields import Field, IntegerField, RecordField
from node.authoring.stage import Stage
from tests.ledger.registry.specimen import act, create, do, kind, service, stage


def least(*, ordered: bool) -> dict[str, Type]:
    """A parent that notes the least amount of its children."""
    total = {"total": Aggregate("child", "parent", ("open",), "amount", ordered=ordered)}
    expression: list[Any] = ["call", "min", [["var", "id"], ["str", "total"]]]
    which: list[Any] = ["call", "argmin", [["var", "id"], ["str", "total"]]]
    found: dict[str, Field] = {
        "least": IntegerField(required=False),
        "which": RecordField(types=("odd-child",), required=False),
    }
    note = act(effects=(SetEffect("least", expression), SetEffect("which", which)))
    child = kind({"parent": RecordField(types=("odd-a",)), "amount": IntegerField()})
    return {"a": kind(found, acts={"note": note}, aggregates=total), "child": child}


def with_children(chain: Stage, *amounts: int) -> tuple[str, list[str]]:
    parent, _ = create(chain, "a")
    children = [create(chain, "child", {"parent": parent, "amount": n})[0] for n in amounts]
    return parent, children


def test_the_least_of_an_ordered_aggregate() -> None:
    chain = stage(service(least(ordered=True)))
    parent, children = with_children(chain, 7, 3, 9)
    assert do(chain, parent, "note")["status"] == "committed"
    data = chain.value(f"record/{parent}")["data"]
    assert (data["least"], data["which"]) == (3, children[1])
    empty, _ = create(chain, "a")
    assert do(chain, empty, "note")["status"] == "committed"
    assert chain.value(f"record/{empty}")["data"].get("least") is None


def test_no_least_where_no_order_is_kept() -> None:
    chain = stage(service(least(ordered=False)))
    parent, _ = with_children(chain, 7)
    assert do(chain, parent, "note")["reason"] == "EXPRESSION_TYPE"


@pytest.mark.parametrize("ordered", [True, False])
def test_only_an_ordered_aggregate_fills(monkeypatch: pytest.MonkeyPatch, ordered: bool) -> None:
    monkeypatch.setattr(aggregates, "ORDERED_MAX", 2)
    chain = stage(service(least(ordered=ordered)))
    parent, _ = with_children(chain, 1, 2)
    _, entry = create(chain, "child", {"parent": parent, "amount": 3})
    value = chain.value(f"aggregate/{parent}/total")
    if ordered:
        assert entry["reason"] == "AGGREGATE_FULL"
        assert (value["count"], value["sum"]) == (2, 3)
    else:
        assert entry["status"] == "committed"
        assert (value["count"], value["sum"], value["ordered"]) == (3, 6, [])


def test_an_order_needs_a_field() -> None:
    total = {"total": Aggregate("a", "parent", ("open",), ordered=True)}
    made = kind({"parent": RecordField(types=("odd-a",))}, aggregates=total)
    assert "ordered needs a field to order by" in [text for _, text in check(service({"a": made}))]
