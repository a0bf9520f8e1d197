"""muniment block, validators, status, rpc and proof."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from ledger import receipt as receipts
from ledger.block import Header, header_hash
from ledger.certificate import Certificate, verify_certificate
from ledger.crypto import Ed25519Verifier
from ledger.ids import Hash, hash_from_hex
from ledger.receipt_check import walk_epochs
from ledger.state_proof import Proof, verify
from node import answers
from node.answers import CommandError
from node.client import RpcRefusal, Unreachable, call_once
from node.commands.context import JsonOption, ProfileOption, Session, failing, write_new
from node.profiles import Profiles

block_app = typer.Typer(help="Blocks.", no_args_is_help=True)
proof_app = typer.Typer(help="State proofs, checkable offline.", no_args_is_help=True)


@block_app.command("show")
def block_show(
    height: Annotated[int | None, typer.Argument(help="The head when omitted.")] = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """A block with its transactions."""
    with failing(as_json):
        params = {} if height is None else {"height": height}
        data = Session.open(profile).client.call("chain_getBlock", params)
        header = data["header"]
        text = (
            f"block {data['height']}  {data['block_hash']}\n"
            f"  {len(data['transactions'])} transactions, proposer {header['proposer']}, "
            f"epoch {header['epoch']}\n  state root {header['state_root']}"
        )
        answers.succeed(data, text, as_json=as_json)


@block_app.command("list")
def block_list(
    limit: Annotated[int, typer.Option(min=1, max=100, help="Most blocks to show.")] = 20,
    before: Annotated[int | None, typer.Option(min=0, help="Only blocks below this one.")] = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """The newest blocks."""
    with failing(as_json):
        asked = {"limit": limit} if before is None else {"limit": limit, "before": before}
        data = Session.open(profile).client.call("chain_listBlocks", asked)
        lines = [
            f"{item['height']:>8}  {item['block_hash'][:16]}  {item['transactions']:>5} tx"
            f"  proposer {item['proposer']}  view {item['view']}"
            for item in data["items"]
        ]
        if data["next_before"] is not None:
            answers.progress(f"older ones: --before {data['next_before']}")
        answers.succeed(data, "\n".join(lines), as_json=as_json)


def validators(
    height: Annotated[int | None, typer.Option(help="At this height.")] = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """The validator set, its quorum and the faults it tolerates."""
    with failing(as_json):
        params = {} if height is None else {"height": height}
        data = Session.open(profile).client.call("chain_getValidators", params)
        lines = [f"epoch {data['epoch']}: quorum {data['quorum']}, tolerates {data['faults']}"]
        lines += [f"  {m['index']}  {m['name']:12} {m['agency']}" for m in data["members"]]
        answers.succeed(data, "\n".join(lines), as_json=as_json)


def status(
    every: Annotated[bool, typer.Option("--all", help="Every node of the profile.")] = False,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """What the first node that answers, or every node, says of itself; exit 6 when none does."""
    with failing(as_json):
        session = Session.open(profile)
        if not every:
            data = session.client.call("node_status")
            answers.succeed(data, _row(data), as_json=as_json)
            return
        rows: list[dict[str, Any]] = []
        names = session.profile.node_names()
        for url in session.profile.rpc:
            row = {"url": url, "name": names.get(url)}
            try:
                rows.append({**row, "status": call_once(url, "node_status", {}, 5)})
            except (Unreachable, RpcRefusal) as error:
                rows.append({**row, "status": None, "error": str(error)})
        if all(row["status"] is None for row in rows):
            raise session.client.unreachable([row["error"] for row in rows])
        text = "\n".join(
            _row(row["status"]) if row["status"] else f"{row['name'] or row['url']:10} down"
            for row in rows
        )
        answers.succeed({"nodes": rows}, text, as_json=as_json)


def _row(data: dict[str, Any]) -> str:
    return (
        f"{data['name']:10} height {data['height']}  view {data['view']}  leader {data['leader']}  "
        f"peers {data['peers']['connected']}/{data['peers']['known']}  "
        f"{'voting' if data['voting'] else 'not voting'}"
    )


def rpc(
    method: Annotated[str, typer.Argument(help="A method, see docs/spec/rpc.md.")],
    parameters: Annotated[list[str] | None, typer.Argument(help="name=value ...")] = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Call a method; values are JSON where they parse as JSON, text otherwise."""
    with failing(as_json):
        params: dict[str, Any] = {}
        for item in parameters or []:
            name, separator, text = item.partition("=")
            if not separator:
                raise CommandError(answers.USAGE, "PARAMETER", f"{item!r}: want name=value")
            try:
                params[name] = msgspec.json.decode(text)
            except msgspec.DecodeError:
                params[name] = text
        data = Session.open(profile).client.call(method, params, 70)
        text = msgspec.json.format(msgspec.json.encode(data)).decode("utf-8")
        answers.succeed(data, text, as_json=as_json)


