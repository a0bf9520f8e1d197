"""Every command of munimentd and muniment on a running network: data, JSON, exit codes."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from node import daemon_cli
from tests.integration.network import Net, document, run, until
from tests.integration.shell import Shell

pytestmark = pytest.mark.process
_runner = CliRunner()


@pytest.fixture(scope="module")
def shell(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A client home with profiles of two agencies."""
    made = Shell(net, tmp_path_factory.mktemp("client"))
    info = net.folder / "net.json"
    made.ok("profile", "add", "health", "--info-file", info, "--use")
    made.ok("profile", "add", "land", "--info-file", info, "--party", "land-registry")
    return made


def test_profiles(shell: Shell, net: Net, tmp_path: Path) -> None:
    assert shell.ok("profile", "list")["current"] == "health"
    assert shell.ok("profile", "show")["party"] == "health-agency"
    shell.ok("profile", "use", "land")
    assert shell.ok("profile", "show")["party"] == "land-registry"
    shell.ok("profile", "use", "health")
    shell.fails(3, "profile", "use", "nobody")
    shell.fails(2, "profile", "add", "x", "--rpc", net.info.nodes[0].rpc)
    shell.fails(2, "profile", "add", "X!", "--info-file", net.folder / "net.json")
    wrong = ("--genesis-hash", "0" * 64)
    shell.fails(1, "profile", "add", "x", "--rpc", net.info.nodes[0].rpc, *wrong)
    right = ("--genesis-hash", net.info.genesis_hash)
    made = shell.ok("profile", "add", "bare", "--rpc", net.info.nodes[0].rpc, *right)
    assert (made["party"], made["jwk_file"]) == (None, None)
    shell.fails(7, "submit", "-", "--profile", "bare", stdin=json.dumps(document()))
    shell.fails(3, "status", "--profile", "missing")
    for name in ("profiles/health.json", "profiles/bare.json"):
        assert (shell.home / name).stat().st_mode & 0o777 == 0o600


