"""Throughput, CPU cost and light-load latency of four daemons on this machine.

Work = signed by a distinct client, verified by all four validators, executed, state root computed,
synced. Transactions are signed beforehand and counted from the chain.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import resource
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

import aiohttp

from benchmarks.network import Network, network
from ledger import base64url, transaction
from ledger.crypto import Ed25519Signer, ed25519_thumbprint, sha256
from ledger.ids import ChainId
from ledger.jwk import Jwk
from ledger.signed_text import possession_text

Agency: TypeAlias = tuple[str, Ed25519Signer]
"""(party, key) of an agency's client."""
BATCH = 100
OPERATIONS = 16
EXPIRY_SECONDS = 20_000
REFUSED = "muniment_consensus_txs_refused_total"
LONG_CODE = "building-permit-of-the-district-office-for-construction-and-la"


def say(text: str) -> None:
    """Progress goes to standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def client_signer(index: int) -> Ed25519Signer:
    """Key of benchmark client `index`."""
    return Ed25519Signer(sha256(b"bench client %d" % index))


def long_names(clients: int) -> list[str]:
    """Party ids of the longest form, one for each client."""
    tail = "chamber-of-civil-law-notaries.northern-province"
    return [f"client-{index:06d}.{tail}" for index in range(clients)]


def sign(chain: str, party: str, signer: Ed25519Signer, jti: str, ops: list[Any]) -> str:
    """A compact transaction."""
    now = int(time.time())
    claims = {
        "iss": party,
        "aud": chain,
        "jti": jti,
        "iat": now,
        "exp": now + EXPIRY_SECONDS,
        "ops": ops,
    }
    return transaction.sign(claims, signer).decode("ascii")


def document(number: int) -> dict[str, Any]:
    """A document.register operation of the longest usual size."""
    return {
        "op": "document.register",
        "type": LONG_CODE,
        "title_code": LONG_CODE,
        "commitment": sha256(b"document %d" % number).hex(),
    }


def registrations(chain: ChainId, agencies: Sequence[Agency], clients: Sequence[str]) -> list[str]:
    """Transactions in which the agencies register their clients, sixteen in each."""
    transactions: list[str] = []
    for first in range(0, len(clients), OPERATIONS):
        party, signer = agencies[(first // OPERATIONS) % len(agencies)]
        ops = []
        for index, name in enumerate(clients[first : first + OPERATIONS], first):
            key = client_signer(index)
            kid = ed25519_thumbprint(key.public_key)
            proof = key.sign(possession_text(chain, name, kid))
            ops.append(
                {
                    "op": "party.register",
                    "kind": "client",
                    "party": name,
                    "keys": [Jwk.signing(key.public_key).to_json()],
                    "proofs": [base64url.encode(proof)],
                }
            )
        transactions.append(sign(chain, party, signer, f"register-{first}", ops))
    return transactions


def preload(chain: ChainId, agencies: Sequence[Agency], keys: int) -> list[str]:
    """Transactions that put `keys` records into the state, sixteen in each."""
    transactions = []
    for first in range(0, keys, OPERATIONS):
        party, signer = agencies[(first // OPERATIONS) % len(agencies)]
        ops = [document(1_000_000_000 + first + i) for i in range(OPERATIONS)]
        transactions.append(sign(chain, party, signer, f"preload-{first}", ops))
    return transactions


def workload(chain: ChainId, count: int, clients: Sequence[str]) -> list[str]:
    """Distinct transactions, each by the next client: as long as one document makes them."""
    signers = [client_signer(index) for index in range(len(clients))]
    return [
        sign(
            chain,
            clients[number % len(clients)],
            signers[number % len(clients)],
            f"application-for-a-permit-2026-{number:012d}-of-the-district",
            [document(number)],
        )
        for number in range(count)
    ]


class Sender:
    """Sends batches over all ports, a bounded number at once, until they are admitted."""

    def __init__(self, running: Network, session: aiohttp.ClientSession) -> None:
        self._urls = [running.url(index) for index in range(len(running.made.homes))]
        self._session = session
        self.retries = 0

    async def post(self, index: int, method: str, params: dict[str, Any]) -> Any:
        """One call to one node, again while the node says that it cannot serve now."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        while True:
            async with self._session.post(self._urls[index], json=body) as response:
                answer = await response.json()
            if "error" not in answer:
                return answer["result"]
            if not answer["error"]["data"]["retryable"]:
                raise RuntimeError(f"{method} at node {index}: {answer['error']}")
            await self._pause()

    async def _pause(self) -> None:
        self.retries += 1
        await asyncio.sleep(0.2)

    async def send(self, batch: list[str], index: int) -> None:
        """One batch to one node, again while the node says that it is full."""
        while batch:
            answer = await self.post(index, "tx_submitMany", {"txs": batch})
            again = []
            for tx, result in zip(batch, answer["results"], strict=True):
                error = result.get("error")
                if error is None:
                    continue
                if not error["data"]["retryable"]:
                    raise RuntimeError(f"refused: {error}")
                again.append(tx)
            batch = again
            if batch:
                await self._pause()

    async def send_all(self, transactions: list[str], width: int, until: float = 1e18) -> int:
        """Everything (or until a deadline), `width` batches in flight; how many were sent."""
        batches = iter([transactions[i : i + BATCH] for i in range(0, len(transactions), BATCH)])
        places = itertools.cycle(range(len(self._urls)))
        sent = 0

        async def worker() -> None:
            nonlocal sent
            for batch in batches:
                if time.monotonic() > until:
                    return
                await self.send(batch, next(places))
                sent += len(batch)

        await asyncio.gather(*(worker() for _ in range(width)))
        return sent


