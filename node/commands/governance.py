"""muniment gov: proposals and votes of the members."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from ledger.ids import HASH_HEX, JTI
from node import answers
from node.answers import CommandError
from node.commands.context import JsonOption, ProfileOption, Session, TimeoutOption, failing
from node.commands.pages import ITEMS_MAX, CursorOption, LimitOption, follow, told

KINDS = ("activate", "suspend", "resume", "migrate", "role-root", "parameter")
"""What members can vote (docs/spec/registry.md, section 7)."""
app = typer.Typer(help="Proposals and votes.", no_args_is_help=True)


def _send(
    operation: dict[str, Any], profile: str | None, timeout: int, as_json: bool, done: str
) -> None:
    with failing(as_json):
        session = Session.open(profile)
        txid = session.submit(session.sign([operation]))
        status = session.wait(txid, timeout)
        entry = session.client.call("tx_get", {"id": txid})["entry"]
        data = {"tx": txid, "height": status["height"], **entry["results"][0]}
        text = f"{done} in block {status['height']}"
        if "status" in data:
            text += f": {data['status']}"
        answers.succeed(data, text, as_json=as_json)


@app.command("propose")
def propose(
    proposal: Annotated[str, typer.Argument(help="Id of the proposal.")],
    kind: Annotated[str, typer.Option(help=f"{', '.join(KINDS)}.")],
    body: Annotated[Path, typer.Option(help="JSON of the body (docs/spec/registry.md, 7).")],
    rationale: Annotated[
        str, typer.Option(help="Commitment to the text of the reasons: muniment commit FILE.")
    ],
    days: Annotated[int, typer.Option(min=1, max=90, help="How long the vote is open.")] = 14,
    height: Annotated[int, typer.Option(min=0, help="Earliest height of effect.")] = 0,
    timeout: TimeoutOption = 30,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open a proposal; the proposer accepts it.

    What the body says, by kind:

    parameter: {"parameters": {"effects_max": 96}}

    role-root: {"role": "market-stall.officer", "party": "health-agency"}

    suspend, resume: {"service": "market-stall", "version": 1}

    migrate: {"service": "market-stall", "source": 1, "target": 2}

    activate: easier with `muniment service propose`.
    """
    with failing(as_json):
        if kind not in KINDS:
            detail = f"--kind {kind!r}: there are {', '.join(KINDS)}"
            raise CommandError(answers.USAGE, "KIND_UNKNOWN", detail)
        check_names(proposal, rationale)
        try:
            value = msgspec.json.decode(body.read_bytes())
        except OSError as error:
            detail = f"{body}: {error.strerror}"
            raise CommandError(answers.USAGE, "BODY_UNREADABLE", detail) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            detail = f"{body} is not JSON: {error}"
            raise CommandError(answers.USAGE, "BODY_UNREADABLE", detail) from None
    operation = {
        "op": "gov.propose",
        "proposal": proposal,
        "kind": kind,
        "body": value,
        "rationale": rationale,
        "effective_height": height,
        "until": int(time.time()) + days * 86_400,
    }
    _send(operation, profile, timeout, as_json, f"proposed {proposal}")


def check_names(proposal: str, rationale: str) -> None:
    """Raises CommandError unless these can be a proposal's id and the commitment to its reasons."""
    if JTI.fullmatch(proposal) is None:
        detail = f"{proposal!r} is no id of a proposal: want 1 to 64 of A-Za-z0-9._-"
        raise CommandError(answers.USAGE, "PROPOSAL_ID", detail)
    if HASH_HEX.fullmatch(rationale) is None:
        detail = "--rationale: want a commitment, 64 lower-case hex digits"
        hint = "make one of a text: muniment commit FILE"
        raise CommandError(answers.USAGE, "RATIONALE_INVALID", detail, hint)


@app.command("vote")
def vote(
    proposal: Annotated[str, typer.Argument(help="Id of the proposal.")],
    accept: Annotated[bool, typer.Option("--accept/--reject", help="The agency's vote.")],
    timeout: TimeoutOption = 30,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Vote for the profile's agency; the last vote counts while the proposal is open."""
    operation = {"op": "gov.vote", "proposal": proposal, "accept": accept}
    _send(operation, profile, timeout, as_json, f"voted on {proposal}")


@app.command("withdraw")
def withdraw(
    proposal: Annotated[str, typer.Argument(help="Id of an open proposal of this agency.")],
    timeout: TimeoutOption = 30,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a proposal back while it is open; its proposer alone can."""
    operation = {"op": "gov.withdraw", "proposal": proposal}
    _send(operation, profile, timeout, as_json, f"withdrew {proposal}")


@app.command("get")
def get(proposal: str, profile: ProfileOption = None, as_json: JsonOption = False) -> None:
    """A proposal, its votes and what became of it."""
    with failing(as_json):
        data = Session.open(profile).client.call("gov_get", {"proposal": proposal})
        shown = data["proposal"]
        votes = ", ".join(f"{a} {'yes' if y else 'no'}" for a, y in shown["votes"].items())
        text = f"{shown['id']}  {shown['kind']}  {shown['status']}  {votes} {shown['outcome']}"
        answers.succeed(data, text.rstrip(), as_json=as_json)


@app.command("list")
def list_proposals(
    limit: LimitOption = ITEMS_MAX,
    cursor: CursorOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Proposals in order of id, the closed ones too; without their bodies."""
    with failing(as_json):
        data = follow(Session.open(profile).client, "gov_list", {}, limit, cursor)
        lines = [f"{p['id']}  {p['kind']}  {p['status']}" for p in data["items"]]
        answers.succeed(data, told(lines, data, "no proposals"), as_json=as_json)


@app.command("grant")
def grant(
    role: Annotated[str, typer.Argument(help="SERVICE.ROLE")],
    party: Annotated[str, typer.Argument(help="Who shall hold it.")],
    days: Annotated[int, typer.Option(min=1, max=36_500)] = 365,
    agency: Annotated[str | None, typer.Option(help="Only in this agency's matters.")] = None,
    delegable: Annotated[bool, typer.Option("--delegable", help="May pass it on.")] = False,
    timeout: TimeoutOption = 30,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Grant a role; by its root, or by a holder who may delegate."""
    operation = {
        "op": "role.grant",
        "role": role,
        "party": party,
        "until": int(time.time()) + days * 86_400,
        "agency": agency,
        "delegable": delegable,
    }
    _send(operation, profile, timeout, as_json, f"granted {role} to {party}")


@app.command("revoke")
def revoke(
    role: Annotated[str, typer.Argument(help="SERVICE.ROLE")],
    party: Annotated[str, typer.Argument(help="Who shall hold it no more.")],
    timeout: TimeoutOption = 30,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a grant at once; by the role's root, by who granted it or by its holder."""
    operation = {"op": "role.revoke", "role": role, "party": party}
    _send(operation, profile, timeout, as_json, f"revoked {role} of {party}")
