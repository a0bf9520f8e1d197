"""What the linter and the compiler say, with the line on which it is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node import client_cli
from node.authoring.compiler import compile_source
from node.authoring.lint import lint
from node.authoring.source import SourceError, parse

STALL = (Path(__file__).parent / "market-stall" / "service.yaml").read_text(encoding="utf-8")


def said(text: str) -> list[str]:
    """Every problem as `severity path: message`."""
    try:
        source = parse(text)
    except SourceError as error:
        return [error.problem.text("")]
    definition, problems = compile_source(source)
    found = problems if definition is None else lint(definition, source)
    return [f"{p.severity} {'.'.join(p.path)}: {p.message}" for p in found]


ACTS = "types.permit.transitions"
CASES = [
    (
        "input.amount == data.fee",
        "input.amount",
        f"{ACTS}.pay.if.fee_complete: a guard is a condition",
    ),
    ("input.amount == data.fee", "input.cash == data.fee", "input has no field cash"),
    ("input.amount == data.fee", "free(input.amount)", "no function 'free'"),
    ("input.amount == data.fee", "input.amount == 'x'", "never equal"),
    ("input.amount == data.fee", "input.amount && true", "and wants boolean"),
    ("input.amount == data.fee", "input.amount ==", "the expression ends here"),
    ("value: me}", "value: data.nobody}", "data has no field nobody"),
    ("from: applied", "from: paid", "applied is a dead end"),
    ("lapsed, refused,", "lapsed, closed, refused,", "nothing leads to closed"),
    ('kind: string!, pattern: "[A-Z0-9-]+", max: 24', "kind: string!, max: 24", "personal data"),
    ('string!, pattern: "[A-Z0-9-]+"', 'string!, pattern: ".*"', "takes free text"),
    ("roles:\n", "roles:\n  mayor: {}\n", "roles.mayor: no authority names this role"),
    (
        "cashier: {doc: Confirms that a fee arrived.}",
        "cashier: {doc: Confirms, books.}",
        "cashier.books.: unknown",
    ),
    ("by: party(trader)\n        do", "by: trader\n        do", "not an authority: 'trader'"),
    ("role(cashier)", "role(king)", "no role king"),
    (
        "checked, active, lapsed,",
        "checked, on_hold, active, lapsed,",
        "states.on_hold: not a code: lower-case letters, digits and inner hyphens",
    ),
    ("expires: time!", "expires: date!", "no kind 'date'"),
    ("max: 4, doc", "length: 4, doc", "pitch.length: unknown; want one of"),
    ("- cancel: {name: close}", "- cancel: {name: shut}", "shut is no auto transition"),
    ("- cancel: {name: close}", "- cancel", "want a mapping"),
    (
        "amount: integer\n        if:",
        "amount: integer\n          tip: integer\n        if:",
        "input.tip: nothing reads this input",
    ),
    ("goods: {kind: commitment, doc: ", "goods: {kind: money, doc: ", "no kind 'money'"),
    ("- set: {field: officer, value: me}", "- set: {field: officer, to: me}", "set.to: unknown"),
    ("- set: {field: officer,", "- put: {field: officer,", "no effect 'put'; want one of set, "),
    ("value: me}", "value: size(a, b)}", "set.b): unknown; a text with a comma stands in quot"),
    ("        if:\n          fee_complete: input.amount == data.fee\n        do",
     "        if: {fee_complete: holds(me, 1) == 2}\n        do",
     "pay.if.1) == 2: not a name; a text with a comma stands in quotation marks"),
    ("== data.fee", "= data.fee", "(at character 14) in: input.amount = data.fee; equality is wri"),
    ("now + 365 * 86400", "now + 365d", "in: now + 365d; times are in seconds: 365 * 86400"),
    ("now + 30 * 86400", "now + 30 days", "now + 30 days; times are in seconds: 30 * 86400"),
    ("now + 60 * 86400", "now + 2h", "in: now + 2h; times are in seconds: 2 * 3600"),
    ("now + 60 * 86400", "@60d", "quotation marks"),
    ("at: now + 60 * 86400", 'at: "@60d"', "@ is for scenarios: here it is now + 30 * 86400"),
    ("== data.fee", "== data.fee and true", "and is written &&"),
    ("input.amount == data.fee", "not has(data.fee)", "not is written !"),
    ("key: input.receipt}", "key: data.goods}", "warning types.permit.transitions.pay.do.0: data.go"
     "ods is a commitment, made with a salt: the same thing gives another one each time, so this cl"
     "aim is never taken; claim a `hash` that is keyed"),
    ("key: input.receipt}", "key: [input.receipt, data.goods]}", "this claim is never taken"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), CASES)
def test_a_mistake_is_named(old: str, new: str, message: str) -> None:
    assert old in STALL
    found = said(STALL.replace(old, new, 1))
    assert any(message in line for line in found), found


def test_a_claim_on_a_given_commitment_is_warned_of_and_one_on_a_hash_is_not() -> None:
    old = '          receipt: {kind: string, pattern: "[A-Z0-9-]+", max: 24}\n'
    field = '      receipt: {kind: string!, pattern: "[A-Z0-9-]+", max: 24, '
    assert (STALL.count(old), field in STALL) == (2, True)
    for kind, warned in (("commitment", 2), ("hash", 0)):
        text = STALL.replace(old, f"          receipt: {kind}\n")
        found = said(text.replace(field, f"      receipt: {{kind: {kind}!, "))
        assert sum("input.receipt is a commitment" in line for line in found) == warned, found
        assert len(found) == warned


def test_the_line_is_that_of_the_mistake() -> None:
    text = STALL.replace("input.amount == data.fee", "free()", 1)
    source = parse(text)
    _, problems = compile_source(source)
    assert text.splitlines()[problems[0].line - 1].strip() == "fee_complete: free()"
    expected = f"x.yaml:{problems[0].line}: error: {ACTS}.pay.if.fee_complete: no function 'free'"
    assert problems[0].text("x.yaml") == expected


GUIDE = Path(__file__).parent.parent.parent / "docs" / "services" / "authoring.md"


def test_the_mistakes_of_the_guide_look_as_it_shows_them() -> None:
    """One change for each line of the guide's list, in its order."""
    changes = [
        ("input.amount == data.fee", "free(input.amount)"),
        ("from: applied", "from: paid"),
        ("[applied, paid, checked,", "[applied, paid, on_hold, checked,"),
        ("      trader: party\n", "      name: string\n      trader: party\n"),
        ("doc: What a year costs.", "doc: A year: its price."),
        ("input.amount == data.fee", "input.amount = data.fee"),
        ("now + 365 * 86400", "now + 365d"),
        ("roles:\n", "roles:\n  mayor: {}\n"),
        ("fee: {kind: integer!,", "fee: {kind: integer, required: false,"),
        ("- timer: {name: strike, at: now + 60 * 86400}", "- cancel: {name: strike}"),
    ]  # fmt: skip
    for old, new in changes:
        assert old in STALL
        try:
            source = parse(STALL.replace(old, new, 1))
        except SourceError as error:
            found = [error.problem]
        else:
            definition, problems = compile_source(source)
            found = problems if definition is None else lint(definition, source)
        shown = found[0].text("market-stall/service.yaml")
        assert f"\n{shown}\n" in GUIDE.read_text(encoding="utf-8"), shown


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("as: tom, act: pay, on: cheese", "as: carl, act: pay, on: cheese"),
        ("as: olga, create: permit", "as: hilda, create: permit"),
    ],
)
def test_the_scenario_that_fails_looks_as_the_guide_shows_it(
    old: str, new: str, tmp_path: Path
) -> None:
    folder = tmp_path / "market-stall"
    shutil.copytree(Path(__file__).parent / "market-stall", folder)
    script = (folder / "scenario.yaml").read_text(encoding="utf-8")
    file = folder / "scenario.yaml"
    file.write_text(script.replace(old, new, 1))
    done = CliRunner().invoke(client_cli.app, ["service", "test", str(folder)])
    assert done.exit_code == 1
    shown = done.stderr.strip().removeprefix("muniment: ").replace(f"{tmp_path}/", "")
    assert f"\n{shown}\n" in GUIDE.read_text(encoding="utf-8"), shown


