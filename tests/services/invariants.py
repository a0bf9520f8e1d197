"""What must hold after every step of a random run, read from the engine's state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.services.model import Model

Records = dict[str, dict[str, Any]]
WHOLE = 1_000_000


def check(model: Model) -> None:
    """Everything. Raises AssertionError."""
    found = equal_records(model)
    equal_balances(model)
    if model.steps % 10 == 0:  # the reference counts by looking at every record
        equal_aggregates(model, found)
    RULES[model.definition.service](model, found)


def equal_records(model: Model) -> Records:
    """Version, state, data, locks and timers of every record are alike in both; the records."""
    found: Records = {}
    for record, wanted in model.world.records.items():
        value = model.written(record)
        assert value["def"] == f"{model.world.service}@{wanted['version']}", record
        for part in ("state", "data", "locks", "timers", "seq"):
            assert value[part] == wanted[part], (record, part, value[part], wanted[part])
        found[record] = value
    return found


def equal_balances(model: Model) -> None:
    """No balance below 0; balances add up to what was minted and not burned."""
    service = model.definition.service
    totals: dict[str, int] = {}
    for (unit, account), amount in model.world.balances.items():
        assert held(model, unit, account) == amount >= 0, (unit, account)
        totals[unit] = totals.get(unit, 0) + amount
    for unit in model.definition.units:
        supply = model.stage.value(f"supply/{service}.{unit}") or {"minted": 0, "burned": 0}
        assert supply["minted"] - supply["burned"] == totals.get(unit, 0)


def equal_aggregates(model: Model, found: Records) -> None:
    """What is counted as records change is what counting anew gives."""
    for record in found:
        for name in model.world.form(model.world.records[record])["aggregates"]:
            kept = model.stage.value(f"aggregate/{record}/{name}") or {"count": 0, "sum": 0}
            for part in ("count", "sum"):
                assert kept[part] == model.world._aggregate(part, record, name), (record, name)


def held(model: Model, unit: str, account: str) -> int:
    """What the engine says an account holds."""
    value = model.stage.value(f"balance/{model.definition.service}.{unit}/{account}")
    return int(value["amount"]) if value else 0


def of(found: Records, kind: str, *states: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Records of a type, in one of these states if any are given: (id, data)."""
    for record, value in found.items():
        if record.split("/")[0].partition("-")[2] == kind and value["state"] in (
            states or (value["state"],)
        ):
            yield record, value["data"]


def times(model: Model, record: str, act: str) -> int:
    """How often an act was done on a record."""
    return sum(event == act for event, _ in model.ground.histories[record])


def distinct(data: dict[str, Any], *fields: str) -> bool:
    """Whether the parties that stand in these fields are different persons."""
    named = [data[field] for field in fields if field in data]
    return len(named) == len(set(named))


# ----- services


def land(model: Model, found: Records) -> None:
    """Shares are conserved; nothing is sold twice; price and shares change hands together."""
    running = [(r, d) for r, d in of(found, "sale", "signed", "funded") if r not in model.courted]
    for parcel, data in of(found, "parcel"):
        assert model.doers.get((parcel, "register")) != data["surveyor"], parcel
    for title, data in of(found, "title"):
        assert distinct({"one": data["registrar"], "two": opener(model, title)}, "one", "two")
        owned = sum(
            amount
            for (unit, account), amount in model.world.balances.items()
            if unit == "share" and account.startswith(f"{title}#")
        )
        elsewhere = sum(
            held(model, "share", f"{record}#{account}")
            for kind, account in (("sale", "sold"), ("pledge", "pledged"), ("succession", "estate"))
            for record, form in of(found, kind)
            if form["title"] == title
        )
        assert owned + elsewhere == WHOLE * (1 - times(model, title, "cancel")), title
        leases = [r for r, d in of(found, "lease", "registered") if d["title"] == title]
        assert len([lease for lease in leases if lease not in model.courted]) <= 1, title
        selling = [sale for sale, form in running if form["title"] == title]
        if title not in model.courted:
            locks = found[title]["locks"]
            assert len(selling) <= 1, title
            assert not selling or locks == {"sale": selling[0]}, title
            # A court may have put an end to a sale that still holds the lock.
            assert selling or set(locks.values()) <= model.courted, title
    for sale, data in running:
        funded = found[sale]["state"] == "funded"
        assert held(model, "share", f"{sale}#sold") == data["shares"]
        assert held(model, "escrow", f"{sale}#escrow") == (data["price"] if funded else 0)
    for pledge, data in of(found, "pledge"):
        if pledge not in model.courted:
            secured = data["shares"] if found[pledge]["state"] == "registered" else 0
            assert held(model, "share", f"{pledge}#pledged") == secured, pledge
    for estate, _ in of(found, "succession", "settled", "withdrawn"):
        assert estate in model.courted or not held(model, "share", f"{estate}#estate"), estate
    for sale, _ in of(found, "sale", "completed", "expired"):
        if sale not in model.courted:
            assert held(model, "share", f"{sale}#sold") == held(model, "escrow", f"{sale}#escrow")


