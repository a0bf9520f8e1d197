"""muniment: the client's command (docs/spec/files.md has the exit codes)."""

from __future__ import annotations

import typer

from node import answers
from node.commands import (
    approval,
    balance,
    chain,
    commitment,
    document,
    doing,
    governance,
    identity,
    profile,
    receipt,
    record,
    service,
    task,
    transaction,
)
from node.commands.context import JsonOption

app = typer.Typer(
    name="muniment",
    help="Client of a Muniment ledger: submit, follow, and verify without trusting a node.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.add_typer(profile.app, name="profile")
app.add_typer(identity.app, name="id")
app.command("submit")(transaction.submit)
app.command("approve")(approval.approve)
app.add_typer(transaction.app, name="tx")
app.add_typer(document.app, name="document")
app.add_typer(service.app, name="service")
app.add_typer(governance.app, name="gov")
app.command("do")(doing.do)
app.add_typer(task.app, name="task")
app.add_typer(record.app, name="record")
app.add_typer(balance.app, name="balance")
app.command("commit")(commitment.commit)
app.add_typer(receipt.app, name="receipt")
app.add_typer(chain.proof_app, name="proof")
app.add_typer(chain.block_app, name="block")
app.command("validators")(chain.validators)
app.command("status")(chain.status)
app.command("rpc")(chain.rpc)


@app.command("version")
def version(as_json: JsonOption = False) -> None:
    """Versions of this software."""
    from node.methods.node import version_data

    data = version_data()
    answers.succeed(data, data["software"], as_json=as_json)


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
