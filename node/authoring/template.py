"""What `muniment service new` writes: a small service that passes, to be changed."""

from __future__ import annotations

_SERVICE = """\
# docs/services/authoring.md explains every line.
service: SERVICE
version: 1
title: SERVICE

roles:
  officer: {doc: Decides on applications.}

types:
  application:
    doc: What somebody applies for, until it is decided.
    fields:
      applicant: party
      details: {kind: commitment, doc: "The form; its content stays off the chain."}
      officer: party!
    states: [submitted, granted, refused]
    final: [granted, refused]
    indexes: [applicant]
    transitions:
      create:
        to: submitted
        by: party(applicant)
      grant:
        from: submitted
        to: granted
        by: role(officer) and not party(applicant)
        do:
          - set: {field: officer, value: me}
      refuse:
        from: submitted
        to: refused
        by: role(officer) and not party(applicant)
        input:
          reason_code: code
        do:
          - set: {field: officer, value: me}
"""

_SCENARIO = """\
# What people do, and what must come of it. `muniment service test` runs it.
agencies:
  town-hall: [officer-ann]
  people: [citizen]
roles:
  officer: officer-ann
steps:
  - {as: officer-ann, create: application, refused: NOT_AUTHORISED,
     data: {applicant: citizen, details: "#form"}}
  - {as: citizen, create: application, name: first, state: submitted,
     data: {applicant: citizen, details: "#form"}}
  - {as: citizen, create: application, refused: DATA_INVALID officer,
     data: {applicant: citizen, details: "#form", officer: officer-ann}}
  - {as: citizen, act: grant, on: first, refused: NOT_AUTHORISED}
  - {as: officer-ann, act: grant, on: first, state: granted}
  - {as: citizen, create: application, name: second, data: {applicant: citizen, details: "#form"}}
  - {as: officer-ann, act: refuse, on: second, input: {reason_code: incomplete}, state: refused}
"""

TEMPLATE = {"service.yaml": _SERVICE, "scenario.yaml": _SCENARIO}
"""File name -> text; SERVICE stands for the service's name."""
