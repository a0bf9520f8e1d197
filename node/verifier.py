"""A verifier that counts, so that the metrics can say how many signatures a transaction costs."""

from __future__ import annotations

from ledger.crypto import Verifier


class CountingVerifier:
    """Passes every question on to the one verifier."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self.count = 0

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """As the inner verifier."""
        self.count += 1
        return self._verifier.verify(public_key, message, signature)
