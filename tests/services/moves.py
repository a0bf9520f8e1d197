"""Values that lead somewhere: what a person who knows the service would fill in.

(type, act, field) -> a choice; where there is none, or it finds nothing, the model draws from the
field's kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.services.reference import World

DAY = 86_400
WHOLE = 1_000_000


@dataclass(frozen=True)
class Desk:
    """What somebody who fills in a form has before them."""

    world: World
    random: Random
    record: dict[str, Any]
    """The record that is acted on; blank for a new one."""
    form: dict[str, Any]
    """What was filled in so far."""
    parties: list[str]

    def of(self, kind: str, *states: str) -> list[dict[str, Any]]:
        """Records of a type that are in one of these states."""
        prefix = f"{self.world.service}-{kind}/"
        return [
            value
            for name, value in self.world.records.items()
            if name.startswith(prefix) and value["state"] in states
        ]

    def one(self, found: list[Any]) -> Any:
        """One of them, the newest half of the time; None when there is none."""
        if not found:
            return None
        return found[-1] if self.random.random() < 0.5 else self.random.choice(found)

    def record_id(self, kind: str, *states: str) -> str | None:
        """A record to link to."""
        found = self.one(self.of(kind, *states))
        return None if found is None else str(found["id"])

    def shares(self, title: str, party: str) -> int:
        """What a party owns of a title."""
        return self.world.balances.get(("share", f"{title}#{party}"), 0)

    def owners(self, title: str) -> list[str]:
        """Who owns a part of a title."""
        return [party for party in self.parties if self.shares(title, party) > 0]


Choice = Callable[[Desk], Any]


# ----- land


def _fresh_parcel(desk: Desk) -> Any:
    """A registered parcel that nobody has a title to, if there is one."""
    taken = {v["data"]["parcel"] for v in desk.of("title", "allotting", "open", "caveated")}
    return desk.one([p["id"] for p in desk.of("parcel", "registered") if p["id"] not in taken])


def _parent(desk: Desk) -> Any:
    """Now and then a parcel is half of another: rather of one that has a part, never its third."""
    if desk.random.random() < 0.6:
        return None
    live = desk.of("parcel", "proposed", "registered")
    titled = {v["data"]["parcel"] for v in desk.of("title", "allotting", "open", "caveated")}
    found: list[dict[str, Any]] = []
    for parcel in desk.of("parcel", "registered"):
        parts = sum(v["data"].get("parent") == parcel["id"] for v in live)
        if parts == 1 and parcel["id"] not in titled:
            found = [parcel]  # what it lacks to be divided
            break
        if parts <= 1:
            found.append(parcel)
    chosen = desk.one(found)
    if chosen is None:
        return None
    desk.form["area"] = max(1, chosen["data"]["area"] // 2)
    return chosen["id"]


def _predecessor(desk: Desk) -> Any:
    """The title of the divided parcel."""
    parcel = desk.world.records.get(str(desk.form.get("parcel")), {"data": {}})
    parent = desk.world.records.get(str(parcel["data"].get("parent")), {"data": {}})
    return parent["data"].get("title")


def _first_owner(desk: Desk) -> Any:
    """Who owned before, or any citizen."""
    before = desk.record["data"].get("predecessor")
    had = desk.owners(before) if before else [p for p in desk.parties if "citizen" in p]
    return desk.one([p for p in had if not desk.shares(desk.record["id"], p)])


def _first_shares(desk: Desk) -> Any:
    """As before a division; else half or all of what is left."""
    before, title = desk.record["data"].get("predecessor"), desk.record["id"]
    if before:
        return desk.shares(before, desk.form["owner"]) // desk.random.choice([1] * 9 + [2]) or 1
    left = desk.world.balances.get(("share", f"{title}#unallotted"), 0)
    return desk.random.choice([left, left, left // 2]) or 1


def _owner(field: str) -> Choice:
    return lambda desk: desk.one(desk.owners(desk.form[field]))


def _owners(field: str) -> Choice:
    def choose(desk: Desk) -> Any:
        title = desk.form.get(field) or desk.record["data"].get(field) or desk.record["id"]
        return desk.owners(title)[:6] or None

    return choose


def _sold(desk: Desk) -> Any:
    """A part, all, or more than the seller has."""
    had = desk.shares(desk.form["title"], desk.form["seller"])
    return max(1, desk.random.choice([had, had, had // 2, had // 3]))


def _title(desk: Desk) -> Any:
    """An open title; rather one that is for sale already, so that people race for it."""
    raced = {v["data"]["title"] for v in desk.of("sale", "offered", "signed", "funded")}
    found = [v["id"] for v in desk.of("title", "open")]
    return desk.one([t for t in found if t in raced] or found)


def _payout(desk: Desk) -> list[tuple[str, str, int]]:
    """(party, account, amount) of what a notary owes."""
    return [
        (account.removeprefix("party:").split("#")[0], account.split("#")[1], amount)
        for (unit, account), amount in desk.world.balances.items()
        if unit == "escrow" and account.startswith("party:") and amount > 0
    ]


def _owed(desk: Desk) -> Any:
    found = [n for p, s, n in _payout(desk) if (p, s) == (desk.form["payee"], desk.form["source"])]
    return desk.one(found)


def _open_title(desk: Desk) -> Any:
    return desk.record_id("title", "open")


def _other_title(desk: Desk) -> Any:
    titles = [v["id"] for v in desk.of("title", "open")]
    return desk.one([title for title in titles if title != desk.form["burdened"]])


def _buyer(desk: Desk) -> Any:
    citizens = [party for party in desk.parties if "citizen" in party]
    return desk.one([party for party in citizens if party != desk.form["seller"]])


def _rarely(desk: Desk) -> Any:
    """An open title one time in three: what is pledged or inherited cannot be sold meanwhile."""
    return _open_title(desk) if desk.random.random() < 0.33 else None


def _leased(desk: Desk) -> Any:
    """Rather a title that somebody wants to lease already."""
    raced = {v["data"]["title"] for v in desk.of("lease", "offered", "registered")}
    found = [v["id"] for v in desk.of("title", "open")]
    return desk.one([t for t in found if t in raced] or found) if _rarely(desk) else None


def _pledged(desk: Desk) -> Any:
    """A part or all of what the owner has."""
    had = desk.shares(desk.form["title"], desk.form["owner"])
    return max(1, desk.random.choice([had, had // 2, had // 3, had // 3]))


def _heir(desk: Desk) -> Any:
    """Any citizen; seldom the deceased."""
    citizens = [party for party in desk.parties if "citizen" in party]
    heirs = [party for party in citizens if party != desk.record["data"]["deceased"]]
    return desk.one(heirs if desk.random.random() < 0.95 else citizens)


def _inherited(desk: Desk) -> Any:
    """All that is left of the estate, or half."""
    left = desk.world.balances.get(("share", f"{desk.record['id']}#estate"), 0)
    return desk.random.choice([left, left, left // 2]) or 1


LAND: dict[tuple[str, str, str], Choice] = {
    ("parcel", "create", "parent"): _parent,
    ("parcel", "create", "area"): lambda d: 1_000,
    ("title", "create", "parcel"): _fresh_parcel,
    ("title", "create", "predecessor"): _predecessor,
    ("title", "allot", "owner"): _first_owner,
    ("title", "allot", "shares"): _first_shares,
    ("title", "close", "owners"): _owners("title"),
    ("mortgage", "create", "title"): _open_title,
    ("mortgage", "create", "borrower"): _owner("title"),
    ("mortgage", "create", "amount"): lambda d: d.random.choice([1, 100, 500_000]),
    ("sale", "create", "title"): _title,
    ("sale", "create", "seller"): _owner("title"),
    ("sale", "create", "buyer"): _buyer,
    ("sale", "create", "shares"): _sold,
    ("sale", "create", "until"): lambda d: d.world.now + d.random.choice([20, 60, 90]) * DAY,
    ("payout", "create", "payee"): lambda d: d.one([p for p, _, _ in _payout(d)]),
    ("payout", "create", "source"): lambda d: d.one(
        [s for p, s, _ in _payout(d) if p == d.form["payee"]]
    ),
    ("payout", "create", "amount"): _owed,
    ("easement", "create", "burdened"): _open_title,
    ("easement", "create", "benefited"): _other_title,
    ("easement", "create", "grantors"): _owners("burdened"),
    ("easement", "create", "grantee"): _owner("benefited"),
    ("easement", "extinguish", "owners"): _owners("benefited"),
    ("pledge", "create", "title"): _rarely,
    ("pledge", "create", "owner"): _owner("title"),
    ("pledge", "create", "shares"): _pledged,
    ("pledge", "create", "amount"): lambda d: 100,
    ("succession", "create", "title"): _rarely,
    ("succession", "create", "deceased"): _owner("title"),
    ("succession", "hand_over", "heir"): _heir,
    ("succession", "hand_over", "shares"): _inherited,
    ("lease", "create", "title"): _leased,
    ("lease", "create", "lessors"): _owners("title"),
    ("lease", "create", "begin"): lambda d: d.world.now,
    ("lease", "create", "end"): lambda d: d.world.now + d.random.choice([30, 90, 400]) * DAY,
    ("lease", "surrender", "owners"): _owners("title"),
}


# ----- funds


def _year_end(desk: Desk) -> int:
    """Few different dates, so that money can move within a fiscal year."""
    year = 400 * DAY
    return (desk.world.now // year + desk.random.choice([1, 2])) * year


def _linked(field: str, wanted: str) -> Choice:
    """A field of the record that the form links to."""

    def choose(desk: Desk) -> Any:
        return desk.world.records.get(desk.form[field], {"data": {}})["data"].get(wanted)

    return choose


def _commitment(desk: Desk) -> Any:
    """Up to what the appropriation has, seldom more."""
    account = f"{desk.form['appropriation']}#available"
    left = desk.world.balances.get(("money", account), 0)
    return max(1, desk.random.choice([left // 2, left // 3, left // 4, left + 1]))


def _invoiced(desk: Desk) -> Any:
    """Up to what the commitment has, or its later year, often more than is left of it."""
    bears = desk.form.get("instalment") or desk.form["grant"]
    left = desk.world.balances.get(("money", f"{bears}#committed"), 0)
    return max(1, desk.random.choice([left, left // 2, left // 2, left + 1]))


def _virement(desk: Desk) -> Any:
    """Another appropriation of the same year."""
    year = desk.record["data"]["fiscal_year_end"]
    found = [v for v in desk.of("appropriation", "enacted") if v["id"] != desk.record["id"]]
    return desk.one([v["id"] for v in found if v["data"]["fiscal_year_end"] == year])


def _later_year(desk: Desk) -> Any:
    """An appropriation of a later year than the commitment's, mostly for the same purpose."""
    first = desk.world.records[desk.form["grant"]]["data"]["appropriation"]
    year = desk.world.records[first]["data"]
    later = [
        v["id"]
        for v in desk.of("appropriation", "enacted")
        if v["data"]["fiscal_year_end"] > year["fiscal_year_end"]
        and (v["data"]["purpose"] == year["purpose"] or desk.random.random() < 0.1)
    ]
    return desk.one(later)


