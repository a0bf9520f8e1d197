"""A page's command blocks, typed in order into one shell.

Fences of the page: `sh` is typed; `yaml FILE` becomes that file; `text` right after commands is
what they must show, line by line in order, where `…` stands for anything.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.integration.network import BIN

FENCE = re.compile(r"^```(\w*) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "@@@ done"


@dataclass(frozen=True)
class Block:
    """One fenced part of a page."""

    line: int
    """On which it stands, from 1."""
    kind: str
    file: str
    text: str

    @property
    def where(self) -> str:
        """Name for people."""
        return f"line {self.line}"


def blocks(page: Path) -> list[Block]:
    """All fenced parts of a page."""
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r"^```", text, re.MULTILINE)) == 2 * len(FENCE.findall(text))
    return [
        Block(text[: found.start()].count("\n") + 1, *found.groups())
        for found in FENCE.finditer(text)
    ]


class Typist:
    """One shell in a folder of its own, with the two programs on its path."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.shell = subprocess.Popen(
            ["sh", "-u"],
            cwd=folder,
            env={
                **os.environ,
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "MUNIMENT_CLIENT_HOME": str(home),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def type(self, block: Block) -> str:
        """What a block of commands shows. AssertionError when one of them fails."""
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        script = self.folder.with_name(f"block-{block.line}.sh")
        script.write_text(f"set -e\n{block.text}set +e\n", encoding="utf-8")
        self.shell.stdin.write(f". {script} < /dev/null\necho '{MARK}'\n")
        self.shell.stdin.flush()
        shown = ""
        for line in self.shell.stdout:
            if line == f"{MARK}\n":
                return shown
            shown += line
        raise AssertionError(f"{block.where}: a command failed\n{block.text}\n{shown}")

    def write(self, block: Block) -> None:
        """Make the file of a block."""
        (self.folder / block.file).write_text(block.text, encoding="utf-8")

    def close(self) -> None:
        """End the shell."""
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        self.shell.stdin.close()
        self.shell.wait(10)
        self.shell.stdout.close()


def missing(expected: str, shown: str) -> str:
    """The first expected line that is not shown after those before it; empty when all are."""
    lines = iter(shown.splitlines())
    for wanted in expected.splitlines():
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.split("…")))
        if not any(pattern.match(line) for line in lines):
            return wanted
    return ""


def follow(typist: Typist, steps: list[Block]) -> dict[int, str]:
    """Type blocks in order; line of each `text` block that was not shown -> what is missing."""
    shown, after, wrong = "", "", {}
    for block in steps:
        if block.kind == "sh":
            shown = typist.type(block)
        elif block.kind == "yaml" and block.file:
            typist.write(block)
        elif block.kind == "text" and after == "sh":
            lost = missing(block.text, shown)
            if lost:
                wrong[block.line] = f"{lost!r} is not in:\n{shown}"
        after = block.kind
    return wrong
