"""muniment submit and muniment tx: any operations, looked up and waited for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from ledger.ids import JTI
from node import answers
from node.answers import CommandError
from node.commands.context import (
    JsonOption,
    ProfileOption,
    Session,
    TimeoutOption,
    failing,
    new_jti,
)
from node.commands.operations import check_operations

app = typer.Typer(help="Transactions.", no_args_is_help=True)


def submit(
    file: Annotated[str, typer.Argument(help="JSON operations or a compact JWS; - for stdin.")],
    jti: Annotated[str | None, typer.Option(help="Idempotency key of a new transaction.")] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check",
            help="Ask a node what the services want, and sign nothing else; "
            "without, a mistyped value stays readable in a block.",
        ),
    ] = True,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for its block.")] = True,
    timeout: TimeoutOption = 30,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign operations (a JSON object or list) and submit them, or submit a signed transaction.

    Values of records are checked before anything is signed, as `muniment do` does.
    """
    with failing(as_json):
        session = Session.open(profile)
        compact = _compact(session, _read(file), jti, check)
        txid = session.submit(compact)
        data: dict[str, Any] = {"id": txid, "status": "accepted"}
        text = f"accepted {txid}"
        if wait:
            data = session.wait(txid, timeout)
            text = f"{data['status']} {txid} in block {data['height']}"
        answers.succeed(data, text, as_json=as_json)


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        detail = f"{file}: {error.strerror}"
        raise CommandError(answers.NOT_FOUND, "FILE_UNREADABLE", detail) from None


def _compact(session: Session, data: bytes, jti: str | None, checked: bool) -> str:
    text = data.strip()
    if text.count(b".") == 2 and not text.startswith((b"{", b"[")):
        return text.decode("ascii", "replace")
    if jti is not None and JTI.fullmatch(jti) is None:
        raise CommandError(answers.USAGE, "JTI_INVALID", "jti: want 1 to 64 of A-Za-z0-9._-")
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError(answers.USAGE, "JSON_INVALID", f"operations: {error}") from None
    operations = value if isinstance(value, list) else [value]
    jti = jti or new_jti()  # ids of new records follow from it
    if checked:
        check_operations(session, operations, jti)
    return session.sign(operations, jti)


@app.command("show")
def show(
    txid: Annotated[str, typer.Argument(help="Transaction id.")],
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """A transaction's status; exit 3 when nobody knows it."""
    with failing(as_json):
        data = Session.open(profile).client.call("tx_get", {"id": txid})
        if data["status"] == "unknown":
            raise CommandError(answers.NOT_FOUND, "TX_UNKNOWN", f"nobody knows {txid}")
        place = "" if data["height"] is None else f" in block {data['height']}"
        answers.succeed(data, f"{data['status']}{place} {data['reason']}".rstrip(), as_json=as_json)


@app.command("wait")
def wait_for(
    txid: Annotated[str, typer.Argument(help="Transaction id.")],
    timeout: TimeoutOption = 30,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Wait until a transaction is in a block; exit 5 when the time is over."""
    with failing(as_json):
        data = Session.open(profile).wait(txid, timeout)
        answers.succeed(data, f"{data['status']} in block {data['height']}", as_json=as_json)


@app.command("check")
def check(
    file: Annotated[str, typer.Argument(help="A compact JWS; - for stdin.")],
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Whether a signed transaction would be admitted; exit 4 when not."""
    with failing(as_json):
        session = Session.open(profile)
        compact = _read(file).strip().decode("ascii", "replace")
        data = session.client.call("tx_check", {"tx": compact})
        if not data["admissible"]:
            raise CommandError(answers.REJECTED, data["reason"], data["detail"])
        answers.succeed(data, "admissible", as_json=as_json)
