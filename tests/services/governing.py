"""What members and agencies do in a random run: votes on versions, grants of roles.

Votes suspend, resume, activate and migrate; some take effect blocks later. Grants may hold in one
agency's matters only. Both interpreters must see the same effect in the same block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from node.authoring.stage import FOUNDER
from tests.services import relief
from tests.services.moves import DAY
from tests.services.reference import World

if TYPE_CHECKING:
    from tests.services.model import Model

AGENCIES = ("agency-0", "agency-1")
FOLLOWING: dict[str, Callable[[Random, int], dict[str, Any]]] = {relief.SERVICE: relief.following}
"""Service -> what comes after its first version; most have only one."""
VOTING = 1_000
"""The first seed whose runs have votes, where a service has one version: rare events of its own
need undisturbed time."""


def limit(service: str, number: int) -> str | None:
    """The agency for which the holder `number` of a role first gets it, None: for every one."""
    return AGENCIES[number % 2] if service == relief.SERVICE else None


@dataclass(frozen=True)
class Limits:
    """What grants for one agency mean for an act."""

    decide: bool = False
    """Without such a grant it would not be authorised."""
    hinder: bool = False
    """It would be the signer's to do if no grant were for one agency only."""

    @classmethod
    def of(
        cls,
        world: World,
        policy: Any,
        value: dict[str, Any],
        given: dict[str, Any],
        signers: list[str],
    ) -> Limits:
        """Asked before the act."""
        roles = world.roles
        if policy is None or not any(agency for agency, _ in roles.values()):
            return cls()
        scope = world._scope(value, given, signers)
        decide = world._satisfied(policy, signers, scope)
        hinder = not world._useful(policy, signers[-1], scope)
        world.roles = {held: grant for held, grant in roles.items() if grant[0] is None}
        decide = decide and not world._satisfied(policy, signers, scope)
        world.roles = {held: (None, until) for held, (_, until) in roles.items()}
        hinder = hinder and world._useful(policy, signers[-1], scope)
        world.roles = roles
        return cls(decide, hinder)