# ----- state proofs


@proof_app.command("get")
def proof_get(
    key: Annotated[str, typer.Argument(help="State key, e.g. record/permit/0123…")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch a value, or its absence, with everything that proves it."""
    with failing(as_json):
        client = Session.open(profile).client
        data = client.call("state_getProof", {"key": key})
        del data["at"]
        data["epochs"] = client.call("chain_getEpochs")["epochs"]
        write_new(output, msgspec.json.format(msgspec.json.encode(data)) + b"\n", 0o644)
        answers.succeed({"file": str(output)}, f"wrote {output}", as_json=as_json)


@proof_app.command("verify")
def proof_verify(
    file: Annotated[Path, typer.Argument(help="A file that `proof get` wrote.")],
    genesis_hash: Annotated[str | None, typer.Option(help="Pinned genesis hash, hex.")] = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a state proof, offline; exit 1 when it proves nothing."""
    with failing(as_json):
        try:
            pinned = hash_from_hex(genesis_hash or Profiles().load(profile).genesis_hash)
        except ValueError as error:
            detail = f"genesis hash: {error}"
            raise CommandError(answers.USAGE, "GENESIS_INVALID", detail) from None
        try:
            document = msgspec.json.decode(file.read_bytes())
            height = check_state_proof(document, pinned)
        except OSError as error:
            detail = f"{file}: {error.strerror}"
            raise CommandError(answers.NOT_FOUND, "FILE_UNREADABLE", detail) from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CommandError(answers.NEGATIVE, "PROOF_INVALID", f"INVALID: {error}") from None
        present = document["value"] is not None
        data = {"key": document["key"], "present": present, "height": height, "valid": True}
        text = f"VALID: {document['key']} is {'present' if present else 'absent'} at {height}"
        answers.succeed(data, text, as_json=as_json)


def check_state_proof(document: dict[str, Any], pinned: Hash) -> int:
    """Height at which the document proves its value. Raises ValueError, KeyError or TypeError."""
    genesis, closes = receipts.epochs_from_json(document["epochs"])
    if genesis.hash != pinned:
        raise ValueError("the proof is of another chain than the pinned genesis")
    verifier = Ed25519Verifier()
    members = walk_epochs(genesis, closes, verifier)
    header = Header.from_json(document["header"])
    certificate = Certificate.from_json(document["certificate"])
    if header.chain != genesis.chain or certificate.block_hash != header_hash(header):
        raise ValueError("header and certificate do not belong together")
    if (
        certificate.phase.value != "commit"
        or certificate.height != header.height
        or not (certificate.height)
    ):
        raise ValueError("not a commit certificate of the header")
    verify_certificate(certificate, genesis.chain, members, Hash(bytes(32)), verifier)
    value = document["value"]
    data = None if value is None else value.encode("utf-8")
    proof = Proof.from_json(document["proof"])
    root = hash_from_hex(header.state_root)
    if not verify(root, document["key"].encode("utf-8"), data, proof):
        raise ValueError("the value is not under the state root")
    return header.height
