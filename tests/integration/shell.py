"""`muniment` as a program calls it: no terminal, JSON answers, a client home of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from node import client_cli
from tests.integration.network import Net

_runner = CliRunner()


class Shell:
    """Runs `muniment` without a terminal, in a client home of its own."""

    def __init__(self, net: Net, home: Path) -> None:
        self.net, self.home = net, home

    def raw(self, *command: str | Path, stdin: str = "") -> Result:
        """The result, whatever it is; an exception other than an exit is a bug."""
        environment = {"MUNIMENT_CLIENT_HOME": str(self.home)}
        done = _runner.invoke(
            client_cli.app, [str(part) for part in command], input=stdin, env=environment
        )
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    def ok(self, *command: str | Path, stdin: str = "") -> Any:
        """Data of a command that must succeed; its text form must succeed too when it reads."""
        done = self.raw(*command, "--json", stdin=stdin)
        assert done.exit_code == 0, (command, done.stdout)
        answer = json.loads(done.stdout)
        assert answer["ok"] is True
        return answer["data"]

    def fails(self, code: int, *command: str | Path, stdin: str = "") -> dict[str, Any]:
        """The error of a command that must end with `code`: the same in text and in JSON."""
        done = self.raw(*command, "--json", stdin=stdin)
        assert done.exit_code == code, (command, done.stdout, done.stderr)
        answer = json.loads(done.stdout)
        assert (answer["ok"], answer["error"]["code"]) == (False, code)
        text = self.raw(*command, stdin=stdin)
        assert (text.exit_code, text.stdout) == (code, "")
        assert answer["error"]["reason"] in text.stderr
        error: dict[str, Any] = answer["error"]
        return error