async def settle(running: Network, sender: Sender) -> None:
    """Until no node has waiting transactions and all have one head."""
    for _ in range(600):
        status = [await sender.post(i, "node_status", {}) for i in range(len(running.made.homes))]
        idle = all(item["mempool"]["transactions"] == 0 for item in status)
        if idle and len({item["block_hash"] for item in status}) == 1:
            return
        await asyncio.sleep(0.1)
    raise RuntimeError("the network did not settle")


async def committed(sender: Sender, first: int, last: int) -> int:
    """Transactions in blocks first..last, counted from the chain of node 0."""
    total = 0
    before: int | None = last + 1
    while before is not None and before > first:
        page = await sender.post(0, "chain_listBlocks", {"limit": 100, "before": before})
        total += sum(i["transactions"] for i in page["items"] if first <= i["height"] <= last)
        before = page["next_before"]
    return total


async def refusals(sender: Sender, first: int, last: int) -> Counter[str]:
    """Reasons of the transactions that blocks first..last refused."""
    found: Counter[str] = Counter()
    for height in range(first, last + 1):
        entries = (await sender.post(0, "chain_getBlock", {"height": height}))["entries"]
        for entry in entries:
            if entry.get("reason"):
                found[f"{entry['reason']} {entry['results']}"[:200]] += 1
    return found


async def light(sender: Sender, transactions: list[str], rate: float) -> list[float]:
    """Commit latency in milliseconds of single transactions at `rate` a second."""

    async def one(tx: str, index: int) -> float:
        started = time.perf_counter()
        result = await sender.post(index, "tx_submit", {"tx": tx})
        answer = await sender.post(index, "tx_wait", {"id": result["id"], "timeout_ms": 20_000})
        assert answer["status"] == "committed", answer
        return (time.perf_counter() - started) * 1000

    tasks = []
    for number, tx in enumerate(transactions):
        tasks.append(asyncio.create_task(one(tx, number % 4)))
        await asyncio.sleep(1 / rate)
    return list(await asyncio.gather(*tasks))


async def measure(running: Network, options: argparse.Namespace) -> dict[str, Any]:
    """The whole benchmark on a running network."""
    timeout, agencies = aiohttp.ClientTimeout(total=120), running.agencies()
    clients = long_names(options.clients)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        sender = Sender(running, session)
        say(f"registering {options.clients} parties")
        await sender.send_all(registrations(running.chain, agencies, clients), 4)
        await settle(running, sender)
        say(f"preloading {options.preload} keys")
        await sender.send_all(preload(running.chain, agencies, options.preload), 4)
        await settle(running, sender)
        light_count = int(options.light_seconds * 10)
        count = options.transactions + light_count
        say(f"signing {count} transactions")
        transactions = workload(running.chain, count, clients)
        latencies = await light(sender, transactions[:light_count], 10)
        await settle(running, sender)
        result = await run_load(running, sender, transactions[light_count:], options)
    latencies.sort()
    result["latency_ms"] = {
        "p50": round(statistics.median(latencies), 1),
        "p99": round(latencies[int(len(latencies) * 0.99)], 1),
    }
    result["transaction_bytes"] = len(transactions[0])
    return result


async def run_load(
    running: Network, sender: Sender, transactions: list[str], options: argparse.Namespace
) -> dict[str, Any]:
    """Send for `options.seconds`, wait until all is in blocks, and count it from the chain."""
    say(f"load for {options.seconds} s")
    disk = running.disk_bytes()
    verified = sum(running.metric(i, "muniment_crypto_verifications_total") for i in range(4))
    refused = running.metric(0, REFUSED)
    first = (await sender.post(0, "node_status", {}))["height"] + 1
    cpu, own = running.cpu_seconds(), _own_cpu()
    started = time.monotonic()
    sent = await sender.send_all(transactions, options.width, started + options.seconds)
    await settle(running, sender)
    seconds = time.monotonic() - started
    cpu, own = running.cpu_seconds() - cpu, _own_cpu() - own
    status = [await sender.post(i, "node_status", {}) for i in range(4)]
    roots = {item["state_root"] for item in status}
    if len(roots) != 1:
        raise RuntimeError(f"state roots differ: {roots}")
    done = await committed(sender, first, status[0]["height"])
    if done != sent:
        raise RuntimeError(f"sent {sent}, the chain holds {done}")
    refused = running.metric(0, REFUSED) - refused
    if refused:
        reasons = await refusals(sender, first, status[0]["height"])
        raise RuntimeError(f"refused of {done} transactions: {reasons}")
    verified = (
        sum(running.metric(i, "muniment_crypto_verifications_total") for i in range(4)) - verified
    )
    return {
        "validators": 4,
        "seconds": round(seconds, 1),
        "transactions": done,
        "blocks": status[0]["height"] - first + 1,
        "tps": round(done / seconds),
        "cpu_us_per_tx": round(cpu / done * 1e6),
        "client_cpu_us_per_tx": round(own / done * 1e6),
        "verifications_per_tx": round(verified / done, 2),
        "rss_mb": round(running.rss_mb()),
        "disk_bytes_per_tx": round((running.disk_bytes() - disk) / done / 4),
        "retries": sender.retries,
        "state_roots_equal": True,
    }


def _own_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="benchmarks load")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--transactions", type=int, default=220_000)
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--preload", type=int, default=100_000)
    parser.add_argument("--light-seconds", type=float, default=20)
    parser.add_argument("--width", type=int, default=8)
    options = parser.parse_args()
    with network() as running:
        result = asyncio.run(measure(running, options))
    sys.stdout.write(json.dumps({"benchmark": "load", **result}) + "\n")


if __name__ == "__main__":
    main()
