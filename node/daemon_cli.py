"""munimentd: the operator's command (docs/spec/files.md has the exit codes)."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from node import answers, config
from node.answers import CommandError
from node.home import Home, KeyFileError
from node.testnet import Info, TestNet

PROGRAM = "munimentd"

app = typer.Typer(
    name=PROGRAM,
    help="A Muniment validator: the ledger that public agencies run together.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
testnet_app = typer.Typer(help="A whole network on this machine.", no_args_is_help=True)
config_app = typer.Typer(help="The configuration of a home.", no_args_is_help=True)
app.add_typer(testnet_app, name="testnet")
app.add_typer(config_app, name="config")

DEFAULT_HOME = Path.home() / ".muniment"
HomeOption = Annotated[
    Path, typer.Option("--home", envvar="MUNIMENT_HOME", help="Home folder of the node.")
]
FolderOption = Annotated[Path, typer.Option("--home", help="Folder of the test network.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
IndexArgument = Annotated[int, typer.Argument(help="Number of the node, from 0.")]


@contextmanager
def _failing(as_json: bool) -> Iterator[None]:
    """Turn failures into the documented exit codes."""
    try:
        yield
    except CommandError as error:
        answers.fail(error, PROGRAM, as_json=as_json)
    except config.ConfigError as error:
        answers.fail(
            CommandError(answers.CONFIG, "CONFIG_INVALID", str(error)), PROGRAM, as_json=as_json
        )
    except KeyFileError as error:
        answers.fail(CommandError(answers.KEY, "KEY_FILE", str(error)), PROGRAM, as_json=as_json)
    except OSError as error:
        answers.fail(
            CommandError(answers.TEMPORARY, "SYSTEM", str(error)), PROGRAM, as_json=as_json
        )


# ----- one node


@app.command()
def init(
    name: Annotated[str, typer.Option(help="Member name of this validator.")],
    chain_name: Annotated[str, typer.Option(help="Name of the chain to be founded.")],
    home: HomeOption = DEFAULT_HOME,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    p2p_port: Annotated[int, typer.Option(min=1, max=65535)] = 26656,
    rpc_port: Annotated[int, typer.Option(min=1, max=65535)] = 26657,
    metrics_port: Annotated[int, typer.Option(min=1, max=65535)] = 26660,
    as_json: JsonOption = False,
) -> None:
    """Make keys, configuration and vote store; never replaces a key."""
    from ledger import base64url
    from ledger.ids import CHAIN_NAME, CODE
    from node.provision import Ports, init_home

    with _failing(as_json):
        for option, pattern, text in (("name", CODE, name), ("chain-name", CHAIN_NAME, chain_name)):
            if pattern.fullmatch(text) is None:
                detail = f"--{option} {text!r}: want a-z, 0-9 and inner hyphens"
                raise CommandError(answers.USAGE, "NAME_INVALID", detail)
        try:
            keys = init_home(
                Home(home), name, chain_name, Ports(host, p2p_port, rpc_port, metrics_port)
            )
        except FileExistsError as error:
            raise CommandError(
                answers.KEY,
                "HOME_EXISTS",
                f"{error.filename} is there already; keys are never replaced",
                "choose another folder with --home",
            ) from None
        member = {
            "name": keys.name,
            "vote_key": base64url.encode(keys.vote_key),
            "vote_key_proof": base64url.encode(keys.vote_key_proof),
            "transport_certificate": base64url.encode(keys.certificate),
            "address": f"{host}:{p2p_port}",
        }
        text = (
            f"initialised {home}\nfor the genesis document: {msgspec.json.encode(member).decode()}"
        )
        answers.succeed({"home": str(home), "member": member}, text, as_json=as_json)


@app.command()
def start(home: HomeOption = DEFAULT_HOME) -> None:
    """Run the daemon in the foreground until SIGTERM or SIGINT."""
    from node import daemon

    raise SystemExit(daemon.main(home))


@app.command("show-node-id")
def show_node_id(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """SHA-256 of the transport certificate, hex."""
    from p2p.tls import fingerprint

    with _failing(as_json):
        node_id = fingerprint(_read(Home(home).transport_certificate)).hex()
        answers.succeed({"node_id": node_id}, node_id, as_json=as_json)


@app.command("show-validator")
def show_validator(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Public vote key, base64url, and its kid."""
    from ledger import base64url
    from ledger.crypto import Ed25519Signer, ed25519_thumbprint
    from node.home import read_key_seed

    with _failing(as_json):
        signer = Ed25519Signer(read_key_seed(Home(home).vote_key, "vote-ed25519"))
        key = base64url.encode(signer.public_key)
        data = {"vote_key": key, "kid": ed25519_thumbprint(signer.public_key)}
        answers.succeed(data, key, as_json=as_json)


