"""muniment commit: commitments of files and keyed hashes, for fields and reasons of proposals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from node import answers
from node.answers import CommandError
from node.commands.context import JsonOption, failing, write_new
from node.commands.keyed import keyed_hash, new_secret
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
    secret: Annotated[
        Path | None,
        typer.Option(
            "--keyed",
            metavar="SECRET",
            help="Instead: the keyed hash of the line of text in FILE (- for standard input).",
        ),
    ] = None,
    making: Annotated[
        bool, typer.Option("--new-secret", help="Instead: make FILE, a new secret for --keyed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a salted commitment of a file: the 64 digits that a field or a proposal wants.

    Salt and commitment are kept in FILE.commitment.json, which nobody else can read and which is
    never replaced: typed again, the command shows what is kept. Without the salt nobody can show
    what was committed to. Asks no node.
    """
    with failing(as_json):
        if sum((output is not None, kept is not None, secret is not None, making)) > 1:
            detail = "want one of --output, --verify, --keyed and --new-secret"
            raise CommandError(answers.USAGE, "OPTIONS", detail)
        if kept is not None:
            _verify(kept, file, as_json)
        elif secret is not None:
            shown = keyed_hash(secret, file)
            answers.succeed({"keyed_hash": shown}, shown, as_json=as_json)
        elif making:
            write_new(file, new_secret())
            answers.progress("whoever has it can find a number by trying all: hand it on in secret")
            answers.succeed({"file": str(file)}, f"wrote {file}", as_json=as_json)
        else:
            _commit(file, output or file.with_name(file.name + SUFFIX), as_json)


def _commit(file: Path, path: Path, as_json: bool) -> None:
    """Make a commitment and keep it in `path`, or show what is kept there of this file."""
    new = not path.exists()
    if new:
        made = file_commitment(file)
        write_new(path, msgspec.json.format(msgspec.json.encode(made)) + b"\n")
        answers.progress(f"kept in {path}: keep it, with the file; the salt is nowhere else")
    else:
        made = _kept_before(path, file)
        answers.progress(f"{path} was made before; another commitment of the file: -o OTHER")
    data = {
        "commitment": made.commitment,
        "file": str(file),
        "commitment_file": str(path),
        "new": new,
    }
    answers.succeed(data, made.commitment, as_json=as_json)


def _kept_before(path: Path, file: Path) -> Commitment:
    """The commitment in `path`. Raises CommandError unless it is one of `file` as it is."""
    try:
        made = _read(path)
        check_salt(made)
        check_document(made, file)
    except CommandError as error:
        if error.reason == "FILE_UNREADABLE":
            raise
        detail = f"{path} is there already and never replaced; {error.message}"
        hint = "give another file to write: -o OTHER"
        raise CommandError(answers.NEGATIVE, "FILE_EXISTS", detail, hint) from None
    return made


def _read(path: Path) -> Commitment:
    """A commitment file. Raises CommandError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Commitment)
    except OSError as error:
        detail = f"{path}: {error.strerror}"
        raise CommandError(answers.NOT_FOUND, "FILE_UNREADABLE", detail) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = f"{path} is no commitment file: {error}"
        hint = "`muniment commit FILE` makes FILE.commitment.json"
        raise CommandError(answers.NEGATIVE, "COMMITMENT_INVALID", detail, hint) from None


def _verify(kept: Path, file: Path, as_json: bool) -> None:
    """Exit 1 unless `file` and the salt in `kept` open the commitment."""
    made = _read(kept)
    check_salt(made)
    check_document(made, file)
    data = {"commitment": made.commitment, "file": str(file), "valid": True}
    text = f"VALID: {file} opens {made.commitment}"
    answers.succeed(data, text, as_json=as_json)