FIELD = "types.permit.fields"


@pytest.mark.parametrize(
    ("old", "new", "form"),
    [
        ("officer: {kind: party!,", "officer: {kind: party,", "officer: party"),
        ("expires: time!", "expires: time?", "expires: time"),
        ("deciders: {kind: list!,", "deciders: {kind: list, required: false,", "deciders: list"),
    ],
)
def test_a_field_that_effects_set_and_anybody_gives_is_warned_of(
    old: str, new: str, form: str
) -> None:
    name, kind = form.split(": ")
    text = STALL.replace(old, new, 1)
    assert text != STALL
    (found,) = said(text)
    assert found.startswith(f"warning {FIELD}.{name}: effects set it, and whoever creates")
    assert f"make it `{kind}!`" in found
    source = parse(text)
    definition, _ = compile_source(source)
    assert definition is not None
    (problem,) = lint(definition, source)
    assert text.splitlines()[problem.line - 1].strip().startswith(f"{name}:")
    if new.startswith(f"{name}: {{"):
        assert said(text.replace(new, f"{new} origin: given,", 1)) == [], "it is meant"


def test_only_what_effects_set_is_warned_of() -> None:
    """A field that nobody sets is what a creation is for; so is all that only a service creates."""
    assert said(STALL.replace("goods: {kind: commitment,", "goods: {kind: commitment?,")) != []
    assert said(STALL.replace("metres: {kind: integer,", "metres: {kind: integer, max: 9,")) != []
    text = STALL.replace("expires: time!", "expires: time?", 1)
    inner = text.replace(
        "        by: party(trader)\n        do:\n          - set: {field: fee",
        "        internal: true\n        do:\n          - set: {field: fee",
        1,
    )
    assert inner != text
    assert said(inner) == []  # fmt: skip


