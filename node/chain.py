"""The chain of one node: builds, judges and commits blocks; pure but for the store handed in.

Every block is executed before it is voted for. Its body is staged to the store together with the
vote that needs it, so both are durable in one sync before anything is said.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

from consensus.evidence import check_evidence
from consensus.verify import Authenticator, RemoteFault, StaleEpoch
from ledger.admission import Admitted, parse
from ledger.block import (
    Block,
    Header,
    body_matches,
    commit_hash,
    header_hash,
    transaction_ids,
    transactions_root,
)
from ledger.certificate import Certificate, genesis_certificate
from ledger.crypto import Verifier, sha256
from ledger.entry import receipts_root
from ledger.executor import BlockInvalid, Execution, Executor
from ledger.genesis import Genesis
from ledger.ids import ZERO_HASH, BlockHash, Epoch, Hash, Height, TxId
from ledger.merkle import root as merkle_root
from ledger.parameters import PARAMETERS_KEY, Parameters, in_force
from ledger.state import State
from ledger.store import Store, StoreDamaged
from ledger.system_state import genesis_state
from ledger.transaction import Inadmissible
from ledger.validators import ValidatorSet
from node.archive import Archive

BODY_MISMATCH = "BODY_MISMATCH"
CANDIDATES_MAX = 8
"""Executed blocks kept above the head; one that was dropped is executed again if it wins."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A block that was executed here on the committed head."""

    block: Block
    header: Header
    block_hash: BlockHash
    transactions: tuple[Admitted, ...]
    execution: Execution


