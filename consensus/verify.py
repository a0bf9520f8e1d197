"""Untrusted bytes to verified messages. Stateless: whatever fails here is the sender's fault."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from consensus.messages import (
    HEIGHT_MAX,
    VIEW_MAX,
    Checkpoint,
    Decided,
    Message,
    NewView,
    Propose,
    Signed,
    ViewChange,
    Vote,
    signed_text,
)
from ledger import note
from ledger.block import Header, commit_hash, transactions_root
from ledger.certificate import Certificate, Phase, verify_certificate
from ledger.crypto import Verifier, sha256
from ledger.ids import BlockHash, ChainId, Epoch, Hash, Height
from ledger.merkle import root as merkle_root
from ledger.parameters import BOUNDS
from ledger.validators import ValidatorSet

CACHE_ENTRIES_MAX = 4096
CACHED_BYTES_MAX = 256
"""Votes and notes are shorter. A transaction may take 256 KiB and comes once, so it is not kept."""
EVIDENCE_MAX = 16
WINDOW_MAX = BOUNDS["window"][1]
SYNC_EPOCHS = 1
"""How many epochs below the current one a certificate may come from (the anchor of an epoch)."""


class RemoteFault(ValueError):
    """The peer sent what no correct peer sends. Drop it and charge the peer."""


class StaleEpoch(Exception):
    """The message belongs to an epoch that is not in force here: drop it, charge nobody."""


class CachedVerifier:
    """Remembers which signatures were valid, because certificates repeat votes already seen."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._valid: OrderedDict[tuple[bytes, bytes, bytes], None] = OrderedDict()

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """As the inner verifier; a signature that was valid once is not computed again."""
        if len(message) > CACHED_BYTES_MAX:
            return self._verifier.verify(public_key, message, signature)
        key = (public_key, message, signature)
        if key in self._valid:
            self._valid.move_to_end(key)
            return True
        if not self._verifier.verify(public_key, message, signature):
            return False
        self._valid[key] = None
        if len(self._valid) > CACHE_ENTRIES_MAX:
            self._valid.popitem(last=False)
        return True


