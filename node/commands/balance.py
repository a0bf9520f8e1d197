"""muniment balance: what accounts of services hold, and how it came there."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from node import answers
from node.answers import CommandError
from node.client import Client
from node.commands.context import JsonOption, ProfileOption, Session, failing
from node.commands.pages import ITEMS_MAX, PLACE, CursorOption, LimitOption, follow, told

app = typer.Typer(help="Amounts on accounts of services.", no_args_is_help=True)
UnitArgument = Annotated[str, typer.Argument(help="<service>.<unit>, as funds.money")]
AccountArgument = Annotated[
    str, typer.Argument(help="RECORD#NAME with a record's id, or party:PARTY#NAME")
]


@app.command("show")
def balance_show(
    unit: UnitArgument,
    account: AccountArgument,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """What an account holds; one that was never used holds 0."""
    with failing(as_json):
        client = Session.open(profile).client
        try:
            data = client.call("balance_get", {"unit": unit, "account": account})
        except CommandError as error:
            raise _mended(error) from None
        text = f"{data['amount']} {unit} on {account}"
        answers.succeed(data, text, as_json=as_json)


@app.command("statement")
def balance_statement(
    unit: UnitArgument,
    account: AccountArgument,
    limit: LimitOption = ITEMS_MAX,
    cursor: CursorOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Every change of an account, newest first: block, change, what it held then, and the
    transaction or timer that did it."""
    with failing(as_json):
        client = Session.open(profile).client
        data = _statement(client, {"unit": unit, "account": account}, limit, cursor)
        lines = [_line(item) for item in data["items"]]
        answers.succeed(data, told(lines, data, "never used"), as_json=as_json)


def _statement(
    client: Client, asked: dict[str, Any], limit: int, cursor: str | None
) -> dict[str, Any]:
    try:
        return follow(client, "balance_statement", asked, limit, cursor, form=PLACE)
    except CommandError as error:
        raise _mended(error) from None


def _line(item: dict[str, Any]) -> str:
    timer = item["timer"]
    cause = item["tx"] if timer is None else f"{timer['name']} of {timer['record']}"
    return f"block {item['height']:<8} {item['delta']:>+12} = {item['balance']:<12} {cause}"


def _mended(error: CommandError) -> CommandError:
    """An error that says where units and accounts are found, when one of them cannot be."""
    if error.reason == "PARAMS_INVALID":
        error.hint = "services: muniment service list; a service's page names units and accounts"
    return error
