"""A running test network as scenarios see it: the same steps as in memory, through JSON-RPC.

Agencies, parties and roles are collected until the first step needs them; then a few transactions
set all of them up, since each costs a block.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ledger import base64url, canonical, transaction
from ledger.crypto import Ed25519Signer, ed25519_thumbprint
from ledger.ids import ChainId, PartyId
from ledger.jwk import Jwk
from ledger.registry.definition import Definition
from ledger.registry.governance import OPEN_MAX
from ledger.signed_text import approval_text, possession_text
from node.client import RpcRefusal

EXPIRY_SECONDS: Final = 3_600
OPEN_SECONDS: Final = 86_400
ROLE_SECONDS: Final = 3_650 * 86_400
OPERATIONS_MAX: Final = 16
"""In one transaction; a chain's parameter, never below this on a test network."""
WAIT_MS: Final = 20_000
Operation = dict[str, Any]


class LiveGround:
    """Runs scenarios on a network whose agencies' keys and clock are at hand."""

    def __init__(
        self,
        call: Callable[[str, dict[str, Any]], Any],
        agencies: Mapping[str, Ed25519Signer],
        move_clock: Callable[[int], None],
    ) -> None:
        """`call(method, params)` asks a node and raises RpcRefusal for an error that it answers.

        `agencies` run the members; `move_clock` moves all nodes' clocks on by seconds.
        """
        self._ask = call
        self._move_clock = move_clock
        self._chain = ChainId(self._call("chain_getGenesis")["chain_id"])
        self._keys: dict[str, Ed25519Signer] = dict(agencies)
        self._voters = self._quorum()
        self._founder = self._voters[0]
        self._homes: dict[str, str] = {name: name for name in agencies}
        """Party -> its agency."""
        self._new_agencies: list[str] = []
        self._new_parties: list[tuple[str, str]] = []
        self._new_grants: list[Operation] = []
        self._rooted: set[str] = set()
        self._serial = 0
        self._ahead = 0
        """Seconds by which the clocks were moved beyond the newest block."""
        self.steps: list[str] = []
        """Transactions of steps that are in a block, committed or refused, in order."""

    def _call(self, method: str, **params: Any) -> Any:
        return self._ask(method, params)

    def _quorum(self) -> list[str]:
        """Agencies whose votes are enough, in order of their members."""
        found = self._call("chain_getValidators")
        weights = Counter(member["agency"] for member in found["members"])
        voters: list[str] = []
        for agency in weights:
            if sum(weights[voter] for voter in voters) < found["quorum"]:
                voters.append(agency)
        return voters

    def signer(self, party: str) -> Ed25519Signer:
        """Key of a party that was added. Raises KeyError."""
        return self._keys[party]

    # ----- transactions

    def _submit(self, party: str, operations: Sequence[Operation], jti: str = "") -> str:
        """Sign and offer a transaction; its id. Raises RpcRefusal when it is not admitted."""
        claims = {
            "iss": party,
            "aud": self._chain,
            "jti": jti or self._jti(),
            "exp": self.now() + self._ahead + EXPIRY_SECONDS,
            "ops": list(operations),
        }
        compact = transaction.sign(claims, self._keys[party]).decode("ascii")
        return str(self._call("tx_submit", tx=compact)["id"])

    def _jti(self) -> str:
        self._serial += 1
        return f"live-{self._serial}-{secrets.token_hex(4)}"

    def _entry(self, txid: str) -> dict[str, Any]:
        """Entry of a transaction, once it is in a block. Raises TimeoutError."""
        if self._call("tx_wait", id=txid, timeout_ms=WAIT_MS)["height"] is None:
            raise TimeoutError(f"transaction {txid} is in no block after {WAIT_MS} ms")
        entry: dict[str, Any] = self._call("tx_get", id=txid)["entry"]
        return entry

    def _all(self, batches: Sequence[tuple[str, Sequence[Operation]]]) -> None:
        """Transactions that do not depend on one another, in as few blocks as come."""
        ids = [
            self._submit(party, operations[first : first + OPERATIONS_MAX])
            for party, operations in batches
            for first in range(0, len(operations), OPERATIONS_MAX)
        ]
        for txid in ids:
            entry = self._entry(txid)
            assert entry["status"] == "committed", entry

    # ----- governance

    def activate(self, definition: Definition) -> None:
        """Vote a definition in; it is in force when this returns."""
        self._set_up()
        self._govern([("activate", {"definition": canonical.decode(definition.encode())})])

    def _govern(self, proposals: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Propose and vote until accepted, and wait for the block of effect; in rounds, since an
        agency may have so many proposals open only, those of others' making among them."""
        waiting = list(proposals)
        while waiting:
            room = OPEN_MAX - int(self._value(f"gov/open/{self._founder}") or 0)
            if room <= 0:
                raise RuntimeError(f"{self._founder} has {OPEN_MAX} open proposals: withdraw some")
            self._round(waiting[:room])
            del waiting[:room]

    def _round(self, proposals: Sequence[tuple[str, dict[str, Any]]]) -> None:
        opened = [self._proposal(kind, body) for kind, body in proposals]
        self._all([(self._founder, [operation]) for operation in opened])
        votes = [
            {"op": "gov.vote", "proposal": operation["proposal"], "accept": True}
            for operation in opened
        ]
        self._all([(voter, votes) for voter in self._voters[1:]])
        self._nothing()
        for operation in opened:
            done = self._call("gov_get", proposal=operation["proposal"])["proposal"]
            assert done["status"] == "done", done

    def _proposal(self, kind: str, body: dict[str, Any]) -> Operation:
        return {
            "op": "gov.propose",
            "proposal": self._jti(),
            "kind": kind,
            "body": body,
            "rationale": "0" * 64,
            "effective_height": 0,
            "until": self.now() + OPEN_SECONDS,
        }

    def _nothing(self) -> int:
        """Commit something without meaning to a service; its height."""
        note = {
            "op": "document.register",
            "type": "note",
            "title_code": "note",
            "commitment": secrets.token_hex(32),
        }
        return int(self._entry(self._submit(self._founder, [note]))["height"])

    # ----- parties and roles

    def add_party(self, party: str, agency: str) -> None:
        """A party of an agency; made before the next step."""
        if agency not in self._keys:
            self._keys[agency] = Ed25519Signer(secrets.token_bytes(32))
            self._homes[agency] = agency
            self._new_agencies.append(agency)
        if party not in self._keys:
            self._keys[party] = Ed25519Signer(secrets.token_bytes(32))
            self._homes[party] = agency
            self._new_parties.append((party, agency))
        if self._homes[party] != agency:
            raise ValueError(f"{party} is of {self._homes[party]} here, not of {agency}")

    def grant(self, role: str, party: str, agency: str | None) -> None:
        """Give a role; done before the next step."""
        self._new_grants.append(
            {"op": "role.grant", "role": role, "party": party, "agency": agency}
        )

    def _set_up(self) -> None:
        """Make what was collected: agencies by a quorum, parties by agencies, roles by roots."""
        agencies, self._new_agencies = self._new_agencies, []
        parties, self._new_parties = self._new_parties, []
        grants, self._new_grants = self._new_grants, []
        ids = [self._register_agency(agency) for agency in agencies]
        for txid in ids:
            entry = self._entry(txid)
            assert entry["status"] == "committed", entry
        by_agency: dict[str, list[Operation]] = {}
        for party, agency in parties:
            by_agency.setdefault(agency, []).append(
                {"op": "party.register", "kind": "client", **self._key_fields(party)}
            )
        self._all(list(by_agency.items()))
        roles = list(dict.fromkeys(grant["role"] for grant in grants))
        fresh = [role for role in roles if role not in self._rooted]
        if fresh:
            self._govern([("role-root", {"role": r, "party": self._founder}) for r in fresh])
            self._rooted.update(fresh)
        until = self.now() + ROLE_SECONDS
        self._all([(self._founder, [{**grant, "until": until} for grant in grants])])

    def _key_fields(self, party: str) -> Operation:
        key = self._keys[party]
        kid = ed25519_thumbprint(key.public_key)
        proof = key.sign(possession_text(self._chain, party, kid))
        return {
            "party": party,
            "keys": [Jwk.signing(key.public_key).to_json()],
            "proofs": [base64url.encode(proof)],
        }

    def _register_agency(self, agency: str) -> str:
        """Offer the registration, approved by a quorum; the transaction's id."""
        recovery = Ed25519Signer(secrets.token_bytes(32))
        operation = {
            "op": "party.register",
            "kind": "agency",
            "title_code": agency,
            "recovery_key": Jwk.signing(recovery.public_key).to_json(),
            **self._key_fields(agency),
        }
        jti = self._jti()
        text = approval_text(self._chain, PartyId(self._founder), jti, 0, operation)
        operation["approvals"] = [
            {
                "agency": voter,
                "kid": ed25519_thumbprint(self._keys[voter].public_key),
                "signature": base64url.encode(self._keys[voter].sign(text)),
            }
            for voter in self._voters
        ]
        return self._submit(self._founder, [operation], jti)

    # ----- steps

    def run(self, party: str, operation: Operation) -> tuple[str, dict[str, Any]]:
        """One operation in a transaction of its own."""
        self._set_up()
        try:
            txid = self._submit(party, [operation])
        except RpcRefusal as refused:
            return refused.reason, {}
        entry = self._entry(txid)
        self.steps.append(txid)
        results = entry["results"]
        return entry["reason"], results[0] if results else {}

    def advance(self, seconds: int) -> list[dict[str, Any]]:
        """Move the clocks and make blocks until timers fired; their entries, in order."""
        self._set_up()
        first = self._call("node_status")["height"] + 1
        self._move_clock(seconds)
        self._ahead = seconds
        last = self._nothing()
        self._ahead = 0
        return [
            entry
            for height in range(first, last + 1)
            for entry in self._call("chain_getBlock", height=height)["entries"]
            if entry["kind"] == "timer"
        ]

    def now(self) -> int:
        """Time of the newest block, seconds."""
        return int(self._call("node_status")["time_ms"]) // 1000

    def value(self, key: str) -> Any:
        """A state value, parsed, or None."""
        self._set_up()
        return self._value(key)

    def _value(self, key: str) -> Any:
        text = self._call("state_get", key=key)["value"]
        return None if text is None else canonical.decode(text.encode("utf-8"))
