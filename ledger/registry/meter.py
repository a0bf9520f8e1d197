"""What a transaction may still spend, and the refusal of what it cannot pay for."""

from __future__ import annotations

from typing import Any, TypeAlias

Value: TypeAlias = Any
"""int, str, bool, None, list of values, or dict of str to value."""


class ExpressionRefused(Exception):
    """The expression has no value; `reason` is EXPRESSION_TYPE, _OVERFLOW or _COST."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Meter:
    """What a transaction may still spend on expressions."""

    __slots__ = ("left",)

    def __init__(self, limit: int) -> None:
        self.left = limit

    @property
    def rest(self) -> int:
        """What is left, never below 0: beyond the limit no work was done."""
        return max(self.left, 0)

    def spend(self, cost: int) -> None:
        """Raises ExpressionRefused with EXPRESSION_COST when nothing is left."""
        self.left -= cost
        if self.left < 0:
            raise ExpressionRefused("EXPRESSION_COST", "the transaction costs too much")


def weigh(value: Value, meter: Meter) -> None:
    """Pay for a walk through a value: 1 for each part, 1 for each 64 characters.

    Raises ExpressionRefused with EXPRESSION_COST, before the walk that is paid for.
    """
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if type(part) is str:
            meter.spend(len(part) // 64)
        elif type(part) is list or type(part) is dict:
            meter.spend(len(part))
            waiting += part.values() if type(part) is dict else part
