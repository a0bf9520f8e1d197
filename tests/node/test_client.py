"""The client's calls, and its commands where no network is needed."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node import answers, client_cli, daemon_cli
from node.answers import CommandError
from node.client import Client, RpcRefusal, Unreachable, call_once

_runner = CliRunner()


@contextmanager
def server(answer: bytes, status: int = 200) -> Iterator[str]:
    """A node that always says the same; its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{made.server_port}"
        finally:
            made.shutdown()
            thread.join()


def refusal(code: int, reason: str) -> bytes:
    """An error answer."""
    data = {"reason": reason, "detail": "d", "retryable": False}
    error = {"code": code, "message": "no", "data": data}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode()


def test_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    # A proxy of the environment is for other hosts than this one.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with server(b'{"jsonrpc":"2.0","id":1,"result":{"a":1}}') as url:
        assert call_once(url, "m", {}) == {"a": 1}
        assert Client((url,)).call("m") == {"a": 1}
        assert Client(("http://127.0.0.1:1", url)).call("m") == {"a": 1}


@pytest.mark.parametrize(
    "answer",
    [b"", b"x", b"7", b"[]", b"{}", b'{"error":7}', b"null", b"\xff", b'"result"'],
)
def test_an_answer_that_is_none_is_unreachable(answer: bytes) -> None:
    with server(answer) as url, pytest.raises(Unreachable):
        call_once(url, "m", {})


def test_http_errors_are_unreachable() -> None:
    with server(b"busy", 503) as url, pytest.raises(CommandError) as caught:
        Client((url,)).call("m")
    assert (caught.value.code, caught.value.reason) == (answers.UNREACHABLE, "UNREACHABLE")


@pytest.mark.parametrize(
    ("code", "reason", "exit_code"),
    [
        (-32001, "TX_UNKNOWN", answers.NOT_FOUND),
        (-32003, "TX_EXPIRED", answers.REJECTED),
        (-32602, "PARAMS_INVALID", answers.USAGE),
        (-32601, "METHOD_UNKNOWN", answers.USAGE),
        (-32603, "INTERNAL", answers.TEMPORARY),
        (-32005, "MEMPOOL_QUOTA", answers.TEMPORARY),
        (-32002, "SYNCING", answers.UNREACHABLE),
    ],
)
def test_refusals_have_exit_codes(code: int, reason: str, exit_code: int) -> None:
    with server(refusal(code, reason)) as url:
        with pytest.raises(RpcRefusal) as refused:
            call_once(url, "m", {})
        assert (refused.value.code, refused.value.reason) == (code, reason)
        with pytest.raises(CommandError) as caught:
            Client((url,)).call("m")
        assert caught.value.code == exit_code


def test_a_node_that_is_busy_yields_to_the_next() -> None:
    with (
        server(refusal(-32002, "SYNCING")) as busy,
        server(b'{"jsonrpc":"2.0","id":1,"result":5}') as free,
    ):
        assert Client((busy, free)).call("m") == 5


def test_a_refusal_without_data_has_a_reason_too() -> None:
    assert RpcRefusal({"code": 1, "message": "x", "data": "text"}).reason == "RPC_ERROR"


# ----- commands


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        (["version"], 0),
        (["profile", "list"], 0),
        (["profile", "show"], 2),
        (["profile", "show", "nobody"], 3),
        (["status"], 2),
        (["tx", "show", "00"], 2),
        (["submit", "-"], 2),
        (["document", "register", "missing.txt"], 2),
        (["receipt", "verify", "missing.json", "--genesis-hash", "0" * 64], 3),
        (["proof", "verify", "missing.json", "--genesis-hash", "0" * 64], 3),
        (["id", "show", "missing.jwk"], 7),
        (["profile", "add", "x", "--info-file", "missing.json"], 2),
    ],
)
def test_commands_without_a_profile(command: list[str], exit_code: int, tmp_path: Path) -> None:
    environment = {"MUNIMENT_CLIENT_HOME": str(tmp_path), "MUNIMENT_PROFILE": ""}
    done = _runner.invoke(client_cli.app, [*command, "--json"], input="", env=environment)
    assert done.exit_code == exit_code, done.output
    value = json.loads(done.stdout)
    assert value["ok"] is (exit_code == 0)
    if exit_code:
        assert set(value["error"]) == {"code", "reason", "message", "hint"}
        assert value["error"]["code"] == exit_code
    text = _runner.invoke(client_cli.app, command, input="", env=environment)
    assert text.exit_code == exit_code


@pytest.mark.parametrize("app", [client_cli.app, daemon_cli.app])
def test_usage_errors_are_2(app: object) -> None:
    assert _runner.invoke(app, ["no-such-command"]).exit_code == 2  # type: ignore[arg-type]
    assert _runner.invoke(app, ["version", "--no-such"]).exit_code == 2  # type: ignore[arg-type]
    assert _runner.invoke(app, ["--help"]).exit_code == 0  # type: ignore[arg-type]
