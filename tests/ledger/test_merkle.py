"""RFC 9162 trees: official proofs, a slow reference from the RFC's text, and mutations."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import merkle
from ledger.history import HistoryTree

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "merkle" / "testdata"
LEAVES = [f"leaf {i}".encode() for i in range(70)]


def slow_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 section 2.1.1, as written."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = slow_split(len(leaves))
    return sha256(b"\x01" + slow_root(leaves[:k]) + slow_root(leaves[k:])).digest()


def slow_split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def slow_path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 9162 section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = slow_split(len(leaves))
    if m < k:
        return [*slow_path(m, leaves[:k]), slow_root(leaves[k:])]
    return [*slow_path(m - k, leaves[k:]), slow_root(leaves[:k])]


def slow_subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 9162 section 2.1.4.1."""
    if m == len(leaves):
        return [] if whole else [slow_root(leaves)]
    k = slow_split(len(leaves))
    if m <= k:
        return [*slow_subproof(m, leaves[:k], whole), slow_root(leaves[k:])]
    return [*slow_subproof(m - k, leaves[k:], False), slow_root(leaves[:k])]


def grown(count: int) -> tuple[HistoryTree, dict[tuple[int, int], bytes]]:
    """A tree of `count` leaves and everything its appends completed."""
    tree, nodes = HistoryTree(), {}
    for data in LEAVES[:count]:
        for level, index, node in tree.append(data):
            assert (level, index) not in nodes
            nodes[level, index] = bytes(node)
    return tree, nodes


def reader(nodes: dict[tuple[int, int], bytes], reads: list[int]) -> merkle.ReadNode:
    def read(level: int, index: int) -> bytes | None:
        reads.append(level)
        return nodes.get((level, index))

    return read


def test_root_equals_the_definition() -> None:
    for n in range(len(LEAVES) + 1):
        assert merkle.root(LEAVES[:n]) == slow_root(LEAVES[:n])


def test_inclusion_equals_the_definition_and_verifies() -> None:
    for n in range(1, 34):
        root = merkle.root(LEAVES[:n])
        for index in range(n):
            path = merkle.inclusion_proof(LEAVES[:n], index)
            assert list(path) == slow_path(index, LEAVES[:n])
            merkle.verify_inclusion(LEAVES[index], index, n, path, root)


def test_consistency_equals_the_definition_and_verifies() -> None:
    for n in range(1, 34):
        root = merkle.root(LEAVES[:n])
        for first in range(1, n + 1):
            path = merkle.consistency_proof(LEAVES[:n], first)
            assert list(path) == slow_subproof(first, LEAVES[:n], True)
            merkle.verify_consistency(first, n, merkle.root(LEAVES[:first]), root, path)


def test_a_stored_history_proves_every_leaf_at_every_size() -> None:
    tree, nodes = grown(len(LEAVES))
    assert tree.size == len(LEAVES)
    for size in range(1, len(LEAVES) + 1):
        reads: list[int] = []
        read = reader(nodes, reads)
        assert merkle.root_at(size, read) == slow_root(LEAVES[:size])
        for index in range(size):
            reads.clear()
            path = merkle.inclusion_path(index, size, read)
            assert path == merkle.inclusion_proof(LEAVES[:size], index)
            assert len(reads) <= 2 * size.bit_length()
        first = (size + 1) // 2
        assert list(merkle.consistency_path(first, size, read)) == slow_subproof(
            first, LEAVES[:size], True
        )
    assert merkle.root_at(0, reader({}, [])) == slow_root([])


def test_a_tree_reloaded_at_any_size_grows_the_same() -> None:
    for size in range(len(LEAVES)):
        tree, nodes = grown(size)
        reloaded = HistoryTree(size, reader(nodes, []))
        assert reloaded.root() == tree.root() == merkle.root(LEAVES[:size])
        copy = tree.copy()
        assert copy.append(LEAVES[size]) == reloaded.append(LEAVES[size])
        assert copy.root() == merkle.root(LEAVES[: size + 1])
        assert tree.root() == merkle.root(LEAVES[:size])


