"""muniment document: register, attest, revoke, show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.crypto import sha256
from ledger.ids import CODE, ChainId
from ledger.modules.document import DEFINITION as DOCUMENT
from node import answers
from node.answers import CommandError
from node.commands.context import JsonOption, ProfileOption, Session, TimeoutOption, failing
from node.commands.pages import follow
from node.documents import (
    PendingReceipt,
    Registration,
    keep_receipt,
    pending_path,
    read_pending,
    receipt_path,
)

app = typer.Typer(help="Documents: commitments on the chain.", no_args_is_help=True)


@app.command("register")
def register(
    files: Annotated[list[Path], typer.Argument(help="Files to register.")],
    kind: Annotated[str, typer.Option("--type", help="Type code.")] = "document",
    title_code: Annotated[str, typer.Option(help="Title code.")] = "document",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the receipt.")] = True,
    timeout: TimeoutOption = 60,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Commit to files, and keep salt, commitment and receipt in FILE.receipt.json."""
    with failing(as_json):
        for code in (kind, title_code):
            if CODE.fullmatch(code) is None:
                detail = f"{code!r} is no code: want 1 to 64 of a-z, 0-9 and inner hyphens"
                raise CommandError(answers.USAGE, "CODE_INVALID", detail)
        session = Session.open(profile)
        chain = ChainId(session.profile.chain_id)
        registrations = [Registration(path, kind, title_code) for path in files]
        for item in registrations:
            item.prepare()
        pendings = []
        for item in registrations:
            compact = session.sign([item.operation()], item.jti)
            pendings.append(item.write_pending(chain, session.party, compact))
        results = session.submit_many([pending.tx for pending in pendings])
        rows: list[dict[str, Any]] = []
        for item, pending, result in zip(registrations, pendings, results, strict=True):
            _refuse(item, result)
            row = {"file": str(item.path), "tx": result["id"], "status": "pending"}
            rows.append({**row, "record": pending.record})
        if wait:
            for item, pending, row in zip(registrations, pendings, rows, strict=True):
                _keep(session, item.path, pending, row, timeout)
        else:
            answers.progress("not waiting; later: muniment document finish FILE")
        text = "\n".join(
            f"{row['status']:9} {row.get('height', '-'):>6}  {row['record']}  {row['file']}"
            for row in rows
        )
        if wait:
            text += "\nkeep the .receipt.json files: without the salt nobody can show the content"
        answers.succeed({"documents": rows}, text, as_json=as_json)


def _refuse(item: Registration, result: dict[str, Any]) -> None:
    error = result.get("error")
    if error is None:
        return
    if not error["data"]["retryable"]:
        pending_path(item.path).unlink(missing_ok=True)  # it can be in no block
    raise CommandError(
        answers.REJECTED,
        error["data"]["reason"],
        f"{item.path}: {error['message']}",
        f"what was sent can be finished: muniment document finish {item.path}",
    )


def _keep(
    session: Session, path: Path, pending: PendingReceipt, row: dict[str, Any], timeout: int
) -> None:
    try:
        status = session.wait(row["tx"], timeout)
    except CommandError as error:
        if error.code == answers.TIMEOUT:
            error.hint = f"muniment document finish {path}"
        raise
    receipt = session.client.call("tx_receipt", {"id": row["tx"]})
    keep_receipt(path, pending, receipt)
    row.update(
        status=status["status"], height=status["height"], receipt_file=str(receipt_path(path))
    )


@app.command("finish")
def finish(
    file: Annotated[Path, typer.Argument(help="A file whose registration was interrupted.")],
    discard: Annotated[
        bool, typer.Option("--discard", help="Forget it, once the chain says that it is void.")
    ] = False,
    timeout: TimeoutOption = 60,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send an interrupted registration again, the same transaction, and keep its receipt."""
    with failing(as_json):
        session = Session.open(profile)
        pending = read_pending(file)
        row: dict[str, Any] = {"file": str(file), "record": pending.record}
        row["tx"] = sha256(pending.tx.encode("ascii")).hex()
        try:
            session.submit(pending.tx)
        except CommandError as error:
            if error.code == answers.REJECTED and discard:
                pending_path(file).unlink()
                answers.succeed({**row, "status": "discarded"}, "discarded", as_json=as_json)
                return
            if error.code == answers.REJECTED:
                error.hint = f"it can be in no block: muniment document finish {file} --discard"
            raise
        _keep(session, file, pending, row, timeout)
        text = f"{row['status']} {row['record']} in block {row['height']}"
        answers.succeed(row, text, as_json=as_json)


def _act(
    operation: dict[str, Any], profile: str | None, timeout: int, done: str, as_json: bool
) -> None:
    with failing(as_json):
        session = Session.open(profile)
        txid = session.submit(session.sign([operation]))
        status = session.wait(txid, timeout)
        data = {"record": operation["id"], "tx": txid, "height": status["height"]}
        text = f"{done} {operation['id']} in block {status['height']}"
        answers.succeed(data, text, as_json=as_json)


@app.command("attest")
def attest(
    record: Annotated[str, typer.Argument(help="Record id.")],
    timeout: TimeoutOption = 30,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Attest another agency's document; the profile's party must be an agency."""
    _act({"op": "document.attest", "id": record}, profile, timeout, "attested", as_json)


@app.command("revoke")
def revoke(
    record: Annotated[str, typer.Argument(help="Record id.")],
    reason_code: Annotated[str, typer.Option(help="Why, as a code.")],
    timeout: TimeoutOption = 30,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke a document that this party or its agency registered."""
    operation = {"op": "document.revoke", "id": record, "reason_code": reason_code}
    _act(operation, profile, timeout, "revoked", as_json)


@app.command("show")
def show(
    record: Annotated[str, typer.Argument(help="Record id.")],
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """A document's record as it stands, and its history."""
    with failing(as_json):
        client = Session.open(profile).client
        newest = client.call("record_get", {"id": record})["record"]
        if newest["def"] != DOCUMENT:
            detail = f"{record} is a record of {newest['def']}, not a document"
            hint = f"muniment record history {record}"
            raise CommandError(answers.NOT_FOUND, "NO_DOCUMENT", detail, hint)
        data = follow(client, "record_history", {"id": record}, member="versions")
        lines = [f"{newest['id']}  {newest['state']}  registered by {newest['party']}"]
        lines += [f"  seq {v['seq']}  block {v['height']}  {v['state']}" for v in data["versions"]]
        lines += [f"  attested by {a['agency']}" for a in newest["attestations"]]
        answers.succeed({**data, "record": newest}, "\n".join(lines), as_json=as_json)
