"""Makes homes, keys and genesis documents: what `munimentd init` and `testnet up` write."""

from __future__ import annotations

import ipaddress
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ledger import base64url
from ledger.crypto import Ed25519Signer, ed25519_thumbprint
from ledger.genesis import Genesis, GenesisAgency, GenesisMember
from ledger.jwk import Jwk, PrivateJwk
from ledger.leveldb import LevelStore
from ledger.parameters import Parameters
from ledger.signed_text import possession_text
from node import config, guard
from node.home import Home, make_key_file, write_private, write_replacing
from p2p.tls import make_certificate

SMALL_NETWORK = ("health-agency", "land-registry", "treasury", "interior-ministry")


@dataclass(frozen=True, slots=True)
class MemberKeys:
    """Public side of a node that was initialised."""

    name: str
    vote_key: bytes
    vote_key_proof: bytes
    certificate: bytes


@dataclass(frozen=True, slots=True)
class Ports:
    """Where one node listens, and under which name others reach it."""

    host: str
    """Where clients are listened for; IPv6 in brackets."""
    p2p: int
    rpc: int
    metrics: int
    advertised: str = ""
    """Host name in the genesis document; empty means `host`."""
    p2p_host: str = ""
    """Where peers are listened for, when not at `host` like clients."""
    metrics_host: str = ""
    """Where metrics are served, when not at `host`."""

    @property
    def address(self) -> str:
        """host:port under which peers dial this node."""
        return f"{self.advertised or self.host}:{self.p2p}"

    @property
    def client_names(self) -> list[str]:
        """Host names by which clients of other machines reach this node; none on loopback."""
        literal = literal_of(self.host)
        if literal is not None and literal.is_loopback:
            return []
        everywhere = literal is not None and literal.is_unspecified
        names = [self.advertised, "" if everywhere else self.host]
        return [name for name in dict.fromkeys(names) if name]


def literal_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that a host is, with or without brackets; None for a name."""
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        return None


def now_text() -> str:
    """The wall clock, RFC 3339, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def init_home(home: Home, name: str, chain_name: str, ports: Ports) -> MemberKeys:
    """Make keys, configuration and vote store in an empty home. Raises FileExistsError when keys
    are there already: they are never replaced."""
    home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.keys.mkdir(mode=0o700, exist_ok=True)
    vote_seed, transport_seed = secrets.token_bytes(32), secrets.token_bytes(32)
    created = now_text()
    write_private(home.vote_key, make_key_file("vote-ed25519", vote_seed, created))
    write_private(home.transport_key, make_key_file("transport-ed25519", transport_seed, created))
    _, certificate = make_certificate(name, transport_seed)
    write_replacing(home.transport_certificate, certificate)
    values: dict[str, dict[str, Any]] = {
        "node": {"name": name},
        "p2p": {"listen": f"{ports.p2p_host or ports.host}:{ports.p2p}"},
        "rpc": {"listen": f"{ports.host}:{ports.rpc}"},
        "metrics": {"listen": f"{ports.metrics_host or ports.host}:{ports.metrics}"},
    }
    if ports.client_names:
        values["rpc"]["allowed_hosts"] = [*config.Rpc().allowed_hosts, *ports.client_names]
    if not home.config.exists():
        write_replacing(home.config, config.template(values).encode("utf-8"))
    home.data.mkdir(mode=0o700, exist_ok=True)
    store = LevelStore(home.database, create_if_missing=True)
    try:
        guard.create(store, home.vote_mark)
    finally:
        store.close()
    signer = Ed25519Signer(vote_seed)
    proof = signer.sign(possession_text(chain_name, name, ed25519_thumbprint(signer.public_key)))
    return MemberKeys(name, signer.public_key, proof, certificate)


def new_party_key() -> tuple[Ed25519Signer, bytes]:
    """A signing key and its private JWK (JSON bytes) for a party."""
    key = PrivateJwk.signing(secrets.token_bytes(32))
    return key.signer(), msgspec.json.format(msgspec.json.encode(key.to_json())) + b"\n"


def agency_names(count: int) -> tuple[str, ...]:
    """Agencies of a test network with `count` validators."""
    if count <= len(SMALL_NETWORK):
        return SMALL_NETWORK[:count]
    return tuple(f"agency-{index}" for index in range(count))


@dataclass(frozen=True, slots=True)
class TestClient:
    """One agency's client key on a test network."""

    party: str
    kid: str
    jwk_file: Path


@dataclass(frozen=True, slots=True)
class TestNetwork:
    """A provisioned test network."""

    genesis: Genesis
    homes: tuple[Home, ...]
    ports: tuple[Ports, ...]
    clients: tuple[TestClient, ...]


def init_test_network(
    folder: Path, chain_name: str, ports: tuple[Ports, ...], parameters: Parameters
) -> TestNetwork:
    """Make all homes, clients and the genesis document of a test network on one machine."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    clients_folder = folder / "clients"
    clients_folder.mkdir(mode=0o700, exist_ok=True)
    agencies: list[GenesisAgency] = []
    clients: list[TestClient] = []
    members: list[GenesisMember] = []
    homes: list[Home] = []
    for index, (agency, place) in enumerate(zip(agency_names(len(ports)), ports, strict=True)):
        signer, jwk = new_party_key()
        recovery, recovery_jwk = new_party_key()
        jwk_file = clients_folder / f"{agency}.jwk"
        write_private(jwk_file, jwk)
        write_private(clients_folder / f"{agency}.recovery.jwk", recovery_jwk)
        kid = ed25519_thumbprint(signer.public_key)
        clients.append(TestClient(agency, kid, jwk_file.resolve()))
        agencies.append(
            GenesisAgency(
                id=agency,
                title_code=agency,
                keys=(Jwk.signing(signer.public_key).to_json(),),
                recovery_key=Jwk.signing(recovery.public_key).to_json(),
            )
        )
        home = Home(folder / f"node-{index}")
        keys = init_home(home, f"val-{index}", chain_name, place)
        homes.append(home)
        members.append(
            GenesisMember(
                agency=agency,
                name=keys.name,
                vote_key=base64url.encode(keys.vote_key),
                transport_certificate=base64url.encode(keys.certificate),
                address=place.address,
                vote_key_proof=base64url.encode(keys.vote_key_proof),
            )
        )
    genesis = Genesis(
        name=chain_name,
        # One idle interval ago, so that the first block is due when the network starts.
        time_ms=time.time_ns() // 1_000_000 - parameters.block_interval_max_ms,
        parameters=parameters,
        agencies=tuple(agencies),
        members=tuple(members),
    )
    genesis.check()
    for home in homes:
        write_replacing(home.genesis, genesis.encode())
    return TestNetwork(genesis, tuple(homes), ports, tuple(clients))
