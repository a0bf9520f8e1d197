"""Founding a chain: a genesis document out of what each agency sends, and what to check of it."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from ledger import base64url
from ledger.crypto import Ed25519Signer
from ledger.genesis import Genesis, GenesisAgency, GenesisMember
from ledger.jwk import Jwk
from ledger.parameters import Parameters
from node import config
from node.answers import KEY, NEGATIVE, NOT_FOUND, USAGE, CommandError
from node.home import Home, read_key_seed
from node.provision import literal_of
from p2p.peers import parse_address
from p2p.tls import check_certificate

FAULT_TOLERANT: Final = 4
"""Fewest members with which one may fail."""
_Form = TypeVar("_Form")


class MemberFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """HOME/member.json: what `munimentd init` says of a validator, all of it public."""

    name: str
    vote_key: str
    vote_key_proof: str
    transport_certificate: str
    address: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a genesis document is made of."""

    name: str
    time_ms: int
    parameters: Mapping[str, int]
    agencies: Mapping[str, str]
    """Agency -> title code."""
    keys: Sequence[tuple[str, Path]]
    """(agency, file of a public JWK)."""
    recovery_keys: Sequence[tuple[str, Path]]
    members: Sequence[tuple[str, Path]]
    """(agency, file that `munimentd init` wrote)."""


def _file(path: Path, decode: Callable[[bytes], _Form], what: str) -> _Form:
    """Raises CommandError: 3 when the file cannot be read, 2 when it is something else."""
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise CommandError(NOT_FOUND, "FILE_UNREADABLE", f"{path}: {error.strerror}") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CommandError(USAGE, "FILE_INVALID", f"{path} is no {what}: {error}") from None


def public_jwk(path: Path) -> dict[str, str]:
    """A public JWK. Raises CommandError; of a private one too, which must not have come here."""
    value = _file(path, msgspec.json.decode, "public JWK")
    if isinstance(value, dict) and "d" in value:
        hint = f"muniment id show {path} -o FILE writes the public half"
        raise CommandError(KEY, "KEY_PRIVATE", f"{path} is a private key; want the public", hint)
    try:
        return Jwk.from_json(value).to_json()
    except ValueError as error:
        raise CommandError(USAGE, "FILE_INVALID", f"{path} is no public JWK: {error}") from None


def _member(agency: str, path: Path) -> GenesisMember:
    decoder = msgspec.json.Decoder(MemberFile)
    found = _file(path, decoder.decode, "member file of `munimentd init`")
    return GenesisMember(agency=agency, **msgspec.structs.asdict(found))


def _known(plan: Plan) -> None:
    """Raises CommandError unless every file is of a listed agency, and none lacks a key."""
    for option, given in (
        ("--key", plan.keys),
        ("--recovery-key", plan.recovery_keys),
        ("--member", plan.members),
    ):
        for agency, path in given:
            if agency not in plan.agencies:
                detail = f"{option} {agency}={path}: no --agency {agency}=TITLE_CODE is given"
                raise CommandError(USAGE, "AGENCY_UNKNOWN", detail)
    for agency in plan.agencies:
        for option, given in (("--key", plan.keys), ("--recovery-key", plan.recovery_keys)):
            count = sum(1 for name, _ in given if name == agency)
            if not count or (count > 1 and option == "--recovery-key"):
                want = "one" if option == "--recovery-key" else "at least one"
                detail = f"agency {agency}: want {want} {option} {agency}=FILE, got {count}"
                raise CommandError(USAGE, "KEY_MISSING", detail)


def found(plan: Plan) -> Genesis:
    """The document, checked. Raises CommandError that says which part is wrong."""
    _known(plan)
    unknown = set(plan.parameters) - set(Parameters.__struct_fields__)
    if unknown:
        there = ", ".join(Parameters.__struct_fields__)
        detail = f"no parameter {min(unknown)}; there are: {there}"
        raise CommandError(USAGE, "PARAMETER_UNKNOWN", detail)
    recovery = dict(plan.recovery_keys)
    genesis = Genesis(
        name=plan.name,
        time_ms=plan.time_ms,
        parameters=Parameters(**plan.parameters),
        agencies=tuple(
            GenesisAgency(
                id=agency,
                title_code=title_code,
                keys=tuple(public_jwk(path) for name, path in plan.keys if name == agency),
                recovery_key=public_jwk(recovery[agency]),
            )
            for agency, title_code in plan.agencies.items()
        ),
        members=tuple(_member(agency, path) for agency, path in plan.members),
    )
    check(genesis)
    return genesis


def check(genesis: Genesis) -> None:
    """Raises CommandError (exit 1) when a rule is broken or a certificate is none."""
    try:
        genesis.check()
        for member in genesis.members:
            try:
                check_certificate(base64url.decode(member.transport_certificate))
            except ValueError as error:
                raise ValueError(f"genesis: member {member.name}: {error}") from None
    except ValueError as error:
        hint = ""
        if "vote_key_proof" in str(error):
            hint = f"was its home made with: munimentd init --chain-name {genesis.name}"
        raise CommandError(NEGATIVE, "GENESIS_INVALID", str(error), hint) from None


