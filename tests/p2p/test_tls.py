"""Pinned certificates over TLS 1.3, joined in memory: who is let in, and who is not."""

from __future__ import annotations

import contextlib
import datetime
import ssl
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from p2p.tls import TlsContexts, TlsError, TlsStream, check_certificate, fingerprint
from p2p.tls import make_certificate as make


@dataclass(frozen=True)
class Holder:
    key_pem: bytes
    certificate: bytes

    def contexts(self, *trusted: Holder) -> TlsContexts:
        return TlsContexts(self.key_pem, self.certificate, [other.certificate for other in trusted])


def holder(name: str, number: int) -> Holder:
    return Holder(*make(name, bytes([number]) * 32))


A, B, C = holder("a", 1), holder("b", 2), holder("c", 3)
STRANGER = holder("stranger", 9)


AnyKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey


def build(key: AnyKey, signer: AnyKey, *, ca: bool, subject: str, issuer: str, year: int) -> bytes:
    """A certificate for `key`, from 2000 to the end of `year`."""
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(year, 12, 31, 23, 59, 59, tzinfo=datetime.UTC))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(signer, None if isinstance(signer, Ed25519PrivateKey) else SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


def key_of(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def forge(ca: bool) -> Holder:
    """A certificate for a stranger's key, signed by A in A's name."""
    certificate = build(key_of(9), key_of(1), ca=ca, subject="forged", issuer="a", year=9999)
    return Holder(STRANGER.key_pem, certificate)


def self_signed(key: AnyKey, *, ca: bool = False, year: int = 9999) -> bytes:
    return build(key, key, ca=ca, subject="a", issuer="a", year=year)


def shuttle(dialler: TlsStream, listener: TlsStream) -> None:
    """Carry bytes both ways until both are silent. Raises the first TlsError."""
    dialler.start()
    listener.start()
    for _ in range(10):
        out = dialler.take_outgoing()
        if out:
            listener.receive(out)
        back = listener.take_outgoing()
        if back:
            dialler.receive(back)
        if not out and not back:
            return
    raise AssertionError("the handshake never ends")


def join(dialler: TlsContexts, listener: TlsContexts) -> tuple[TlsStream, TlsStream]:
    ends = TlsStream(dialler, dialled=True), TlsStream(listener, dialled=False)
    shuttle(*ends)
    return ends


def test_two_members_meet_and_know_each_other() -> None:
    dialler, listener = join(A.contexts(B, C), B.contexts(A, C))
    assert dialler.established
    assert listener.established
    assert dialler.leaf_fingerprint() == fingerprint(B.certificate)
    assert listener.leaf_fingerprint() == fingerprint(A.certificate)
    dialler.send(b"x" * 100_000)
    assert listener.receive(dialler.take_outgoing()) == b"x" * 100_000
    listener.send(b"back")
    assert dialler.receive(listener.take_outgoing()) == b"back"
    dialler.close()
    assert listener.receive(dialler.take_outgoing()) == b""
    assert listener.ended


def test_no_session_is_ever_resumed() -> None:
    listening = B.contexts(A).listening
    assert listening.num_tickets == 0
    dialler, _ = join(A.contexts(B), B.contexts(A))
    assert dialler._object.session_reused is False


def test_bytes_may_come_one_by_one() -> None:
    dialler = TlsStream(A.contexts(B), dialled=True)
    listener = TlsStream(B.contexts(A), dialled=False)
    dialler.start()
    for _ in range(3):
        for byte in dialler.take_outgoing():
            listener.receive(bytes([byte]))
        for byte in listener.take_outgoing():
            dialler.receive(bytes([byte]))
    assert dialler.established
    assert listener.established


def test_a_stranger_who_dials_is_refused() -> None:
    with pytest.raises(TlsError) as caught:
        join(STRANGER.contexts(B), B.contexts(A, C))
    assert caught.value.reason == "certificate"


def test_a_stranger_who_answers_is_refused() -> None:
    with pytest.raises(TlsError) as caught:
        join(A.contexts(B, C), STRANGER.contexts(A))
    assert caught.value.reason == "certificate"


def test_a_caller_without_a_certificate_is_refused() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=B.certificate)
    with pytest.raises(TlsError) as caught:
        raw_dial(context, B.contexts(A))
    assert caught.value.reason == "protocol"


def test_member_a_answering_for_b_shows_its_own_leaf() -> None:
    """TLS lets it pass, since A is a member; the dialler compares the leaf (see test_transport)."""
    dialler, _ = join(C.contexts(A, B), A.contexts(B, C))
    assert dialler.leaf_fingerprint() != fingerprint(B.certificate)


@pytest.mark.parametrize("ca", [False, True])
def test_a_member_cannot_vouch_for_a_stranger(ca: bool) -> None:
    """A's key signs a certificate for a stranger, who sends A's along as the issuer's."""
    forged = forge(ca)
    contexts = forged.contexts(B)
    contexts.dialling.load_verify_locations(cadata=A.certificate)  # sent as the rest of the chain
    with pytest.raises(TlsError) as caught:
        join(contexts, B.contexts(A, C))
    assert caught.value.reason == "certificate"


def test_were_a_certificate_a_ca_only_the_leaf_would_tell() -> None:
    """Why there are two rules: CA:FALSE refuses the stranger in TLS, the pinned leaf here."""
    authority = Holder(A.key_pem, self_signed(key_of(1), ca=True))
    _, listener = join(forge(ca=False).contexts(B), B.contexts(authority))
    assert listener.leaf_fingerprint() not in {
        fingerprint(authority.certificate),
        fingerprint(A.certificate),
    }


def test_a_copy_of_a_members_certificate_without_its_key_cannot_be_loaded() -> None:
    with pytest.raises(ValueError, match="transport key or certificate"):
        TlsContexts(STRANGER.key_pem, A.certificate, [B.certificate])


def test_same_subject_and_other_key_is_refused() -> None:
    impostor = holder("a", 8)
    with pytest.raises(TlsError):
        join(impostor.contexts(B), B.contexts(A, C))


def raw_dial(context: ssl.SSLContext, listener: TlsContexts) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing)
    server = TlsStream(listener, dialled=False)
    server.start()
    for _ in range(4):
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        server.receive(outgoing.read())
        incoming.write(server.take_outgoing())


