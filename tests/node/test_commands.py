"""Commands that need no network: commitments, profiles, folders, and what mistakes are told."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from ledger.block import header_hash
from ledger.parameters import Parameters
from node import client_cli, daemon_cli, testnet
from node.provision import Ports, init_test_network
from node.testnet import ClientInfo, Info, NodeInfo
from tests.builders import make_genesis
from tests.receipts import grow

_runner = CliRunner()
HERE = "127.0.0.1"


class Desk:
    """A client home in which commands are typed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"MUNIMENT_CLIENT_HOME": str(folder / "client"), "MUNIMENT_PROFILE": ""}

    def type(self, *command: str | Path, app: Any = client_cli.app) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        parts = [str(part) for part in command]
        done = _runner.invoke(app, parts, input="", env=self.environment)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

    def ok(self, *command: str | Path, app: Any = client_cli.app) -> dict[str, Any]:
        """Data of a command that must succeed."""
        code, text, _ = self.type(*command, "--json", app=app)
        assert code == 0, text
        data: dict[str, Any] = json.loads(text)["data"]
        return data

    def fails(self, code: int, *command: str | Path, app: Any = client_cli.app) -> dict[str, Any]:
        """Error of a command that must end with `code`."""
        found, text, _ = self.type(*command, "--json", app=app)
        assert found == code, text
        error: dict[str, Any] = json.loads(text)["error"]
        return error


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def network(folder: Path) -> Info:
    """The homes and the info file of a test network that does not run."""
    ports = tuple(Ports(HERE, 3 * index + 1, 3 * index + 2, 3 * index + 3) for index in range(4))
    made = init_test_network(folder, "demo", ports, Parameters())
    info = Info(
        chain_id=made.genesis.chain,
        genesis_hash=made.genesis.hash.hex(),
        nodes=[
            NodeInfo(f"val-{i}", str(home.path), None, f"http://{HERE}:{port.rpc}", "", "")
            for i, (home, port) in enumerate(zip(made.homes, ports, strict=True))
        ],
        clients=[ClientInfo(c.party, c.kid, str(c.jwk_file)) for c in made.clients],
    )
    testnet.TestNet(folder).save(info)
    return info


# ----- commitments


def test_a_commitment_is_made_kept_and_opened(desk: Desk) -> None:
    file = desk.folder / "goods.txt"
    file.write_bytes(b"cheese")
    code, shown, hints = desk.type("commit", file)
    kept = desk.folder / "goods.txt.commitment.json"
    value = json.loads(kept.read_bytes())
    salt, digest = bytes.fromhex(value["salt"]), hashlib.sha256(b"cheese").digest()
    wanted = hashlib.sha256(b"muniment-commitment-v1\n" + salt + digest).hexdigest()
    assert (code, shown) == (0, wanted + "\n"), "a shell takes it as it is"
    assert str(kept) in hints
    assert kept.stat().st_mode & 0o777 == 0o600
    assert set(value) == {"v", "file", "sha256", "salt", "commitment"}
    before = kept.read_bytes()
    code, again, hints = desk.type("commit", file)
    assert (code, again) == (0, shown), "no second salt"
    assert f"{kept} was made before" in hints
    assert desk.ok("commit", file)["new"] is False
    assert kept.read_bytes() == before
    assert desk.ok("commit", "--verify", kept, file)["commitment"] == wanted
    other = desk.ok("commit", file, "-o", desk.folder / "again.json")
    assert other["commitment"] != wanted, "another salt"
    assert Path(other["commitment_file"]).stat().st_mode & 0o777 == 0o600


