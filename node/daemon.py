"""The composition root: builds a node from its home folder and runs it until told to stop.

The only importer of uvloop. Everything is born whole, bottom up; whatever stops the runtime ends
the process with a documented exit code, never with a silent zero.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gc
import os
import signal
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvloop

from consensus import records
from consensus.core import Core, recover
from consensus.leader import Schedule
from consensus.replica import Head, Replica
from consensus.timeouts import Timeouts
from consensus.verify import CachedVerifier
from ledger import base64url
from ledger.crypto import Ed25519Signer, Ed25519Verifier, Signer
from ledger.genesis import Genesis
from ledger.ids import Height, TxId, View
from ledger.leveldb import LevelStore
from ledger.store import Store, StoreDamaged
from ledger.validators import ValidatorSet
from node import logs, notify
from node.chain import Chain
from node.config import Config, ConfigError, load
from node.guard import VoteGuard
from node.home import Home, KeyFileError, read_key_seed
from node.http import HttpDoor
from node.intake import Intake
from node.machine import Machine, Patience
from node.mempool import Limits, Mempool
from node.outputs import EpochOpened, Frames, NodeEvent, Output, PeerDown, PeerUp
from node.runtime import Runtime, SafetyStop
from node.service import SOFTWARE, NodeService
from node.verifier import CountingVerifier
from p2p.framing import Frame
from p2p.gossip import Gossip
from p2p.outbox import OutboxLimits
from p2p.peers import PeerMember, parse_address
from p2p.tls import make_certificate
from p2p.transport import Handlers, Identity, Transport, TransportOptions

STORE_LOCK_SECONDS = 5.0
EXIT_OK = 0
EXIT_KEY = 7
EXIT_CONFIG = 64
EXIT_INTERNAL = 70
EXIT_DAMAGED = 74
EXIT_TEMPORARY = 75
EXIT_SAFETY = 78
TEMPORARY_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EADDRINUSE, errno.EMFILE, errno.ENFILE, errno.EAGAIN}
)

_log = structlog.get_logger("daemon")


@dataclass(slots=True)
class Node:
    """Everything of one running node that must be closed."""

    store: Store
    guard: VoteGuard
    machine: Machine
    service: NodeService


def build_replica(chain: Chain, signer: Signer | None, timeouts: Timeouts, store: Store) -> Replica:
    """A replica on the chain's head, with what it said before a crash put back."""
    validators = chain.validators
    schedule = Schedule(
        members=len(validators),
        faults=validators.f,
        turn_length=chain.parameters.turn_length,
        window=chain.parameters.window,
        epoch=chain.epoch,
        first=chain.first_height,
    )
    saved = store.get(records.SCHEDULE)
    if saved is not None:
        schedule.restore(saved)
    head = Head(chain.height, chain.block_hash, chain.header.time_ms, chain.certificate)
    replica = Replica(
        chain=chain.id,
        parameters=chain.parameters,
        timeouts=timeouts,
        signer=signer,
        validators=validators,
        head=head,
        schedule=schedule,
        highest=chain.certificate,
        view=View(0),
        start=Height(chain.first_height),
    )
    recover(replica, records.restore(store.scan(records.PREFIX)))
    return replica


def build_machine(
    chain: Chain,
    store: Store,
    replica: Replica,
    verifier: CountingVerifier,
    limits: Limits,
    patience: Patience,
) -> Machine:
    """The pure node around one replica."""
    mempool = Mempool(limits)
    intake = Intake(chain, mempool, verifier)

    def waiting(txid: TxId) -> bytes | None:
        found = mempool.get(txid)
        return None if found is None else found.admitted.transaction.raw

    return Machine(chain, Core(replica), intake, Gossip(waiting), store, patience)


def _open_store(home: Home) -> LevelStore:
    """Open the database. A killed process may hold its lock for a moment after its end."""
    deadline = time.monotonic() + STORE_LOCK_SECONDS
    while True:
        try:
            return LevelStore(home.database, create_if_missing=True)
        except OSError as error:
            if "lock" not in str(error).lower() or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def open_node(home: Home, config: Config) -> Node:
    """Open the store and build the node. Raises what `main` maps to exit codes."""
    try:
        genesis = Genesis.decode(home.genesis.read_bytes())
        genesis.check()
    except FileNotFoundError:
        detail = (
            f"{home.genesis} is missing; all members have the same: docs/operations/founding.md"
        )
        raise ConfigError(detail) from None
    except ValueError as error:
        raise ConfigError(f"{home.genesis}: {error}") from None
    signer = Ed25519Signer(read_key_seed(home.vote_key, "vote-ed25519"))
    store = _open_store(home)
    vote_guard = VoteGuard(store, home.vote_mark)
    verifier = CountingVerifier(Ed25519Verifier())
    chain = Chain(store, genesis, CachedVerifier(verifier))
    timeouts = Timeouts(
        progress_min_ms=config.consensus.progress_min_ms,
        progress_max_ms=config.consensus.progress_max_ms,
        pace_max_ms=config.consensus.pace_max_ms,
        block_interval_max_ms=genesis.parameters.block_interval_max_ms,
    )
    replica = build_replica(chain, None if vote_guard.lost else signer, timeouts, store)
    machine = build_machine(
        chain,
        store,
        replica,
        verifier,
        Limits(config.mempool.transactions_max, config.mempool.bytes_max),
        Patience(config.consensus.request_ms),
    )
    service = NodeService(config, machine, verifier, vote_guard.lost)
    return Node(store, vote_guard, machine, service)


