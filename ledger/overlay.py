"""Writes laid over sorted entries: how staged and uncommitted writes show in a scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def merge(
    entries: Iterator[tuple[bytes, bytes]],
    changed: Mapping[bytes, bytes | None],
    *,
    reverse: bool = False,
) -> Iterator[tuple[bytes, bytes]]:
    """Sorted `entries` with `changed` laid over them (None deletes), in the same order."""
    keys = sorted(changed, reverse=reverse)
    at = 0
    for key, value in entries:
        while at < len(keys) and (keys[at] > key if reverse else keys[at] < key):
            fresh = changed[keys[at]]
            if fresh is not None:
                yield keys[at], fresh
            at += 1
        if at < len(keys) and keys[at] == key:
            continue
        yield key, value
    for key in keys[at:]:
        fresh = changed[key]
        if fresh is not None:
            yield key, fresh
