"""Executes blocks: (state, transactions) -> (state, entries), the same on every validator.

Order within a block: marks expire; a new epoch's set takes over; evidence is noted; votes take
effect; what waited too long expires; timers fire; transactions run. A proposer and the validators
run the same code; only what becomes of an inadmissible transaction, and of one too many, differs.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ledger import admission, canonical, entry, parameters
from ledger.admission import Admitted
from ledger.crypto import Verifier, sha256
from ledger.ids import ChainId, Epoch, Height, TxId
from ledger.marks import Marks
from ledger.modules.system import NEXT_VALIDATORS_KEY
from ledger.operation import Context, Refusal
from ledger.parameters import PARAMETERS_KEY, Parameters
from ledger.parties import Party, party_key
from ledger.registry import governance, pending, timers
from ledger.registry.act import Act
from ledger.registry.meter import Meter
from ledger.state import Draft, State
from ledger.system_state import evidence_key, open_epoch
from ledger.transaction import Inadmissible, Transaction
from ledger.validators import ValidatorSet

DEFECT: Final = "INTERNAL_ERROR"
DEFECTS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NameError,
    TypeError,
)
"""What a mistake in the rules raises, or in the code that they become. It is the same on every
validator, so it refuses what met it, at a high price; else one transaction would stop all of them,
and a timer would for ever. What may come of the machine still stops the node: memory, recursion,
and a store whose rows are damaged or missing, which decoders (ValueError) and assertions notice. So
does code that is none (SyntaxError): versions of Python may differ about it."""


class BlockInvalid(ValueError):
    """No correct proposer makes this block. `reason` is stable."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Dropped(msgspec.Struct, frozen=True):
    """A transaction that the proposer left out for good."""

    admitted: Admitted
    why: Inadmissible


class Execution(msgspec.Struct, frozen=True):
    """What a block does."""

    state: State
    """Sealed state after the block; `state.writes` go to the store."""
    entries: tuple[bytes, ...]
    """Canonical JSON, the leaves of receipts_root: transactions, then the epoch's close."""
    included: tuple[Admitted, ...]
    """The block's transactions. Those neither here nor dropped did not fit."""
    dropped: tuple[Dropped, ...]
    evidence: tuple[bytes, ...]
    """The block's evidence, in rising order."""
    next_validators: ValidatorSet | None
    """The set that the next block opens, when this one closes the epoch."""
    cost: int
    """What its timers and transactions cost together, of `block_cost_max`."""


@dataclass(slots=True)
class _Run:
    """One block being executed."""

    parent: State
    draft: Draft
    marks: Marks
    validators: ValidatorSet
    height: Height
    time_ms: int
    known_valid: Container[TxId]
    parameters: Parameters
    """In force: those of the state before the block."""
    cost: int = 0
    """What timers and transactions have cost so far."""
    entries: list[bytes] = field(default_factory=list)
    included: list[Admitted] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)