def test_a_commitment_that_does_not_open(desk: Desk) -> None:
    file, kept = desk.folder / "a.txt", desk.folder / "a.txt.commitment.json"
    file.write_text("a")
    desk.ok("commit", file)
    value = json.loads(kept.read_bytes())
    for name, change, reason in (
        ("salt", "00" * 32, "COMMITMENT_MISMATCH"),
        ("salt", "", "COMMITMENT_MISMATCH"),
        ("salt", "zz", "COMMITMENT_MISMATCH"),
        ("commitment", "00" * 32, "COMMITMENT_MISMATCH"),
        ("sha256", "00" * 32, "COMMITMENT_MISMATCH"),
        ("v", 2, "COMMITMENT_MISMATCH"),
        ("v", None, "COMMITMENT_INVALID"),
    ):
        changed = desk.folder / "changed.json"
        changed.write_text(json.dumps({**value, name: change}))
        error = desk.fails(1, "commit", "--verify", changed, file)
        assert error["reason"] == reason, (name, change)
    file.write_text("b")
    assert desk.fails(1, "commit", "--verify", kept, file)["reason"] == "FILE_CHANGED"
    before = kept.read_bytes()
    error = desk.fails(1, "commit", file)
    assert (error["reason"], "its content changed" in error["message"]) == ("FILE_EXISTS", True)
    assert desk.fails(1, "commit", file, "-o", file)["reason"] == "FILE_EXISTS"
    assert (kept.read_bytes(), file.read_text()) == (before, "b")
    none = desk.folder / "none"
    assert desk.fails(3, "commit", "--verify", none, file)["reason"] == "FILE_UNREADABLE"
    assert desk.fails(3, "commit", "--verify", kept, none)["reason"] == "FILE_UNREADABLE"
    assert desk.fails(3, "commit", none)["reason"] == "FILE_UNREADABLE"
    assert not (desk.folder / "none.commitment.json").exists()
    assert desk.fails(2, "commit", "--verify", kept, file, "-o", none)["reason"] == "OPTIONS"


# ----- profiles


def test_a_party_of_ones_own_on_a_test_network(desk: Desk) -> None:
    info = network(desk.folder / "net")
    file = desk.folder / "net" / "net.json"
    key = desk.folder / "tom.jwk"
    desk.ok("id", "new", key)
    own = ("profile", "add", "tom", "--info-file", file, "--party", "tom")
    made = desk.ok(*own, "--jwk", key)
    assert (made["party"], made["jwk_file"]) == ("tom", str(key))
    assert made["genesis_hash"] == info.genesis_hash
    assert len(made["rpc"]) == 4
    error = desk.fails(3, *own)
    assert (error["reason"], "--jwk FILE" in error["hint"]) == ("PARTY_UNKNOWN", True)
    first = ("profile", "add", "first", "--info-file", file)
    assert desk.ok(*first)["party"] == "health-agency"
    assert desk.fails(2, *first, "--jwk", key)["reason"] == "PARTY_MISSING"
    assert desk.fails(2, *first, "--rpc", "http://a")["reason"] == "OPTIONS"
    assert desk.fails(1, *first, "--genesis-hash", "0" * 64)["reason"] == "GENESIS_MISMATCH"
    assert desk.ok(*first, "--genesis-hash", info.genesis_hash)["party"] == "health-agency"
    error = desk.fails(2, "profile", "add", "x", "--info-file", desk.folder / "none")
    assert (error["reason"], "testnet up" in error["hint"]) == ("INFO_INVALID", True)


def test_what_to_type_when_no_node_answers(desk: Desk) -> None:
    network(desk.folder / "net")
    net = desk.folder / "net"
    desk.ok("profile", "add", "demo", "--info-file", net / "net.json", "--use")
    error = desk.fails(6, "status")
    assert f"munimentd testnet status --home {net}" in error["hint"]
    assert f"munimentd testnet up --validators 4 --home {net} --detach" in error["hint"]
    genesis = ("--genesis", net / "node-0" / "genesis.json")
    desk.ok("profile", "add", "here", "--rpc", f"http://{HERE}:1", *genesis)
    hint = desk.fails(6, "status", "--profile", "here")["hint"]
    assert "munimentd testnet status --home FOLDER" in hint
    assert "munimentd status --home HOME" in hint
    desk.ok("profile", "add", "far", "--rpc", "http://val-0.invalid:1", *genesis)
    hint = desk.fails(6, "status", "--profile", "far")["hint"]
    assert "munimentd" not in hint, "it is somebody else's node"
    assert "muniment profile add far --rpc URL" in hint
    error = desk.fails(6, "status", "--home", net / "node-0", app=daemon_cli.app)
    assert error["hint"].endswith(f"munimentd testnet status --home {net}")


