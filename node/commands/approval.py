"""muniment approve: an agency's signature under an operation that needs several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from ledger import base64url
from ledger.ids import JTI, PARTY_ID, ChainId, PartyId
from ledger.signed_text import approval_text
from node import answers
from node.answers import CommandError
from node.commands.context import JsonOption, ProfileOption, Session, failing


def approve(
    file: Annotated[Path, typer.Argument(help="JSON of one operation.")],
    jti: Annotated[str, typer.Option(help="jti of the transaction that will hold it.")],
    iss: Annotated[str, typer.Option(help="Party that will submit it.")],
    index: Annotated[int, typer.Option(min=0, max=63, help="Its place in the transaction.")] = 0,
    add: Annotated[bool, typer.Option("--add", help="Write the approval into FILE.")] = False,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign an operation for this profile's agency; collect a quorum, then `muniment submit`."""
    with failing(as_json):
        session = Session.open(profile)
        operation = _read(file)
        if JTI.fullmatch(jti) is None or PARTY_ID.fullmatch(iss) is None:
            detail = "--jti: want 1 to 64 of A-Za-z0-9._-; --iss: want a party id"
            raise CommandError(answers.USAGE, "NAME_INVALID", detail)
        bare = {k: v for k, v in operation.items() if k not in ("approvals", "recovery")}
        text = approval_text(ChainId(session.profile.chain_id), PartyId(iss), jti, index, bare)
        key = session.profile.key()
        approval = {
            "agency": session.party,
            "kid": key.public.kid,
            "signature": base64url.encode(key.signer().sign(text)),
        }
        if add:
            approvals = [*operation.get("approvals", []), approval]
            data = msgspec.json.encode({**operation, "approvals": approvals})
            file.write_bytes(msgspec.json.format(data) + b"\n")
        shown = msgspec.json.encode(approval).decode("utf-8")
        answers.succeed(approval, shown, as_json=as_json)


def _read(file: Path) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(file.read_bytes())
    except OSError as error:
        detail = f"{file}: {error.strerror}"
        raise CommandError(answers.NOT_FOUND, "FILE_UNREADABLE", detail) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError(answers.USAGE, "JSON_INVALID", f"{file}: {error}") from None
    if not isinstance(value, dict) or not isinstance(value.get("op"), str):
        raise CommandError(answers.USAGE, "JSON_INVALID", f"{file}: want one operation object")
    return value