def test_an_act_that_no_timer_names_is_warned_of() -> None:
    act = "      forget:\n        from: applied\n        to: ended\n        auto: true\n"
    text = STALL.replace("      pay:\n", f"{act}      pay:\n", 1)
    wanted = f"warning {ACTS}.forget: no effect sets a timer of this name: it never happens by its"
    assert [line[: len(wanted)] for line in said(text)] == [wanted]
    named = (
        "          - if: {when: data.metres > 9, then: [{timer: {name: forget, at: now + 60}}]}\n"
    )
    fee = "          - set: {field: fee,"
    assert said(text.replace(fee, named + fee, 1)) == [], "a condition is no matter"


YAML = [
    ("doc: Length of the stall.", "doc: Length: of the stall.", "a colon, a comma or a `?`"),
    ("goods: {kind: commitment,", "goods: {kind: commitment?,", "within {…} a text with a colon"),
    ("{field: officer, value: me}", "{field: officer, value: !(me == 1)}", 'as in "!has(data.x)"'),
    ("at: data.expires}", "at: @30d}", "a text that begins with @ stands in quotation marks"),
    ("of: role(officer), but", "of: count(2, 'x'), but", "within {…} a text with a colon, a comma"),
    ("[applied, paid,", "[applied: paid, ref: x: y", "within […] a text with a colon"),
    ("doc: Goods and papers are in order.", "doc: Goods: papers", "a text with a colon stands in"),
    ("doc: Goods and papers are in order.", 'doc: "Goods', "marks stand around the whole text"),
    ("doc: Nobody appealed.", 'doc: "Nobody', "a quotation mark before it is not closed"),
    ("{field: officer, value: me}", "{field: officer, value: #me}", "# begins a remark: a text"),
    ("{field: officer, value: me}", "{field: officer, value: me", "is what line 56 begins closed?"),
    ("{field: officer, value: me}", "{field: officer, value: me}}", "one } too many"),
    ("{field: officer, value: me}", "{field: officer, value: *me}", "text that begins with * stan"),
]


