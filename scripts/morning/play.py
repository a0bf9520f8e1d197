"""Play the stories beside this file, through JSON-RPC, and keep a receipt of every act.

Each story is a scenario (docs/services/authoring.md) of the service of its name; a step that comes
out otherwise than written ends the demo.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ledger import receipt as receipts
from ledger import receipt_check
from ledger.crypto import Ed25519Signer
from ledger.entry import Status
from ledger.ids import Hash, hash_from_hex
from ledger.jwk import PrivateJwk
from ledger.registry.definition import Definition
from node.authoring.compiler import compile_source
from node.authoring.live import LiveGround, Operation
from node.authoring.scenario import Scenario
from node.authoring.source import parse
from node.client import Client

FOLDER: Final = Path(__file__).parent
SERVICES: Final = FOLDER.parent.parent / "services"
STORIES: Final = {
    "funds": "An appropriation is enacted, committed and paid out",
    "land": "A mortgaged parcel is sold with the lender's consent",
    "documents": "A licence is applied for, approved by four eyes, and revoked",
    "casework": "A case passes its deadline and escalates by itself",
}
PERIODS: Final = {"casework": ("7 * 86400", "6")}
"""A part of a definition that the demo replaces: nobody waits a week for it."""
Say = Callable[[str], None]


class Told:
    """A network on which a scenario runs and every step is told."""

    def __init__(self, ground: LiveGround, service: str, say: Say) -> None:
        self._ground = ground
        self._service = service
        self._say = say
        self._acts: dict[str, str] = {}
        """Pending id -> the act that it waits for."""
        self.timed: list[str] = []
        """Records on which a timer fired."""

    def add_party(self, party: str, agency: str) -> None:
        """A party of an agency."""
        self._ground.add_party(party, agency)

    def grant(self, role: str, party: str, agency: str | None) -> None:
        """Give a role."""
        self._ground.grant(role, party, agency)

    def run(self, party: str, operation: Operation) -> tuple[str, dict[str, Any]]:
        """One operation, told."""
        what = self._what(operation)
        reason, result = self._ground.run(party, operation)
        if reason:
            guard = result.get("guard") or result.get("field") or ""
            outcome = f"REFUSED: {reason} {guard}".rstrip()
        elif "pending" in result:
            self._acts[result["pending"]] = what.removeprefix("signs to ")
            outcome = "waits for more signatures"
        else:
            outcome = str(result["state"])
        self._say(f"  {party:<16} {what:<30} {outcome}")
        return reason, result

    def _what(self, operation: Operation) -> str:
        if operation["op"] == "record.create":
            return f"create {operation['type'].removeprefix(self._service + '-')}"
        if operation["op"] == "record.act":
            kind = operation["id"].split("/")[0].removeprefix(self._service + "-")
            return f"{operation['transition']} {kind}"
        return f"signs to {self._acts[operation['pending']]}"

    def advance(self, seconds: int) -> list[dict[str, Any]]:
        """Wait, and tell what fired."""
        self._say(f"  … {seconds} seconds pass …")
        fired = self._ground.advance(seconds)
        for entry in fired:
            self.timed.append(entry["record"])
            state = entry["results"][0]["state"]
            self._say(f"  {'(the clock)':<16} {entry['name']:<30} {state}")
        return fired

    def now(self) -> int:
        """Block time, seconds."""
        return self._ground.now()

    def value(self, key: str) -> Any:
        """A state value, parsed, or None."""
        return self._ground.value(key)


class Morning:
    """Four services on a running test network."""

    def __init__(self, net: Path, kept: Path, say: Say) -> None:
        """`net` is the folder of the test network; receipts go to `kept`."""
        info = json.loads((net / "net.json").read_text())
        self._client = Client(tuple(node["rpc"] for node in info["nodes"]))
        self._trust: Hash = hash_from_hex(info["genesis_hash"])
        keys = {row["party"]: _signer(Path(row["jwk_file"])) for row in info["clients"]}
        self._ground = LiveGround(self._client.call, keys, time.sleep)
        self._kept = kept
        self._say = say

    def play(self, service: str) -> list[str]:
        """Vote a service in and play its story; records on which a timer fired."""
        definition = _definition(service)
        self._ground.activate(definition)
        self._say(f"  {service} version {definition.version} is in force by vote of the members")
        if service in PERIODS:
            old, new = PERIODS[service]
            self._say(f"  (for this demo its first period is {new} seconds, not {old})")
        told = Told(self._ground, definition.service, self._say)
        source = parse((FOLDER / f"{service}.yaml").read_text(encoding="utf-8"))
        first = len(self._ground.steps)
        Scenario(source, definition.service, definition.version).run(told)
        self._keep(service, self._ground.steps[first:])
        return told.timed

    def _keep(self, service: str, transactions: list[str]) -> None:
        """Write and verify a receipt of every act, also of those that were refused."""
        refused = 0
        for number, txid in enumerate(transactions):
            data = self._client.call("tx_receipt", {"id": txid})
            file = self._kept / f"{service}-{number:02d}.receipt.json"
            file.write_text(json.dumps(data), encoding="utf-8")
            receipt = receipts.decode(file.read_bytes())
            verdict = receipt_check.verify(receipt, genesis_hash=self._trust)
            refused += verdict.status is not Status.COMMITTED
        self._say(
            f"  {len(transactions)} receipts written, each verified offline; "
            f"{refused} prove a refusal"
        )


def _signer(file: Path) -> Ed25519Signer:
    signer = PrivateJwk.from_json(json.loads(file.read_bytes())).signer()
    if not isinstance(signer, Ed25519Signer):
        raise TypeError(f"{file} holds no Ed25519 key")
    return signer


def _definition(service: str) -> Definition:
    text = (SERVICES / service / "service.yaml").read_text(encoding="utf-8")
    if service in PERIODS:
        old, new = PERIODS[service]
        if old not in text:
            raise ValueError(f"{service} no longer has the period {old!r}")
        text = text.replace(old, new)
    definition, problems = compile_source(parse(text))
    if definition is None:
        raise ValueError(f"{service}: {problems}")
    return definition
