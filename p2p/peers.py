"""The peer book: who the members are, when to dial them, and what each has cost us.

Pure: the caller passes the time (integer milliseconds of a monotonic clock) and a random fraction.
Everything is keyed by a member's name, so the book is as bounded as the validator set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Final

from ledger.crypto import sha256

MEMBERS_MAX: Final = 1_024
COST_MAX: Final = 1e9
"""Keeps an account finite; far above any hard limit."""


def parse_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[IPv6]:port`. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ValueError(f"address {address!r}: want host:port or [IPv6]:port")
    return host, int(port)


@dataclass(frozen=True)
class PeerMember:
    """A member as the network sees it; its index is its place in the list it came in."""

    name: str
    address: str
    """host:port; IPv6 as [host]:port."""
    certificate: bytes
    """Self-signed X.509 certificate, DER."""

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate, 32 bytes."""
        return sha256(self.certificate)


@dataclass(frozen=True, slots=True)
class CostLimits:
    """Bounds of an account, in units of peers.md (1 unit = 1 KiB or one message), and of bans.

    Reading stops above `soft` until the account has decayed to it. One read of the socket adds far
    less than hard - soft, so traffic alone slows a peer and never bans it; only faults do. With
    the defaults that is about 14 MB/s or 14,000 messages/s sustained.
    """

    soft: int = 200_000
    hard: int = 400_000
    half_life_ms: int = 10_000
    ban_ms_min: int = 60_000
    ban_ms_max: int = 3_600_000


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays between dials of one member, in milliseconds."""

    ms_min: int = 250
    ms_max: int = 10_000
    reset_after_ms: int = 60_000
    """A session that lived this long wipes out the failures before it."""


class Standing(Enum):
    """How an account stands after a charge."""

    GOOD = "good"
    SLOW = "slow"
    BANNED = "banned"


@dataclass(slots=True)
class _Entry:
    """What is remembered of one member."""

    cost: float = 0.0
    cost_ms: int = 0
    bans: int = 0
    banned_until_ms: int = 0
    attempts: int = 0
    up_since_ms: int | None = None
    last_seen_ms: int | None = None
    rtt_ms: int | None = None


class PeerBook:
    """Members, accounts, bans and back-offs."""

    def __init__(
        self,
        me: str,
        members: Sequence[PeerMember],
        cost_limits: CostLimits | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """`me` is our own name; it may be missing from `members` (an observer ranks last).

        Raises ValueError when two members share a name or a certificate, or there are too many.
        """
        self._me = me
        self._limits = cost_limits or CostLimits()
        self._backoff = backoff or Backoff()
        self._entries: dict[str, _Entry] = {}
        self._peers: dict[str, PeerMember] = {}
        self.update(members)

    def update(self, members: Sequence[PeerMember]) -> list[str]:
        """Replace the member list; returns the names whose sessions must close at once: removed
        ones and those with another certificate. Accounts and bans of those who stay are kept.

        Raises ValueError as the constructor does, and then changes nothing.
        """
        if len(members) > MEMBERS_MAX:
            raise ValueError(f"{len(members)} members, at most {MEMBERS_MAX}")
        index_of = {member.name: index for index, member in enumerate(members)}
        by_leaf = {member.fingerprint: member for member in members}
        if len(index_of) != len(members) or len(by_leaf) != len(members):
            raise ValueError("two members share a name or a transport certificate")
        before = self._peers
        self._index_of = index_of
        self._by_leaf = by_leaf
        self._my_index = index_of.get(self._me, len(members))
        self._peers = {member.name: member for member in members if member.name != self._me}
        self._entries = {name: self._entries.get(name) or _Entry() for name in self._peers}
        return [
            name
            for name, old in before.items()
            if name not in self._peers or self._peers[name].fingerprint != old.fingerprint
        ]

    @property
    def peers(self) -> Sequence[PeerMember]:
        """Every member but ourselves, in order of index."""
        return tuple(self._peers.values())

    def peer(self, name: str) -> PeerMember | None:
        """The member called `name`; None for strangers and for ourselves."""
        return self._peers.get(name)

    def by_fingerprint(self, fingerprint: bytes) -> PeerMember | None:
        """The member whose leaf has this SHA-256; None for strangers and for ourselves."""
        member = self._by_leaf.get(fingerprint)
        return None if member is None or member.name == self._me else member

    def new_session_stays(self, name: str, *, new_dialled: bool) -> bool:
        """Which of two sessions with `name`, dialled from different sides, stays: True for the
        new one, which `new_dialled` says was dialled by us.

        The one dialled by the lower index stays, so both ends decide alike.
        """
        return new_dialled == (self._my_index < self._index_of[name])

    # Dialling

    def dial_delay_ms(self, name: str, now_ms: int, fraction: float) -> int:
        """How long to wait before the next dial of `name`, which this call counts as an attempt.

        The first is at once; then 250 ms doubling to 10 s, scaled by 0.5 to 1.0 with `fraction`
        (0.0 to 1.0), so that members that fell together do not come back together. Never before
        a ban ends.
        """
        entry = self._entries[name]
        base = 0
        if entry.attempts:
            # The shift is capped: attempts grow without bound while a member is away.
            exponent = min(entry.attempts - 1, 16)
            base = min(self._backoff.ms_min << exponent, self._backoff.ms_max)
        entry.attempts += 1
        return max(int(base * (1 + fraction) / 2), entry.banned_until_ms - now_ms)

    def session_up(self, name: str, now_ms: int) -> None:
        """A session with `name` has begun."""
        entry = self._entries[name]
        entry.up_since_ms = entry.last_seen_ms = now_ms

    def session_down(self, name: str, now_ms: int) -> None:
        """The session with `name` has ended. A long one resets the back-off."""
        entry = self._entries.get(name)
        if entry is None or entry.up_since_ms is None:
            return
        if now_ms - entry.up_since_ms >= self._backoff.reset_after_ms:
            entry.attempts = 1
        entry.up_since_ms = None

    def seen(self, name: str, now_ms: int, rtt_ms: int | None = None) -> None:
        """A frame came from `name`; a pong also brings the round trip."""
        entry = self._entries[name]
        entry.last_seen_ms = now_ms
        if rtt_ms is not None:
            entry.rtt_ms = rtt_ms

    def last_seen_ms(self, name: str) -> int | None:
        """When the last frame came from `name`."""
        return self._entries[name].last_seen_ms

    def rtt_ms(self, name: str) -> int | None:
        """The last round trip measured."""
        return self._entries[name].rtt_ms

    # Accounts

    def received(self, name: str, size: int, messages: int, now_ms: int) -> Standing:
        """Charge for `size` bytes in `messages` frames."""
        return self.charge(name, size / 1024 + messages, now_ms)

    def charge(self, name: str, cost: float, now_ms: int) -> Standing:
        """Add `cost` units. BANNED is said once, when the hard limit is crossed."""
        assert cost >= 0, f"negative cost {cost}"
        entry = self._entries[name]
        entry.cost = min(self.cost(name, now_ms) + cost, COST_MAX)
        entry.cost_ms = now_ms
        if entry.cost > self._limits.hard:
            self._ban(entry, now_ms)
            return Standing.BANNED
        return Standing.SLOW if entry.cost > self._limits.soft else Standing.GOOD

    def cost(self, name: str, now_ms: int) -> float:
        """The account now: half of it has gone after each half-life."""
        entry = self._entries[name]
        elapsed_ms = max(0, now_ms - entry.cost_ms)
        return float(entry.cost * 0.5 ** (elapsed_ms / self._limits.half_life_ms))

    def pause_ms(self, name: str, now_ms: int) -> int:
        """How long reading must stop for the account to decay to the soft limit."""
        excess = self.cost(name, now_ms) / self._limits.soft
        return math.ceil(self._limits.half_life_ms * math.log2(excess)) if excess > 1 else 0

    def banned(self, name: str, now_ms: int) -> bool:
        """Whether no session with `name` is allowed now."""
        return now_ms < self._entries[name].banned_until_ms

    def banned_until_ms(self, name: str) -> int:
        """When the last ban ends; 0 when there was none."""
        return self._entries[name].banned_until_ms

    def _ban(self, entry: _Entry, now_ms: int) -> None:
        """Twice as long each time; a member that kept the peace for the longest ban starts anew."""
        if now_ms - entry.banned_until_ms >= self._limits.ban_ms_max:
            entry.bans = 0
        ban_ms = min(self._limits.ban_ms_min << min(entry.bans, 16), self._limits.ban_ms_max)
        entry.bans += 1
        entry.banned_until_ms = now_ms + ban_ms
        # The ban is the price: the account starts again from nothing when it ends.
        entry.cost = 0.0