def test_trust_does_not_change_silently(desk: Desk) -> None:
    first, second = (network(desk.folder / name) for name in ("a", "b"))
    infos = [("--info-file", desk.folder / name / "net.json") for name in ("a", "b")]
    add = ("profile", "add", "demo")
    desk.ok(*add, *infos[0], "--use")
    kept = desk.folder / "client" / "profiles" / "demo.json"
    before = kept.read_bytes()
    error = desk.fails(1, *add, *infos[1])
    assert (error["reason"], "--replace" in error["hint"]) == ("PROFILE_EXISTS", True)
    assert "left as it is" in error["message"]
    genesis = ("--rpc", f"http://{HERE}:1", "--genesis", desk.folder / "b/node-0/genesis.json")
    assert desk.fails(1, *add, *genesis)["reason"] == "PROFILE_EXISTS"
    assert kept.read_bytes() == before
    # The same chain, by another party: nothing that was trusted changes.
    assert desk.ok(*add, *infos[0], "--party", "treasury")["party"] == "treasury"
    code, shown, said = desk.type(*add, *infos[1], "--replace")
    assert (code, second.genesis_hash in shown) == (0, True)
    assert said == "replaced profile demo, which pinned another genesis\n"
    assert desk.ok("profile", "show")["genesis_hash"] == second.genesis_hash
    kept.write_bytes(b"{")
    assert desk.fails(1, *add, *infos[0])["reason"] == "PROFILE_EXISTS"
    assert desk.ok(*add, *infos[0], "--replace")["genesis_hash"] == first.genesis_hash
    assert desk.type("profile", "add", "new", *infos[0], "--replace")[2] == ""


def test_a_test_network_that_is_gone_and_another_in_its_place(desk: Desk) -> None:
    folder = desk.folder / "net"
    network(folder)
    again = f"muniment profile add demo --info-file {folder}/net.json --party treasury"
    words = again.split()[1:]
    desk.ok(*words, "--use")
    (desk.folder / "a.txt").write_text("a")
    desk.ok("testnet", "clean", "--home", folder, app=daemon_cli.app)
    error = desk.fails(7, "document", "register", desk.folder / "a.txt")
    new = f"munimentd testnet up --validators 4 --home {folder} --detach && {again} --replace"
    assert error["reason"] == "KEY_FILE"
    assert (
        error["hint"] == f"the profile's test network in {folder} is gone; to make another: {new}"
    )
    assert list(desk.folder.glob("a.txt.*")) == []
    for command in (("status",), ("status", "--all")):
        answer = desk.fails(6, *command)
        assert (answer["reason"], answer["hint"]) == ("UNREACHABLE", error["hint"])
        assert desk.type(*command)[:2] == (6, "")
    network(folder)
    hint = desk.fails(6, "status")["hint"]
    other = f"another test network is in {folder} by now; to trust it: {again} --replace"
    assert hint == other
    desk.ok(*words, "--replace")
    assert "to start it again" in desk.fails(6, "status", "--all")["hint"]
    # A key of somebody's own that is missing says nothing about a network.
    key = desk.folder / "tom.jwk"
    desk.ok("id", "new", key)
    own = ("--party", "tom", "--jwk", key)
    desk.ok("profile", "add", "tom", "--info-file", folder / "net.json", *own, "--use")
    key.unlink()
    error = desk.fails(7, "document", "register", desk.folder / "a.txt")
    assert (error["reason"], error["hint"]) == ("KEY_FILE", "")


# ----- receipts


@pytest.mark.parametrize("content", [b"", b"Apache License", b"\xff\xd8", b"[1]"])
def test_a_document_without_its_receipt(desk: Desk, content: bytes) -> None:
    file = desk.folder / "LICENSE"
    file.write_bytes(content)
    verify = ("receipt", "verify", file, "--genesis-hash", "0" * 64)
    error = desk.fails(3, *verify)
    assert (error["reason"], error["hint"]) == ("NO_RECEIPT", "")
    assert error["message"] == f"no LICENSE.receipt.json beside {file}"
    (desk.folder / "LICENSE.receipt.pending.json").write_text("{}")
    error = desk.fails(3, *verify)
    assert error["reason"] == "NO_RECEIPT"
    assert error["hint"] == f"its registration is not finished: muniment document finish {file}"


@pytest.mark.parametrize(("name", "content"), [("a.json", b"nothing"), ("receipt", b' {"tx":')])
def test_a_damaged_receipt_proves_nothing_and_is_no_document(
    desk: Desk, name: str, content: bytes
) -> None:
    file = desk.folder / name
    file.write_bytes(content)
    error = desk.fails(1, "receipt", "verify", file, "--genesis-hash", "0" * 64)
    assert error["message"].startswith("INVALID: ")
    assert error["hint"] == f"if {name} is a document: no {name}.receipt.json is beside it"
    kept = desk.folder / "b.receipt.json"
    kept.write_bytes(content)
    error = desk.fails(1, "receipt", "verify", kept, "--genesis-hash", "0" * 64)
    assert (error["message"][:7], error["hint"]) == ("INVALID", "")


