"""The OpenRPC document: committed, current, and the same list as docs/spec/rpc.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

from node.commands import chain
from node.methods import document

ROOT = Path(__file__).parent.parent.parent
SPACES = "tx|chain|state|record|party|node|balance|task|deadline|service|gov"
ROW = re.compile(rf"\| `((?:{SPACES})_\w+|rpc\.\w+|(?:un)?subscribe)` \| (.*?) \|")


def test_the_committed_document_is_the_current_one() -> None:
    committed = json.loads((ROOT / "docs" / "openrpc.json").read_text(encoding="utf-8"))
    assert committed == document(), "type: munimentd openrpc > docs/openrpc.json"


def specified() -> dict[str, list[str]]:
    """Method -> parameters, in order, of the table in docs/spec/rpc.md."""
    rows: dict[str, list[str]] = {}
    for line in (ROOT / "docs" / "spec" / "rpc.md").read_text(encoding="utf-8").split("\n"):
        found = ROW.match(line)
        if found is not None:
            outside = re.sub(r"\([^)]*\)", "", found[2])
            rows[found[1]] = re.findall(r"`(\w+)`", outside)
    return rows


def test_document_and_specification_list_the_same_methods_and_parameters() -> None:
    documented = {
        method["name"]: [parameter["name"] for parameter in method["params"]]
        for method in document()["methods"]
    }
    assert documented == specified()


def test_each_method_says_what_it_is() -> None:
    for method in document()["methods"]:
        assert method["summary"]
        assert method["description"]
        assert method["result"]
        for parameter in method["params"]:
            assert set(parameter) == {"name", "required", "schema"}


def test_the_commands_use_methods_that_exist() -> None:
    names = {method["name"] for method in document()["methods"]}
    folder = Path(chain.__file__).parent
    used = {
        name
        for path in folder.glob("*.py")
        for name in re.findall(r'call(?:_once)?\((?:url, )?"(\w+)"', path.read_text())
    }
    assert used
    assert used <= names
