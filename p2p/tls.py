"""TLS 1.3 between members that know each other's certificates (peers.md, Identity).

A member's self-signed certificate is its own trust anchor; no authority, name or calendar date is
involved. After the handshake the caller compares `TlsStream.leaf_fingerprint` with the pinned one.
The stream is the standard library's SSLObject between two memory buffers: bytes in, bytes out, so
that it behaves alike under asyncio and uvloop, a refused handshake has a reason, connections can
be limited before any TLS work, and everything a turn of the loop has to say is one socket write.
"""

from __future__ import annotations

import datetime
import os
import ssl
from collections.abc import Iterable
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from ledger.crypto import sha256

_READ_BYTES: Final = 65_536
_NOT_BEFORE: Final = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_NOT_AFTER: Final = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
_NAME_CHARACTERS_MAX: Final = 64
"""Upper bound of a common name (RFC 5280, ub-common-name)."""


def fingerprint(certificate: bytes) -> bytes:
    """SHA-256 of a certificate's DER, 32 bytes."""
    return sha256(certificate)


def make_certificate(name: str, seed: bytes | None = None) -> tuple[bytes, bytes]:
    """A key (PKCS #8, PEM, not encrypted) and its self-signed certificate (DER).

    The key comes from a 32-byte Ed25519 `seed`, or is new. `name` becomes the subject, for the eyes
    of operators only. Raises ValueError on a name that is empty or above 64 characters, or on a
    seed of another length.
    """
    if not 1 <= len(name) <= _NAME_CHARACTERS_MAX:
        raise ValueError(f"certificate name: want 1 to {_NAME_CHARACTERS_MAX} characters")
    key = (
        Ed25519PrivateKey.generate() if seed is None else Ed25519PrivateKey.from_private_bytes(seed)
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        # Were it a CA, a member could vouch for a stranger.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, None)
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem, certificate.public_bytes(serialization.Encoding.DER)


def check_certificate(certificate: bytes) -> None:
    """Raises ValueError unless the DER is a certificate in the form that peers.md asks for: an
    Ed25519 key, signed by itself, CA:FALSE, with the fixed dates."""
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        parsed.verify_directly_issued_by(parsed)
        constraints = parsed.extensions.get_extension_for_class(x509.BasicConstraints).value
    except InvalidSignature:
        raise ValueError("transport certificate: not signed by its own key") from None
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound) as error:
        raise ValueError(f"transport certificate: {error}") from None
    if parsed.signature_algorithm_oid != x509.oid.SignatureAlgorithmOID.ED25519:
        raise ValueError("transport certificate: the key is not Ed25519")
    if constraints.ca:
        raise ValueError("transport certificate: CA:TRUE, a member could vouch for a stranger")
    if (parsed.not_valid_before_utc, parsed.not_valid_after_utc) != (_NOT_BEFORE, _NOT_AFTER):
        raise ValueError("transport certificate: want validity from 2000-01-01 to 9999-12-31")


class TlsContexts:
    """The two contexts of a node, listening and dialling, for one set of trust anchors."""

    def __init__(self, key_pem: bytes, certificate: bytes, anchors: Iterable[bytes]) -> None:
        """Our key (PEM) and certificate (DER), and the other members' certificates (DER).

        Raises ValueError when one of them cannot be used.
        """
        self._key_pem = key_pem
        self._certificate = certificate
        trusted = b"".join(anchors)
        self.listening: Final = self._context(ssl.PROTOCOL_TLS_SERVER, trusted)
        self.dialling: Final = self._context(ssl.PROTOCOL_TLS_CLIENT, trusted)

    def _context(self, protocol: int, trusted: bytes) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.maximum_version = ssl.TLSVersion.TLSv1_3
        # A resumed session would outlive the member's removal; every session shows its certificate.
        context.options |= ssl.OP_NO_TICKET
        if protocol == ssl.PROTOCOL_TLS_SERVER:
            context.num_tickets = 0
        try:
            if trusted:
                context.load_verify_locations(cadata=trusted)
            self._load_identity(context)
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(f"transport key or certificate: {error}") from None
        return context

    def _load_identity(self, context: ssl.SSLContext) -> None:
        """The ssl module reads keys from files only; this one never touches a disk."""
        pem = self._key_pem + ssl.DER_cert_to_PEM_cert(self._certificate).encode("ascii")
        descriptor = os.memfd_create("transport-identity", os.MFD_CLOEXEC)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(pem)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)


class TlsError(Exception):
    """The other side is not who it must be, or does not speak TLS 1.3; `reason` is a stable code.

    certificate: we refuse his; refused: he ended the session by an alert; protocol: neither.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Final = reason


class TlsStream:
    """One TLS session, without a socket."""

    def __init__(self, contexts: TlsContexts, *, dialled: bool) -> None:
        """`dialled` when we opened the connection, which makes us the client."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        context = contexts.dialling if dialled else contexts.listening
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=not dialled)
        self.established = False
        self.ended = False
        """The other side has said that nothing more will come."""

    def start(self) -> None:
        """Begin the handshake; a client has a first flight to `take_outgoing`."""
        self._shake_hands()

    def receive(self, data: bytes) -> bytes:
        """Bytes from the socket; returns what they decrypt to. There may be `take_outgoing` after
        it, even when it raises (an alert). Raises TlsError."""
        self._incoming.write(data)
        if not self.established:
            self._shake_hands()
        chunks: list[bytes] = []
        # Asking only while something is there saves the exception that says nothing is.
        while (
            self.established
            and not self.ended
            and (self._incoming.pending or self._object.pending())
        ):
            try:
                chunk = self._object.read(_READ_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                chunk = b""
            except ssl.SSLError as error:
                raise _tls_error(error) from None
            self.ended = not chunk
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def send(self, data: bytes) -> None:
        """Encrypt; the result waits in `take_outgoing`. Only when established."""
        assert self.established, "nothing is said before the handshake"
        written = self._object.write(data)
        assert written == len(data), "a memory buffer takes everything"

    def take_outgoing(self) -> bytes:
        """What has to be written to the socket now."""
        return self._outgoing.read()

    def close(self) -> None:
        """Say that nothing more will come, if the session ever began."""
        if self.established:
            try:
                self._object.unwrap()
            except ssl.SSLError:
                return  # the other side has not answered, and need not

    def leaf_fingerprint(self) -> bytes:
        """SHA-256 of the certificate that the other side proved to hold. Only when established."""
        leaf = self._object.getpeercert(binary_form=True)
        assert leaf is not None, "CERT_REQUIRED leaves no session without a certificate"
        return fingerprint(leaf)

    def _shake_hands(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            raise _tls_error(error) from None
        self.established = True


def _tls_error(error: ssl.SSLError) -> TlsError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsError("certificate", error.verify_message)
    detail = error.reason or str(error)
    return TlsError("refused" if "ALERT" in detail else "protocol", detail)
