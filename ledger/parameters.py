"""Genesis parameters with their compiled bounds (docs/spec/formats.md, section 2)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

PARAMETERS_KEY: Final = b"sys/parameters"
OPERATION_COST: Final = 50
"""What an operation or a timer costs a block besides its expressions and effects."""
EFFECT_COST: Final = 30
"""What an effect costs a block besides its expressions."""
FIXED: Final = (
    "block_interval_max_ms",
    "checkpoint_interval",
    "turn_length",
    "window",
)
"""Parameters that consensus is built with: genesis alone decides them."""

BOUNDS: Final[dict[str, tuple[int, int]]] = {
    "block_bytes_max": (65_536, 8_388_608),
    "block_transactions_max": (1, 10_000),
    "block_cost_max": (100_000, 100_000_000),
    "transaction_bytes_max": (1_024, 262_144),
    "operations_max": (1, 64),
    "marks_per_party_max": (16, 100_000_000),
    "keys_per_party_max": (1, 32),
    "expiry_ahead_max_ms": (60_000, 86_400_000),
    "block_interval_max_ms": (1_000, 600_000),
    "checkpoint_interval": (1, 1_024),
    "turn_length": (1, 1_024),
    "window": (1, 1),
    "expression_cost_max": (1_000, 1_000_000),
    "effects_max": (8, 1_000),
    "record_bytes_max": (1_024, 262_144),
    "timers_per_block_max": (1, 10_000),
}


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every validator must hold equal. Times in milliseconds, sizes in bytes."""

    block_bytes_max: int = 2_097_152
    block_transactions_max: int = 2_000
    block_cost_max: int = 2_000_000
    transaction_bytes_max: int = 65_536
    operations_max: int = 16
    marks_per_party_max: int = 1_000_000
    keys_per_party_max: int = 8
    expiry_ahead_max_ms: int = 86_400_000
    block_interval_max_ms: int = 60_000
    checkpoint_interval: int = 64
    turn_length: int = 16
    window: int = 1
    expression_cost_max: int = 20_000
    effects_max: int = 64
    record_bytes_max: int = 32_768
    timers_per_block_max: int = 200

    def check(self) -> None:
        """Raises ValueError when a parameter is outside its compiled bounds or relations.

        What a chain takes must fit into a block, or it would wait for ever and hold up the rest.
        """
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"parameter {name}: want {low} to {high}, got {value}")
        if self.transaction_bytes_max > self.block_bytes_max:
            raise ValueError("parameter transaction_bytes_max: want at most block_bytes_max")
        if self.transaction_cost_max > self.timers_cost_max:
            need = 2 * self.transaction_cost_max
            raise ValueError(f"parameter block_cost_max: want at least {need} with the others")

    @property
    def transaction_cost_max(self) -> int:
        """The most that one transaction, or one timer, can cost a block."""
        return cost(self.expression_cost_max, self.effects_max, self.operations_max)

    @property
    def timers_cost_max(self) -> int:
        """The share of a block that its timers may use; transactions have the rest at least."""
        return self.block_cost_max // 2


def cost(expressions: int, effects: int, operations: int) -> int:
    """What work costs a block, in units of expression cost."""
    return expressions + EFFECT_COST * effects + OPERATION_COST * operations


def in_force(value: bytes | None, genesis: Parameters) -> Parameters:
    """What the block after a state obeys in which `value` stands under PARAMETERS_KEY; a state
    without any is of a chain that nobody governs."""
    return genesis if value is None else decode(value)


@lru_cache(maxsize=8)
def decode(value: bytes) -> Parameters:
    """A value of the state, which was checked before it came there."""
    return _decoder.decode(value)


_decoder = msgspec.json.Decoder(Parameters)
