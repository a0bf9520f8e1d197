"""Scenarios that are none: every mistake is named with its line, through the command."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from node import client_cli
from node.authoring.source import parse
from tests.integration.guide import blocks
from tests.services.folders import FOLDER, NAMES

STALL = Path(__file__).parent / "market-stall"
SCRIPT = (STALL / "scenario.yaml").read_text(encoding="utf-8")
OTHERS: tuple[Any, ...] = (
    None, True, 0, -1, 2**60, 1.5, "", "x", "a b", "é", "$nobody", "@9x", "#text", "founder", "{}",
    [], ["x"], [[1]], [None], {}, {"x": 1}, {"x": {"y": []}}, {"as": "x"}, "9" * 30, "@" + "9" * 12,
)  # fmt: skip
ROLES = SCRIPT[SCRIPT.index("roles:\n") : SCRIPT.index("steps:\n")]
MUTANTS = 40
LINE = re.compile(r"scenario\.yaml(:\d+)?: ")


def tried(folder: Path) -> Result:
    done = CliRunner().invoke(client_cli.app, ["service", "test", str(folder)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def said(folder: Path, script: str) -> list[str]:
    """What the command says of the market stall with another scenario; it must not pass."""
    shutil.copytree(STALL, folder, dirs_exist_ok=True)
    (folder / "scenario.yaml").write_text(script, encoding="utf-8")
    done = tried(folder)
    assert (done.exit_code, done.stdout) == (1, "")
    return done.stderr.replace(f"{folder}/", "").splitlines()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a tree below its top."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, part in items:
        yield (*path, key)
        yield from places(part, (*path, key))


def changed(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    """A tree with another value in one place."""
    if not path:
        return other
    copied = value.copy()
    copied[path[0]] = changed(value[path[0]], path[1:], other)
    return copied


@pytest.mark.parametrize("name", NAMES)
def test_another_kind_anywhere_is_no_traceback(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(FOLDER / name, folder)
    script = folder / "scenario.yaml"
    whole = parse(script.read_text(encoding="utf-8")).value
    rng = random.Random(name)
    every = list(places(whole))
    refused = 0
    for _ in range(MUTANTS):
        path, other = rng.choice(every), rng.choice(OTHERS)
        tree = changed(whole, path, other)
        script.write_text(json.dumps(tree), encoding="utf-8")  # which is YAML, too
        done = tried(folder)
        assert done.exit_code in (0, 1), (path, other)
        if done.exit_code:
            refused += 1
            assert LINE.search(done.stderr), (path, other, done.stderr)
            assert "Traceback" not in done.stderr
    assert refused > MUTANTS // 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (ROLES, "roles: [olga, otto]\n", "roles: want a mapping"),
        ("  officer: [olga, otto, tom]", "  officer: {olga: yes}", "roles.officer: want `olga` or"),
        ("officer: [olga,", "officer: [hilda,", "roles.officer: nobody is called hilda"),
        ("officer: [olga,", "officer: [olga in hall,", "roles.officer: hall is no agency; there"),
        ("  cashier: [carl, tom]", "  king: [carl]", "roles.king: market-stall.king cannot be giv"),
        ("people: [tom]", "people: [tom, olga]", "agencies.people: olga is of town-hall already"),
        ("people: [tom]", "people: [tom, no]", "agencies.people: want names of persons"),
        ("people: [tom]", "people: [tom, founder]", "agencies.people: founder is the name of who"),
        ("- {as: olga, create", "- {as: hilda, create", "steps.8.as: nobody is called hilda"),
        ("- {as: olga, create", "- {create", "steps.8: create wants `as`, too"),
        ("metres: 4}, ref", "metres: {x: 4}}, ref", "steps.8.data.metres: want a value or a list"),
        ("metres: 4}, ref", "metres: @4x}, ref", "not YAML"),
        ("metres: 4}, ref", "metres: '@4x'}, ref", "steps.8.data.metres: want a time as 30s"),
        ("steps:\n", "steps:\n  - create\n", "steps.0: want a step, as in"),
        (
            "- {advance: 30d, timer",
            "- {advance: soon, timer",
            "steps.51.advance: want a time as 30s",
        ),
        ("steps:\n", "stpes:\n", "stpes: unknown; want one of agencies, roles, steps"),
    ],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in SCRIPT
    shown = said(tmp_path / "market-stall", SCRIPT.replace(old, new, 1))
    line = SCRIPT[: SCRIPT.index(old)].count("\n") + 1
    line += new.startswith("steps:\n")
    assert any(f"scenario.yaml:{line}: error: {message}" in text for text in shown), shown


# ----- what a refusal names


def tried_with(folder: Path, changes: list[tuple[str, str]], script: str) -> tuple[int, str]:
    """Exit code and what is said of a changed market stall with a scenario."""
    shutil.copytree(STALL, folder, dirs_exist_ok=True)
    text = (STALL / "service.yaml").read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "service.yaml").write_text(text, encoding="utf-8")
    (folder / "scenario.yaml").write_text(script, encoding="utf-8")
    done = tried(folder)
    return done.exit_code, done.stdout + done.stderr.replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("CLAIM_TAKEN pitch", "CLAIM_TAKEN receipt"),
        ("WRONG_STATE ended", "WRONG_STATE refused"),
        ("CLAIM_TAKEN receipt", "CLAIM_TAKEN pitch"),
        ("DATA_INVALID fee", "DATA_INVALID receipt"),
    ],
)
def test_a_refusal_is_the_one_that_is_named(right: str, wrong: str, tmp_path: Path) -> None:
    whole = f"refused: {right}}}"
    assert whole in SCRIPT
    code, said = tried_with(tmp_path, [], SCRIPT.replace(whole, f"refused: {wrong}}}", 1))
    assert code == 1
    assert f"want refused {wrong!r}, got {right!r}" in said
    bare = SCRIPT.replace(whole, f"refused: {right.split()[0]}}}", 1)
    code, said = tried_with(tmp_path, [], bare)
    # Which field or condition it is must be said; what claims, and the state, may be left out.
    assert code == (1 if "DATA_INVALID" in right else 0), said


UNITS = [
    ("types:\n", "units:\n  metre: {types: [permit]}\ntypes:\n"),
    (
        "          - claim: {namespace: pitch, key: input.pitch}\n",
        "          - burn: {unit: metre, account: account('free'), amount: 1}\n",
    ),
]
BEGUN = """\
agencies: {town-hall: [olga, otto, carl], people: [tom]}
roles: {officer: [olga, otto], cashier: carl}
steps:
  - {as: tom, create: permit, name: a, data: {trader: tom, goods: "#a", metres: 1}}
  - {as: carl, act: pay, on: a, input: {receipt: R-1, amount: 1900}}
  - {as: olga, act: check, on: a}
