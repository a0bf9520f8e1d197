"""muniment commit: salted commitments of files, for fields and reasons of proposals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from node import answers
from node.answers import CommandError
from node.commands.context import JsonOption, failing, write_new
from node.documents import Commitment, check_document, check_salt, file_commitment

SUFFIX = ".commitment.json"


def commit(
    file: Annotated[Path, typer.Argument(help="File to commit to.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Instead of FILE.commitment.json.")
    ] = None,
    kept: Annotated[
        Path | None,
        typer.Option("--verify", help="Check FILE against this FILE.commitment.json instead."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a salted commitment of a file: the 64 digits that a field or a proposal wants.

    Salt and commitment are kept in FILE.commitment.json, which nobody else can read and which is
    never replaced. Without the salt nobody can show what was committed to. Asks no node.
    """
    with failing(as_json):
        if kept is not None:
            if output is not None:
                detail = "--verify writes nothing: leave --output away"
                raise CommandError(answers.USAGE, "OPTIONS", detail)
            _verify(kept, file, as_json)
            return
        made = file_commitment(file)
        path = output or file.with_name(file.name + SUFFIX)
        write_new(path, msgspec.json.format(msgspec.json.encode(made)) + b"\n")
        answers.progress(f"kept in {path}: keep it, with the file; the salt is nowhere else")
        data = {"commitment": made.commitment, "file": str(file), "commitment_file": str(path)}
        answers.succeed(data, made.commitment, as_json=as_json)


def _verify(kept: Path, file: Path, as_json: bool) -> None:
    """Exit 1 unless `file` and the salt in `kept` open the commitment."""
    try:
        made = msgspec.json.decode(kept.read_bytes(), type=Commitment)
    except OSError as error:
        detail = f"{kept}: {error.strerror}"
        raise CommandError(answers.NOT_FOUND, "FILE_UNREADABLE", detail) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = f"{kept} is no commitment file: {error}"
        hint = "`muniment commit FILE` makes FILE.commitment.json"
        raise CommandError(answers.NEGATIVE, "COMMITMENT_INVALID", detail, hint) from None
    check_salt(made)
    check_document(made, file)
    data = {"commitment": made.commitment, "file": str(file), "valid": True}
    text = f"VALID: {file} opens {made.commitment}"
    answers.succeed(data, text, as_json=as_json)
