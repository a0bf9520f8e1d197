"""Genesis parameters with their compiled bounds (docs/spec/formats.md, section 2)."""

from __future__ import annotations

from typing import Final

import msgspec

BOUNDS: Final[dict[str, tuple[int, int]]] = {
    "block_bytes_max": (65_536, 8_388_608),
    "block_transactions_max": (1, 10_000),
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
        """Raises ValueError when a parameter is outside its compiled bounds."""
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"parameter {name}: want {low} to {high}, got {value}")