"""


def test_a_balance_that_is_short_is_named_by_its_unit(tmp_path: Path) -> None:
    grant = "  - {as: otto, act: grant, on: a, input: {pitch: A7}, refused: BALANCE_SHORT"
    for unit, code in ((" metre", 0), ("", 0), (" money", 1)):
        assert tried_with(tmp_path, UNITS, f"{BEGUN}{grant}{unit}}}\n")[0] == code
    assert "got 'BALANCE_SHORT metre'" in tried_with(tmp_path, UNITS, f"{BEGUN}{grant} x}}\n")[1]


FORGOTTEN = [("          - cancel: {name: strike}\n", "")]
"""The timer that ends a lapsed permit goes on when it is renewed."""
LAPSED = (
    BEGUN
    + """\
  - {as: otto, act: grant, on: a, input: {pitch: A7}}
  - {advance: 366d, timer: lapse}
  - {as: carl, act: renew, on: a, input: {receipt: R-2, amount: 1900}, state: active}
"""
)


@pytest.mark.parametrize(
    ("timer", "said"),
    [
        ("strike refused WRONG_STATE active", ""),
        ("strike refused WRONG_STATE", ""),
        ("[strike refused WRONG_STATE active]", ""),
        (
            "strike",
            "came to nothing: strike refused WRONG_STATE active; if that is meant, write "
            "`timer: strike refused WRONG_STATE active`",
        ),
        (
            "[strike]",
            "came to nothing: strike refused WRONG_STATE active; if that is meant, write "
            "`timer: [strike refused WRONG_STATE active]`",
        ),
        (
            "strike refused WRONG_STATE lapsed",
            "want timers strike refused WRONG_STATE lapsed, got [strike refused WRONG_STATE act",
        ),
        (
            "strike refused LOCKED",
            "want timers strike refused LOCKED, got [strike refused WRONG_ST",
        ),
        ("[]", "want timers [], got [strike refused WRONG_STATE active]"),
        (
            "strike refused wrong",
            "timer: want `strike refused REASON`, with what it names, got str",
        ),
        ("strike, refused: WRONG_STATE", "unknown: refused; advance takes advance, note, timer; "),
    ],
)
def test_a_timer_that_comes_to_nothing_is_no_timer_that_fires(
    timer: str, said: str, tmp_path: Path
) -> None:
    step = f"  - {{advance: 60d, timer: {timer}}}\n"
    code, shown = tried_with(tmp_path, FORGOTTEN, LAPSED + step)
    assert code == (1 if said else 0), shown
    assert said in shown


def test_a_timer_that_fires_is_none_that_is_refused(tmp_path: Path) -> None:
    step = "  - {advance: 366d, timer: TIMER}\n"
    paid = LAPSED[: LAPSED.index("  - {advance")]
    code, shown = tried_with(
        tmp_path, [], paid + step.replace("TIMER", "lapse refused WRONG_STATE lapsed")
    )
    assert code == 1
    assert "want timers lapse refused WRONG_STATE lapsed, got [lapse]" in shown


def test_a_timer_says_which_condition_did_not_hold(tmp_path: Path) -> None:
    change = [("        auto: true\n        do:\n          - timer: {name: strike",
               "        auto: true\n        if: {small: data.metres > 1}\n        do:\n"
               "          - timer: {name: strike")]  # fmt: skip
    paid = LAPSED[: LAPSED.index("  - {advance")]
    step = "  - {advance: 366d, timer: lapse refused GUARD_FAILED"
    assert tried_with(tmp_path, change, f"{paid}{step} small}}\n")[0] == 0
    code, shown = tried_with(tmp_path, change, f"{paid}{step}}}\n")
    assert code == 1
    assert "got [lapse refused GUARD_FAILED small]" in shown


GUIDE = Path(__file__).parents[2] / "docs" / "services" / "authoring.md"


def test_the_lists_of_the_guide_are_searched_as_it_says(tmp_path: Path) -> None:
    shown = [block.text for block in blocks(GUIDE) if "known_size" in block.text]
    conditions = "".join(f"        {line}\n" for line in shown[0].splitlines())
    changes = [
        ("      trader: party\n", "      trader: party\n      approvals: {kind: list!, items: "
         "party, max: 4}\n"),
        ("          - set: {field: officer, value: me}\n", "          - push: {field: approvals, "
         "value: me}\n"),
        ("        to: checked\n", "        to: paid\n        input: {size: code}\n" + conditions),
        ("          - set: {field: receipt", "          - set: {field: approvals, value: '[]'}\n"
         "          - set: {field: receipt"),
        ("        from: [paid, checked]", "        from: paid"),
        ("        from: checked\n", "        from: paid\n"),
        ("paid, checked, active", "paid, active"),
    ]  # fmt: skip
    paid = BEGUN[: BEGUN.rindex("  - {")]
    check = "  - {as: olga, act: check, on: a, input: {size: SIZE}, END}\n"
    steps = (
        check.replace("SIZE", "huge").replace("END", "refused: GUARD_FAILED known_size")
        + check.replace("SIZE", "large").replace("END", "state: paid")
        + check.replace("SIZE", "large").replace("END", "refused: GUARD_FAILED once")
    )
    code, said = tried_with(tmp_path, changes, paid + steps)
    assert code == 0, said
