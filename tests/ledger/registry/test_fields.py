"""Field kinds: what fits, and what their own members may say."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.ids import INTEGER_MAX
from ledger.registry.fields import (
    BooleanField,
    ChoiceField,
    CodeField,
    CommitmentField,
    Field,
    HashField,
    IntegerField,
    ListField,
    Lookup,
    PartyField,
    RecordField,
    StringField,
    TimeField,
    check_field,
    check_given,
    check_values,
    fits,
)

RECORD = "odd-box/" + "0" * 32
OTHER = "odd-slip/" + "0" * 32
KNOWN = {RECORD: "odd-box", OTHER: "odd-slip"}


class _Chain:
    """A chain with one party and two records."""

    def party_exists(self, party: str) -> bool:
        return party == "ann"

    def record_type(self, record: str) -> str | None:
        return KNOWN.get(record)

    def spend(self, cost: int) -> None:
        """Free here."""


LOOKUP: Lookup = _Chain()
HEX = "0f" * 32
FITTING: list[tuple[Field, list[Any], list[Any]]] = [
    (IntegerField(minimum=-1, maximum=5), [-1, 0, 5], [-2, 6, True, "1", 1.0, [1]]),
    (IntegerField(), [0, INTEGER_MAX], [-1, INTEGER_MAX + 1]),
    (StringField(max=3, pattern="[a-c]*"), ["", "abc"], ["abca", "d", 1, "\u0430", "a\n"]),
    (CodeField(), ["a", "a-b"], ["", "A", "a_b", "-a", "a\n", 1, "\u0430"]),
    (ChoiceField(of=("a", "b")), ["a", "b"], ["c", "", 1, ["a"]]),
    (BooleanField(), [True, False], [1, 0, "true"]),
    (TimeField(), [0, INTEGER_MAX], [-1, INTEGER_MAX + 1, True, "0"]),
    (HashField(), [HEX], [HEX.upper(), HEX[:-1], HEX + "0", 1]),
    (CommitmentField(), [HEX], ["x" * 64]),
    (PartyField(), ["ann"], ["ben", "Ann", "", 1, "\u0430nn", ["ann"]]),
    (RecordField(types=("odd-box",)), [RECORD], [OTHER, RECORD[:-1], "odd-box", 1]),
    (ListField(max=2, items=BooleanField()), [[], [True, False]], [[True] * 3, [1], "x", {}]),
]


@pytest.mark.parametrize(("field", "right", "wrong"), FITTING)
def test_what_fits(field: Field, right: list[Any], wrong: list[Any]) -> None:
    check_field(field)
    assert [value for value in right if not fits(field, value, LOOKUP)] == []
    assert [value for value in wrong if fits(field, value, LOOKUP)] == []


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (CodeField(privacy="secret"), "privacy"),
        (CodeField(origin="anywhere"), "origin"),
        (IntegerField(minimum=2, maximum=1), "minimum"),
        (StringField(max=0), "max"),
        (StringField(max=257), "max"),
        (StringField(pattern="("), "pattern"),
        (ChoiceField(), "choice"),
        (ChoiceField(of=("a", "a")), "different"),
        (ChoiceField(of=("A",)), "codes"),
        (ChoiceField(of=tuple(f"c{i}" for i in range(65))), "choice"),
        (RecordField(), "types"),
        (ListField(max=0), "max"),
        (ListField(max=65), "max"),
        (ListField(items=ChoiceField()), "choice"),
    ],
)
def test_members_that_make_no_sense(field: Field, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_field(field)


FIELDS: dict[str, Field] = {
    "b": CodeField(),
    "a": IntegerField(required=False),
    "c": CodeField(required=False, origin="effect"),
}


def test_the_first_wrong_value_is_named_in_the_order_of_the_definition() -> None:
    assert check_values(FIELDS, {"b": "x"}, LOOKUP) is None
    assert check_values(FIELDS, {"b": "x", "a": None, "c": "y"}, LOOKUP) is None
    assert check_values(FIELDS, {}, LOOKUP) == "b"
    assert check_values(FIELDS, {"a": -1, "b": "X"}, LOOKUP) == "b"
    assert check_values(FIELDS, {"a": -1, "b": "x"}, LOOKUP) == "a"
    assert check_values(FIELDS, {"b": "x", "z": 1, "y": 1}, LOOKUP) == "y"


def test_what_nobody_may_give() -> None:
    assert check_given(FIELDS, {}, LOOKUP) is None
    assert check_given(FIELDS, {"a": 1, "b": None}, LOOKUP) is None
    assert check_given(FIELDS, {"c": None}, LOOKUP) is None
    assert check_given(FIELDS, {"c": "x"}, LOOKUP) == "c"
    assert check_given(FIELDS, {"a": "x"}, LOOKUP) == "a"
    assert check_given(FIELDS, {"z": 1}, LOOKUP) == "z"
