"""munimentd testnet: a whole network on this machine."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from node import answers
from node.answers import CommandError
from node.operator import JsonOption, failing
from node.profiles import Profiles
from node.testnet import Info, TestNet

app = typer.Typer(help="A whole network on this machine.", no_args_is_help=True)
FolderOption = Annotated[Path, typer.Option("--home", help="Folder of the test network.")]
IndexArgument = Annotated[int, typer.Argument(help="Number of the node, from 0.")]


@app.command("up")
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
    with failing(as_json):
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
        f"try:  muniment profile add demo --info-file {net.info_path} --use{_replace(info)}",
        "      muniment document register FILE",
        f"stop: munimentd testnet stop --home {net.folder}",
    ]
    return "\n".join(lines)


def _replace(info: Info) -> str:
    """What `profile add` wants when a network of before left its profile behind."""
    try:
        return " --replace" if Profiles().pins_another("demo", info.genesis_hash) else ""
    except OSError:
        return ""


def _stay(net: TestNet) -> None:
    answers.progress("Ctrl-C stops the network; its data is kept")
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        answers.progress("stopping")
        net.stop()


@app.command("init")
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
    with failing(as_json):
        info = TestNet(home).create(validators, None, hostnames)
        text = f"{len(info.nodes)} homes of {info.chain_id} in {home}"
        answers.succeed(msgspec.to_builtins(info), text, as_json=as_json)


@app.command("status")
def network_status(home: FolderOption = Path("testnet"), as_json: JsonOption = False) -> None:
    """One line for each node; exit 1 when fewer than a quorum serve."""
    from ledger.validators import quorum_size

    with failing(as_json):
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


@app.command("stop")
def network_stop(home: FolderOption = Path("testnet"), as_json: JsonOption = False) -> None:
    """Stop every node in order; data is kept."""
    with failing(as_json):
        info = TestNet(home).stop()
        answers.succeed(msgspec.to_builtins(info), "stopped", as_json=as_json)


@app.command("start")
def network_start(
    index: IndexArgument, home: FolderOption = Path("testnet"), as_json: JsonOption = False
) -> None:
    """Start one node that is down, on the same ports."""
    with failing(as_json):
        node = TestNet(home).start(index).nodes[index]
        answers.succeed(
            msgspec.to_builtins(node), f"started node {index}, pid {node.pid}", as_json=as_json
        )


def _signal(index: int, home: Path, number: signal.Signals, done: str, as_json: bool) -> None:
    with failing(as_json):
        node = TestNet(home).signal(index, number).nodes[index]
        answers.succeed(msgspec.to_builtins(node), f"{done} node {index}", as_json=as_json)


@app.command("kill")
def network_kill(
    index: IndexArgument, home: FolderOption = Path("testnet"), as_json: JsonOption = False
) -> None:
    """SIGKILL one node."""
    _signal(index, home, signal.SIGKILL, "killed", as_json)


@app.command("pause")
def network_pause(
    index: IndexArgument, home: FolderOption = Path("testnet"), as_json: JsonOption = False
) -> None:
    """SIGSTOP one node: it neither answers nor ends."""
    _signal(index, home, signal.SIGSTOP, "paused", as_json)


@app.command("resume")
def network_resume(
    index: IndexArgument, home: FolderOption = Path("testnet"), as_json: JsonOption = False
) -> None:
    """SIGCONT one node."""
    _signal(index, home, signal.SIGCONT, "resumed", as_json)


@app.command("clean")
def network_clean(home: FolderOption = Path("testnet"), as_json: JsonOption = False) -> None:
    """Stop the network and remove its data, keys and logs."""
    with failing(as_json):
        TestNet(home).clean()
        answers.succeed({"home": str(home)}, f"removed the network in {home}", as_json=as_json)