def peer_members(validators: ValidatorSet) -> list[PeerMember]:
    """The members that the transport can reach.

    A quorum may name an address or a certificate that no TLS library takes: the ledger checks
    their outer form only. That member stays alone then; it must not stop everybody else.
    """
    members: list[PeerMember] = []
    for member in validators.members:
        der = base64url.decode(member.transport_certificate)
        peer = PeerMember(member.name, member.address, der)
        try:
            parse_address(peer.address)
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=der)
        except (ValueError, ssl.SSLError) as error:
            _log.error("a member cannot be reached", name=member.name, error=str(error))
            continue
        members.append(peer)
    return members


class _Observer:
    """Passes outputs to the service, and epoch changes to the transport."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def performed(self, output: Output) -> None:
        self._node.service.performed(output)
        transport = self._node.service.transport
        if isinstance(output, EpochOpened) and transport is not None:
            transport.update_members(peer_members(self._node.machine.chain.validators))

    def turn(self, events: int, seconds: float) -> None:
        self._node.service.turn(events, seconds)


def _transport(
    home: Home, config: Config, chain: Chain, post: Callable[[NodeEvent], None]
) -> Transport:
    seed = read_key_seed(home.transport_key, "transport-ed25519")
    try:
        key_pem, _ = make_certificate(config.node.name, seed)
        certificate = home.transport_certificate.read_bytes()
    except FileNotFoundError:
        raise KeyFileError(f"{home.transport_certificate} is missing") from None
    except ValueError as error:
        raise ConfigError(f"node.name: {error}") from None
    identity = Identity(
        member=config.node.name,
        chain=chain.id,
        node_name=config.node.name,
        software=SOFTWARE,
        key_pem=key_pem,
        certificate=certificate,
    )

    def on_frames(peer: str, frames: list[Frame]) -> None:
        post(Frames(peer, tuple(frames)))

    handlers = Handlers(
        on_frames=on_frames,
        on_up=lambda peer: post(PeerUp(peer)),
        on_down=lambda peer, reason: post(PeerDown(peer)),
    )
    options = TransportOptions(outbox_limits=OutboxLimits())
    members = peer_members(chain.validators)
    try:
        return Transport(identity, members, config.p2p.listen, handlers, options)
    except ValueError as error:
        raise KeyFileError(f"{home.transport_certificate}: {error}") from None


async def run(home: Home, config: Config, node: Node) -> None:
    """Serve until a signal or a failure. Raises whatever stopped the runtime."""
    loop = asyncio.get_running_loop()
    service, chain = node.service, node.machine.chain

    def flush() -> None:
        started = time.perf_counter()
        node.guard.flush()
        service.flushed(time.perf_counter() - started)

    transport = _transport(home, config, chain, lambda event: runtime.post(event))
    runtime = Runtime(node.machine, flush, transport, _Observer(node))
    service.runtime, service.transport = runtime, transport
    door = HttpDoor(service)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, runtime.stop)
    try:
        await transport.start()
        runtime.start()
        await door.start()
        _log.info(
            "serving",
            name=config.node.name,
            chain=chain.id,
            height=chain.height,
            rpc=config.rpc.listen,
            p2p=config.p2p.listen,
            metrics=config.metrics.listen,
            voting=not service.not_voting_reason(),
        )
        if node.guard.lost:
            _log.error("this node does not vote", reason=node.guard.lost)
        notify.ready(chain.height)
        watchdog = loop.create_task(notify.watchdog())
        await runtime.stopped
        watchdog.cancel()
    finally:
        service.stopping = True
        notify.stopping()
        runtime.stop()
        await door.stop()
        await transport.stop()


def main(home_path: Path) -> int:
    """Run the daemon of a home folder; the exit code of docs/spec/files.md."""
    if not __debug__:
        sys.stderr.write("munimentd: do not run with python -O: assertions are part of it\n")
        return EXIT_CONFIG
    home = Home(home_path)
    try:
        config = load(home.config)
    except ConfigError as error:
        sys.stderr.write(f"munimentd: {error}\n")
        return EXIT_CONFIG
    logs.configure(config.log.level, config.log.format)
    try:
        home.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = home.lock.open("w")
    except OSError as error:
        return _os_error(error)
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.error("another munimentd uses this home", home=str(home.path))
            return EXIT_TEMPORARY
        return _run_guarded(home, config)


def tune_collector() -> None:
    """What was loaded lives as long as the process, and blocks make few cycles: collect rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _run_guarded(home: Home, config: Config) -> int:
    node: Node | None = None
    try:
        node = open_node(home, config)
        tune_collector()
        uvloop.run(run(home, config, node))
    except (ConfigError, KeyFileError) as error:
        _log.error("cannot start", error=str(error))
        return EXIT_CONFIG if isinstance(error, ConfigError) else EXIT_KEY
    except StoreDamaged as error:
        _log.error("the store is damaged", error=str(error), hint="restore it or wipe data/ledger")
        return EXIT_DAMAGED
    except SafetyStop as error:
        _log.error("stopped for safety", error=str(error))
        return EXIT_SAFETY
    except OSError as error:
        return _os_error(error)
    except KeyboardInterrupt:
        return EXIT_OK
    except Exception as error:  # ours: say everything, and do not go on
        _log.error("internal error", exc_info=error)
        return EXIT_INTERNAL
    finally:
        if node is not None:
            node.guard.close()
            node.store.close()
    _log.info("stopped")
    return EXIT_OK


def _os_error(error: OSError) -> int:
    if error.errno in TEMPORARY_ERRNOS:
        name = os.strerror(error.errno or 0)
        _log.error("stopped by the system", error=str(error), cause=name, hint="free it, restart")
        return EXIT_TEMPORARY
    _log.error("input or output failed", error=str(error))
    return EXIT_DAMAGED if error.errno == errno.EIO else EXIT_INTERNAL