def opener(model: Model, title: str) -> str:
    """Who opened a title; nobody yet is nobody's name."""
    return model.doers.get((title, "open"), "")


def funds(model: Model, found: Records) -> None:
    """Payments <= commitment <= appropriation; who verifies, who orders and who is paid differ;
    nothing is asked back twice."""
    spent: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for _, data in of(found, "recovery", "demanded", "recovered"):
        asked[data["payment"]] += data["amount"]
    for payment, data in of(found, "payment", "authorised", "paid"):
        spent[data.get("instalment", data["grant"])] += data["amount"]
        assert asked[payment] <= data["amount"], payment
        authoriser = model.doers[payment, "authorise"]
        payer = {"payer": model.doers[payment, "settle"]} if "bank_reference" in data else {}
        signed = {**data, **payer, "authoriser": authoriser}
        assert distinct(signed, "payee", "verifier", "authoriser", "payer")
    used: Counter[str] = Counter()
    for bears, data in (*of(found, "grant"), *of(found, "instalment")):
        assert spent[bears] <= data["amount"], bears
        if found[bears]["state"] in ("committed", "closed"):
            assert model.doers[bears, "commit"] != data["proposer"]
            open_still = found[bears]["state"] == "committed"
            used[data["appropriation"]] += data["amount"] if open_still else spent[bears]
    back: Counter[str] = Counter()
    for recovery, data in of(found, "recovery", "recovered"):
        if not held(model, "money", f"{recovery}#returned"):
            paid = found[data["payment"]]["data"]
            bears = found[paid.get("instalment", paid["grant"])]["data"]
            back[bears["appropriation"]] += data["amount"]
    for record, data in of(found, "appropriation"):
        ceiling = data["amount"] * times(model, record, "enact") + model.moved[record]
        assert used[record] <= ceiling + back[record], record
        assert data["moved"] * 10 <= data["amount"], record
        assert not (data.get("earmarked") and data["moved"]), record


def documents(model: Model, found: Records) -> None:
    """Four eyes on every licence and every step of legalisation; no licence without a decision."""
    for record, data in of(found, "attestation"):
        officers = distinct(data, "notary", "certifier", "apostille_officer")
        assert officers or record in model.courted, record
    for record, data in of(found, "document"):
        assert len(set(data["attested_by"])) == len(data["attested_by"]), record
    for record, data in of(found, "licence"):
        assert distinct(data, "applicant", "officer"), record
        assert distinct(data, "applicant", "manager"), record
        assert distinct(data, "officer", "manager") or record in model.courted, record
        if found[record]["state"] in ("active", "suspended") and record not in model.courted:
            assert data.get("tacit") or "manager" in data, record
            assert data["active_until"] > model.world.now or record in model.late, record


def casework(model: Model, found: Records) -> None:
    """Nobody decides alone; a period that ran out is to be seen."""
    for record, data in of(found, "case"):
        state = found[record]["state"]
        approvers = data["approvals"]
        assert len(set(approvers)) == len(approvers), record
        assert not {data["applicant"], data.get("handler")} & set(approvers), record
        assert data["late"] == times(model, record, "escalate"), record
        assert distinct(data, "handler", "assigned_by"), record
        if record in model.courted:
            continue
        if state == "decided":
            assert len(approvers) >= 2, record
        if state in ("submitted", "assigned"):
            assert data["due"] > model.world.now or record in model.late, record
        if state == "escalated":
            assert data["late"] > 0, record
            assert data["due"] <= model.world.now, record


def relief(model: Model, found: Records) -> None:
    """Money only for who was checked by others; every reminder is counted."""
    for record, data in of(found, "file"):
        assert data["applicant"] not in data["checks"], record
        assert data["notes"] == times(model, record, "remind"), record
        assert data["seen"] == times(model, record, "see"), record
        if found[record]["state"] == "granted" and record not in model.courted:
            assert data["checks"], record


RULES = {
    "funds": funds, "land": land, "documents": documents, "casework": casework, "relief": relief,
}  # fmt: skip