@pytest.mark.parametrize(("old", "new", "hint"), YAML)
def test_yaml_that_breaks_says_what_to_write(old: str, new: str, hint: str, tmp_path: Path) -> None:
    assert old in STALL
    (tmp_path / "service.yaml").write_text(STALL.replace(old, new, 1), encoding="utf-8")
    done = CliRunner().invoke(client_cli.app, ["service", "lint", str(tmp_path)])
    assert done.exit_code == 1, done.output
    assert hint in done.stderr, done.stderr
    assert "not YAML: " in done.stderr
    assert "service.yaml:" in done.stderr


def test_a_day_of_no_month_is_a_text(tmp_path: Path) -> None:
    source = parse("a: 2026-02-30\nb: 2026-02-28\n")
    assert source.value == {"a": "2026-02-30", "b": "2026-02-28"}


COUNTS = [
    ((), 0, "no errors, no warnings"),
    ((("roles:\n", "roles:\n  mayor: {}\n"),), 0, "no errors, 1 warning"),
    (
        (("roles:\n", "roles:\n  mayor: {}\n"), ("expires: time!", "expires: time?")),
        0,
        "no errors, 2 warnings",
    ),
    (
        (("roles:\n", "roles:\n  mayor: {}\n"), ("input.amount == data.fee", "input.amount")),
        1,
        "1 error, 1 warning",
    ),
    ((("role(cashier)", "role(king)"), ("by: role(officer)", "by: role(king)")), 1, "2 errors"),
]


@pytest.mark.parametrize(("changes", "code", "words"), COUNTS)
def test_lint_says_in_words_how_it_stands(
    changes: tuple[tuple[str, str], ...], code: int, words: str, tmp_path: Path
) -> None:
    text = STALL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "service.yaml").write_text(text, encoding="utf-8")
    done = CliRunner().invoke(client_cli.app, ["service", "lint", str(tmp_path)])
    assert done.exit_code == code
    assert done.stdout.splitlines()[-1] == words
    shown = CliRunner().invoke(client_cli.app, ["service", "lint", str(tmp_path), "--json"])
    data = json.loads(shown.stdout)["data"]
    assert set(data) == {"problems", "valid"}
    assert data["valid"] == (code == 0)


def test_a_file_that_is_empty_has_no_empty_place(tmp_path: Path) -> None:
    file = tmp_path / "service.yaml"
    for text, message in (("", "the file is empty"), ("a: [", "not YAML")):
        file.write_text(text)
        done = CliRunner().invoke(client_cli.app, ["service", "lint", str(file)])
        assert done.exit_code == 1
        assert f"error: {message}" in done.stderr
        assert "error: :" not in done.stderr
        assert ":0:" not in done.stderr


LIMITED = (
    (
        "      trader: party\n",
        "      trader: party\n      town: party\n",
    ),
    (
        "        by: party(trader)\n        do:\n          - set: {field: fee",
        "        by: party(trader)\n        if:\n          real_agency: "
        "agency_of(data.town) == data.town\n        do:\n          - set: {field: fee",
    ),
    ("by: role(cashier) and not party(trader)", "by: role(cashier of town)"),
)
SCRIPT = """
agencies: {north: [carl], south: [vito, paul], people: [tom]}
roles: {cashier: [carl in north, vito in south, paul]}
steps:
  - {as: tom, create: permit, data: {trader: tom, town: tom, goods: "#a", metres: 1},
     refused: GUARD_FAILED real_agency}
  - {as: tom, create: permit, name: stall, data: {trader: tom, town: north, goods: "#a", metres: 1}}
  - {as: vito, act: pay, on: stall, input: {receipt: R-1, amount: 1900}, refused: NOT_AUTHORISED}
  - {as: WHO, act: pay, on: stall, input: {receipt: R-1, amount: 1900}, state: paid}
"""


@pytest.mark.parametrize("cashier", ["carl", "paul"])
def test_roles_and_agencies_are_what_the_guide_says(cashier: str, tmp_path: Path) -> None:
    """A grant for one agency counts there only; one for none counts everywhere."""
    text = STALL
    for old, new in LIMITED:
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "service.yaml").write_text(text)
    (tmp_path / "scenario.yaml").write_text(SCRIPT.replace("WHO", cashier))
    done = CliRunner().invoke(client_cli.app, ["service", "test", str(tmp_path)])
    assert done.exit_code == 0, done.stderr
