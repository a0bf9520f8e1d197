"""A scope without a chain: what expressions see of it is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ledger.registry.evaluate import Programs
from ledger.registry.meter import Meter
from ledger.registry.piece import Functions


@dataclass
class Given:
    """The variables, the functions, and what may be spent."""

    functions: Functions
    meter: Meter
    data: Any = None
    given: Any = None
    now: int = 0
    me: str = ""
    signers: tuple[str, ...] = ()
    id: str = ""
    state: str = ""
    programs: Programs = field(default_factory=Programs)


def scope(variables: dict[str, Any], functions: Functions, meter: Meter) -> Given:
    """A scope with some variables."""
    return Given(functions, meter, **variables)
