"""What is kept beside records: each child counted once, every link noted, indexes apart."""

from __future__ import annotations

from ledger.registry.check import check
from ledger.registry.definition import Aggregate, PullEffect, SetEffect, Transition
from ledger.registry.fields import BooleanField, CodeField, IntegerField, ListField, RecordField
from tests.ledger.registry.specimen import CLERK, act, create, do, kind, service, stage


def test_a_child_counts_once_in_the_parent_that_it_names() -> None:
    """Two types may each have an aggregate of one name over children that name either of them."""
    total = {"total": Aggregate("child", "parent", ("open",), "amount", ordered=True)}
    child = kind(
        {"parent": RecordField(types=("odd-a", "odd-b")), "amount": IntegerField()},
    )
    types = {"a": kind(aggregates=total), "b": kind(aggregates=total), "child": child}
    chain = stage(service(types))
    parent, _ = create(chain, "a")
    create(chain, "child", {"parent": parent, "amount": 7})
    value = chain.value(f"aggregate/{parent}/total")
    assert (value["count"], value["sum"], len(value["ordered"])) == (1, 7, 1)


def test_a_link_set_later_belongs_to_the_complete_set() -> None:
    links = RecordField(types=("odd-a",), required=False)
    setter = act(
        input={"to": RecordField(types=("odd-a",))},
        effects=(SetEffect("parent", ["get", ["var", "input"], "to"]),),
    )
    child = kind({"parent": links}, acts={"join": setter}, complete=("parent",))
    chain = stage(service({"a": kind(), "child": child}))
    parent, _ = create(chain, "a")
    record, _ = create(chain, "child")
    assert chain.value(f"link/{parent}/odd-child.parent") is None
    assert do(chain, record, "join", {"to": parent})["status"] == "committed"
    assert chain.value(f"link/{parent}/odd-child.parent")["count"] == 1
    assert do(chain, record, "join", {"to": parent})["status"] == "committed"
    assert chain.value(f"link/{parent}/odd-child.parent")["count"] == 1, "the same link"


def test_no_index_of_a_field_stands_in_the_place_of_the_states_index() -> None:
    made = kind({"state": CodeField()}, create=Transition(to="open", by=CLERK), indexes=("state",))
    assert check(service({"a": made})) != []


def test_pulling_true_leaves_one_where_it_is() -> None:
    numbers = ListField(items=IntegerField())
    pull = act(
        input={"what": BooleanField()},
        effects=(PullEffect("l", ["get", ["var", "input"], "what"]),),
    )
    chain = stage(service({"a": kind({"l": numbers}, acts={"drop": pull})}))
    record, _ = create(chain, "a", {"l": [1]})
    assert do(chain, record, "drop", {"what": True})["reason"] == "ITEM_ABSENT"


def test_a_migration_does_not_turn_lists_into_lists_of_something_else() -> None:
    chain = stage(service({"a": kind({"l": ListField(items=IntegerField())})}))
    chain.activate(service({"a": kind({"l": ListField(items=CodeField())})}, version=2))
    entry = chain.govern("migrate", {"service": "odd", "source": 1, "target": 2})
    assert entry["reason"] == "PROPOSAL_INVALID"
    assert entry["results"] == [{"problem": "FIELDS_DIFFER"}]
