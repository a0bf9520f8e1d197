"""Frames: formats section 12."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2p import framing
from p2p.framing import Frame, FrameDecoder
from p2p.wire import PAYLOAD_BYTES_MAX, Fault

FRAMES = st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=40)), max_size=12)


def decoder() -> FrameDecoder:
    opened = FrameDecoder()
    opened.open_all_channels()
    return opened


def chunks_of(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


def reference(stream: bytes) -> tuple[list[Frame], Fault | None]:
    """The sentence of the specification, slowly."""
    frames: list[Frame] = []
    while len(stream) >= 5:
        length, channel = int.from_bytes(stream[:4], "big"), stream[4]
        if length == 0 or channel > 3:
            return frames, Fault.MALFORMED
        if length - 1 > PAYLOAD_BYTES_MAX[channel]:
            return frames, Fault.TOO_LARGE
        if len(stream) < 4 + length:
            break
        frames.append((channel, stream[5 : 4 + length]))
        stream = stream[4 + length :]
    return frames, None


def test_a_frame_is_length_channel_payload() -> None:
    assert framing.encode(2, b"abc") == bytes.fromhex("0000000402616263")
    assert framing.encode(0, b"") == bytes.fromhex("0000000100")


@settings(deadline=None, max_examples=200)
@given(FRAMES, st.lists(st.integers(0, 600), max_size=20))
def test_any_chunking_gives_the_same_frames(frames: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(framing.encode(channel, payload) for channel, payload in frames)
    split = decoder()
    got = [frame for chunk in chunks_of(stream, cuts) for frame in split.receive(chunk)]
    assert got == frames
    assert split.fault is None
    assert split.buffered_bytes == 0


@settings(deadline=None, max_examples=200)
@given(FRAMES, st.binary(max_size=60), st.lists(st.integers(0, 600), max_size=20))
def test_any_bytes_in_any_chunks_agree_with_the_reference(
    frames: list[Frame], junk: bytes, cuts: list[int]
) -> None:
    stream = b"".join(framing.encode(channel, payload) for channel, payload in frames) + junk
    split = decoder()
    got = [frame for chunk in chunks_of(stream, cuts) for frame in split.receive(chunk)]
    want, fault = reference(stream)
    assert got == want
    assert (split.fault.reason if split.fault else None) == fault


def test_byte_by_byte() -> None:
    split = decoder()
    stream = framing.encode(1, b"hello") + framing.encode(3, b"")
    got = [frame for byte in stream for frame in split.receive(bytes([byte]))]
    assert got == [(1, b"hello"), (3, b"")]


@pytest.mark.parametrize("channel", range(4))
def test_the_limit_is_inclusive(channel: int) -> None:
    payload = bytes(PAYLOAD_BYTES_MAX[channel])
    assert decoder().receive(framing.encode(channel, payload)) == [(channel, payload)]


@pytest.mark.parametrize("channel", range(4))
def test_an_oversized_frame_is_refused_by_its_header_alone(channel: int) -> None:
    split = decoder()
    header = (PAYLOAD_BYTES_MAX[channel] + 2).to_bytes(4, "big") + bytes([channel])
    assert split.receive(header) == []
    assert split.fault is not None
    assert split.fault.reason is Fault.TOO_LARGE
    assert split.buffered_bytes == 0


@pytest.mark.parametrize("header", ["0000000000", "0000000104", "ffffffffff"])
def test_a_faulty_header_ends_the_stream(header: str) -> None:
    split = decoder()
    good = framing.encode(1, b"x")
    assert split.receive(good + bytes.fromhex(header) + good) == [(1, b"x")]
    assert split.fault is not None
    assert split.fault.reason is Fault.MALFORMED
    assert split.receive(good * 100) == []
    assert split.buffered_bytes == 0


def test_before_the_hello_only_control_frames_are_accepted() -> None:
    closed = FrameDecoder()
    stream = framing.encode(0, b"hello") + framing.encode(1, b"vote")
    assert closed.receive(stream, frames_max=1) == [(0, b"hello")]
    assert closed.fault is None
    closed.open_all_channels()
    assert closed.receive(b"") == [(1, b"vote")]

    closed = FrameDecoder()
    assert closed.receive(framing.encode(1, b"vote")) == []
    assert closed.fault is not None


def test_a_payload_over_the_limit_is_our_own_fault() -> None:
    with pytest.raises(AssertionError):
        framing.encode(0, bytes(1_025))
