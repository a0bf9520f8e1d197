"""muniment receipt: fetch, and verify without any node."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ledger import receipt as receipts
from ledger import receipt_check
from ledger.genesis import Genesis
from ledger.ids import BlockHash, Hash, Height, hash_from_hex
from ledger.receipt_check import Checkpoint, Verdict
from ledger.transaction import decode as decode_transaction
from node import answers
from node.answers import CommandError
from node.commands.context import JsonOption, ProfileOption, Session, failing, write_new
from node.documents import (
    SUFFIX,
    DocumentReceipt,
    check_document,
    check_operation,
    check_salt,
    pending_path,
    receipt_path,
)
from node.profiles import Profiles

_BLOCK = re.compile("([0-9]{1,16}):([0-9a-f]{64})", re.ASCII)
CHECKPOINT_PAGE = "docs/services/authoring.md, section 15"
app = typer.Typer(help="Receipts, checkable offline.", no_args_is_help=True)


@app.command("get")
def get(
    txid: Annotated[str, typer.Argument(help="Transaction id; `record history --json` has it.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch the receipt of a committed transaction."""
    with failing(as_json):
        data = Session.open(profile).client.call("tx_receipt", {"id": txid})
        text = msgspec.json.format(msgspec.json.encode(data)).decode("utf-8")
        if output is not None:
            write_new(output, text.encode("utf-8") + b"\n", 0o644)
            text = f"wrote {output}"
        answers.succeed(data, text, as_json=as_json)


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="A receipt, FILE.receipt.json, or FILE itself.")],
    document: Annotated[Path | None, typer.Option(help="The registered file.")] = None,
    genesis_hash: Annotated[str | None, typer.Option(help="Pinned genesis hash, hex.")] = None,
    genesis: Annotated[Path | None, typer.Option(help="Pinned genesis document.")] = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="HEIGHT:HASH of a block that you know is committed.")
    ] = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a receipt, offline; exit 1 when it proves nothing. No socket is opened."""
    with failing(as_json):
        pinned = _pinned(genesis_hash, genesis, profile)
        path = file
        if not file.name.endswith(SUFFIX):
            if receipt_path(file).exists():
                path, document = receipt_path(file), document or file
            elif pending_path(file).exists():
                raise _no_receipt(
                    file, f"its registration is not finished: muniment document finish {file}"
                )
        kept, receipt = _read(path)
        try:
            block = None if checkpoint is None else _checkpoint(checkpoint, receipt)
            verdict = receipt_check.verify(receipt, genesis_hash=pinned, checkpoint=block)
        except receipts.ReceiptInvalid as error:
            hint = "it is of another chain than the profile's: give --profile or --genesis"
            other = hint if error.reason == "GENESIS_MISMATCH" else ""
            detail = f"INVALID: {error.detail}"
            raise CommandError(answers.NEGATIVE, error.reason, detail, other) from None
        checked_file = _check_file(kept, receipt, path, document)
        data = {**msgspec.to_builtins(verdict), "file": checked_file, "valid": True}
        answers.succeed(data, _text(verdict, checked_file), as_json=as_json)


def _pinned(genesis_hash: str | None, genesis: Path | None, profile: str | None) -> Hash:
    """The trust that the check starts from; never from the receipt itself."""
    try:
        if genesis_hash is not None:
            return hash_from_hex(genesis_hash)
        if genesis is not None:
            return Genesis.decode(genesis.read_bytes()).hash
    except (OSError, ValueError) as error:
        raise CommandError(answers.USAGE, "GENESIS_INVALID", f"pinned genesis: {error}") from None
    return hash_from_hex(Profiles().load(profile).genesis_hash)


def _checkpoint(text: str, receipt: receipts.Receipt) -> Checkpoint:
    """A block that the reader pins besides the genesis, which alone says of which chain it is."""
    found = _BLOCK.fullmatch(text)
    if found is None:
        detail = f"--checkpoint: want HEIGHT:HASH, got {text!r}"
        hint = "both are what this prints: muniment block show HEIGHT"
        raise CommandError(answers.USAGE, "CHECKPOINT_INVALID", detail, hint)
    block_hash = BlockHash(hash_from_hex(found[2]))
    return Checkpoint(receipt.genesis.chain, Height(int(found[1])), block_hash)


def _read(path: Path) -> tuple[DocumentReceipt | None, receipts.Receipt]:
    try:
        data = path.read_bytes()
    except OSError as error:
        detail = f"{path}: {error.strerror}"
        raise CommandError(answers.NOT_FOUND, "FILE_UNREADABLE", detail) from None
    try:
        kept = msgspec.json.decode(data, type=DocumentReceipt)
        data = msgspec.json.encode(kept.receipt)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        kept = None
    try:
        return kept, receipts.decode(data)
    except receipts.ReceiptInvalid as error:
        beside = f"if {path.name} is a document: no {receipt_path(path).name} is beside it"
        hint = "" if path.name.endswith(SUFFIX) else beside
        if not (path.suffix == ".json" or data.lstrip().startswith(b"{")):
            raise _no_receipt(path) from None
        detail = f"INVALID: {error.detail}"
        raise CommandError(answers.NEGATIVE, error.reason, detail, hint) from None


def _no_receipt(file: Path, hint: str = "") -> CommandError:
    """The error for a document whose receipt is not where it was kept."""
    detail = f"no {receipt_path(file).name} beside {file}"
    return CommandError(answers.NOT_FOUND, "NO_RECEIPT", detail, hint)


def _check_file(
    kept: DocumentReceipt | None, receipt: receipts.Receipt, path: Path, document: Path | None
) -> str | None:
    """Check the registered file when it is named or lies beside its receipt."""
    if kept is None:
        return None
    transaction = decode_transaction(receipt.tx, bytes_max=1 << 20, operations_max=64)
    check_salt(kept)
    check_operation(kept, receipt.header.chain, transaction)
    beside = path.with_name(kept.file)
    chosen = document or (beside if beside.exists() else None)
    if chosen is None:
        return None
    check_document(kept, chosen)
    return str(chosen)


def _text(verdict: Verdict, checked_file: str | None) -> str:
    when = datetime.fromtimestamp(verdict.time_ms / 1000, UTC).isoformat(timespec="seconds")
    age = max(0, int(time.time() - verdict.anchor_time_ms / 1000))
    lines = [
        f"VALID: {verdict.status.value} {verdict.reason}".rstrip(),
        f"  transaction {verdict.tx}",
        f"  block {verdict.height} of {verdict.chain}, {when}",
        f"  anchored at block {verdict.anchor_height}, {age} s old, signed by {verdict.signers}"
        f" of {verdict.members} validators",
    ]
    if checked_file is not None:
        lines.append(f"  {checked_file} is the registered file, unchanged")
    if verdict.pinned == "genesis":
        lines.append(
            "  trust: from genesis only; a checkpoint, a block that you pin, would be stronger: "
            f"{CHECKPOINT_PAGE}"
        )
    else:
        lines.append("  trust: from the genesis and the block that you pinned")
    return "\n".join(lines)
