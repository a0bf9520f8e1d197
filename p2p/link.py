"""Our side of one pair: the session, what waits for it, and the attempts to get one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from p2p.outbox import Outbox
from p2p.session import Session


@dataclass(slots=True)
class Link:
    """One member as the transport holds it."""

    name: str
    outbox: Outbox
    """Outlives a session that gives way to another one, and is emptied when the member is down."""
    session: Session | None = None
    retired: Session | None = None
    """The loser of two crossed dials, until it closes."""
    dialling: Session | None = None
    """A connection we opened that is not UP yet."""
    dial_timer: asyncio.TimerHandle | None = None
    dial_task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether there is a session, or one on its way."""
        return any((self.session, self.dialling, self.dial_timer, self.dial_task))

    def retire(self, loser: Session) -> None:
        """Let the loser of two crossed dials run out. It is not closed at once, because its end
        could overtake the hello of the winner, and the other side would see us go down."""
        if self.retired is not None:
            self.retired.close("duplicate")
        self.retired = loser
        loser.retire()

    def ended(self, session: Session) -> bool:
        """Forget `session`; whether it was the one session of the pair."""
        if self.dialling is session:
            self.dialling = None
        if self.retired is session:
            self.retired = None
        if self.session is not session:
            return False
        self.session = None
        return True

    def cancel_dial(self) -> None:
        """Give up what is on its way."""
        if self.dial_timer is not None:
            self.dial_timer.cancel()
            self.dial_timer = None
        if self.dial_task is not None:
            self.dial_task.cancel()