class Chain:
    """Owns the head, the state after it, and the candidates above it."""

    def __init__(self, store: Store, genesis: Genesis, verifier: Verifier) -> None:
        """Open the chain in `store`, or begin it with block 0 when the store has none.

        Raises StoreDamaged when the store belongs to another genesis or contradicts itself.
        """
        self.genesis = genesis
        self.id = genesis.chain
        self.archive = Archive(store)
        self.sets: dict[Epoch, ValidatorSet] = {}
        """Validator sets of the current epoch and of the one before."""
        self._store = store
        self._verifier = verifier
        self._executor = Executor(self.id, genesis.parameters, verifier)
        self._candidates: dict[BlockHash, Candidate] = {}
        if self.archive.head() is None:
            self._begin()
        self._load()
        self.authenticator = Authenticator(self.id, self.genesis_block, self.sets, verifier)

    def report_defects(self, report: Callable[[Exception], None]) -> None:
        """Have mistakes in the rules told, as their exceptions; the chain goes on without that."""
        self._executor.report = report

    # ----- opening

    def _begin(self) -> None:
        state = genesis_state(self._store, self.genesis)
        validators = self.genesis.validators()
        header = genesis_header(self.genesis, state.root)
        block_hash = header_hash(header)
        block = Block(header.encode(), genesis_certificate(block_hash), ())
        self._store.stage(state.writes)
        self._store.stage(self.archive.commit_rows(header, block, block_hash, ()))
        self._store.stage(self.archive.certificate_row(genesis_certificate(block_hash)))
        self._store.stage(self.archive.epoch_row(0, validators))

    def _load(self) -> None:
        height = self.archive.head()
        assert height is not None
        header = self.archive.header(height)
        block_hash = self.archive.block_hash(height)
        genesis_block = self.archive.block_hash(0)
        if header is None or block_hash is None or genesis_block is None:
            raise StoreDamaged(f"the head's header at height {height} is missing")
        if header.chain != self.id:
            raise StoreDamaged(f"the store holds chain {header.chain}, the genesis says {self.id}")
        self.header = header
        self.block_hash = block_hash
        self.genesis_block = genesis_block
        self.state = State.load(self._store)
        if self.state.root.hex() != header.state_root:
            raise StoreDamaged(
                f"state root at height {height}: the header says {header.state_root}, "
                f"the stored state gives {self.state.root.hex()}"
            )
        self.parameters = self._in_force()
        if height > 0 and not self.archive.body_size(block_hash):
            raise StoreDamaged(
                f"the body of block {height} is missing; if another version wrote this store, "
                "begin a new one"
            )
        self.archive.entries(height)  # are here, or the store is damaged
        certificate = self.archive.certificate(height)
        if certificate is None:
            raise StoreDamaged(f"the certificate of the head at height {height} is missing")
        self.certificate = certificate
        self.epoch = Epoch(header.epoch + 1 if header.closes_epoch else header.epoch)
        self.first_height = Height(1)
        for epoch in (self.epoch - 1, self.epoch):
            row = self.archive.epoch_set(epoch) if epoch >= 0 else None
            if row is not None:
                self.sets[Epoch(epoch)] = row[1]
                self.first_height = Height(row[0] + 1)
        if self.epoch not in self.sets:
            raise StoreDamaged(f"the validator set of epoch {self.epoch} is missing")

    def _in_force(self) -> Parameters:
        """What the next block obeys."""
        return in_force(self.state.get(PARAMETERS_KEY), self.genesis.parameters)

    @property
    def height(self) -> Height:
        """Height of the committed head."""
        return Height(self.header.height)

    @property
    def validators(self) -> ValidatorSet:
        """The set that certifies the next block."""
        return self.sets[self.epoch]

    # ----- building and judging

    def build(
        self,
        proposer: int,
        time_ms: int,
        transactions: Sequence[Admitted],
        evidence: Sequence[bytes],
        known_valid: Container[TxId],
    ) -> Candidate:
        """Execute a fresh block on the head, leaving out what is not admissible any more."""
        time_ms = max(time_ms, self.header.time_ms + 1)
        execution = self._execute(time_ms, transactions, evidence, known_valid, select=True)
        included, noted = execution.included, execution.evidence
        header = self._header(proposer, time_ms, included, noted, execution, self.certificate)
        block = Block(
            header.encode(),
            self.certificate,
            tuple(item.transaction.raw for item in included),
            noted,
        )
        return self._keep(Candidate(block, header, header_hash(header), included, execution))

    def judge(
        self, block: Block, known: Mapping[TxId, Admitted], known_valid: Container[TxId]
    ) -> Candidate:
        """Execute and check a whole block on the head. Raises BlockInvalid with a stable reason."""
        try:
            header = Header.decode(block.header)
        except ValueError as error:
            raise BlockInvalid("HEADER_INVALID", str(error)) from None
        block_hash = header_hash(header)
        done = self._candidates.get(block_hash)
        if done is not None:
            return done
        self._check_frame(block, header)
        transactions = self._parse(block, known)
        execution = self._execute(
            header.time_ms, transactions, block.evidence, known_valid, select=False
        )
        expected = self._header(
            header.proposer,
            header.time_ms,
            transactions,
            block.evidence,
            execution,
            block.commit,
        )
        if expected != header:
            raise BlockInvalid("HEADER_MISMATCH", _difference(expected, header))
        return self._keep(Candidate(block, header, block_hash, transactions, execution))

    def _check_frame(self, block: Block, header: Header) -> None:
        """What needs no execution: body, place, time, size, commit, evidence."""
        if not body_matches(block, header):
            raise BlockInvalid(BODY_MISMATCH, "the body is not the one the header commits to")
        if header.height != self.height + 1 or header.parent != self.block_hash.hex():
            raise BlockInvalid("PARENT_MISMATCH", f"the head is at height {self.height}")
        if header.time_ms <= self.header.time_ms:
            raise BlockInvalid("TIME_NOT_RISING", "block time is not above its parent's")
        if not 0 <= header.proposer < len(self.validators):
            raise BlockInvalid("PROPOSER_UNKNOWN", "the proposer is not a member")
        if len(block.transactions) > self.parameters.block_transactions_max:
            raise BlockInvalid("BLOCK_TOO_LARGE", "too many transactions")
        size = sum(map(len, block.transactions)) + sum(map(len, block.evidence))
        if size > self.parameters.block_bytes_max:
            raise BlockInvalid("BLOCK_TOO_LARGE", "too many bytes")
        commit = block.commit
        if commit.height != self.height or commit.block_hash != self.block_hash:
            raise BlockInvalid("COMMIT_MISMATCH", "the body's commit is not of the parent")
        try:
            self.authenticator.certificate(commit)
        except (RemoteFault, StaleEpoch) as error:
            raise BlockInvalid("COMMIT_INVALID", str(error)) from None
        self._check_evidence(block.evidence)

    def _check_evidence(self, evidence: tuple[bytes, ...]) -> None:
        for data in evidence:
            try:
                check_evidence(data, self.id, self.validators, self._verifier)
            except ValueError as error:
                raise BlockInvalid("EVIDENCE_INVALID", str(error)) from None

    def _parse(self, block: Block, known: Mapping[TxId, Admitted]) -> tuple[Admitted, ...]:
        transactions: list[Admitted] = []
        for raw, txid in zip(block.transactions, transaction_ids(block), strict=True):
            admitted = known.get(txid)
            if admitted is None:
                try:
                    admitted = parse(raw, self.parameters, self.id, txid)
                except Inadmissible as error:
                    raise BlockInvalid(error.reason, error.detail) from None
            transactions.append(admitted)
        return tuple(transactions)

    def _execute(
        self,
        time_ms: int,
        transactions: Sequence[Admitted],
        evidence: Sequence[bytes],
        known_valid: Container[TxId],
        *,
        select: bool,
    ) -> Execution:
        return self._executor.execute(
            self.state,
            epoch=self.epoch,
            validators=self.validators,
            height=Height(self.height + 1),
            time_ms=time_ms,
            transactions=transactions,
            evidence=evidence,
            known_valid=known_valid,
            select=select,
        )

    def _header(
        self,
        proposer: int,
        time_ms: int,
        transactions: Sequence[Admitted],
        evidence: Sequence[bytes],
        execution: Execution,
        commit: Certificate,
    ) -> Header:
        following = execution.next_validators or self.validators
        return Header(
            chain=self.id,
            epoch=self.epoch,
            height=self.height + 1,
            parent=self.block_hash.hex(),
            proposer=proposer,
            time_ms=time_ms,
            tx_root=transactions_root(tuple(item.transaction.id for item in transactions)).hex(),
            receipts_root=receipts_root(execution.entries).hex(),
            state_root=execution.state.root.hex(),
            validators_hash=self.validators.hash.hex(),
            next_validators_hash=following.hash.hex(),
            history_root=self.archive.history(self.height + 1).root().hex(),
            evidence_root=merkle_root(list(evidence)).hex(),
            commit_hash=commit_hash(commit).hex(),
        )

    def _keep(self, candidate: Candidate) -> Candidate:
        if len(self._candidates) >= CANDIDATES_MAX:
            self._candidates.pop(next(iter(self._candidates)))
        self._candidates[candidate.block_hash] = candidate
        self._store.stage(
            self.archive.body_rows(candidate.header.height, candidate.block_hash, candidate.block)
        )
        return candidate

    def candidate(self, block_hash: BlockHash) -> Candidate | None:
        """An executed block above the head."""
        return self._candidates.get(block_hash)

    # ----- committing

    def commit(self, candidate: Candidate, certificate: Certificate) -> None:
        """Make an executed block the head: everything it changes is staged as one batch.

        The certificate was verified by the caller.
        """
        assert certificate.block_hash == candidate.block_hash
        assert candidate.header.height == self.height + 1
        header, execution = candidate.header, candidate.execution
        rows = self.archive.commit_rows(
            header, candidate.block, candidate.block_hash, tuple(execution.entries)
        )
        rows.update(self.archive.certificate_row(certificate))
        for block_hash in self._candidates:
            if block_hash != candidate.block_hash:
                rows.update(self.archive.no_body_rows(header.height, block_hash))
        if execution.next_validators is not None:
            rows.update(self.archive.epoch_row(header.height, execution.next_validators))
        self._store.stage(execution.state.writes)
        self._store.stage(rows)
        execution.state.detach()
        self.state = execution.state
        self.parameters = self._in_force()
        self.header = header
        self.block_hash = candidate.block_hash
        self.certificate = certificate
        self._candidates.clear()
        if execution.next_validators is not None:
            self.epoch = execution.next_validators.epoch
            self.first_height = Height(header.height + 1)
            self.sets[self.epoch] = execution.next_validators
            self.sets.pop(Epoch(self.epoch - 2), None)


def genesis_header(genesis: Genesis, state_root: Hash) -> Header:
    """The header of block 0 (formats, section 2)."""
    empty = merkle_root(()).hex()
    validators_hash = genesis.validators().hash.hex()
    return Header(
        chain=genesis.chain,
        epoch=0,
        height=0,
        parent=ZERO_HASH.hex(),
        proposer=0,
        time_ms=genesis.time_ms,
        tx_root=empty,
        receipts_root=empty,
        state_root=state_root.hex(),
        validators_hash=validators_hash,
        next_validators_hash=validators_hash,
        history_root=empty,
        evidence_root=empty,
        commit_hash=sha256(b"").hex(),
    )


def _difference(expected: Header, header: Header) -> str:
    """Names the header fields that differ."""
    fields = [
        name
        for name in Header.__struct_fields__
        if getattr(expected, name) != getattr(header, name)
    ]
    return "differs in " + ", ".join(fields)