def test_a_receipt_names_the_page_on_checkpoints_and_takes_one(desk: Desk) -> None:
    kit = make_genesis()
    chain = grow(kit)
    file = desk.folder / "r.json"
    file.write_bytes(msgspec.json.encode(chain.receipt(3, 0, anchor=6).to_json()))
    verify = ("receipt", "verify", file, "--genesis-hash", kit.genesis.hash.hex())
    code, shown, _ = desk.type(*verify)
    said = shown.splitlines()[-1]
    assert (code, said.strip()[:25]) == (0, "trust: from genesis only;")
    page, _, section = said.rpartition(": ")[2].partition(", section ")
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    named = text[text.index(f"\n## {section}. ") : text.index(f"\n## {int(section) + 1}. ")]
    assert "--checkpoint" in named
    for height, pinned in ((3, "checkpoint"), (6, "checkpoint")):
        block = f"{height}:{header_hash(chain.headers[height]).hex()}"
        assert desk.ok(*verify, "--checkpoint", block)["pinned"] == pinned
        assert "the block that you pinned" in desk.type(*verify, "--checkpoint", block)[1]
    assert desk.ok(*verify)["pinned"] == "genesis"
    wrong = header_hash(chain.headers[2]).hex()
    assert desk.fails(1, *verify, "--checkpoint", f"3:{wrong}")["reason"] == "CHECKPOINT_MISMATCH"
    error = desk.fails(1, *verify, "--checkpoint", f"2:{wrong}")
    assert error["reason"] == "CHECKPOINT_NOT_COVERED"
    for junk in ("", "3", f"3:{wrong[1:]}", f"-3:{wrong}", f"3:{wrong.upper()}", f"³:{wrong}"):
        error = desk.fails(2, *verify, "--checkpoint", junk)
        assert (error["reason"], "block show" in error["hint"]) == ("CHECKPOINT_INVALID", True)


# ----- folders


@pytest.mark.parametrize("name", ["Bad", "bad_name", "-bad", "x" * 32, "a b"])
def test_a_service_has_a_name_that_definitions_allow(desk: Desk, name: str) -> None:
    folder = desk.folder / name
    error = desk.fails(2, "service", "new", folder)
    assert (error["reason"], error["hint"]) == ("NAME_INVALID", "muniment service new market-stall")
    for words in ("a-z, 0-9 and inner hyphens", "at most 31"):
        assert words in error["message"]
    assert not folder.exists()


def test_the_longest_name_of_a_service_passes(desk: Desk) -> None:
    folder = desk.folder / ("x" * 31)
    desk.ok("service", "new", folder)
    assert desk.ok("service", "test", folder)["steps"] == 7


def test_a_folder_of_somebody_else_is_left_alone(desk: Desk) -> None:
    folder = desk.folder / "papers"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear")
    for command in ("up", "init"):
        error = desk.fails(2, "testnet", command, "--home", folder, app=daemon_cli.app)
        assert error["reason"] == "FOLDER_NOT_EMPTY"
        assert "nothing was touched" in error["message"]
    assert [path.name for path in folder.iterdir()] == ["letter.txt"]
    error = desk.fails(2, "testnet", "up", "--home", folder / "letter.txt", app=daemon_cli.app)
    assert error["reason"] == "FOLDER_NOT_EMPTY"
    (folder / "letter.txt").unlink()
    assert desk.ok("testnet", "init", "--home", folder, app=daemon_cli.app)["nodes"]


def test_the_public_half_of_a_key(desk: Desk) -> None:
    key, public = desk.folder / "a.jwk", desk.folder / "a.pub"
    made = desk.ok("id", "new", key)
    shown = desk.ok("id", "show", key, "-o", public)
    value = json.loads(public.read_bytes())
    assert (value, shown["kid"]) == (shown["jwk"], made["kid"])
    assert "d" not in value
    assert desk.fails(1, "id", "show", key, "-o", public)["reason"] == "FILE_EXISTS"