def read(path: Path) -> Genesis:
    """A document that keeps every rule. Raises CommandError."""
    try:
        genesis = Genesis.decode(path.read_bytes())
    except OSError as error:
        detail = f"{path}: {error.strerror}"
        hint = "make one: munimentd genesis new --help"
        raise CommandError(NOT_FOUND, "FILE_UNREADABLE", detail, hint) from None
    except (ValueError, RecursionError) as error:
        detail = f"{path}: {error}"
        hint = "it must be the very bytes that `munimentd genesis new` wrote"
        raise CommandError(NEGATIVE, "GENESIS_INVALID", detail, hint) from None
    check(genesis)
    return genesis


def warnings(genesis: Genesis, now_ms: int) -> list[str]:
    """What keeps every rule and is hardly meant, one line each."""
    said: list[str] = []
    validators = genesis.validators()
    if len(validators) < FAULT_TOLERANT:
        said.append(f"{len(validators)} members: none may fail; want {FAULT_TOLERANT} or more")
    run = Counter(member.agency for member in genesis.members)
    for runner, count in run.items():
        if len(validators) >= FAULT_TOLERANT and count > validators.f:
            said.append(f"agency {runner} runs {count} members: without it nothing is decided")
    for agency in genesis.agencies:
        if not run[agency.id]:
            said.append(f"agency {agency.id} runs no member, and has no vote")
    for address, count in Counter(member.address for member in genesis.members).items():
        if count > 1:
            said.append(f"{count} members have the address {address}")
        if len(genesis.members) > 1 and _is_only_here(address):
            said.append(f"address {address} cannot be reached from other machines")
    if genesis.time_ms > now_ms:
        said.append(f"its time is {(genesis.time_ms - now_ms) // 1000} s ahead of this clock")
    return said


def _literal(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address of host:port; None for a name."""
    return literal_of(parse_address(address)[0])


def _is_only_here(address: str) -> bool:
    """Whether nobody on another machine can dial it."""
    literal = _literal(address)
    return literal is not None and (literal.is_loopback or literal.is_unspecified)


def check_home(genesis: Genesis, home: Home) -> tuple[str, list[str]]:
    """(member name, warnings): that this home's keys are those of its member in the document.

    Raises CommandError, ConfigError or KeyFileError."""
    settings = config.load(home.config)
    name = settings.node.name
    member = next((member for member in genesis.members if member.name == name), None)
    if member is None:
        there = ", ".join(member.name for member in genesis.members)
        detail = f"no member {name}, as {home.config} names this node; there are: {there}"
        raise CommandError(NEGATIVE, "MEMBER_UNKNOWN", detail)
    seed = read_key_seed(home.vote_key, "vote-ed25519")
    certificate = _file(home.transport_certificate, bytes, "certificate")
    for what, here, there in (
        ("vote key", Ed25519Signer(seed).public_key, member.vote_key),
        ("transport certificate", certificate, member.transport_certificate),
    ):
        if base64url.encode(here) != there:
            detail = f"member {name}: the {what} in the document is not the one in {home.path}"
            hint = f"send {home.path}/member.json again, and make the document anew"
            raise CommandError(NEGATIVE, "KEY_MISMATCH", detail, hint)
    return name, _home_warnings(genesis, member, home, settings)


def _home_warnings(
    genesis: Genesis, member: GenesisMember, home: Home, settings: config.Config
) -> list[str]:
    said: list[str] = []
    listen = settings.p2p.listen
    literal = _literal(listen)
    if literal is not None and literal.is_loopback and not _is_only_here(member.address):
        said.append(f"p2p.listen is {listen}: the others cannot reach {member.address}")
    if parse_address(listen)[1] != parse_address(member.address)[1]:
        said.append(f"p2p.listen is {listen}, and the others dial {member.address}")
    if home.genesis.exists() and home.genesis.read_bytes() != genesis.encode():
        said.append(f"{home.genesis} is another document")
    return said


def summary(genesis: Genesis) -> dict[str, Any]:
    """What people compare before they start."""
    validators, usual = genesis.validators(), msgspec.structs.asdict(Parameters())
    chosen = msgspec.structs.asdict(genesis.parameters)
    return {
        "name": genesis.name,
        "chain_id": genesis.chain,
        "genesis_hash": genesis.hash.hex(),
        "time_ms": genesis.time_ms,
        "quorum": validators.quorum,
        "faults": validators.f,
        "agencies": [
            {
                "id": agency.id,
                "title_code": agency.title_code,
                "kids": [jwk.kid for jwk in agency.jwks()],
                "recovery_kid": Jwk.from_json(agency.recovery_key).kid,
            }
            for agency in genesis.agencies
        ],
        "members": [
            {
                "name": member.name,
                "agency": member.agency,
                "address": member.address,
                "vote_key": member.vote_key,
            }
            for member in genesis.members
        ],
        "parameters": {k: v for k, v in chosen.items() if usual[k] != v},
    }
