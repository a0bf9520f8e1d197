"""node_*: this node's own state."""

from __future__ import annotations

import platform
from typing import Any

import msgspec

from node.jsonrpc import Method
from node.methods.parameters import Nothing
from node.service import SOFTWARE, NodeService
from p2p.wire import PROTOCOL_VERSION

API_VERSION = "1.0.0"


def methods(service: NodeService) -> list[Method]:
    """The methods of this namespace."""
    door = _Node(service)
    return [
        Method("node_status", Nothing, door.status, "Height, view, voting, peers."),
        Method("node_health", Nothing, door.health, "Whether the node is ready, or why not."),
        Method("node_peers", Nothing, door.peers, "The other members, as seen from here."),
        Method("node_version", Nothing, door.version, "Versions of everything that matters."),
    ]


def version_data() -> dict[str, Any]:
    """Versions of the software, the protocol, the API and of what formats depend on."""
    return {
        "software": SOFTWARE,
        "protocol": PROTOCOL_VERSION,
        "api": API_VERSION,
        "python": platform.python_version(),
        "msgspec": msgspec.__version__,
    }


class _Node:
    def __init__(self, service: NodeService) -> None:
        self._service = service

    async def status(self, params: Nothing) -> dict[str, Any]:
        """One look at the node."""
        service = self._service
        chain, replica = service.chain, service.machine.core.replica
        peers = service.peers()
        reason = service.not_voting_reason()
        leader = service.leader()
        return {
            "name": service.config.node.name,
            "chain_id": chain.id,
            "height": chain.height,
            "block_hash": chain.block_hash.hex(),
            "state_root": chain.header.state_root,
            "time_ms": chain.header.time_ms,
            "epoch": chain.epoch,
            "view": replica.view,
            "view_installed": replica.installed,
            "leader": None if leader is None else chain.validators.members[leader].name,
            "member_index": replica.me,
            "voting": not reason,
            "not_voting_reason": reason,
            "syncing": service.syncing,
            "behind": service.behind,
            "mempool": {
                "transactions": len(service.machine.mempool),
                "bytes": service.machine.mempool.bytes,
            },
            "peers": {"connected": sum(1 for peer in peers if peer.up), "known": len(peers)},
        }

    async def health(self, params: Nothing) -> dict[str, Any]:
        """Ready to serve clients, or the reasons why not."""
        reasons = self._service.readiness()
        return {"ready": not reasons, "reasons": reasons}

    async def peers(self, params: Nothing) -> dict[str, Any]:
        """Sessions, round trips and bans."""
        return {
            "peers": [
                {
                    "name": peer.name,
                    "address": peer.address,
                    "connected": peer.up,
                    "direction": ("out" if peer.dialled else "in") if peer.up else None,
                    "rtt_ms": peer.rtt_ms,
                    "pending_bytes": peer.pending_bytes,
                    "banned_for_ms": peer.banned_for_ms or None,
                }
                for peer in self._service.peers()
            ]
        }

    async def version(self, params: Nothing) -> dict[str, Any]:
        """Software, peer protocol, API, and what the formats depend on."""
        return version_data()
