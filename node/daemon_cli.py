"""munimentd: the operator's command (docs/spec/files.md has the exit codes)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from node import answers, config, genesis_cli, testnet_cli
from node.answers import CommandError
from node.home import Home
from node.operator import DEFAULT_HOME, PROGRAM, HomeOption, JsonOption, failing

if TYPE_CHECKING:
    from node.founding import MemberFile
    from node.provision import MemberKeys

LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - asked for by --address
_HERE = {EVERYWHERE: LOOPBACK, "[::]": "[::1]"}
"""How this machine calls a node that listens on every address."""

app = typer.Typer(
    name=PROGRAM,
    help="A Muniment validator: the ledger that public agencies run together.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="The configuration of a home.", no_args_is_help=True)
app.add_typer(testnet_cli.app, name="testnet")
app.add_typer(genesis_cli.app, name="genesis")
app.add_typer(config_app, name="config")

# ----- one node


@app.command()
def init(
    name: Annotated[str, typer.Option(help="Member name of this validator.")],
    chain_name: Annotated[str, typer.Option(help="Name of the chain to be founded.")],
    home: HomeOption = DEFAULT_HOME,
    host: Annotated[
        str | None,
        typer.Option(help="Where to listen for peers: everywhere with --address, else 127.0.0.1."),
    ] = None,
    rpc_host: Annotated[str, typer.Option(help="Where to listen for clients.")] = LOOPBACK,
    metrics_host: Annotated[str, typer.Option(help="Where to serve metrics.")] = LOOPBACK,
    address: Annotated[
        str | None, typer.Option(help="HOST:PORT at which the others reach it.")
    ] = None,
    p2p_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The port of --address, or 26656.")
    ] = None,
    rpc_port: Annotated[int, typer.Option(min=1, max=65535)] = 26657,
    metrics_port: Annotated[int, typer.Option(min=1, max=65535)] = 26660,
    as_json: JsonOption = False,
) -> None:
    """Make keys, configuration and vote store; never replaces a key."""
    from node.provision import Ports, init_home

    with failing(as_json):
        _check_names(name, chain_name)
        port = p2p_port or (26656 if address is None else _port(address))
        if host is None:
            host = LOOPBACK if address is None else EVERYWHERE
        ports = Ports(
            _host("rpc-host", rpc_host),
            port,
            rpc_port,
            metrics_port,
            advertised="" if address is None else address.rpartition(":")[0],
            p2p_host=_host("host", host),
            metrics_host=_host("metrics-host", metrics_host),
        )
        try:
            keys = init_home(Home(home), name, chain_name, ports)
        except FileExistsError as error:
            raise CommandError(
                answers.KEY,
                "HOME_EXISTS",
                f"{error.filename} is there already; keys are never replaced",
                "choose another folder with --home",
            ) from None
        member = _write_member(Home(home), keys, address or f"{ports.p2p_host}:{port}")
        text = f"initialised {home}\nfor the genesis document, {Home(home).member}: "
        data = {
            "home": str(home),
            "member": msgspec.to_builtins(member),
            "member_file": str(Home(home).member),
        }
        answers.succeed(data, text + msgspec.json.encode(member).decode(), as_json=as_json)


def _write_member(home: Home, keys: MemberKeys, address: str) -> MemberFile:
    """What the others must know of this validator, and a file that says it."""
    from ledger import base64url
    from node.founding import MemberFile
    from node.home import write_replacing

    member = MemberFile(
        name=keys.name,
        vote_key=base64url.encode(keys.vote_key),
        vote_key_proof=base64url.encode(keys.vote_key_proof),
        transport_certificate=base64url.encode(keys.certificate),
        address=address,
    )
    write_replacing(home.member, msgspec.json.format(msgspec.json.encode(member)) + b"\n")
    return member


def _check_names(name: str, chain_name: str) -> None:
    """Raises CommandError."""
    from ledger.ids import CHAIN_NAME, CODE

    for option, pattern, text in (("name", CODE, name), ("chain-name", CHAIN_NAME, chain_name)):
        if pattern.fullmatch(text) is None:
            detail = f"--{option} {text!r}: want a-z, 0-9 and inner hyphens"
            raise CommandError(answers.USAGE, "NAME_INVALID", detail)


def _host(option: str, text: str) -> str:
    """A host as `listen` settings write it, IPv6 in brackets. Raises CommandError."""
    from node.provision import literal_of

    host = f"[{text.strip('[]')}]" if getattr(literal_of(text), "version", 4) == 6 else text
    try:
        config.parse({"rpc": {"listen": f"{host}:1"}}, "")
    except config.ConfigError:
        detail = f"--{option} {text!r}: want a host name or an IP address"
        raise CommandError(answers.USAGE, "HOST_INVALID", detail) from None
    return host


def _port(address: str) -> int:
    """Port of an address that others dial. Raises CommandError."""
    from p2p.peers import parse_address

    try:
        port = parse_address(address)[1]
    except ValueError:
        port = 0
    if not port:
        detail = f"--address {address!r}: want HOST:PORT or [IPv6]:PORT"
        raise CommandError(answers.USAGE, "ADDRESS_INVALID", detail)
    return port


@app.command()
def start(home: HomeOption = DEFAULT_HOME) -> None:
    """Run the daemon in the foreground until SIGTERM or SIGINT."""
    from node import daemon

    raise SystemExit(daemon.main(home))


@app.command("show-node-id")
def show_node_id(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """SHA-256 of the transport certificate, hex."""
    from p2p.tls import fingerprint

    with failing(as_json):
        node_id = fingerprint(_read(Home(home).transport_certificate)).hex()
        answers.succeed({"node_id": node_id}, node_id, as_json=as_json)


@app.command("show-validator")
def show_validator(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Public vote key, base64url, and its kid."""
    from ledger import base64url
    from ledger.crypto import Ed25519Signer, ed25519_thumbprint
    from node.home import read_key_seed

    with failing(as_json):
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

    with failing(as_json):
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

    with failing(as_json):
        host, _, port = config.load(Home(home).config).rpc.listen.rpartition(":")
        url = f"http://{_HERE.get(host, host)}:{port}/"
        data = Client((url,), _remedy(home)).call("node_status")
        answers.succeed(data, _status_text(data), as_json=as_json)


def _remedy(home: Path) -> str:
    """How to start a node that does not answer."""
    folder = home.resolve().parent
    if (folder / "net.json").is_file():
        return f"it is of a test network: munimentd testnet status --home {folder}"
    return f"start it: munimentd start --home {home}"


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
    with failing(as_json):
        loaded = msgspec.to_builtins(config.load(Home(home).config))
        text = config.template({k: v for k, v in loaded.items() if isinstance(v, dict)})
        answers.succeed(loaded, text, as_json=as_json)


@config_app.command("validate")
def config_validate(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Exit 0 when config.toml can be used, 64 with the reason when not."""
    with failing(as_json):
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


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
