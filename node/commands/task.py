"""muniment task: acts that wait for signatures."""

from __future__ import annotations

from typing import Annotated

import typer

from node import answers
from node.commands.context import JsonOption, ProfileOption, Session, TimeoutOption, failing
from node.commands.doing import YesOption, confirm, send
from node.commands.pages import ITEMS_MAX, CursorOption, LimitOption, follow, told
from node.commands.record import short
from node.commands.values import Kinds
from node.shown import moment

app = typer.Typer(help="What waits for a signature.", no_args_is_help=True)


@app.command("list")
def task_list(
    party: Annotated[str | None, typer.Option(help="Instead of the profile's party.")] = None,
    limit: LimitOption = ITEMS_MAX,
    cursor: CursorOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Acts that began and wait for this party's signature."""
    with failing(as_json):
        session = Session.open(profile)
        asked = {"party": party or session.party}
        data = follow(session.client, "task_list", asked, limit, cursor)
        lines = [
            f"{item['transition']:12} {item['record']}  pending {item['pending']}  "
            f"signed by {', '.join(item['signers'])}, until {moment(item['until'])}"
            for item in data["items"]
        ]
        answers.succeed(data, told(lines, data, "nothing waits"), as_json=as_json)


@app.command("show")
def task_show(
    record: Annotated[str, typer.Argument(help="Record id.")],
    pending: Annotated[str, typer.Argument(help="Id of the waiting act.")],
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """An act that waits, or waited in vain: what it does and who signed; exit 3 when it is done."""
    with failing(as_json):
        client = Session.open(profile).client
        data = client.call("task_get", {"record": record, "pending": pending})
        task = data["task"]
        values = {} if as_json else Kinds(client).input(task)
        lines = [
            f"{task['transition']} on {task['record']}  {task['status']}, until "
            f"{moment(task['until'])}",
            f"  signed by {', '.join(task['signers'])}",
        ]
        lines += [f"  {name:16} {value}" for name, value in values.items()]
        if task["status"] == "waiting":
            answers.progress(f"sign it: muniment task sign {record} {pending}")
        answers.succeed(data, "\n".join(lines), as_json=as_json)


@app.command("sign")
def task_sign(
    record: Annotated[str, typer.Argument(help="Record id.")],
    pending: Annotated[str, typer.Argument(help="Id of the waiting act.")],
    yes: YesOption = False,
    timeout: TimeoutOption = 30,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add this party's signature to a waiting act, which is shown first."""
    with failing(as_json):
        session = Session.open(profile)
        task = session.client.call("task_get", {"record": record, "pending": pending})["task"]
        given = short(Kinds(session.client).input(task))
        line = f"{session.party} signs {pending}: {task['transition']} on {record}"
        confirm(f"{line}: {given}" if given else line, yes)
        operation = {"op": "record.approve", "id": record, "pending": pending}
        send(session, operation, timeout, as_json)
