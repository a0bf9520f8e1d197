"""Both stores keep one contract; LevelDB says when its files are damaged or its disk is full."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import plyvel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.leveldb import LevelStore
from ledger.store import MemoryStore, Store, StoreDamaged


@pytest.fixture(params=["memory", "leveldb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = (
        MemoryStore()
        if request.param == "memory"
        else LevelStore(tmp_path / "db", create_if_missing=True)
    )
    yield made
    made.close()


def test_staged_writes_are_seen_and_a_crash_loses_them(store: Store) -> None:
    store.stage({b"a": b"1", b"b": b"2"})
    assert store.has_staged()
    assert store.has_staged(b"a")
    assert not store.has_staged(b"z")
    assert store.get(b"a") == b"1"
    store.flush()
    assert not store.has_staged()
    store.stage({b"a": None, b"b": b"3"})
    assert (store.get(b"a"), store.get(b"b"), store.get(b"c")) == (None, b"3", None)
    store.discard()
    assert (store.get(b"a"), store.get(b"b")) == (b"1", b"2")
    store.stage({b"a": None})
    store.flush()
    store.flush()
    assert store.get(b"a") is None
    assert store.size() > 0


def test_scan_starts_and_turns_as_documented(store: Store) -> None:
    store.stage({b"p\x01": b"1", b"p\x03": b"3", b"p\xff": b"f", b"q": b"q", b"o": b"o"})
    store.flush()
    store.stage({b"p\x02": b"2", b"p\x03": None, b"p\x05": b"5"})
    keys = [key for key, _ in store.scan(b"p")]
    assert keys == [b"p\x01", b"p\x02", b"p\x05", b"p\xff"]
    assert [k for k, _ in store.scan(b"p", b"p\x02")] == keys[1:]
    assert [k for k, _ in store.scan(b"p", b"p\x05", reverse=True)] == keys[2::-1]
    assert [k for k, _ in store.scan(b"p", b"z", reverse=True)] == keys[::-1]
    assert [k for k, _ in store.scan(b"p", b"a")] == keys
    assert [k for k, _ in store.scan(b"p", b"z")] == []
    assert [k for k, _ in store.scan(b"p", reverse=True)] == keys[::-1]
    assert [k for k, _ in store.scan(b"", b"p\xff")] == [b"p\xff", b"q"]


_KEYS = st.binary(min_size=1, max_size=3).map(lambda b: bytes(x % 3 + 253 for x in b))
_STEPS = st.lists(
    st.tuples(st.dictionaries(_KEYS, st.one_of(st.none(), st.just(b"v"))), st.booleans()),
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(_STEPS, st.binary(max_size=2), _KEYS, st.booleans())
def test_leveldb_scans_as_the_memory_store(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[dict[bytes, bytes | None], bool]],
    prefix: bytes,
    start: bytes,
    reverse: bool,
) -> None:
    level = LevelStore(tmp_path_factory.mktemp("db"), create_if_missing=True)
    memory = MemoryStore()
    for writes, flush in steps:
        for one in (level, memory):
            assert isinstance(one, LevelStore | MemoryStore)
            one.stage(writes)
            if flush:
                one.flush()
    for at in (prefix, b"\xff", b""):
        assert list(level.scan(at, start, reverse=reverse)) == list(
            memory.scan(at, start, reverse=reverse)
        )
    level.close()


def test_a_flushed_write_survives_reopening(tmp_path: Path) -> None:
    first = LevelStore(tmp_path / "db", create_if_missing=True)
    first.stage({b"a": b"1"})
    first.flush()
    first.stage({b"a": b"2"})
    first.close()
    second = LevelStore(tmp_path / "db")
    assert second.get(b"a") == b"1"
    second.close()


def test_a_missing_database_is_damage_unless_it_may_be_created(tmp_path: Path) -> None:
    with pytest.raises(StoreDamaged, match="no database"):
        LevelStore(tmp_path / "db")
    assert not (tmp_path / "db").exists()


def test_a_second_opener_gets_an_oserror(tmp_path: Path) -> None:
    first = LevelStore(tmp_path / "db", create_if_missing=True)
    with pytest.raises(OSError, match="lock"):
        LevelStore(tmp_path / "db")
    first.close()


def _filled(directory: Path) -> None:
    """Rows in tables, which an opening makes of the log, and rows in a log."""
    for part in (range(0, 380_000, 20_000), range(380_000, 400_000, 20_000)):
        store = LevelStore(directory, create_if_missing=True)
        for start in part:
            store.stage({b"k%08d" % n: b"%d" % n * 9 for n in range(start, start + 20_000)})
            store.flush()
        store.close()


def _read_all(directory: Path) -> None:
    store = LevelStore(directory)
    try:
        for _ in store.scan(b"k"):
            pass
    finally:
        store.close()


def _get_some(directory: Path) -> None:
    store = LevelStore(directory)
    try:
        for number in range(0, 400_000, 50):
            store.get(b"k%08d" % number)
    finally:
        store.close()


def _flip(file: Path, at: float) -> None:
    data = bytearray(file.read_bytes())
    middle = int(len(data) * at)
    for index in range(middle, middle + 8):
        data[index] ^= 0xFF
    file.write_bytes(data)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("filled") / "db"
    _filled(directory)
    return directory


def _copy(filled: Path, tmp_path: Path) -> Path:
    directory = tmp_path / "db"
    directory.mkdir()
    for file in filled.iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    return directory


@pytest.mark.parametrize("suffix", [".ldb", ".log", "MANIFEST"])
def test_a_damaged_file_is_noticed(filled: Path, tmp_path: Path, suffix: str) -> None:
    directory = _copy(filled, tmp_path)
    files = sorted(f for f in directory.iterdir() if suffix in f.name and f.stat().st_size > 40)
    assert files
    _flip(files[0], 0.4)
    with pytest.raises(StoreDamaged):
        _read_all(directory)


def test_a_get_from_a_damaged_table_is_noticed(filled: Path, tmp_path: Path) -> None:
    directory = _copy(filled, tmp_path)
    for file in directory.glob("*.ldb"):
        _flip(file, 0.4)
    with pytest.raises(StoreDamaged):
        _get_some(directory)


def test_a_lost_file_is_noticed(filled: Path, tmp_path: Path) -> None:
    directory = _copy(filled, tmp_path)
    min(directory.glob("*.ldb")).unlink()
    with pytest.raises(StoreDamaged):
        _read_all(directory)


class _FullDisk:
    """Stands for plyvel.DB on a disk that is full."""

    def __init__(self, text: str) -> None:
        self._text = text

    def write_batch(self, **_: object) -> _FullDisk:
        raise plyvel.IOError(self._text)

    def close(self) -> None:
        return


@pytest.mark.parametrize(
    ("text", "number"),
    [("000005.log: No space left on device", errno.ENOSPC), ("Input/output error", errno.EIO)],
)
def test_a_disk_that_refuses_is_an_oserror(tmp_path: Path, text: str, number: int) -> None:
    store = LevelStore(tmp_path / "db", create_if_missing=True)
    store._db.close()
    store._db = _FullDisk(text)
    store.stage({b"a": b"1"})
    with pytest.raises(OSError, match="store") as caught:
        store.flush()
    assert caught.value.errno == number
    assert store.has_staged()
    store.close()


_PRIORITIES = """
import os, sys
from pathlib import Path
from ledger.leveldb import LevelStore
stores = [LevelStore(Path(sys.argv[1]) / name, create_if_missing=True) for name in "ab"]
tasks = [int(task) for task in os.listdir("/proc/self/task")]
nice = [os.getpriority(os.PRIO_PROCESS, task) for task in tasks]
print(sorted(value - os.getpriority(os.PRIO_PROCESS, os.getpid()) for value in nice))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux")
def test_merges_run_behind_everything_else(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PRIORITIES, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert done.stdout.strip() == str([0, min(10, 19 - own)] if own < 19 else [0, 0])


def test_opening_a_database_merges_none_of_its_files(tmp_path: Path) -> None:
    directory = tmp_path / "db"
    for number in range(3):
        store = LevelStore(directory, create_if_missing=True)
        store.stage({b"%d/%d" % (row, number): bytes(1_000) for row in range(100)})
        store.flush()
        store.close()
    LevelStore(directory).close()
    tables = {file.name for file in directory.glob("*.ldb")}
    assert len(tables) == 3
    LevelStore(directory).close()
    assert {file.name for file in directory.glob("*.ldb")} == tables