class Authenticator:
    """Checks signatures and shapes against the validator sets of the epochs it was told of."""

    def __init__(
        self,
        chain: ChainId,
        genesis_block: BlockHash,
        sets: Mapping[Epoch, ValidatorSet],
        verifier: Verifier,
    ) -> None:
        """`sets` is read at each call, so the owner may add an epoch to it."""
        self._chain = chain
        self._genesis_block = genesis_block
        self._sets = sets
        self._verifier = verifier

    def certificate(self, certificate: Certificate) -> None:
        """Raises RemoteFault unless a quorum of its epoch signed it; StaleEpoch when that
        epoch's set is not known here."""
        validators = self._sets.get(Epoch(certificate.epoch))
        if validators is None:
            raise StaleEpoch
        try:
            verify_certificate(
                certificate, self._chain, validators, self._genesis_block, self._verifier
            )
        except ValueError as error:
            raise RemoteFault(str(error)) from None

    def check(self, message: Message) -> None:
        """Raises RemoteFault, or StaleEpoch when the message's epoch is not in force."""
        if isinstance(message, Decided):
            if message.certificate.phase is not Phase.COMMIT:
                raise RemoteFault("decided: not a commit certificate")
            self.certificate(message.certificate)
            return
        validators = self._sets.get(Epoch(message.epoch))
        if validators is None:
            raise StaleEpoch
        self._signature(message, validators)
        if isinstance(message, Propose):
            self._propose(message)
        elif isinstance(message, Vote):
            self._vote(message)
        elif isinstance(message, ViewChange):
            self._view_change(message)
        elif isinstance(message, NewView):
            self._new_view(message, validators)

    def _signature(self, message: Signed, validators: ValidatorSet) -> None:
        if not 0 <= message.signer < len(validators):
            raise RemoteFault("signer is not a member")
        if isinstance(message, Checkpoint):
            if len(message.root) != 32 or not 0 <= message.height < HEIGHT_MAX:
                raise RemoteFault("checkpoint out of range")
            text = note.note_text(self._chain, Height(message.height), Hash(message.root))
        else:
            text = signed_text(message, self._chain)
        if not self._verifier.verify(validators.vote_keys[message.signer], text, message.signature):
            raise RemoteFault(f"{type(message).__name__}: signature is not valid")

    def _propose(self, message: Propose) -> None:
        if not 0 <= message.view < VIEW_MAX or not 0 < message.height < HEIGHT_MAX:
            raise RemoteFault("propose: view or height out of range")
        if sha256(message.header) != message.block_hash:
            raise RemoteFault("propose: block hash is not the header's")
        if any(len(txid) != 32 for txid in message.transaction_ids):
            raise RemoteFault("propose: a transaction id is not 32 bytes")
        if len(message.evidence) > EVIDENCE_MAX:
            raise RemoteFault("propose: too much evidence")
        if message.commit.phase is not Phase.COMMIT:
            raise RemoteFault("propose: the body's commit is not a commit certificate")
        if not message.height - WINDOW_MAX <= message.commit.height < message.height:
            raise RemoteFault("propose: the body's commit is of another height")
        self._body(message)
        self.certificate(message.commit)

    @staticmethod
    def _body(message: Propose) -> None:
        """The signature covers the header alone, so whoever passes a proposal on could change its
        body and have the primary blamed for it."""
        try:
            header = Header.decode(message.header)
        except ValueError as error:
            raise RemoteFault(str(error)) from None
        if (
            transactions_root(message.transaction_ids).hex() != header.tx_root
            or merkle_root(message.evidence).hex() != header.evidence_root
            or commit_hash(message.commit).hex() != header.commit_hash
        ):
            raise RemoteFault("propose: the body is not the one the header commits to")

    def _vote(self, message: Vote) -> None:
        if message.phase is Phase.PROPOSE:
            raise RemoteFault("vote: a proposal is not a vote")
        if not 0 <= message.view < VIEW_MAX or not 0 < message.height < HEIGHT_MAX:
            raise RemoteFault("vote: view or height out of range")
        if len(message.block_hash) != 32:
            raise RemoteFault("vote: block hash is not 32 bytes")

    def _view_change(self, message: ViewChange) -> None:
        if not 0 < message.view < VIEW_MAX:
            raise RemoteFault("view change: view out of range")
        if message.committed.phase is not Phase.COMMIT:
            raise RemoteFault("view change: committed is not a commit certificate")
        if message.committed.height > message.highest.height:
            raise RemoteFault("view change: highest is below committed")
        for certificate in (message.committed, message.highest):
            if certificate.phase is Phase.PROPOSE:
                raise RemoteFault("view change: proposals are no certificate")
            if certificate.epoch == message.epoch and certificate.view >= message.view:
                raise RemoteFault("view change: a certificate is not below its view")
            if not message.epoch - SYNC_EPOCHS <= certificate.epoch <= message.epoch:
                raise RemoteFault("view change: a certificate of another epoch")
            if certificate.epoch < message.epoch and certificate.phase is not Phase.COMMIT:
                raise RemoteFault("view change: an old epoch's certificate must be a commit")
            self.certificate(certificate)

    def _new_view(self, message: NewView, validators: ValidatorSet) -> None:
        signers = [change.signer for change in message.view_changes]
        if len(signers) != validators.quorum or signers != sorted(set(signers)):
            raise RemoteFault("new view: want exactly a quorum of view changes, in order")
        for change in message.view_changes:
            if (change.epoch, change.view) != (message.epoch, message.view):
                raise RemoteFault("new view: a view change of another view")
            self._signature(change, validators)
            self._view_change(change)
        if message.signer != message.view % len(validators):
            raise RemoteFault("new view: not from the member whose view it is")
