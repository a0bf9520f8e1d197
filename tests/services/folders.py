"""The services of this repository, compiled, with their scenarios."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ledger.registry.definition import Definition
from node.authoring.compiler import compile_source
from node.authoring.scenario import Coverage, Ground, Scenario
from node.authoring.source import parse

FOLDER = Path(__file__).parent.parent.parent / "services"
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/service.yaml"))


@dataclass(frozen=True)
class Service:
    """A definition and what people do with it."""

    definition: Definition
    scenario: str

    @classmethod
    def load(cls, name: str) -> Service:
        """The service in a folder of services/."""
        definition, problems = compile_source(parse((FOLDER / name / "service.yaml").read_text()))
        assert definition is not None, problems
        return cls(definition, (FOLDER / name / "scenario.yaml").read_text())

    def play(self, ground: Ground) -> Coverage:
        """Run the scenario; every transition must have fired."""
        definition = self.definition
        scenario = Scenario(parse(self.scenario), definition.service, definition.version)
        coverage = scenario.run(ground)
        wanted = {(n, t) for n, kind in definition.types.items() for t in kind.transitions}
        assert wanted - coverage.fired == set()
        return coverage
