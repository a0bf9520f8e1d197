"""muniment id: signing keys of parties, and their registration."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ledger import base64url
from ledger.jwk import PrivateJwk
from ledger.signed_text import possession_text
from node import answers
from node.commands.context import (
    JsonOption,
    ProfileOption,
    Session,
    TimeoutOption,
    failing,
    write_new,
)
from node.profiles import read_private_jwk

app = typer.Typer(help="Keys of parties.", no_args_is_help=True)


@app.command("new")
def new(
    file: Annotated[Path, typer.Argument(help="Private JWK file to write, 0600.")],
    as_json: JsonOption = False,
) -> None:
    """Make a signing key."""
    with failing(as_json):
        key = PrivateJwk.signing(secrets.token_bytes(32))
        write_new(file, msgspec.json.format(msgspec.json.encode(key.to_json())) + b"\n")
        data = {"file": str(file), "kid": key.public.kid}
        answers.succeed(data, f"{key.public.kid}  {file}", as_json=as_json)


@app.command("show")
def show(
    file: Annotated[Path, typer.Argument(help="Private JWK file.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write the public JWK to.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The public JWK and kid of a key file."""
    with failing(as_json):
        key = read_private_jwk(file)
        jwk = key.public.to_json()
        data = {"kid": key.public.kid, "jwk": jwk}
        text = str(key.public.kid)
        if output is not None:
            write_new(output, msgspec.json.format(msgspec.json.encode(jwk)) + b"\n", 0o644)
            text += f"  {output}"
        answers.succeed(data, text, as_json=as_json)


@app.command("register")
def register(
    party: Annotated[str, typer.Argument(help="Id of the new client.")],
    file: Annotated[Path, typer.Argument(help="Its private JWK file.")],
    timeout: TimeoutOption = 30,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a client of the profile's agency, and wait until it is in a block."""
    with failing(as_json):
        session = Session.open(profile)
        key = read_private_jwk(file)
        text = possession_text(session.profile.chain_id, party, key.public.kid)
        operation = {
            "op": "party.register",
            "kind": "client",
            "party": party,
            "keys": [key.public.to_json()],
            "proofs": [base64url.encode(key.signer().sign(text))],
        }
        txid = session.submit(session.sign([operation]))
        status = session.wait(txid, timeout)
        data = {"party": party, "kid": key.public.kid, "tx": txid, "height": status["height"]}
        answers.succeed(data, f"registered {party} in block {status['height']}", as_json=as_json)


@app.command("get")
def get(party: str, profile: ProfileOption = None, as_json: JsonOption = False) -> None:
    """A party as the chain knows it."""
    with failing(as_json):
        data = Session.open(profile).client.call("party_get", {"party": party})
        keys = ", ".join(f"{key['kid']} ({key['status']})" for key in data["party"]["keys"])
        shown = data["party"]
        text = f"{shown['id']}  {shown['status']}  agency {shown['agency']}\nkeys  {keys}"
        answers.succeed(data, text, as_json=as_json)
