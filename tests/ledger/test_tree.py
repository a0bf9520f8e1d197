"""The state tree against a slow reference written from docs/spec/formats.md, section 8."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.state_proof import BUCKET_MAX, Proof, verify
from ledger.tree import Tree


def reference_root(entries: dict[bytes, bytes], depth: int = 0) -> bytes:
    """The definition, word for word."""
    if len(entries) <= BUCKET_MAX:
        return sha256(b"\x00" + b"".join(k + entries[k] for k in sorted(entries))).digest()
    children = []
    for index in range(4):
        bits = f"{index:02b}"
        below = {
            k: v
            for k, v in entries.items()
            if f"{int.from_bytes(k, 'big'):0256b}"[2 * depth : 2 * depth + 2] == bits
        }
        children.append(reference_root(below, depth + 1))
    return sha256(b"\x01" + b"".join(children)).digest()


def _key(number: int) -> bytes:
    return b"key/%d" % number


def _hash(data: bytes) -> bytes:
    return sha256(data).digest()


def _entries(numbers: range) -> dict[bytes, bytes]:
    return {_hash(_key(n)): _hash(b"value %d" % n) for n in numbers}


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 64, 65, 300, 2000])
def test_build_gives_the_reference_root(size: int) -> None:
    entries = _entries(range(size))
    tree = Tree.build(reversed(entries.items()))
    assert tree.root == reference_root(entries)
    assert len(tree) == size
    assert Tree.empty().update(dict(entries)).root == tree.root


def test_the_empty_root_is_the_hash_of_a_zero_byte() -> None:
    assert Tree.empty().root == sha256(b"\x00").digest()
    assert Tree.empty().update({}).root == Tree.empty().root


# Few distinct keys that share long prefixes, so that deep splits and merges happen often.
_NEAR = st.builds(
    lambda head, tail: bytes((head,)) * 3 + bytes((tail,)) + bytes(28),
    st.sampled_from([0, 1, 0x3F, 0x40, 0xFF]),
    st.integers(0, 255),
)
_FAR = st.integers(0, 400).map(lambda n: _hash(_key(n)))
_BATCHES = st.lists(
    st.dictionaries(
        st.one_of(_NEAR, _FAR),
        st.one_of(st.none(), st.sampled_from([b"\x01" * 32, b"\x02" * 32])),
        max_size=60,
    ),
    max_size=8,
)


@settings(max_examples=120, deadline=None)
@given(_BATCHES, st.booleans())
def test_any_updates_give_the_root_of_the_set(
    batches: list[dict[bytes, bytes | None]], singly: bool
) -> None:
    tree, model = Tree.empty(), dict[bytes, bytes]()
    for batch in batches:
        if singly:
            for key, value in batch.items():
                tree = tree.update({key: value})
        else:
            tree = tree.update(batch)
        for key, value in batch.items():
            if value is None:
                model.pop(key, None)
            else:
                model[key] = value
        assert tree.root == reference_root(model)
        assert len(tree) == len(model)
        for asked in batches[0].keys() | model.keys():
            assert tree.has(asked) == (asked in model)


def test_deletions_merge_buckets_back() -> None:
    entries = _entries(range(500))
    tree = Tree.build(entries.items())
    gone = list(entries)[10:]
    at_once = tree.update(dict.fromkeys(gone))
    one_by_one = tree
    for key in gone:
        one_by_one = one_by_one.update({key: None})
    want = reference_root({key: entries[key] for key in list(entries)[:10]})
    assert at_once.root == one_by_one.root == want
    assert at_once.prove(gone[0]).depth == 0


def test_an_older_version_stays_valid() -> None:
    old = Tree.build(_entries(range(100)).items())
    root = old.root
    old.update({_hash(_key(5)): bytes(32), _hash(_key(6)): None})
    assert old.root == root == Tree.build(_entries(range(100)).items()).root


def test_a_key_hash_inside_another_entry_is_not_found_there() -> None:
    key, value = b"\x05" * 32, b"\x04" * 32
    other = b"\x01" * 32
    tree = Tree.build([(other, key)])  # the value hash spells the key
    assert tree.update({key: value}).root == reference_root({other: key, key: value})
    assert tree.update({key: None}).root == tree.root
    assert tree.has(other)
    assert not tree.has(key)


@pytest.mark.parametrize("bits", range(24))
def test_what_exists_is_found_however_deep_it_lies(bits: int) -> None:
    """More keys than a bucket holds share `bits` leading bits, and differ in the next ones."""
    keys = [(number << (256 - 8 - bits)).to_bytes(32, "big") for number in range(0, 256, 256 // 64)]
    tree = Tree.build((key, _hash(key)) for key in keys)
    for key in keys:
        assert tree.has(key)
        assert not tree.has(key[:-1] + b"\x01")
    assert len(keys) > BUCKET_MAX


@pytest.mark.parametrize("size", [0, 1, 16, 17, 1000])
def test_proofs_of_presence_and_absence_verify(size: int) -> None:
    tree = Tree.build(_entries(range(size)).items())
    for number in range(0, size + 40, 7):
        key = _key(number)
        value = b"value %d" % number if number < size else None
        proof = Proof.from_json(tree.prove(_hash(key)).to_json())
        assert verify(tree.root, key, value, proof)
        assert not verify(tree.root, key, b"another value", proof)
        assert not verify(tree.root, key, None if value else b"value", proof)
        assert not verify(bytes(32), key, value, proof)


def _proof() -> tuple[Tree, bytes, bytes, Proof]:
    tree = Tree.build(_entries(range(1000)).items())
    return tree, _key(3), b"value 3", tree.prove(_hash(_key(3)))


def test_a_malformed_proof_does_not_verify() -> None:
    tree, key, value, proof = _proof()
    bucket, siblings = proof.bucket, proof.siblings
    a, b, c = siblings[0]
    bad = [
        Proof(proof.depth + 1, bucket, siblings),
        Proof(proof.depth, bucket[::-1], siblings),
        Proof(proof.depth, bucket * 17, siblings),
        Proof(proof.depth, ((b"short", b"short"), *bucket), siblings),
        Proof(proof.depth, bucket, ((a + b, b"", c), *siblings[1:])),
        Proof(200, bucket, siblings * 40),
        Proof(proof.depth, bucket, siblings[::-1]),
    ]
    for proof in bad:
        assert not verify(tree.root, key, value, proof)


def test_an_inner_node_cannot_pass_for_a_bucket() -> None:
    tree, _, _, proof = _proof()
    # Two of the root's children, read as one entry, would need the bucket's first byte.
    child = _hash(b"\x00" + b"".join(k + v for k, v in proof.bucket))
    a, b, c = proof.siblings[0]
    forged = Proof(0, tuple(sorted([(a, b), (c, child)])), ())
    assert not verify(tree.root, b"any key", None, forged)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"depth": 0, "bucket": []},
        {"depth": 1, "bucket": [], "siblings": []},
        {"depth": 0, "bucket": [], "siblings": [], "more": 1},
        {"depth": 0, "bucket": [["00", "00"]], "siblings": []},
        {"depth": 0, "bucket": [["AB" * 32, "00" * 32]], "siblings": []},
        {"depth": 0, "bucket": [["ab" * 32, "00" * 32]] * 17, "siblings": []},
    ],
)
def test_other_json_is_no_proof(value: object) -> None:
    with pytest.raises(ValueError):
        Proof.from_json(value)
