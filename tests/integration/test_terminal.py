"""`muniment do` on a terminal: it asks for what is missing, and checks each answer at once."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.network import BIN, Net, network
from tests.integration.shell import Shell
from tests.integration.voting import vote_in
from tests.services.hostile import SOURCE, definition

pytestmark = pytest.mark.process
TREASURY = "treasury"
FORM = """
  form:
    fields:
      colour: {kind: choice, of: [red, green]}
      owner: party
      number: {kind: integer, minimum: 1, maximum: 12}
      note: code?
      seal: hash
    states: [open]
    final: [open]
    transitions:
      create: {to: open, by: party(owner)}
"""
SEAL = "ab" * 32
SECONDS = 20
"""A terminal that stays silent for so long waits for an answer that nobody typed."""


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    with network(tmp_path_factory.mktemp("terminal")) as running:
        vote_in(running, definition(SOURCE + FORM))
        yield running


@pytest.fixture(scope="module")
def home(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("client")
    info = ("--info-file", net.folder / "net.json")
    Shell(net, made).ok("profile", "add", TREASURY, *info, "--party", TREASURY)
    return made


def typed(home: Path, command: tuple[str, ...], answers: str) -> tuple[int, str, str]:
    """Exit code, standard output, and what the terminal shows, answers included."""
    ours, theirs = pty.openpty()
    shown = b""
    with subprocess.Popen(
        [str(BIN / "muniment"), *command],
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "MUNIMENT_CLIENT_HOME": str(home)},
    ) as process:
        os.close(theirs)
        os.write(ours, answers.encode())
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            while select.select([ours], [], [], SECONDS)[0] and (part := os.read(ours, 4_096)):
                shown += part
        os.close(ours)  # who still waits for an answer gets none
        out, _ = process.communicate(timeout=SECONDS)
    return process.returncode, out, shown.decode().replace("\r\n", "\n")


CREATE = ("do", "create", "odd-form")


def test_each_answer_is_checked_at_once(home: Path) -> None:
    answers = f"blue\nred\n13\nlong\n12\nnobody\ntreasury\n4711\n{SEAL}\ny\n"
    code, out, shown = typed(home, CREATE, answers)
    assert code == 0, shown
    assert out.startswith("odd-form/")
    told = [
        "colour, one of red, green: ",
        "colour: want one of red, green, got blue; nothing was signed",
        "colour, one of red, green: ",
        "number, a whole number from 1 to 12: ",
        "number: want a whole number from 1 to 12, got 13",
        "number: want a whole number from 1 to 12, got long",
        "owner, a party that the ledger knows: ",
        "owner: want a party that the ledger knows, got nobody",
        "look it up: muniment id get PARTY",
        "owner, a party that the ledger knows: ",
        "seal, the SHA-256 of something public or a keyed hash, 64 lower-case hex digits: ",
        "muniment commit --keyed SECRET FILE",
        f"treasury creates a odd-form of odd: colour red, number 12, owner treasury, seal {SEAL}",
        "sign and send? [y/N] ",
    ]
    place = 0
    for text in told:
        assert text in shown[place:], (text, shown)
        place = shown.index(text, place) + len(text)
    assert "note" not in shown, "what may be missing is not asked for"


def test_what_is_given_is_checked_before_anything_is_asked(home: Path) -> None:
    code, out, shown = typed(home, (*CREATE, "number=13"), "")
    assert (code, out) == (2, "")
    assert "number: want a whole number from 1 to 12, got 13; nothing was signed" in shown
    assert "colour" not in shown


def test_a_terminal_that_ends_signs_nothing(home: Path) -> None:
    given = ("owner=treasury", "number=1", f"seal={SEAL}")
    code, out, shown = typed(home, (*CREATE, *given), "blue\n\x04")
    assert (code, out) == (2, "")
    assert "no answer for colour; nothing was signed" in shown