def _instalment(desk: Desk) -> Any:
    """The later year that bears a payment, if there is one, half of the time."""
    parts = desk.of("instalment", "committed")
    stray = desk.random.random() < 0.2
    own = [v["id"] for v in parts if stray or v["data"]["grant"] == desk.form["grant"]]
    return desk.one(own) if desk.random.random() < 0.5 else None


def _recovered(desk: Desk) -> Any:
    """All of a payment, a part, or more."""
    paid = desk.world.records[desk.form["payment"]]["data"]["amount"]
    return max(1, desk.random.choice([paid, paid // 2, paid // 3, paid + 1]))


FUNDS: dict[tuple[str, str, str], Choice] = {
    ("appropriation", "create", "amount"): lambda d: d.random.choice([1_000, 50_000, 900_000]),
    ("appropriation", "create", "fiscal_year_end"): _year_end,
    ("appropriation", "transfer", "to"): _virement,
    ("appropriation", "transfer", "amount"): lambda d: max(1, d.record["data"]["amount"] // 20),
    ("grant", "create", "appropriation"): lambda d: d.record_id("appropriation", "enacted"),
    ("grant", "create", "amount"): _commitment,
    ("grant", "create", "purpose"): _linked("appropriation", "purpose"),
    ("payment", "create", "grant"): lambda d: d.record_id("grant", "committed"),
    ("payment", "create", "amount"): _invoiced,
    ("payment", "create", "payee"): _linked("grant", "payee"),
    ("payment", "create", "evidence"): lambda d: "cd" * 32,
    ("payment", "create", "instalment"): _instalment,
    ("payment", "create", "milestone"): lambda d: d.random.choice([None] * 4 + ["arch", "roof"]),
    ("appropriation", "create", "earmarked"): lambda d: d.random.choice([None, None, False, True]),
    ("instalment", "create", "grant"): lambda d: d.record_id("grant", "committed"),
    ("instalment", "create", "appropriation"): _later_year,
    ("instalment", "create", "amount"): _commitment,
    ("recovery", "create", "payment"): lambda d: d.record_id("payment", "paid"),
    ("recovery", "create", "amount"): _recovered,
}


# ----- documents and casework


def _later(desk: Desk) -> int:
    """An end after the one in force, within five years."""
    until = desk.record["data"].get("active_until", desk.world.now)
    return int(until) + desk.random.choice([30, 200, 300]) * DAY


def _handler(desk: Desk) -> Any:
    """Somebody who may handle cases."""
    return desk.one([party for role, party in desk.world.roles if role == "handler"])


DOCUMENTS: dict[tuple[str, str, str], Choice] = {
    ("document", "create", "replaces"): lambda d: None,
    ("attestation", "create", "document"): lambda d: d.record_id("document", "registered"),
    ("attestation", "create", "country"): lambda d: d.random.choice(["ES", "FR"]),
    ("licence", "approve", "active_until"): _later,
    ("licence", "renew", "active_until"): _later,
}
CASEWORK: dict[tuple[str, str, str], Choice] = {("case", "assign", "handler"): _handler}
RELIEF: dict[tuple[str, str, str], Choice] = {
    ("file", "create", "office"): lambda d: d.random.choice(["agency-0", "agency-1", "clerk-1"]),
    ("file", "create", "amount"): lambda d: d.random.choice([10, 50, 80]),
    ("file", "resize", "amount"): lambda d: d.random.choice([5, 50, 80]),
    ("visit", "create", "file"): lambda d: d.record_id("file", "open", "held", "granted"),
    ("visit", "create", "office"): _linked("file", "office"),
}
CHOICES = {**LAND, **FUNDS, **DOCUMENTS, **CASEWORK, **RELIEF}
