"""Every Prometheus instrument of the node; the only importer of prometheus_client.

The hot path counts in plain integers; a collector publishes them when somebody scrapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector

LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Counts:
    """Monotonic counts of one process."""

    blocks_committed: int = 0
    blocks_caught_up: int = 0
    transactions_committed: int = 0
    transactions_refused: int = 0
    defects: int = 0
    view_changes: int = 0
    accusations: dict[str, int] = field(default_factory=dict)
    admitted: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    rpc: dict[tuple[str, str], int] = field(default_factory=dict)
    turns: int = 0
    events: int = 0
    flushes: int = 0
    slow_readers: int = 0


@dataclass(frozen=True, slots=True)
class PeerGauge:
    """One peer as the transport sees it."""

    name: str
    up: bool
    rtt_seconds: float | None
    pending_bytes: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Gauges read at scrape time."""

    height: int
    view: int
    epoch: int
    validators: int
    quorum: int
    voting: bool
    leader: bool
    behind: int
    last_block_time_ms: int
    mempool_transactions: int
    mempool_bytes: int
    last_signed: dict[str, int]
    """Member name -> height of the newest commit certificate that holds its vote."""
    peers: tuple[PeerGauge, ...]
    received_bytes: dict[str, int]
    """Channel name -> bytes."""
    sent_bytes: dict[str, int]
    dropped_frames: dict[str, int]
    handshake_failures: dict[str, int]
    faults: dict[str, int]
    store_bytes: int
    verifications: int
    websockets: int
    subscriptions: int
    version: str
    chain: str
    name: str


class Metrics:
    """Instruments of one node, in a registry of its own."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self.counts = Counts()
        self._snapshot = snapshot
        self._registry = CollectorRegistry()
        self.commit_latency = self._histogram(
            "muniment_tx_commit_latency_seconds",
            "From admission by this node to the durable block, of transactions submitted here.",
            LATENCY_BUCKETS,
        )
        self.block_interval = self._histogram(
            "muniment_consensus_block_interval_seconds",
            "Between block times of consecutive blocks.",
            (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0),
        )
        self.flush = self._histogram(
            "muniment_store_flush_duration_seconds",
            "Synced write of everything staged in one turn.",
            (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0),
        )
        self.turn = self._histogram(
            "muniment_runtime_turn_duration_seconds",
            "One turn of the runtime: events, sync, sends; while it lasts the loop is blocked.",
            (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
        )
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self._registry)

    def render(self) -> bytes:
        """The exposition text."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Names are not checked against `collect`, so that registering reads no snapshot."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Publish counts and gauges; called by the registry at each scrape."""
        now = self._snapshot()
        yield from self._gauges(now)
        yield from self._peers(now)
        yield from self._counters(now)

    def _gauges(self, now: Snapshot) -> Iterator[Metric]:
        for name, text, value in (
            ("consensus_height", "Height of the committed head.", now.height),
            ("consensus_view", "Current PBFT view in the epoch.", now.view),
            ("consensus_epoch", "Current epoch.", now.epoch),
            ("consensus_validators", "Members of the validator set.", now.validators),
            ("consensus_quorum", "Votes that make a certificate.", now.quorum),
            ("consensus_voting", "1 if this node may vote.", int(now.voting)),
            ("consensus_leader", "1 if this node proposes the next block.", int(now.leader)),
            ("sync_blocks_behind", "Blocks that peers claim beyond the head.", now.behind),
            (
                "consensus_last_block_timestamp_seconds",
                "Block time of the head, seconds since 1970.",
                now.last_block_time_ms / 1000,
            ),
            ("mempool_transactions", "Waiting transactions.", now.mempool_transactions),
            ("mempool_size_bytes", "Bytes of waiting transactions.", now.mempool_bytes),
            ("rpc_websockets", "Open WebSocket connections.", now.websockets),
            ("rpc_subscriptions", "Subscriptions on them.", now.subscriptions),
            ("store_size_bytes", "Bytes on disk, approximately.", now.store_bytes),
        ):
            yield GaugeMetricFamily(f"muniment_{name}", text, value=value)
        signed = GaugeMetricFamily(
            "muniment_consensus_validator_last_signed_height",
            "Newest height whose commit certificate holds the member's vote.",
            labels=["validator"],
        )
        for member, height in now.last_signed.items():
            signed.add_metric([member], height)
        yield signed
        info = GaugeMetricFamily(
            "muniment_build_info", "Always 1.", labels=["version", "chain", "node"]
        )
        info.add_metric([now.version, now.chain, now.name], 1)
        yield info

    def _peers(self, now: Snapshot) -> Iterator[Metric]:
        up = GaugeMetricFamily("muniment_p2p_peer_up", "1 if a session is open.", labels=["peer"])
        rtt = GaugeMetricFamily(
            "muniment_p2p_peer_rtt_seconds", "Round trip of the last ping.", labels=["peer"]
        )
        pending = GaugeMetricFamily(
            "muniment_p2p_pending_bytes", "Bytes queued for the peer.", labels=["peer"]
        )
        for peer in now.peers:
            up.add_metric([peer.name], int(peer.up))
            if peer.rtt_seconds is not None:
                rtt.add_metric([peer.name], peer.rtt_seconds)
            pending.add_metric([peer.name], peer.pending_bytes)
        yield from (up, rtt, pending)
        for name, text, label, values in (
            ("received_bytes", "Bytes of frames received.", "channel", now.received_bytes),
            ("sent_bytes", "Bytes of frames sent.", "channel", now.sent_bytes),
            ("dropped_frames", "Frames not sent: no room.", "channel", now.dropped_frames),
            ("handshake_failures", "No session came of it.", "reason", now.handshake_failures),
            ("faults", "Faults charged to members.", "fault", now.faults),
        ):
            yield _labelled(f"p2p_{name}", text, [label], values)

    def _counters(self, now: Snapshot) -> Iterator[Metric]:
        counts = self.counts
        for name, text, value in (
            ("consensus_blocks_committed", "Blocks decided here.", counts.blocks_committed),
            ("sync_blocks_applied", "Blocks taken from peers.", counts.blocks_caught_up),
            ("consensus_txs_committed", "Committed transactions.", counts.transactions_committed),
            ("consensus_txs_refused", "Refused transactions.", counts.transactions_refused),
            ("consensus_defects", "Acts and timers on which the rules failed.", counts.defects),
            ("consensus_view_changes", "Views entered above 0.", counts.view_changes),
            ("mempool_txs_admitted", "Transactions admitted here.", counts.admitted),
            ("crypto_verifications", "Ed25519 signatures verified.", now.verifications),
            ("runtime_turns", "Turns of the runtime.", counts.turns),
            ("runtime_events", "Events handled.", counts.events),
            ("store_flushes", "Synced batches.", counts.flushes),
            ("rpc_slow_readers_closed", "Closed with code 4008.", counts.slow_readers),
        ):
            yield CounterMetricFamily(f"muniment_{name}", text, value=value)
        yield _labelled(
            "mempool_txs_rejected", "Not admitted, by reason.", ["reason"], counts.rejected
        )
        yield _labelled(
            "consensus_accusations", "Evidence found here.", ["member"], counts.accusations
        )
        yield _labelled("rpc_requests", "JSON-RPC calls.", ["method", "code"], counts.rpc)


def _labelled(
    name: str, text: str, labels: list[str], values: dict[str, int] | dict[tuple[str, str], int]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"muniment_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric([key] if isinstance(key, str) else list(key), value)
    return family