def test_documents_receipts_and_what_a_changed_byte_does(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "deed.txt"
    file.write_text("the deed")
    (made,) = shell.ok("document", "register", file, "--type", "deed")["documents"]
    kept = Path(made["receipt_file"])
    assert kept.stat().st_mode & 0o777 == 0o600
    shell.fails(1, "document", "register", file)  # a receipt is never replaced
    verdict = shell.ok("receipt", "verify", file)
    assert (verdict["valid"], verdict["file"]) == (True, str(file))
    record = made["record"]
    assert shell.ok("document", "attest", record, "--profile", "land")["record"] == record
    assert shell.fails(4, "document", "attest", record)["reason"] == "NOT_AUTHORISED"
    versions = shell.ok("document", "show", record)["versions"]
    assert [version["seq"] for version in versions] == [0, 1]
    assert shell.ok("document", "revoke", record, "--reason-code", "mistake")["record"] == record
    assert shell.fails(3, "document", "show", "deed/" + "0" * 32)["reason"] == "RECORD_UNKNOWN"
    # The file.
    file.write_text("the deeD")
    assert shell.fails(1, "receipt", "verify", file)["reason"] == "FILE_CHANGED"
    file.write_text("the deed")
    # Each byte that means something, all over the receipt file.
    data = kept.read_bytes()
    original = json.loads(data)
    copy = tmp_path / "copy.txt.receipt.json"
    refused = 0
    for position in range(1, len(data), len(data) // 150):
        changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        copy.write_bytes(changed)
        if _same_meaning(changed, original):
            continue
        done = shell.raw("receipt", "verify", copy, "--document", file, "--json")
        assert done.exit_code == 1, (position, changed[position - 20 : position + 20], done.stdout)
        refused += 1
    assert refused > 100


def _same_meaning(changed: bytes, original: dict[str, Any]) -> bool:
    """Whether only spaces, or only the name that the file had, are different."""
    try:
        value = json.loads(changed)
    except ValueError:
        return False
    return isinstance(value, dict) and {**value, "file": ""} == {**original, "file": ""}


def test_a_bare_receipt_is_checked_from_a_pinned_genesis(
    shell: Shell, net: Net, tmp_path: Path
) -> None:
    fate = net.commit(net.sign("treasury", document(3)))
    file = tmp_path / "r.json"
    shell.ok("receipt", "get", fate["id"], "-o", file)
    shell.fails(1, "receipt", "get", fate["id"], "-o", file)
    assert shell.ok("receipt", "verify", file)["tx"] == fate["id"]
    genesis = net.home(0) / "genesis.json"
    assert shell.ok("receipt", "verify", file, "--genesis", genesis)["valid"]
    other = shell.fails(1, "receipt", "verify", file, "--genesis-hash", "0" * 64)
    assert other["reason"] == "GENESIS_MISMATCH"
    shell.fails(2, "receipt", "verify", file, "--genesis-hash", "short")
    shell.fails(3, "receipt", "verify", tmp_path / "missing.json")
    shell.fails(3, "receipt", "get", "0" * 64)
    for junk in (b"", b"\xff", b"[" * 5000, b"{}", b'{"tx":1}'):
        (tmp_path / "junk.json").write_bytes(junk)
        shell.fails(1, "receipt", "verify", tmp_path / "junk.json")


def test_proofs(shell: Shell, tmp_path: Path) -> None:
    present, absent = tmp_path / "p.json", tmp_path / "a.json"
    shell.ok("proof", "get", "party/treasury", "-o", present)
    shell.ok("proof", "get", "party/nobody", "-o", absent)
    assert shell.ok("proof", "verify", present)["present"] is True
    assert shell.ok("proof", "verify", absent)["present"] is False
    shell.fails(2, "proof", "verify", present, "--genesis-hash", "zz")
    shell.fails(1, "proof", "verify", present, "--genesis-hash", "0" * 64)
    value = json.loads(present.read_bytes())
    for name, change in (("value", None), ("value", 7), ("key", "party/nobody"), ("key", None)):
        changed = tmp_path / "changed.json"
        changed.write_text(json.dumps({**value, name: change}))
        assert shell.fails(1, "proof", "verify", changed)["reason"] == "PROOF_INVALID"
    for junk in (b"", b"\xff", b"[" * 5000, b"[]", b"7"):
        (tmp_path / "junk.json").write_bytes(junk)
        shell.fails(1, "proof", "verify", tmp_path / "junk.json")


def test_submit_and_transactions(shell: Shell, net: Net, tmp_path: Path) -> None:
    file = tmp_path / "ops.json"
    file.write_text(json.dumps(document(8)))
    done = shell.ok("submit", file, "--jti", "mine")
    assert done["status"] == "committed"
    file.write_text(json.dumps(document(80)))
    again = shell.fails(4, "submit", file, "--jti", "mine")
    assert again["reason"] == "TX_REPLAYED"
    assert shell.ok("tx", "show", done["id"])["status"] == "committed"
    assert shell.ok("tx", "wait", done["id"])["height"] == done["height"]
    shell.fails(3, "tx", "show", "0" * 64)
    assert shell.fails(5, "tx", "wait", "0" * 64, "--timeout", "1")["reason"] == "OUTCOME_UNKNOWN"
    compact = net.sign("treasury", document(9))
    assert shell.ok("tx", "check", "-", stdin=compact)["admissible"] is True
    assert shell.fails(4, "tx", "check", "-", stdin=compact[:-1])["reason"] == "TX_MALFORMED"
    assert shell.ok("submit", "-", stdin=compact + "\n")["status"] == "committed"
    bad = json.dumps({"op": "document.attest", "id": "permit/" + "0" * 32})
    assert shell.fails(4, "submit", "-", stdin=bad)["reason"] == "RECORD_UNKNOWN"
    for junk, code in (("{", 2), ("[1]", 4), ('{"op":1.5}', 4), ("[]", 4)):
        shell.fails(code, "submit", "-", stdin=junk)
    shell.fails(2, "submit", file, "--jti", "not a jti")
    shell.fails(3, "submit", tmp_path / "missing.json")


def test_identities(shell: Shell, net: Net, tmp_path: Path) -> None:
    file = tmp_path / "clerk.jwk"
    made = shell.ok("id", "new", file)
    assert file.stat().st_mode & 0o777 == 0o600
    shell.fails(1, "id", "new", file)
    assert shell.ok("id", "show", file)["kid"] == made["kid"]
    shell.ok("id", "register", "clerk", file)
    assert shell.ok("id", "get", "clerk")["party"]["agency"] == "health-agency"
    shell.fails(3, "id", "get", "nobody")
    file.chmod(0o644)
    assert shell.fails(7, "id", "show", file)["reason"] == "KEY_FILE_MODE"
    shell.fails(7, "id", "show", tmp_path / "missing.jwk")


def test_reading_commands(shell: Shell) -> None:
    assert shell.ok("status")["voting"] is True
    assert len(shell.ok("status", "--all")["nodes"]) == 4
    assert shell.ok("block", "show", "0")["height"] == 0
    assert shell.fails(3, "block", "show", "999999")["reason"] == "BLOCK_UNKNOWN"
    newest = shell.ok("block", "list", "--limit", "1")
    older = shell.ok("block", "list", "--before", str(newest["next_before"]))["items"]
    assert older[0]["height"] == newest["items"][0]["height"] - 1
    assert shell.ok("validators")["quorum"] == 3
    assert shell.ok("rpc", "chain_getHeader", "height=0")["header"]["height"] == 0
    assert shell.fails(2, "rpc", "no_such")["reason"] == "METHOD_UNKNOWN"
    assert shell.fails(2, "rpc", "chain_getHeader", "nothing=1")["reason"] == "PARAMS_INVALID"
    shell.fails(2, "rpc", "chain_getHeader", "height")
    assert shell.ok("version")["api"]
    for command in (["status"], ["block", "list"], ["validators"], ["profile", "list"]):
        assert shell.raw(*command).exit_code == 0


def test_approve_signs_for_one_agency(shell: Shell, net: Net, tmp_path: Path) -> None:
    file = tmp_path / "close.json"
    members = net.call(0, "chain_getValidators")["members"]
    for member in members:
        del member["index"]
    operation = {"op": "sys.epoch_close", "epoch": 0, "members": members, "proofs": {}}
    file.write_text(json.dumps(operation))
    common = (file, "--jti", "j1", "--iss", "health-agency", "--add")
    shell.ok("approve", *common)
    shell.ok("approve", *common, "--profile", "land")
    # Typed again it is another transaction as soon as the clock moved: TX_REPLAYED.
    refused = shell.raw("submit", file, "--jti", "j1", "--json")
    assert refused.exit_code == 4
    assert json.loads(refused.stdout)["error"]["reason"] == "QUORUM_NOT_REACHED"
    shell.fails(2, "approve", file, "--jti", "no jti", "--iss", "x")
    file.write_bytes(b"\xff")
    shell.fails(2, "approve", *common)


def test_nobody_answers_is_6(shell: Shell, net: Net) -> None:
    genesis = str(net.home(0) / "genesis.json")
    url = "http://127.0.0.1:1"
    shell.ok("profile", "add", "dead", "--rpc", url, "--genesis", genesis)
    assert shell.fails(6, "status", "--profile", "dead")["reason"] == "UNREACHABLE"
    shell.fails(2, "profile", "add", "odd", "--rpc", "ftp://x", "--genesis", genesis)


def daemon(*command: str | Path) -> tuple[int, str]:
    """Exit code and standard output of `munimentd`, in this process."""
    done = _runner.invoke(daemon_cli.app, [str(part) for part in command], input="")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def test_munimentd_of_one_node(net: Net, tmp_path: Path) -> None:
    home = net.home(0)
    commands: tuple[tuple[str, ...], ...] = (
        ("show-node-id",),
        ("show-validator",),
        ("status",),
        ("config", "show"),
        ("config", "validate"),
        ("prove-vote-key", "--chain-id", net.chain),
    )
    for command in commands:
        code, text = daemon(*command, "--home", home)
        assert (code, bool(text)) == (0, True), command
        code, text = daemon(*command, "--home", home, "--json")
        assert (code, json.loads(text)["ok"]) == (0, True), command
    new = tmp_path / "new"
    init = ("init", "--name", "val-9", "--chain-name", "demo", "--home", new, "--json")
    assert daemon(*init)[0] == 0
    assert daemon(*init)[0] == 7
    assert (new / "keys" / "vote_key.json").stat().st_mode & 0o777 == 0o600
    for name, chain in (("", "demo"), ("val", "No"), ("x" * 65, "demo")):
        bad = tmp_path / "bad"
        code, _ = daemon("init", "--name", name, "--chain-name", chain, "--home", bad, "--json")
        assert (code, bad.exists()) == (2, False)
    failing: tuple[tuple[tuple[str, ...], int], ...] = (
        (("show-node-id",), 3),
        (("show-validator",), 7),
        (("prove-vote-key", "--chain-id", "x"), 7),
        (("status",), 64),
    )
    for command, expected in failing:
        assert daemon(*command, "--home", tmp_path / "none", "--json")[0] == expected
    assert json.loads(daemon("openrpc")[1])["openrpc"] == "1.3.2"
    assert json.loads(daemon("version", "--json")[1])["ok"] is True


def test_munimentd_of_a_network(net: Net, tmp_path: Path) -> None:
    folder = ("--home", net.folder, "--json")
    assert json.loads(daemon("testnet", "status", *folder)[1])["data"]["serving"] == 4
    assert daemon("testnet", "up", "--validators", "7", "--detach", *folder)[0] == 2
    assert daemon("testnet", "pause", "2", *folder)[0] == 0
    assert daemon("testnet", "resume", "2", *folder)[0] == 0
    assert daemon("testnet", "kill", "3", *folder)[0] == 0
    assert daemon("testnet", "kill", "3", *folder)[0] == 1
    assert daemon("testnet", "kill", "9", *folder)[0] == 2
    assert daemon("testnet", "status", *folder)[0] == 0
    net.kill(2, number=signal.SIGKILL)
    assert daemon("testnet", "status", *folder)[0] == 1
    net.start(2, 3)
    assert daemon("testnet", "status", "--home", tmp_path, "--json")[0] == 2
    assert net.commit(net.sign("treasury", document(77)), seconds=40)["status"] == "committed"
    until(lambda: len(net.heads()) == 1, "equal heads")


def test_a_network_without_quorum(net: Net, shell: Shell, tmp_path: Path) -> None:
    net.wait_equal()
    file, operations = tmp_path / "deed.txt", tmp_path / "ops.json"
    file.write_text("the deed")
    operations.write_text(json.dumps(document(901)))
    telling = "sent; waiting for a block, up to {} s\n"
    done = shell.raw("submit", operations, "--jti", "with-quorum")
    assert (done.exit_code, done.stderr) == (0, ""), "who waits a moment is told nothing"
    net.kill(2, 3)
    try:
        nodes = shell.ok("status", "--all")["nodes"]
        assert [node["name"] for node in nodes] == [f"val-{index}" for index in range(4)]
        assert [node["status"] is None for node in nodes] == [False, False, True, True]
        assert "\nval-3      down" in shell.raw("status", "--all").stdout
        done = shell.raw("document", "register", file, "--timeout", "5")
        assert (done.exit_code, done.stdout) == (5, "")
        assert done.stderr.startswith(telling.format(5))
        assert done.stderr.count("waiting") == 1
        assert shell.fails(3, "receipt", "verify", file)["reason"] == "NO_RECEIPT"
        done = shell.raw("submit", operations, "--jti", "no-quorum", "--timeout", "4", "--json")
        assert (done.exit_code, done.stderr) == (5, telling.format(4))
        assert json.loads(done.stdout)["error"]["reason"] == "OUTCOME_UNKNOWN"
        done = shell.raw("tx", "wait", "0" * 64, "--timeout", "2")
        assert (done.exit_code, "waiting" in done.stderr) == (5, False)
    finally:
        net.start(2, 3)
    assert shell.ok("document", "finish", file)["status"] == "committed"
    assert shell.ok("receipt", "verify", file)["valid"]


def test_real_processes_end_without_a_terminal(net: Net, shell: Shell) -> None:
    environment = {"MUNIMENT_CLIENT_HOME": str(shell.home)}
    for command in (("status", "--json"), ("status",), ("submit", "-", "--json")):
        done = run(*command, program="muniment", env=environment, seconds=20)
        assert done.returncode == (2 if command[0] == "submit" else 0), done.stderr
    done = run("frobnicate", program="muniment")
    assert done.returncode == 2
    done = run("testnet", "status", "--home", net.folder)
    assert done.returncode == 0
    assert not re.search(rb"\x1b\[", done.stdout), "no colours without a terminal"