@app.command("prove-vote-key")
def prove_vote_key(
    chain_id: Annotated[str, typer.Option(help="Id of the running chain.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Proof of possession of the vote key, for sys.epoch_close on a running chain."""
    from ledger import base64url
    from ledger.crypto import Ed25519Signer, ed25519_thumbprint
    from ledger.signed_text import possession_text
    from node.home import read_key_seed

    with _failing(as_json):
        seed = read_key_seed(Home(home).vote_key, "vote-ed25519")
        signer = Ed25519Signer(seed)
        name = config.load(Home(home).config).node.name
        text = possession_text(chain_id, name, ed25519_thumbprint(signer.public_key))
        proof = base64url.encode(signer.sign(text))
        answers.succeed({"name": name, "vote_key_proof": proof}, proof, as_json=as_json)


@app.command()
def status(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """What the running node says of itself."""
    from node.client import Client

    with _failing(as_json):
        listen = config.load(Home(home).config).rpc.listen
        data = Client((f"http://{listen}/",)).call("node_status")
        answers.succeed(data, _status_text(data), as_json=as_json)


def _status_text(data: dict[str, Any]) -> str:
    voting = "yes" if data["voting"] else f"no: {data['not_voting_reason']}"
    return "\n".join(
        (
            f"node    {data['name']} on {data['chain_id']}",
            f"height  {data['height']}  block {data['block_hash'][:16]}",
            f"view    {data['view']} of epoch {data['epoch']}, leader {data['leader']}",
            f"voting  {voting}",
            f"peers   {data['peers']['connected']} of {data['peers']['known']}",
            f"waiting {data['mempool']['transactions']} transactions",
        )
    )


@config_app.command("show")
def config_show(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """The configuration in force: file and environment over defaults."""
    with _failing(as_json):
        loaded = msgspec.to_builtins(config.load(Home(home).config))
        text = config.template({k: v for k, v in loaded.items() if isinstance(v, dict)})
        answers.succeed(loaded, text, as_json=as_json)


@config_app.command("validate")
def config_validate(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Exit 0 when config.toml can be used, 64 with the reason when not."""
    with _failing(as_json):
        config.load(Home(home).config)
        answers.succeed({"valid": True}, "valid", as_json=as_json)


@app.command()
def version(as_json: JsonOption = False) -> None:
    """Software, protocol and API versions."""
    from node.methods.node import version_data

    data = version_data()
    answers.succeed(data, data["software"], as_json=as_json)


@app.command()
def openrpc() -> None:
    """Print the OpenRPC document of the JSON-RPC methods."""
    from node.methods import document

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document())).decode() + "\n")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CommandError(
            answers.NOT_FOUND, "FILE_MISSING", f"{path} is missing", "run munimentd init first"
        ) from None


# ----- a network on this machine


@testnet_app.command("up")
def network_up(
    home: FolderOption = Path("testnet"),
    validators: Annotated[int, typer.Option(min=1, max=25, help="How many.")] = 4,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running.")] = False,
    info_file: Annotated[Path | None, typer.Option(help="Also write the info file here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Start a network; returns when every node serves and all agree on height 1.

    On a terminal and without --detach it stays, and Ctrl-C stops the network (data is kept).
    """
    with _failing(as_json):
        net = TestNet(home)
        started = time.monotonic()
        answers.progress(f"starting {validators} validators in {home}")
        try:
            info = net.up(validators, info_file)
        except CommandError as error:
            # Another network, or none at all, is not ours to stop.
            if error.code != answers.USAGE and net.info_path.exists():
                net.stop()
            raise
        took = time.monotonic() - started
        answers.succeed(msgspec.to_builtins(info), _up_text(net, info, took), as_json=as_json)
        if not detach and sys.stdin.isatty() and sys.stdout.isatty():
            _stay(net)


def _up_text(net: TestNet, info: Info, seconds: float) -> str:
    lines = [f"all {len(info.nodes)} agree on block 1 of {info.chain_id} after {seconds:.1f} s", ""]
    lines += [f"  {node.name:8} {node.rpc:26} {node.metrics}" for node in info.nodes]
    lines += [
        "",
        f"try:  muniment profile add demo --info-file {net.info_path} --use",
        "      muniment document register FILE --wait",
        f"stop: munimentd testnet stop --home {net.folder}",
    ]
    return "\n".join(lines)


def _stay(net: TestNet) -> None:
    answers.progress("Ctrl-C stops the network; its data is kept")
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        answers.progress("stopping")
        net.stop()


@testnet_app.command("init")
def network_init(
    home: FolderOption = Path("testnet"),
    validators: Annotated[int, typer.Option(min=1, max=25, help="How many.")] = 4,
    hostnames: Annotated[
        str, typer.Option(help="Prefix of host names, one host each: val- gives val-0 …")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Make homes, keys and genesis of a test network, and start nothing.

    With --hostnames each node is for a host of its own: default ports, listening on all addresses.
    """
    with _failing(as_json):
        info = TestNet(home).create(validators, None, hostnames)
        text = f"{len(info.nodes)} homes of {info.chain_id} in {home}"
        answers.succeed(msgspec.to_builtins(info), text, as_json=as_json)


@testnet_app.command("status")
def network_status(home: FolderOption = Path("testnet"), as_json: JsonOption = False) -> None:
    """One line for each node; exit 1 when fewer than a quorum serve."""
    from ledger.validators import quorum_size

    with _failing(as_json):
        rows = TestNet(home).status()
        lines = []
        for row in rows:
            state = row["status"]
            said = "down" if state is None else f"height {state['height']}  view {state['view']}"
            lines.append(f"{row['index']}  {row['name']:8} pid {row['pid'] or '-'}  {said}")
        serving = sum(1 for row in rows if row["status"] is not None)
        answers.succeed({"nodes": rows, "serving": serving}, "\n".join(lines), as_json=as_json)
        if serving < quorum_size(len(rows)):
            raise SystemExit(answers.NEGATIVE)


@testnet_app.command("stop")
def network_stop(home: FolderOption = Path("testnet"), as_json: JsonOption = False) -> None:
    """Stop every node in order; data is kept."""
    with _failing(as_json):
        info = TestNet(home).stop()
        answers.succeed(msgspec.to_builtins(info), "stopped", as_json=as_json)


@testnet_app.command("start")
def network_start(
    index: IndexArgument, home: FolderOption = Path("testnet"), as_json: JsonOption = False
) -> None:
    """Start one node that is down, on the same ports."""
    with _failing(as_json):
        node = TestNet(home).start(index).nodes[index]
        answers.succeed(
            msgspec.to_builtins(node), f"started node {index}, pid {node.pid}", as_json=as_json
        )


def _signal(index: int, home: Path, number: signal.Signals, done: str, as_json: bool) -> None:
    with _failing(as_json):
        node = TestNet(home).signal(index, number).nodes[index]
        answers.succeed(msgspec.to_builtins(node), f"{done} node {index}", as_json=as_json)


@testnet_app.command("kill")
def network_kill(
    index: IndexArgument, home: FolderOption = Path("testnet"), as_json: JsonOption = False
) -> None:
    """SIGKILL one node."""
    _signal(index, home, signal.SIGKILL, "killed", as_json)


@testnet_app.command("pause")
def network_pause(
    index: IndexArgument, home: FolderOption = Path("testnet"), as_json: JsonOption = False
) -> None:
    """SIGSTOP one node: it neither answers nor ends."""
    _signal(index, home, signal.SIGSTOP, "paused", as_json)


@testnet_app.command("resume")
def network_resume(
    index: IndexArgument, home: FolderOption = Path("testnet"), as_json: JsonOption = False
) -> None:
    """SIGCONT one node."""
    _signal(index, home, signal.SIGCONT, "resumed", as_json)


@testnet_app.command("clean")
def network_clean(home: FolderOption = Path("testnet"), as_json: JsonOption = False) -> None:
    """Stop the network and remove its data, keys and logs."""
    with _failing(as_json):
        TestNet(home).clean()
        answers.succeed({"home": str(home)}, f"removed the network in {home}", as_json=as_json)


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