class Executor:
    """The rules of one chain. Holds no state."""

    def __init__(self, chain: ChainId, parameters: Parameters, verifier: Verifier) -> None:
        """`parameters` hold where the state has none."""
        self.report: Callable[[Exception], None] = lambda error: None
        """Told of each mistake in the rules; what it does is not part of them."""
        self._chain = chain
        self._parameters = parameters
        self._verifier = verifier

    def execute(
        self,
        parent: State,
        *,
        epoch: Epoch,
        validators: ValidatorSet,
        height: Height,
        time_ms: int,
        transactions: Sequence[Admitted],
        evidence: Sequence[bytes] = (),
        known_valid: Container[TxId] = frozenset(),
        select: bool = False,
    ) -> Execution:
        """Run a block of `epoch`, in which `validators` are in force, on the state before it.

        `known_valid` holds ids whose signature has been verified; an id fixes its kid, and a kid
        its key, so that verdict never changes. With `select` (proposer) inadmissible transactions
        and evidence are left out, and the block ends before it exceeds a cap; without it they
        raise BlockInvalid.
        """
        assert epoch == validators.epoch, "the validator set is another epoch's"
        draft = parent.draft()
        marks = Marks(draft, height)
        rules = parameters.in_force(parent.get(PARAMETERS_KEY), self._parameters)
        run = _Run(parent, draft, marks, validators, height, time_ms, known_valid, rules)
        run.marks.expire(parent, time_ms)
        open_epoch(draft, validators, height)
        noted = self._note_evidence(run, evidence, select=select)
        governance.take_effect(draft, height)
        governance.expire(draft, parent, time_ms // 1000)
        pending.expire(draft, parent, time_ms // 1000)
        timed = self._run_timers(run)
        draft.savepoint()
        room = rules.block_bytes_max - sum(len(item) for item in noted)
        self._run_transactions(run, transactions, room, select=select)
        for record, name, reason, result in timed:
            run.entries.append(
                entry.timer_entry(height, len(run.entries), record, name, reason, result)
            )
        following = self._close_epoch(run)
        run.marks.write()
        return Execution(
            draft.seal(),
            tuple(run.entries),
            tuple(run.included),
            tuple(run.dropped),
            noted,
            following,
            run.cost,
        )

    def _run_transactions(
        self, run: _Run, transactions: Sequence[Admitted], room: int, *, select: bool
    ) -> None:
        """Those that fit into `room` bytes and the other caps, in order. Raises BlockInvalid."""
        for admitted in transactions:
            room -= len(admitted.transaction.raw)
            if room < 0 or len(run.included) >= run.parameters.block_transactions_max:
                if select:
                    return
                raise BlockInvalid("BLOCK_TOO_LARGE", "more transactions than the caps allow")
            try:
                party = self._check(run, admitted.transaction)
            except Inadmissible as why:
                if not select:
                    raise BlockInvalid(why.reason, why.detail) from why
                run.dropped.append(Dropped(admitted, why))
                room += len(admitted.transaction.raw)
                continue
            if not self._apply(run, admitted, party):
                if select:
                    return
                raise BlockInvalid("BLOCK_TOO_DEAR", "the work costs more than block_cost_max")
            run.included.append(admitted)

    def _check(self, run: _Run, tx: Transaction) -> Party:
        """The submitter, when the transaction may be in the block here. Raises Inadmissible."""
        rules = run.parameters
        admission.check_limits(tx, rules)
        found = admission.resolve(tx, run.parent)
        if run.draft.wrote(party_key(tx.iss)):
            # Active before the block is not enough: the key must be so in block order.
            found = admission.resolve(tx, run.draft)
        if tx.id not in run.known_valid:
            admission.check_signature(tx, found.public_key, self._verifier)
        admission.check_time(tx, run.time_ms, rules)
        admission.check_replay(tx, run.draft, run.time_ms)
        admission.check_quota(run.marks.count(found.party.agency), rules)
        return found.party

    def _apply(self, run: _Run, admitted: Admitted, party: Party) -> bool:
        """Run all operations or none; either way (iss, jti) is used up. False when the block cannot
        afford it: then nothing has happened."""
        tx = admitted.transaction
        draft = run.draft
        context = Context(
            draft,
            self._chain,
            run.height,
            run.time_ms,
            run.parameters,
            run.validators,
            self._verifier,
            tx,
            party,
        )
        results: list[dict[str, Any]] = []
        refusal: Refusal | None = None
        for operation in admitted.operations:
            try:
                outcome = operation.apply(operation.fields, context)
            except DEFECTS as error:
                self.report(error)
                outcome = Refusal(DEFECT)
                context.expression_cost = run.parameters.expression_cost_max
            if isinstance(outcome, Refusal):
                refusal = outcome
                break
            results.append(outcome)
            context.index += 1
        tried = context.index + (refusal is not None)
        spent = parameters.cost(context.expression_cost, context.effects, tried)
        affordable = run.cost + spent <= run.parameters.block_cost_max
        if refusal is not None or not affordable:
            draft.rollback()
        if not affordable:
            return False
        run.cost += spent
        run.marks.add(tx, party.agency)
        draft.savepoint()
        index = len(run.entries)
        if refusal is None:
            made = entry.committed_entry(run.height, index, tx.id, results)
        else:
            made = entry.refused_entry(
                run.height, index, tx.id, refusal.reason, context.index, refusal.results
            )
        run.entries.append(made)
        return True

    def _run_timers(self, run: _Run) -> list[tuple[str, str, str, dict[str, Any]]]:
        """Fire what is due, in order, up to the caps: (record, name, reason or empty, result).

        What does not fit stays due, and is first in the next block.
        """
        now, rules = run.time_ms // 1000, run.parameters
        done: list[tuple[str, str, str, dict[str, Any]]] = []
        for at, record, name in timers.due(run.parent, now, rules.timers_per_block_max):
            if not timers.waits(run.draft, at, record, name):
                continue
            act = Act(
                draft=run.draft,
                chain=self._chain,
                height=run.height,
                now=now,
                tx="",
                party="",
                agency="",
                meter=Meter(rules.expression_cost_max),
                effects_left=rules.effects_max,
                record_bytes_max=rules.record_bytes_max,
                timer=f"{record}#{name}",
            )
            run.draft.savepoint()
            try:
                reason, result = timers.fire(act, at, record, name)
            except DEFECTS as error:
                self.report(error)
                reason, result, act.meter.left = DEFECT, {}, 0
            effects = rules.effects_max - max(act.effects_left, 0)
            spent = parameters.cost(rules.expression_cost_max - act.meter.rest, effects, 1)
            if run.cost + spent > rules.timers_cost_max:
                run.draft.rollback()
                break
            run.cost += spent
            if reason:
                run.draft.rollback()
                timers.put_off(act, at, record, name, reason)
            run.draft.savepoint()
            done.append((record, name, reason, result))
        return done

    def _close_epoch(self, run: _Run) -> ValidatorSet | None:
        value = run.draft.get(NEXT_VALIDATORS_KEY)
        if value is None:
            return None
        following = ValidatorSet.from_json(canonical.decode(value))
        run.entries.append(
            entry.epoch_entry(run.height, len(run.entries), following.epoch, following.hash)
        )
        return following

    def _note_evidence(
        self, run: _Run, evidence: Sequence[bytes], *, select: bool
    ) -> tuple[bytes, ...]:
        """Write the evidence keys. That evidence convicts is for the caller to verify."""
        ordered = sorted(set(evidence))
        if not select and ordered != list(evidence):
            raise BlockInvalid("EVIDENCE_INVALID", "not in strictly rising order")
        noted: list[bytes] = []
        for item in ordered:
            try:
                document = _evidence_decoder.decode(item)
            except msgspec.DecodeError as error:
                if not select:
                    raise BlockInvalid("EVIDENCE_INVALID", str(error)) from None
                continue
            key = evidence_key(document.epoch, document.member, document.kind)
            if run.draft.get(key) is not None:
                if not select:
                    raise BlockInvalid("EVIDENCE_INVALID", "this fault of the member is known")
                continue
            value = {
                "height": run.height,
                "kind": document.kind,
                "member": document.member,
                "epoch": document.epoch,
                "hash": sha256(item).hex(),
            }
            run.draft.put(key, canonical.encode(value))
            noted.append(item)
        return tuple(noted)


class _EvidenceDocument(msgspec.Struct, frozen=True):
    kind: str
    epoch: int
    member: int


_evidence_decoder = msgspec.json.Decoder(_EvidenceDocument)
