"""The four services under load, beside the plain document load of the same run.

Half of the transactions create records (cases, licences, parcels, commitments of money), half act
on records that were created before; each is signed by a person who may do it, verified by four
validators and executed by each. The two loads take turns, since the same machine is not as fast a
minute later. LevelDB's merges come in bursts, in the middle of whichever load runs then, so the
rounds are many and short and the ratios are of all rounds together; those of single rounds show the
bursts. `--preload N` puts N records into the state first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.load import (
    Sender,
    client_signer,
    preload,
    registrations,
    run_load,
    say,
    settle,
    sign,
    workload,
)
from benchmarks.network import Network, network
from ledger.crypto import sha256
from ledger.ids import ChainId, PartyId
from ledger.records import record_id
from node.authoring.compiler import compile_source
from node.authoring.live import LiveGround, Operation
from node.authoring.source import parse

SERVICES = Path(__file__).parent.parent / "services"
STAFF = {
    "surveyor": "land.surveyor",
    "cadastre": "land.cadastre",
    "dispatcher": "casework.dispatcher",
    "handler": "casework.handler",
    "reviewer": "documents.licensing-officer",
    "manager": "funds.programme-manager",
    "controller": "funds.budget-controller",
    "budget-officer": "funds.budget-office",
    "speaker": "funds.legislature",
    "minister": "funds.finance-minister",
}
MONEY = 10**12
FAR_SECONDS = 300 * 86_400


@dataclass(frozen=True)
class Act:
    """What one party does, and the serial number that makes its transaction unique."""

    party: str
    jti: str
    operation: Operation


class Town:
    """The services in force, their staff, and one appropriation with plenty of money."""

    def __init__(
        self, chain: ChainId, ground: LiveGround, home: str, clients: Sequence[str]
    ) -> None:
        """`home` is the agency whose the staff are."""
        self._chain = chain
        self._clients = clients
        self._indices = {name: index for index, name in enumerate(clients)}
        self._ground = ground
        self._home = home
        self._appropriation = ""

    def open(self) -> None:
        """Vote the services in, appoint the staff, enact the appropriation."""
        for name in ("funds", "land", "documents", "casework"):
            definition, problems = compile_source(
                parse((SERVICES / name / "service.yaml").read_text(encoding="utf-8"))
            )
            if definition is None:
                raise RuntimeError(f"{name}: {problems}")
            self._ground.activate(definition)
        for party, role in STAFF.items():
            self._ground.add_party(party, self._home)
            self._ground.grant(role, party, None)
        data = {
            "amount": MONEY,
            "purpose": "roads",
            "fiscal_year_end": self._ground.now() + FAR_SECONDS,
            "administrative": "works",
        }
        made = self._do("budget-officer", self._creation("funds-appropriation", data))
        self._appropriation = made["record"]
        enact = {"op": "record.act", "id": made["record"], "transition": "enact", "input": {}}
        pending = self._do("speaker", enact)["pending"]
        approval = {"op": "record.approve", "id": made["record"], "pending": pending}
        self._do("minister", approval)

    def _do(self, party: str, operation: Operation) -> dict[str, Any]:
        reason, result = self._ground.run(party, operation)
        if reason:
            raise RuntimeError(f"{party}: {operation}: {reason} {result}")
        return result

    @staticmethod
    def _creation(kind: str, data: Operation) -> Operation:
        return {"op": "record.create", "type": kind, "version": 1, "data": data}

    def create(self, number: int) -> tuple[Act, Act]:
        """The creation of record `number`, and the act that somebody else does on it later."""
        client = self._clients[number % len(self._clients)]
        file = sha256(b"file %d" % number).hex()
        data: Operation
        match number % 4:
            case 0:
                data = {"applicant": client, "procedure": "building-permit", "file": file}
                return self._pair(number, client, "casework-case", data, "dispatcher", "assign")
            case 1:
                data = {"applicant": client, "kind": "tattoo-studio", "application": file}
                return self._pair(number, client, "documents-licence", data, "reviewer", "take")
            case 2:
                data = {"number": f"P-{number}", "geometry": file, "area": 500}
                return self._pair(number, "surveyor", "land-parcel", data, "cadastre", "register")
            case _:
                data = {
                    "appropriation": self._appropriation,
                    "amount": 10,
                    "purpose": "roads",
                    "payee": client,
                }
                return self._pair(number, "manager", "funds-grant", data, "controller", "commit")

    def _pair(
        self, number: int, author: str, kind: str, data: Operation, actor: str, act: str
    ) -> tuple[Act, Act]:
        jti = f"create-{number}"
        record = record_id(kind, self._chain, PartyId(author), jti, 0)
        entered = {"handler": "handler"} if act == "assign" else {}
        operation = {"op": "record.act", "id": record, "transition": act, "input": entered}
        return (
            Act(author, jti, self._creation(kind, data)),
            Act(actor, f"act-{number}", operation),
        )

    def sign(self, act: Act) -> str:
        """A compact transaction."""
        index = self._indices.get(act.party)
        signer = self._ground.signer(act.party) if index is None else client_signer(index)
        return sign(self._chain, act.party, signer, act.jti, [act.operation])


async def measure(running: Network, options: argparse.Namespace) -> dict[str, Any]:
    """Plain load, then the mixed load, on one running network."""
    agencies = running.agencies()

    def call(method: str, params: dict[str, Any]) -> Any:
        return running.call(0, method, **params)

    ground = LiveGround(call, dict(agencies), time.sleep)
    clients = [f"client-{index}" for index in range(options.clients)]
    town = Town(running.chain, ground, agencies[0][0], clients)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
        sender = Sender(running, session)
        say(f"registering {options.clients} parties")
        await sender.send_all(registrations(running.chain, agencies, clients), 4)
        await settle(running, sender)
        say("voting four services in")
        await asyncio.to_thread(town.open)
        say(f"preloading {options.preload} records")
        await sender.send_all(preload(running.chain, agencies, options.preload), 4)
        count = options.transactions
        pairs = [town.create(number) for number in range(count)]
        say(f"creating {count // 2} records to act on")
        await sender.send_all([town.sign(pair[0]) for pair in pairs[: count // 2]], 8)
        await settle(running, sender)
        mixed = []
        for old, new in zip(pairs[: count // 2], pairs[count // 2 :], strict=True):
            mixed += [town.sign(old[1]), town.sign(new[0])]
        documents = workload(running.chain, count, clients)
        plain, services = [], []
        for number in range(options.rounds):
            part = slice(number * count // options.rounds, (number + 1) * count // options.rounds)
            plain.append(await run_load(running, sender, documents[part], options))
            services.append(await run_load(running, sender, mixed[part], options))
    return {
        "records_before": options.preload,
        "plain": _whole(plain),
        "services": _whole(services),
        "tps_ratio": _ratios(plain, services, "tps"),
        "cpu_ratio": _ratios(plain, services, "cpu_us_per_tx"),
    }


def _whole(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """All rounds of one load as one."""
    transactions = sum(item["transactions"] for item in rounds)
    seconds = sum(item["seconds"] for item in rounds)
    cpu_us = sum(item["cpu_us_per_tx"] * item["transactions"] for item in rounds)
    return {
        "rounds": len(rounds),
        "transactions": transactions,
        "seconds": round(seconds, 1),
        "blocks": sum(item["blocks"] for item in rounds),
        "tps": round(transactions / seconds),
        "cpu_us_per_tx": round(cpu_us / transactions),
        "rss_mb": max(item["rss_mb"] for item in rounds),
        "state_roots_equal": all(item["state_roots_equal"] for item in rounds),
    }


def _ratios(
    plain: list[dict[str, Any]], services: list[dict[str, Any]], name: str
) -> dict[str, float]:
    """Services by plain: of all rounds together, and of each with its neighbour."""
    pairs = zip(plain, services, strict=True)
    ratios = [round(second[name] / first[name], 2) for first, second in pairs]
    return {
        "whole": round(_whole(services)[name] / _whole(plain)[name], 3),
        "median": round(statistics.median(ratios), 2),
        "least": min(ratios),
        "greatest": max(ratios),
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="benchmarks services")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--transactions", type=int, default=320_000)
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--preload", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--width", type=int, default=8)
    options = parser.parse_args()
    with network() as running:
        result = asyncio.run(measure(running, options))
    sys.stdout.write(json.dumps({"benchmark": "services", **result}) + "\n")


if __name__ == "__main__":
    main()
