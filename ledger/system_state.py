"""State keys of the ledger itself: block 0's state, and a new epoch's first block.

docs/spec/formats.md, sections 2 and 8.
"""

from __future__ import annotations

from typing import Final

from ledger import canonical, records
from ledger.genesis import Genesis
from ledger.ids import Height
from ledger.jwk import Jwk
from ledger.modules.system import NEXT_VALIDATORS_KEY
from ledger.parameters import PARAMETERS_KEY
from ledger.parties import (
    KeyOwner,
    KeyStatus,
    PartyStatus,
    agency_key,
    new_keys,
    owner_key,
    party_fields,
    party_key,
)
from ledger.state import Draft, State
from ledger.store import Store
from ledger.tree import Tree
from ledger.validators import ValidatorSet

EPOCH_KEY: Final = b"sys/epoch"
VALIDATORS_KEY: Final = b"sys/validators"


def evidence_key(epoch: int, member: int, kind: str) -> bytes:
    """State key that notes evidence: one for each member, kind and epoch, or a member could fill
    the state with proofs against itself."""
    return f"evidence/{epoch}/{member}/{kind}".encode("ascii")


def genesis_state(store: Store, genesis: Genesis) -> State:
    """The state of block 0 over an empty store; `writes` are for the caller to stage."""
    draft = State(store, Tree.empty()).draft()
    for agency in genesis.agencies:
        jwks = agency.jwks()
        value = {
            "id": agency.id,
            "title_code": agency.title_code,
            "recovery_key": Jwk.from_json(agency.recovery_key).to_json(),
        }
        records.create(draft, agency_key(agency.id), value)
        party = party_fields(agency.id, agency.id, PartyStatus.ACTIVE, new_keys(jwks))
        records.create(draft, party_key(agency.id), party)
        for jwk in jwks:
            owner = KeyOwner(agency.id, KeyStatus.ACTIVE, 0)
            draft.put(owner_key(jwk.kid), canonical.encode(owner))
    draft.put(PARAMETERS_KEY, canonical.encode(genesis.parameters))
    _put_validators(draft, genesis.validators(), Height(0))
    return draft.seal()


def open_epoch(draft: Draft, validators: ValidatorSet, height: Height) -> None:
    """In the block after a closing one, make the next set the current one.

    `validators` is the set that consensus runs this block with; a difference is our own fault.
    """
    following = draft.get(NEXT_VALIDATORS_KEY)
    if following is None:
        return
    assert following == canonical.encode(validators.to_json()), "not the set the state names"
    draft.delete(NEXT_VALIDATORS_KEY)
    _put_validators(draft, validators, height)


def _put_validators(draft: Draft, validators: ValidatorSet, height: Height) -> None:
    epoch = {"epoch": validators.epoch, "first_height": height}
    draft.put(EPOCH_KEY, canonical.encode(epoch))
    draft.put(VALIDATORS_KEY, canonical.encode(validators.to_json()))