class Chamber:
    """The votes and grants of one run."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._queue: list[tuple[int, str, str, dict[str, Any]]] = []
        """(height, proposal, kind, body) of what was accepted and has no effect yet."""
        self._proposed = 0
        self._following = FOLLOWING.get(model.definition.service)
        self._calm = self._following is None and model.seed < VOTING

    @property
    def busy(self) -> float:
        """Luck below which there is a vote: a service does not stay suspended for long."""
        if self._model.world.suspended:
            return 0.50
        return 0.40 if self._calm else 0.42 if self._following is None else 0.46

    def version(self) -> int:
        """By which version somebody creates a record; seldom by one that is no longer current."""
        world, random = self._model.world, self._model.random
        if len(world.definitions) > 1 and random.random() < 0.05:
            return random.choice(list(world.definitions))
        return world.current

    # ----- votes

    def govern(self) -> None:
        """A proposal, which its proposer accepts."""
        world, random = self._model.world, self._model.random
        versions = list(world.definitions)
        service = world.service if random.random() < 0.97 else "nothing"
        if world.suspended and random.random() < 0.75:
            body = {"service": service, "version": random.choice(sorted(world.suspended))}
            self._propose("resume", body)
            return
        if self._following is None:
            kind = "suspend"
        else:
            kind = random.choice(("suspend", "activate", "activate", "migrate", "migrate"))
        if kind == "activate":
            number = world.current + random.choice((1, 1, 1, 1, 0, 3))
            assert self._following is not None
            self._propose(kind, {"definition": self._following(random, number)})
        elif kind == "suspend":
            used = [world.followed(v["version"]) for v in world.records.values()]
            wanted = random.choice([*(used[-6:] or versions), world.current])
            wanted = wanted if random.random() < 0.95 else 99
            self._propose(kind, {"service": service, "version": wanted})
        else:
            ends = sorted(random.sample(versions, 2)) if len(versions) > 1 else [1, 2]
            later = [v for v in world.moved.values() if v < world.current]
            if later and random.random() < 0.6:  # and on from there
                ends = [random.choice(later), world.current]
            if random.random() < 0.1:
                ends = [ends[1], random.choice(ends)]
            self._propose(kind, {"service": service, "source": ends[0], "target": ends[1]})

    def _propose(self, kind: str, body: dict[str, Any]) -> None:
        model, stage = self._model, self._model.stage
        self._proposed += 1
        name, later = f"vote-{self._proposed}", model.random.choice((0, 0, 0, 3, 9))
        height = stage.height + later
        operation = {
            "op": "gov.propose",
            "proposal": name,
            "kind": kind,
            "body": body,
            "rationale": "0" * 64,
            "effective_height": height,
            "until": model.world.now + DAY,
        }
        reason, result = model.run(FOUNDER, operation)
        problems = model.world.problems(kind, body)
        if reason:
            assert reason == "PROPOSAL_INVALID", (operation, reason)
            assert result["problem"] in problems, (operation, result, problems)
            model.note(f"gov.{kind}", result["problem"])
            return
        assert not problems, (operation, problems)
        self._queue.append((max(height, stage.height + 1), name, kind, body))
        if not later:
            model.ground.advance(1)
            model.catch_up()

    def take_effect(self) -> None:
        """What is due in the block that was made, in the reference too."""
        model = self._model
        due = sorted(item[:2] for item in self._queue if item[0] <= model.stage.height)
        for height, name in due:
            kind, body = next(item[2:] for item in self._queue if item[1] == name)
            assert height == model.stage.height, name
            problems = model.world.problems(kind, body)
            proposal = model.stage.value(f"proposal/{name}")
            assert proposal["status"] == ("failed" if problems else "done"), (body, problems)
            assert proposal["outcome"] in (problems or {""}), (proposal, problems)
            model.note(f"gov.{kind}", proposal["status"])
            if not problems:
                model.world.govern(kind, body)
        self._queue = [item for item in self._queue if item[:2] not in due]

    # ----- roles

    def staff(self) -> None:
        """Somebody loses a role, or gets one back, perhaps for a few weeks or one agency only."""
        model = self._model
        world, random = model.world, model.random
        role, party = random.choice(model.staffed)
        subject = {"role": f"{world.service}.{role}", "party": party}
        if (role, party) in world.roles and random.random() < 0.5:
            reason, _ = model.run(FOUNDER, {"op": "role.revoke", **subject})
            assert not reason or world.roles[role, party][1] <= world.now, reason
            world.roles.pop((role, party))
            return
        until = world.now + random.choice((20, 3_650)) * DAY
        limited = not self._calm and random.random() < 0.5
        agency = random.choice(AGENCIES) if limited else None
        operation = {"op": "role.grant", **subject, "until": until, "agency": agency}
        reason, _ = model.run(FOUNDER, operation)
        assert not reason, reason
        world.roles[role, party] = (agency, until)

    # ----- what is counted

    def count(self, record: str, act: str, limits: Limits, reason: str) -> None:
        """How often what a vote or a limited grant changed mattered; `reason` is empty for what
        was done."""
        model = self._model
        if limits.decide and not reason:
            model.note("a role for one agency", "decides")
        if limits.hinder and reason == "NOT_AUTHORISED":
            model.note("a role for one agency", reason)
        value = model.world.records.get(record)
        if reason or value is None or value["version"] not in model.world.moved:
            return
        model.note("a migrated record", "acts")
        before = model.world.definitions[value["version"]]["types"]
        kind = value["type"].removeprefix(f"{model.world.service}-")
        rules = before.get(kind, {"transitions": {}})["transitions"].get(act)
        if rules != model.world.form(value)["transitions"].get(act):
            model.note("a migrated record", "acts by other rules")
