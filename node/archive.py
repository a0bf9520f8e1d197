"""Committed blocks in the store: tables h, b, B, c, t, T, E, k and meta (formats 13)."""

from __future__ import annotations

import msgspec

from ledger import canonical
from ledger.block import Block, Header, transaction_ids
from ledger.certificate import Certificate
from ledger.history import HistoryTree
from ledger.ids import BlockHash, Hash, Height
from ledger.store import Store, StoreDamaged
from ledger.validators import ValidatorSet

HEAD = b"xhead"
STORE_ID = b"xstore"
_ENTRIES = msgspec.msgpack.Decoder(tuple[bytes, ...])
_CERTIFICATE = msgspec.msgpack.Decoder(Certificate)
_BLOCK = msgspec.msgpack.Decoder(Block)


def height_key(table: bytes, height: int) -> bytes:
    """Key of a row that belongs to a height."""
    return table + height.to_bytes(8, "big")


def _entries_key(height: int) -> bytes:
    """Beside the block's body: what is written in rising order and lies together is merged once."""
    return height_key(b"B", height) + b"entries"


class Archive:
    """Reads what was committed, and knows the rows that a commit must write."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # ----- reading

    def head(self) -> Height | None:
        """Height of the last committed block; None in a store without a chain."""
        data = self._store.get(HEAD)
        return None if data is None else Height(int.from_bytes(data, "big"))

    def header(self, height: int) -> Header | None:
        """Header of a committed block."""
        data = self._store.get(height_key(b"h", height))
        return None if data is None else Header.decode(data)

    def block_hash(self, height: int) -> BlockHash | None:
        """Hash of a committed block."""
        data = self._store.get(height_key(b"b", height))
        return None if data is None else BlockHash(data)

    def certificate(self, height: int) -> Certificate | None:
        """A commit certificate for `height`, or for the block above that implies it."""
        data = self._store.get(height_key(b"c", height))
        return None if data is None else _CERTIFICATE.decode(data)

    def body(self, block_hash: bytes) -> Block | None:
        """A block by hash, committed or only proposed."""
        data = self._body(block_hash)
        return None if data is None else _BLOCK.decode(data)

    def body_size(self, block_hash: bytes) -> int:
        """Stored bytes of a block by hash, 0 when it is not here."""
        return len(self._body(block_hash) or b"")

    def _body(self, block_hash: bytes) -> bytes | None:
        height = self._store.get(b"H" + block_hash)
        return None if height is None else self._store.get(b"B" + height + block_hash)

    def block(self, height: int) -> Block | None:
        """A committed block. Raises StoreDamaged when its header is here and its body is not."""
        block_hash = self.block_hash(height)
        if block_hash is None:
            return None
        block = self.body(block_hash)
        if block is None and height > 0:
            raise StoreDamaged(f"body of block {height} is missing")
        return block

    def entries(self, height: int) -> tuple[bytes, ...]:
        """Canonical entries of a committed block; none of a height that is not committed.

        Raises StoreDamaged when its block is here and they are not.
        """
        data = self._store.get(_entries_key(height))
        if data is not None:
            return _ENTRIES.decode(data)
        if self.block_hash(height) is not None:
            raise StoreDamaged(
                f"the entries of block {height} are missing; if another version wrote this store, "
                "begin a new one"
            )
        return ()

    def location(self, txid: bytes) -> tuple[Height, int] | None:
        """Where a transaction was committed: (height, index)."""
        data = self._store.get(b"t" + txid)
        if data is None:
            return None
        return Height(int.from_bytes(data[:8], "big")), int.from_bytes(data[8:12], "big")

    def history_node(self, level: int, index: int) -> Hash | None:
        """Root of a perfect subtree of the history tree."""
        data = self._store.get(b"T" + level.to_bytes(1, "big") + index.to_bytes(8, "big"))
        return None if data is None else Hash(data)

    def history(self, size: int) -> HistoryTree:
        """The history tree over header hashes 0..size-1."""
        return HistoryTree(size, self.history_node)

    def epoch_set(self, epoch: int) -> tuple[Height, ValidatorSet] | None:
        """(closing height of the epoch before, validator set) of an epoch above 0."""
        data = self._store.get(height_key(b"E", epoch))
        if data is None:
            return None
        return (
            Height(int.from_bytes(data[:8], "big")),
            ValidatorSet.from_json(canonical.decode(data[8:])),
        )

    def note(self, height: int) -> str | None:
        """Checkpoint note of a height."""
        data = self._store.get(height_key(b"k", height))
        return None if data is None else data.decode("utf-8")

    # ----- rows of a commit

    def commit_rows(
        self, header: Header, block: Block, block_hash: BlockHash, entries: tuple[bytes, ...]
    ) -> dict[bytes, bytes | None]:
        """Rows that make `header` the head; its body and certificate have rows of their own."""
        height = header.height
        rows: dict[bytes, bytes | None] = {
            height_key(b"h", height): block.header,
            height_key(b"b", height): block_hash,
            _entries_key(height): msgspec.msgpack.encode(entries),
            HEAD: height.to_bytes(8, "big"),
        }
        place = height.to_bytes(8, "big")
        for index, txid in enumerate(transaction_ids(block)):
            rows[b"t" + txid] = place + index.to_bytes(4, "big")
        for level, index, node in self.history(height).append(block_hash):
            rows[b"T" + level.to_bytes(1, "big") + index.to_bytes(8, "big")] = node
        return rows

    @staticmethod
    def certificate_row(certificate: Certificate) -> dict[bytes, bytes | None]:
        """Row that keeps a commit certificate."""
        return {height_key(b"c", certificate.height): msgspec.msgpack.encode(certificate)}

    @staticmethod
    def body_rows(height: int, block_hash: bytes, block: Block) -> dict[bytes, bytes | None]:
        """Rows that keep a block body: in order of height, like entries."""
        return {
            height_key(b"B", height) + block_hash: msgspec.msgpack.encode(block),
            b"H" + block_hash: height.to_bytes(8, "big"),
        }

    @staticmethod
    def no_body_rows(height: int, block_hash: bytes) -> dict[bytes, bytes | None]:
        """Rows that forget a block body."""
        return {height_key(b"B", height) + block_hash: None, b"H" + block_hash: None}

    @staticmethod
    def note_row(height: int, text: bytes) -> dict[bytes, bytes | None]:
        """Row that keeps a signed checkpoint note."""
        return {height_key(b"k", height): text}

    @staticmethod
    def epoch_row(closing: int, validators: ValidatorSet) -> dict[bytes, bytes | None]:
        """Row that opens an epoch."""
        value = closing.to_bytes(8, "big") + canonical.encode(validators.to_json())
        return {height_key(b"E", validators.epoch): value}