def test_a_missing_node_halts() -> None:
    with pytest.raises(AssertionError):
        merkle.root_at(3, lambda level, index: None)
    with pytest.raises(AssertionError):
        HistoryTree(3, lambda level, index: None)


@given(data=st.data())
@settings(deadline=None, max_examples=150)
def test_a_changed_inclusion_proof_is_refused(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, len(LEAVES)))
    index = data.draw(st.integers(0, n - 1))
    path = list(merkle.inclusion_proof(LEAVES[:n], index))
    root = merkle.root(LEAVES[:n])
    at = data.draw(st.integers(0, len(path) - 1))
    flipped = bytearray(path[at])
    flipped[data.draw(st.integers(0, 31))] ^= 1 << data.draw(st.integers(0, 7))
    changes: list[Callable[[], None]] = [
        lambda: merkle.verify_inclusion(
            LEAVES[index], index, n, [*path[:at], bytes(flipped), *path[at + 1 :]], root
        ),
        lambda: merkle.verify_inclusion(LEAVES[index], index, n, path[:-1], root),
        lambda: merkle.verify_inclusion(LEAVES[index], index, n, [*path, root], root),
        lambda: merkle.verify_inclusion(LEAVES[index] + b"x", index, n, path, root),
        lambda: merkle.verify_inclusion(LEAVES[index], index ^ 1, n, path, root),
        lambda: merkle.verify_inclusion(LEAVES[index], -1, n, path, root),
        lambda: merkle.verify_inclusion(LEAVES[index], n, n, path, root),
        lambda: merkle.verify_inclusion(LEAVES[index], index, n, path, root[:-1]),
    ]
    for change in changes:
        with pytest.raises(ValueError):
            change()


def test_consistency_from_the_empty_tree_is_an_error() -> None:
    with pytest.raises(ValueError):
        merkle.verify_consistency(0, 3, merkle.EMPTY_ROOT, merkle.root(LEAVES[:3]), ())
    with pytest.raises(ValueError):
        merkle.verify_consistency(3, 2, merkle.root(LEAVES[:3]), merkle.root(LEAVES[:2]), ())
    with pytest.raises(ValueError):
        merkle.verify_consistency(2, 3, merkle.root(LEAVES[:2]), merkle.root(LEAVES[:3]), ())


def official(kind: str) -> list[Path]:
    if not VECTORS.is_dir():
        source = "testdata/ of transparency-dev/merkle, 417fb0c, on GitHub"
        pytest.skip(f"official vectors are not at {VECTORS}: {source}")
    return sorted((VECTORS / kind).rglob("*.json"))


def passes(check: Callable[[], None]) -> bool:
    try:
        check()
    except ValueError:
        return False
    return True


@pytest.mark.vectors
def test_official_inclusion_vectors() -> None:
    files = official("inclusion")
    assert len(files) == 98
    for file in files:
        case = json.loads(file.read_text())
        leaf, root = base64.b64decode(case["leafHash"]), base64.b64decode(case["root"])
        path = [base64.b64decode(text) for text in case["proof"] or []]
        index, size = case["leafIdx"], case["treeSize"]
        good = passes(lambda: merkle.verify_leaf_inclusion(leaf, index, size, path, root))  # noqa: B023
        assert good is not case["wantErr"], file


@pytest.mark.vectors
def test_official_consistency_vectors() -> None:
    files = official("consistency")
    assert len(files) == 98
    for file in files:
        case = json.loads(file.read_text())
        root1, root2 = base64.b64decode(case["root1"]), base64.b64decode(case["root2"])
        path = [base64.b64decode(text) for text in case["proof"] or []]
        first, second = case["size1"], case["size2"]
        good = passes(lambda: merkle.verify_consistency(first, second, root1, root2, path))  # noqa: B023
        assert good is not case["wantErr"], file
        assert first > 0 or not good, file
