"""What every client command shares: the profile, --json, exit codes, signing, waiting."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger import transaction
from ledger.ids import PartyId
from node import answers
from node.answers import CommandError
from node.client import Client
from node.commands.authority import who_may
from node.profiles import Profile, Profiles
from node.shown import named

PROGRAM = "muniment"
EXPIRY_SECONDS = 3_600
BATCH = 100
PATIENCE_SECONDS = 3
"""After so long somebody who waits is told what for."""

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", help="Profile to use instead of the current one.")
]
TimeoutOption = Annotated[int, typer.Option(min=1, max=600, help="Seconds to wait at most.")]
_WHAT_NEXT = {
    "ALREADY_SIGNED": "somebody else has to sign: give --profile NAME",
    "CONFLICT": "it changed meanwhile; look again: muniment record show RECORD",
    "NOT_AUTHORISED": "who signs: muniment profile show; sign as another: --profile NAME",
    "PARTY_EXISTS": "muniment id get PARTY",
    "PARTY_UNKNOWN": "register it first: muniment id register PARTY FILE",
    "PENDING_UNKNOWN": "what waits: muniment task list",
    "PROPOSAL_CLOSED": "what became of it: muniment gov get PROPOSAL",
    "PROPOSAL_EXISTS": "choose another id; those taken: muniment gov list",
    "PROPOSAL_INVALID": "kinds and their bodies: docs/spec/registry.md, section 7",
    "PROPOSALS_FULL": "take one back: muniment gov withdraw PROPOSAL; all of them: gov list",
    "PROPOSAL_UNKNOWN": "all proposals: muniment gov list",
    "RECORD_UNKNOWN": "ids of a type's records: muniment record list TYPE",
    "SERVICE_UNKNOWN": "all services: muniment service list",
    "WRONG_STATE": "where it stands: muniment record show RECORD",
}


@contextmanager
def failing(as_json: bool) -> Iterator[None]:
    """Turn failures into the documented exit codes."""
    try:
        yield
    except CommandError as error:
        error.hint = error.hint or _WHAT_NEXT.get(error.reason, "")
        answers.fail(error, PROGRAM, as_json=as_json)
    except OSError as error:
        answers.fail(
            CommandError(answers.TEMPORARY, "SYSTEM", str(error)), PROGRAM, as_json=as_json
        )


def new_jti() -> str:
    """An idempotency key that nobody used."""
    return f"cli-{secrets.token_hex(12)}"


@dataclass(slots=True)
class Session:
    """A profile ready to sign and send."""

    profile: Profile
    client: Client
    _told: bool = field(default=False, init=False)
    """Whether the user knows that something is waited for: once is enough."""

    @classmethod
    def open(cls, name: str | None) -> Session:
        """Raises CommandError."""
        profile = Profiles().load(name)
        return cls(profile, profile.client())

    @property
    def party(self) -> PartyId:
        """Who signs. Raises CommandError with exit code 7."""
        if self.profile.party is None:
            raise CommandError(answers.KEY, "NO_PARTY", "the profile names no party")
        return PartyId(self.profile.party)

    def sign(self, operations: list[dict[str, Any]], jti: str | None = None) -> str:
        """A compact transaction of these operations, valid for an hour."""
        claims = {
            "iss": self.party,
            "aud": self.profile.chain_id,
            "jti": jti or new_jti(),
            "exp": int(time.time()) + EXPIRY_SECONDS,
            "ops": operations,
        }
        return transaction.sign(claims, self.profile.key().signer()).decode("ascii")

    def submit(self, compact: str) -> str:
        """Offer a transaction; its id. Raises CommandError with exit code 4 when refused."""
        answer = self.client.call("tx_submit", {"tx": compact})
        return str(answer["id"])

    def submit_many(self, compacts: list[str]) -> list[dict[str, Any]]:
        """Offer transactions in batches; the answer of each."""
        results: list[dict[str, Any]] = []
        for first in range(0, len(compacts), BATCH):
            batch = compacts[first : first + BATCH]
            results += self.client.call("tx_submitMany", {"txs": batch}, 60)["results"]
        return results

    def wait(self, txid: str, seconds: float) -> dict[str, Any]:
        """Until the transaction is in a block. Raises CommandError: 4 refused, 5 not in time."""
        deadline = time.monotonic() + seconds
        quiet_ms = PATIENCE_SECONDS * 1000
        while True:
            left_ms = max(0, int((deadline - time.monotonic()) * 1000))
            params = {"id": txid, "timeout_ms": min(left_ms, 10_000 if self._told else quiet_ms)}
            status: dict[str, Any] = self.client.call("tx_wait", params, 30)
            if status["status"] == "committed":
                return status
            if status["status"] in ("refused", "expired"):
                raise self._refused(txid, status["reason"] or "TX_EXPIRED")
            if not left_ms:
                raise CommandError(
                    answers.TIMEOUT,
                    "OUTCOME_UNKNOWN",
                    f"transaction {txid} is not in a block yet; it may still commit",
                    f"muniment tx wait {txid}",
                )
            if not self._told and left_ms > quiet_ms:
                self._told = True
                answers.progress(f"sent; waiting for a block, up to {seconds:g} s")

    def _refused(self, txid: str, reason: str) -> CommandError:
        """The error for a refusal: with what it names, as a guard or field, or with who may."""
        detail = f"transaction {txid}: {reason}"
        try:
            found = self.client.call("tx_get", {"id": txid})
        except CommandError:
            return CommandError(answers.REJECTED, reason, detail)
        entry = found["entry"] or {}
        what = " ".join(named(result) for result in entry.get("results", []))
        detail = f"{detail} {what}".rstrip()
        if reason == "NOT_AUTHORISED" and (may := who_may(self.client, found)):
            detail = f"{detail}: {may}"
        return CommandError(answers.REJECTED, reason, detail)


def write_new(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file that is not there yet. Raises CommandError when it is."""
    from node.home import write_private

    try:
        write_private(path, data)
    except FileExistsError:
        detail = f"{path} is there already; it is never replaced"
        raise CommandError(answers.NEGATIVE, "FILE_EXISTS", detail) from None
    path.chmod(mode)
