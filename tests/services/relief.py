"""A small service whose rules change: offices of agencies grant relief, and each version differs.

Clerks hold their role for one agency or for all. SOURCE is the widest version; what the members
vote in is made of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from random import Random
from typing import Any

from ledger.registry.definition import Definition, decode
from tests.services.hostile import definition

SERVICE = "relief"
SOURCE = """
service: relief
version: 1
title: relief
roles:
  clerk: {}
  auditor: {}
  judge: {}
units:
  euro: {types: [file]}
types:
  file:
    fields:
      applicant: party
      office: party
      amount: {kind: integer, minimum: 1, maximum: 100}
      papers: commitment
      checks: {kind: list!, max: 4, items: party}
      notes: integer!
      seen: integer!
      memo: integer!
    states: [open, held, granted, shut, appealed]
    final: [shut]
    indexes: [applicant]
    aggregates:
      visits: {type: visit, link: file, states: [planned]}
    universal:
      rectify: role(clerk of office)
      error_declaration: role(auditor of office)
      court_order: role(judge)
    transitions:
      create:
        to: open
        by: party(applicant)
        do:
          - set: {field: checks, value: "[]"}
          - set: {field: notes, value: 0}
          - set: {field: seen, value: 0}
          - timer: {name: remind, at: now + 20 * 86400}
      check:
        from: [open, held]
        to: open
        by: role(clerk of office) and not party(applicant)
        if:
          once: "!(me in data.checks)"
        do:
          - push: {field: checks, value: me}
      hold: {from: open, to: held, by: role(clerk of office)}
      resize:
        from: [open, held]
        to: open
        by: party(applicant)
        input: {amount: integer}
        do:
          - set: {field: amount, value: input.amount}
      grant:
        from: open
        to: granted
        by: {count: 2, of: role(clerk of office), but: party(applicant)}
        if:
          checked: size(data.checks) > 0
          no_visit: count(id, 'visits') == 0
        do:
          - mint:
              unit: euro
              account: party_account(data.applicant, 'relief')
              amount: data.amount
          - cancel: {name: remind}
      appeal:
        from: held
        to: appealed
        by: party(applicant)
        do:
          - set: {field: memo, value: now}
          - create: {type: appeal, data: {file: id, office: data.office}}
      settle: {from: appealed, to: open, internal: true}
      remind:
        from: [open, held]
        to: open
        auto: true
        do:
          - set: {field: notes, value: data.notes + 1}
          - timer: {name: remind, at: now + 20 * 86400}
      see:
        from: [open, held, granted]
        to: held
        internal: true
        do:
          - set: {field: seen, value: data.seen + 1}
      close: {from: [held, granted], to: shut, by: role(auditor of office)}
  visit:
    fields:
      file: {kind: record, types: [relief-file]}
      office: party
    states: [planned, done, missed]
    final: [done, missed]
    universal:
      court_order: role(judge)
    transitions:
      create:
        to: planned
        by: role(clerk of office)
        do:
          - lock: {record: data.file, name: visit}
          - timer: {name: miss, at: now + 8 * 86400}
      look:
        from: planned
        to: planned
        by: role(clerk of office)
        do:
          - fire: {record: data.file, transition: see}
      report:
        from: planned
        to: done
        by: role(clerk of office)
        do:
          - fire: {record: data.file, transition: see}
          - unlock: {record: data.file, name: visit}
      miss:
        from: planned
        to: missed
        auto: true
        do:
          - unlock: {record: data.file, name: visit}
  appeal:
    fields:
      file: {kind: record, types: [relief-file]}
      office: party
    states: [open, heard]
    final: [heard]
    transitions:
      create: {to: open, internal: true}
      hear:
        from: open
        to: heard
        by: role(auditor of office)
        do:
          - fire: {record: data.file, transition: settle}
"""
Document = dict[str, Any]


@cache
def _source() -> str:
    return json.dumps(document(definition(SOURCE)))


def document(made: Definition) -> Document:
    """A definition as JSON; forms are filled in in the order in which their fields are written."""
    compiled: Document = json.loads(made.encode())
    for name, kind in made.types.items():
        form = compiled["types"][name]
        form["fields"] = {field: form["fields"][field] for field in kind.fields}
    return compiled


def first() -> Definition:
    """The first version."""
    return decode(json.dumps(plain(), sort_keys=True, separators=(",", ":")).encode())


# ----- versions that records of the ones before may follow


def wide() -> Document:
    """Applicants may appeal, which makes another record; whoever is a clerk may hold a file."""
    made: Document = json.loads(_source())
    made["types"]["file"]["transitions"]["hold"]["by"]["agency_of"] = None
    return made


def plain() -> Document:
    """No appeals."""
    made: Document = json.loads(_source())
    del made["types"]["appeal"]
    file = made["types"]["file"]
    del file["transitions"]["appeal"], file["transitions"]["settle"], file["fields"]["memo"]
    file["states"].remove("appealed")
    return made


def strict(made: Document) -> Document:
    """Less money, an auditor's signature besides, and reminders by people."""
    file = made["types"]["file"]
    file["fields"]["amount"]["maximum"] = 50
    acts = file["transitions"]
    auditor = {"p": "role", "role": "auditor", "agency_of": None}
    acts["grant"]["by"] = {"p": "all", "of": [acts["grant"]["by"], auditor]}
    acts["remind"]["auto"], acts["remind"]["by"] = False, auditor
    for act in acts.values():
        act["effects"] = [e for e in act["effects"] if e["e"] not in ("timer", "cancel")]
    return made


# ----- and versions that they may not


def _renamed(old: str, new: str) -> Document:
    made: Document = json.loads(json.dumps(plain()).replace(old, new))
    return made


def _papers_of_another_kind() -> Document:
    made = plain()
    del made["types"]["file"]["universal"]["rectify"]
    made["types"]["file"]["fields"]["papers"] = {
        **made["types"]["file"]["fields"]["papers"],
        "kind": "hash",
        "privacy": "public",
    }
    return made


def _with(path: str, value: Any) -> Callable[[], Document]:
    def make() -> Document:
        made = plain()
        part = made["types"]["file"]
        *steps, last = path.split(".")
        for step in steps:
            part = part[step]
        part[last] = deepcopy(value)
        return made

    return make


_TEXT = {"kind": "string", "required": True, "privacy": "public", "origin": "given"}
FOLLOWED: list[Callable[[], Document]] = [
    plain,
    wide,
    lambda: strict(plain()),
    lambda: strict(wide()),
    wide,
    lambda: strict(wide()),
]
OTHERS: list[Callable[[], Document]] = [
    lambda: _renamed('"held"', '"kept"'),
    lambda: _renamed("visit", "call"),
    _papers_of_another_kind,
    _with("fields.checks.items", {**_TEXT, "pattern": "[!-~]*", "max": 64}),
    _with("fields.seen.required", True),
    _with("indexes", ["applicant", "office"]),
    _with("aggregates.visits.states", ["planned", "done"]),
]


def following(random: Random, version: int) -> Document:
    """What the members might vote in as that version."""
    others = random.random() < 0.4
    made = random.choice(OTHERS if others else FOLLOWED)()
    made["version"] = version
    return made
