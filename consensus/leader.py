"""Who leads: turns of R heights over the members that are not skipped.

A pure function of the chain: it reads the `commit` inside each block's body and nothing else, so
every replica computes the same leader (docs/spec/protocol.md, section 3).
"""

from __future__ import annotations

import msgspec

from ledger.certificate import Certificate
from ledger.ids import Height, MemberIndex, View

SKIP_HEIGHTS = 256
"""For how long a deposed leader is passed over at most."""
REDEEM_WINDOW = 32
"""Over how many commits a skipped member must show that it takes part again (two thirds)."""


class _Skip(msgspec.Struct, frozen=True, array_like=True):
    member: int
    since: int
    """Height of the block that showed the view jump."""


class _Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The schedule as the store keeps it."""

    epoch: int
    first_height: int
    skips: tuple[_Skip, ...]
    signed: tuple[tuple[int, ...], ...]
    last_view: int
    run_start: int
    turns: tuple[tuple[int, tuple[int, ...]], ...]


class Schedule:
    """The leaders of one epoch, folded over its blocks."""

    def __init__(
        self, *, members: int, faults: int, turn_length: int, window: int, epoch: int, first: int
    ) -> None:
        """At the opening of `epoch`, whose first block has height `first`."""
        self._members = members
        self._faults = faults
        self._turn_length = turn_length
        self._window = window
        everyone = tuple(range(members))
        self._record = _Record(
            epoch=epoch,
            first_height=first,
            skips=(),
            signed=(),
            last_view=0,
            run_start=first,
            turns=tuple(
                (turn, everyone)
                for turn in range(first // turn_length, (first + window) // turn_length + 1)
            ),
        )

    @property
    def epoch(self) -> int:
        """The epoch whose leaders these are."""
        return self._record.epoch

    @property
    def first_height(self) -> int:
        """Height of the epoch's first block."""
        return self._record.first_height

    def encode(self) -> bytes:
        """For the store, in the same batch as the block that it was folded over."""
        return msgspec.msgpack.encode(self._record)

    def restore(self, data: bytes) -> None:
        """Take the state that `encode` gave. Raises ValueError when it is of another epoch."""
        record = msgspec.msgpack.decode(data, type=_Record)
        if record.epoch != self._record.epoch:
            raise ValueError(f"leader schedule: want epoch {self.epoch}, got {record.epoch}")
        self._record = record

    def sender_of_new_view(self, view: View) -> MemberIndex:
        """Who may send NEW-VIEW(view): the full list, whatever the skip list says, because
        replicas disagree on heights, and so on skips, during a view change."""
        return MemberIndex(view % self._members)

    def primary(self, view: View, height: Height, start: Height) -> MemberIndex | None:
        """Primary of (view, height) in a view that starts at `start`; None when `height` is so far
        ahead that its turn is not fixed yet."""
        length = self._turn_length
        if height < (start // length + 1) * length:
            return self.sender_of_new_view(view)
        turn = height // length
        for known, eligible in self._record.turns:
            if known == turn:
                return MemberIndex(eligible[(view + turn - start // length) % len(eligible)])
        return None

    def skipped(self, height: int) -> tuple[MemberIndex, ...]:
        """Members passed over as of `height`, at most f."""
        return tuple(
            MemberIndex(skip.member)
            for skip in self._record.skips
            if height < skip.since + SKIP_HEIGHTS and not self._redeemed(skip, height)
        )

    def advance(self, height: int, commit: Certificate) -> None:
        """Fold in block `height`, whose body carries `commit`."""
        record = self._record
        if commit.epoch == record.epoch and commit.height >= record.first_height:
            record = self._fold_commit(record, height, commit)
        self._record = record
        fixed = height + self._window
        if fixed % self._turn_length == 0:
            turn = fixed // self._turn_length
            passed = self.skipped(height)
            eligible = tuple(m for m in range(self._members) if m not in passed)
            turns = (*(item for item in record.turns if item[0] >= turn - 2), (turn, eligible))
            self._record = msgspec.structs.replace(record, turns=turns)

    def _fold_commit(self, record: _Record, height: int, commit: Certificate) -> _Record:
        signers = tuple(member for member, _ in commit.signatures)
        signed = (*record.signed, signers)[-REDEEM_WINDOW:]
        if commit.view <= record.last_view:
            return msgspec.structs.replace(record, signed=signed)
        deposed: list[int] = []
        for view in range(max(record.last_view, commit.view - self._members), commit.view):
            leader: int | None = view % self._members
            if view == record.last_view:
                leader = self.primary(View(view), Height(commit.height), Height(record.run_start))
            if leader is not None and leader not in deposed:
                deposed.append(leader)
        kept = [skip for skip in record.skips if skip.member not in deposed]
        kept += [_Skip(member, height) for member in deposed]
        return msgspec.structs.replace(
            record,
            signed=signed,
            skips=tuple(kept[len(kept) - min(len(kept), self._faults) :]),
            last_view=commit.view,
            run_start=commit.height,
        )

    def _redeemed(self, skip: _Skip, height: int) -> bool:
        if height < skip.since + REDEEM_WINDOW or len(self._record.signed) < REDEEM_WINDOW:
            return False
        count = sum(1 for signers in self._record.signed if skip.member in signers)
        return count * 3 >= REDEEM_WINDOW * 2