def test_tls_1_2_is_refused_even_from_a_member() -> None:
    context = A.contexts(B).dialling
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(TlsError) as caught:
        raw_dial(context, B.contexts(A))
    assert "UNSUPPORTED_PROTOCOL" in str(caught.value)


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\xff" * 70_000])
@pytest.mark.parametrize("dialled", [False, True])
def test_garbage_is_refused(garbage: bytes, dialled: bool) -> None:
    stream = TlsStream(B.contexts(A), dialled=dialled)
    stream.start()
    with pytest.raises(TlsError) as caught:
        stream.receive(garbage)
    assert caught.value.reason == "protocol"


def test_a_changed_record_ends_the_session() -> None:
    dialler, listener = join(A.contexts(B), B.contexts(A))
    dialler.send(b"hello")
    record = bytearray(dialler.take_outgoing())
    record[-1] ^= 1
    with pytest.raises(TlsError):
        listener.receive(bytes(record))


def test_a_node_alone_trusts_nobody() -> None:
    with pytest.raises(TlsError):
        join(A.contexts(), B.contexts(A))


def test_the_certificate_has_the_form_of_the_specification() -> None:
    certificate = x509.load_der_x509_certificate(A.certificate)
    assert certificate.not_valid_before_utc.isoformat() == "2000-01-01T00:00:00+00:00"
    assert certificate.not_valid_after_utc.isoformat() == "9999-12-31T23:59:59+00:00"
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.value.ca is False
    assert constraints.critical
    assert make("a", bytes([1]) * 32)[0] == A.key_pem
    assert make("a")[0] != make("a")[0]
    check_certificate(A.certificate)


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_names_are_bounded(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        make(name)


@pytest.mark.parametrize(
    ("certificate", "why"),
    [
        (b"", "transport certificate"),
        (A.certificate[:-1], "transport certificate"),
        (forge(ca=False).certificate, "transport certificate"),
        (self_signed(key_of(1), ca=True), "CA:TRUE"),
        (self_signed(key_of(1), year=2030), "validity"),
        (self_signed(ec.generate_private_key(ec.SECP256R1())), "not Ed25519"),
    ],
)
def test_other_forms_are_refused(certificate: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_certificate(certificate)


def test_a_signature_that_does_not_verify_is_refused() -> None:
    broken = bytearray(A.certificate)
    broken[-1] ^= 1
    with pytest.raises(ValueError, match="not signed by its own key"):
        check_certificate(bytes(broken))
