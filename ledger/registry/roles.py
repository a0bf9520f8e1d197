"""Roles: who holds them, within which agency, until when, and who may grant them."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from ledger import canonical
from ledger.crypto import sha256
from ledger.parties import PartyStatus, find_party
from ledger.state import Draft, Reader


class Grant(msgspec.Struct, frozen=True):
    """Value of `role/<role>/<party>`."""

    role: str
    party: str
    by: str
    agency: str | None
    """Null: in any agency's matters."""
    start: int
    until: int
    delegable: bool


class Root(msgspec.Struct, frozen=True):
    """Value of `roleroot/<role>`: who grants it, named by governance."""

    party: str


_grant = msgspec.json.Decoder(Grant)
_root = msgspec.json.Decoder(Root)


def grant_key(role: str, party: str) -> bytes:
    """State key of a grant."""
    return f"role/{role}/{party}".encode("ascii")


def root_key(role: str) -> bytes:
    """State key of a role's root."""
    return f"roleroot/{role}".encode("ascii")


def find_grant(state: Reader, role: str, party: str) -> Grant | None:
    """The newest grant, in force or not."""
    value = state.get(grant_key(role, party))
    return None if value is None else _decoded(value)


@lru_cache(maxsize=4_096)
def _decoded(value: bytes) -> Grant:
    """A pure function of the bytes: the holders of roles act again and again."""
    return _grant.decode(value)


def find_root(state: Reader, role: str) -> str | None:
    """The party that grants a role."""
    value = state.get(root_key(role))
    return None if value is None else _root.decode(value).party


def holds(state: Reader, party: str, role: str, agency: str | None, now: int) -> bool:
    """Whether an active party holds a role at `now` (seconds), for `agency` when one is named.

    A grant for one agency holds only where a policy asks for the role in that agency.
    """
    grant = find_grant(state, role, party)
    if grant is None or not grant.start <= now < grant.until:
        return False
    found = find_party(state, party)
    if found is None or found.status is not PartyStatus.ACTIVE:
        return False
    return grant.agency is None or grant.agency == agency


def save_grant(draft: Draft, grant: Grant) -> None:
    """Write a grant; the one before it goes to the history."""
    key = grant_key(grant.role, grant.party)
    old = draft.get(key)
    if old is not None:
        draft.write(b"v" + key + b"\x00" + sha256(old)[:8], old)
    draft.put(key, canonical.encode(grant))


def save_root(draft: Draft, role: str, party: str) -> None:
    """Name the party that grants a role."""
    draft.put(root_key(role), canonical.encode(Root(party)))
