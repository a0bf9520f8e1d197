"""muniment profile: endpoints, identity and pinned trust."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from ledger.genesis import Genesis
from node import answers
from node.answers import CommandError
from node.client import Client
from node.commands.context import JsonOption, failing
from node.profiles import Profile, Profiles

app = typer.Typer(help="Endpoints, identity and pinned trust.", no_args_is_help=True)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name of the profile.")],
    info_file: Annotated[Path | None, typer.Option(help="net.json of a test network.")] = None,
    rpc: Annotated[list[str] | None, typer.Option(help="URL of a node; may be repeated.")] = None,
    genesis: Annotated[Path | None, typer.Option(help="Trusted genesis document.")] = None,
    genesis_hash: Annotated[str | None, typer.Option(help="Trusted genesis hash, hex.")] = None,
    party: Annotated[
        str | None, typer.Option(help="Party that signs; of an info file, its first agency.")
    ] = None,
    jwk: Annotated[Path | None, typer.Option(help="Private JWK file of the party.")] = None,
    use: Annotated[bool, typer.Option("--use", help="Make it the current profile.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let go a profile that pins another genesis.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Trust is pinned here: a genesis document, its hash, or a test network's info file.

    A profile of the same name is replaced when it pins the same genesis, else with --replace only.
    """
    with failing(as_json):
        if info_file is not None:
            if rpc or genesis is not None:
                detail = "--info-file brings nodes and genesis: leave --rpc and --genesis away"
                raise CommandError(answers.USAGE, "OPTIONS", detail)
            profile = _from_info(name, info_file, party, jwk)
            _check_pinned(profile.genesis_hash, genesis_hash)
        else:
            profile = _from_options(name, rpc or [], genesis, genesis_hash, party, jwk)
        store = Profiles()
        other = store.pins_another(name, profile.genesis_hash)
        store.save(profile, replace=replace)
        if other:
            answers.progress(f"replaced profile {name}, which pinned another genesis")
        if use or not store.current():
            store.use(name)
        text = f"profile {name}: chain {profile.chain_id}, pinned genesis {profile.genesis_hash}"
        answers.succeed(_shown(profile), text, as_json=as_json)


def _shown(profile: Profile) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(profile)
    del shown["genesis"]
    return shown


def _check_pinned(found: str, pinned: str | None) -> None:
    """Raises CommandError (exit 1) when another genesis hash was pinned than the one found."""
    if pinned is not None and pinned != found:
        detail = f"genesis hash: pinned {pinned}, got {found}"
        raise CommandError(answers.NEGATIVE, "GENESIS_MISMATCH", detail)


def _from_info(name: str, path: Path, party: str | None, jwk: Path | None) -> Profile:
    """A test network's info file lies beside its genesis document, which it pins by hash.

    Its agencies' keys lie there too; any other party brings its own.
    """
    try:
        info = msgspec.json.decode(path.read_bytes())
        nodes, clients = info["nodes"], info["clients"]
        document = (Path(nodes[0]["home"]) / "genesis.json").read_bytes()
        genesis = Genesis.decode(document)
        keys = {client["party"]: client["jwk_file"] for client in clients}
        urls = tuple(node["rpc"] for node in nodes)
    except OSError as error:
        detail = f"{error.filename}: {error.strerror}"
        hint = "a test network makes it: munimentd testnet up --home FOLDER --detach"
        raise CommandError(answers.USAGE, "INFO_INVALID", detail, hint) from None
    except (ValueError, KeyError, IndexError, TypeError, msgspec.DecodeError) as error:
        raise CommandError(answers.USAGE, "INFO_INVALID", f"{path}: {error}") from None
    if genesis.hash.hex() != info["genesis_hash"]:
        raise CommandError(answers.USAGE, "GENESIS_MISMATCH", f"{path}: another genesis document")
    if jwk is not None:
        if party is None:
            detail = "--jwk is the key of a party: which one?"
            raise CommandError(answers.USAGE, "PARTY_MISSING", detail, "give --party PARTY")
        file = str(jwk.resolve())
    else:
        party = party or next(iter(keys), "")
        if party not in keys:
            detail = f"{path} has no key of {party or 'any party'}; there are: {', '.join(keys)}"
            own = f"muniment profile add {name} --info-file {path} --party PARTY --jwk FILE"
            raise CommandError(answers.NOT_FOUND, "PARTY_UNKNOWN", detail, f"of your own: {own}")
        file = keys[party]
    return Profile(
        name=name,
        rpc=urls,
        chain_id=genesis.chain,
        genesis_hash=genesis.hash.hex(),
        genesis=genesis.to_json(),
        party=party,
        jwk_file=file,
    )


def _from_options(
    name: str,
    rpc: list[str],
    path: Path | None,
    genesis_hash: str | None,
    party: str | None,
    jwk: Path | None,
) -> Profile:
    if not rpc or (path is None and genesis_hash is None):
        raise CommandError(
            answers.USAGE,
            "TRUST_MISSING",
            "a profile needs --rpc URL and a pinned --genesis FILE or --genesis-hash HEX",
            "muniment profile add NAME --rpc URL --genesis FILE --party PARTY --jwk FILE",
        )
    try:
        if path is not None:
            genesis = Genesis.decode(path.read_bytes())
        else:
            answer = Client(tuple(rpc)).call("chain_getGenesis")
            genesis = Genesis.from_json(answer["genesis"])
        genesis.check()
    except (OSError, ValueError) as error:
        raise CommandError(answers.USAGE, "GENESIS_INVALID", f"genesis: {error}") from None
    _check_pinned(genesis.hash.hex(), genesis_hash)
    return Profile(
        name=name,
        rpc=tuple(rpc),
        chain_id=genesis.chain,
        genesis_hash=genesis.hash.hex(),
        genesis=genesis.to_json(),
        party=party,
        jwk_file=None if jwk is None else str(jwk.resolve()),
    )


@app.command("use")
def use_profile(name: str, as_json: JsonOption = False) -> None:
    """Make a profile the current one."""
    with failing(as_json):
        Profiles().use(name)
        answers.succeed({"current": name}, f"using {name}", as_json=as_json)


@app.command("list")
def list_profiles(as_json: JsonOption = False) -> None:
    """All profiles; the current one is marked."""
    with failing(as_json):
        store = Profiles()
        current, names = store.current(), store.names()
        text = "\n".join(f"{'*' if name == current else ' '} {name}" for name in names)
        answers.succeed({"current": current, "profiles": names}, text, as_json=as_json)


@app.command("show")
def show(name: Annotated[str | None, typer.Argument()] = None, as_json: JsonOption = False) -> None:
    """A profile without its genesis document."""
    with failing(as_json):
        shown = _shown(Profiles().load(name))
        text = "\n".join(f"{key:13} {value}" for key, value in shown.items())
        answers.succeed(shown, text, as_json=as_json)
