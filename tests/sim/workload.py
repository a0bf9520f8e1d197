"""Clients: they register documents, repeat themselves, and send what is not admissible."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from ledger import base64url, transaction
from ledger.crypto import ed25519_thumbprint, sha256
from ledger.signed_text import approval_text, possession_text
from tests.builders import EXP, agency_id
from tests.sim.stand_in import spare_certificate

if TYPE_CHECKING:
    from tests.sim.node import SimNode
    from tests.sim.world import World

LATE_TRANSACTIONS = 4
"""Submitted once, to one node, in the liveness phase."""
GOSSIP_MS = 3_000
"""After so long every correct node knows a transaction that one of them took."""
BAD_SHARE = 0.15


@dataclass(frozen=True)
class Sent:
    """Transactions of one (iss, jti): at most one of them can be committed."""

    raws: tuple[bytes, ...]
    ids: tuple[bytes, ...]


class Workload:
    """What clients of one run do."""

    def __init__(self, world: World) -> None:
        self.sent: list[Sent] = []
        """Admissible ones."""
        self.bad: dict[bytes, str] = {}
        """Ids that must never be committed, and why."""
        self.bad_raws: dict[bytes, bytes] = {}
        self._world = world
        self._rng = Random(f"workload {world.options.seed}")
        self._number = 0
        self._known_at: dict[bytes, int] = {}
        """Id of a late transaction -> height by which all correct nodes know it."""

    def begin(self) -> None:
        """Schedule the submissions of the safety phase."""
        world, rng = self._world, self._rng
        for _ in range(world.options.transactions):
            at_us = rng.randrange(300_000, world.options.safety_ms * 1000)
            world.later(at_us, self._submit_bad if rng.random() < BAD_SHARE else self._submit)
        if world.options.epoch_kind:
            at_us = rng.randrange(500_000, world.options.safety_ms * 1000)
            world.later(at_us, self._close_epoch)

    def resubmit(self) -> None:
        """The network is healed: clients repeat what they have no receipt for, once."""
        nodes = self._world.healed_nodes()
        for sent in self.waiting(nodes):
            self._rng.choice(nodes).submit(sent.raws[0])
        for _ in range(LATE_TRANSACTIONS):
            at_us = self._rng.randrange(1, 4_000_000)
            self._world.later(at_us, self._submit_late)

    def waiting(self, nodes: list[SimNode]) -> list[Sent]:
        """What is not committed at every one of `nodes`."""
        return [
            sent
            for sent in self.sent
            if not all(any(node.holds(txid) for txid in sent.ids) for node in nodes)
        ]

    # ----- what clients send

    def _claims(self, agency: int | None = None) -> dict[str, Any]:
        self._number += 1
        number = self._rng.randrange(self._world.options.n) if agency is None else agency
        operation = {
            "op": "document.register",
            "type": "deed",
            "title_code": "title",
            "commitment": sha256(f"document {self._number}".encode()).hex(),
        }
        return {
            "iss": agency_id(number),
            "aud": self._world.kit.genesis.chain,
            "jti": f"jti-{self._number}",
            "exp": EXP,
            "ops": [operation],
        }

    def _sign(self, claims: dict[str, Any]) -> bytes:
        return transaction.sign(claims, self._world.kit.agencies[claims["iss"]])

    def _remember(self, *raws: bytes) -> None:
        self.sent.append(Sent(raws, tuple(bytes(sha256(raw)) for raw in raws)))

    def _some_nodes(self) -> list[SimNode]:
        nodes = list(self._world.nodes.values())
        return self._rng.sample(nodes, self._rng.choice((1, 1, 1, 2, len(nodes))))

    def _submit(self) -> None:
        claims = self._claims()
        raws = [self._sign(claims)]
        if self._rng.random() < 0.1:  # the client signs another one under the same jti
            claims["ops"][0]["title_code"] = "other"
            raws.append(self._sign(claims))
        self._remember(*raws)
        for raw in raws:
            for node in self._some_nodes():
                node.submit(raw)
                if self._rng.random() < 0.2:
                    self._world.later(self._rng.randrange(2_000_000), node.submit, raw)

    def _submit_late(self) -> None:
        raw = self._sign(self._claims())
        self._remember(raw)
        self._rng.choice(self._world.healed_nodes()).submit(raw)
        self._world.later(GOSSIP_MS * 1000, self._known, bytes(sha256(raw)))

    def _known(self, txid: bytes) -> None:
        self._known_at[txid] = max(node.height for node in self._world.healed_nodes())

    def check_bound(self, committed: dict[bytes, int]) -> None:
        """L3: what all correct nodes know is committed within (f+1) turns of a leader."""
        options = self._world.options
        faults = (options.n - 1) // 3
        backlog = 1 + len(self.sent) // self._world.kit.genesis.parameters.block_transactions_max
        bound = (faults + 2) * options.turn_length + backlog
        for txid, height in self._known_at.items():
            self._world.checkers.require(
                "L3 censorship", committed[txid] <= height + bound, f"{txid.hex()}"
            )

    def _submit_bad(self) -> None:
        kind = self._rng.choice(("signature", "chain", "expired", "key", "form", "committed"))
        claims = self._claims()
        if kind == "chain":
            claims["aud"] = "other:" + "0" * 32
        elif kind == "expired":
            claims["exp"] = EXP - 7200
        raw = self._sign(claims)
        if kind == "signature":
            raw = raw[:-8] + (b"AAAAAAAA" if raw[-8:] != b"AAAAAAAA" else b"BAAAAAAA")
        elif kind == "key":
            claims["iss"] = "nobody"
            raw = transaction.sign(claims, self._world.kit.agencies[agency_id(0)])
        elif kind == "form":
            raw = raw.replace(b".", b",", 1)
        if kind == "committed" and self.sent:
            raw = self._rng.choice(self.sent).raws[0]
        else:
            self.bad[bytes(sha256(raw))] = kind
            self.bad_raws[bytes(sha256(raw))] = raw
        if kind == "committed" and bytes(sha256(raw)) in self.bad:
            return
        for node in self._some_nodes():
            node.submit(raw)

    # ----- the epoch's close

    def _close_epoch(self) -> None:
        world = self._world
        members = [member.member() for member in world.kit.genesis.members]
        proofs: dict[str, str] = {}
        kind = world.options.epoch_kind
        if kind == "order":
            self._rng.shuffle(members)
        elif kind == "swap":
            spare = world.options.n
            gone = self._rng.choice([i for i in range(spare) if i not in world.options.byzantine])
            key = world.kit.votes[spare]
            name = f"member-{spare}"
            kid = ed25519_thumbprint(key.public_key)
            text = possession_text(world.kit.genesis.chain, name, kid)
            proofs[name] = base64url.encode(key.sign(text))
            members[gone] = type(members[gone])(
                members[gone].agency,
                name,
                base64url.encode(key.public_key),
                base64url.encode(spare_certificate(spare)),
                f"127.0.0.1:{27000 + spare}",
            )
        operation: dict[str, Any] = {
            "op": "sys.epoch_close",
            "epoch": 0,
            "members": [
                {
                    "agency": member.agency,
                    "name": member.name,
                    "vote_key": member.vote_key,
                    "transport_certificate": member.transport_certificate,
                    "address": member.address,
                }
                for member in members
            ],
            "proofs": proofs,
        }
        claims = self._claims(0)
        claims["ops"] = [{**operation, "approvals": self._approvals(operation, claims)}]
        raw = self._sign(claims)
        self._remember(raw)
        for node in world.nodes.values():
            node.submit(raw)

    def _approvals(self, operation: Any, claims: dict[str, Any]) -> list[dict[str, str]]:
        kit = self._world.kit
        text = approval_text(kit.genesis.chain, claims["iss"], claims["jti"], 0, operation)
        return [
            {
                "agency": agency,
                "kid": ed25519_thumbprint(key.public_key),
                "signature": base64url.encode(key.sign(text)),
            }
            for agency, key in kit.agencies.items()
        ]
