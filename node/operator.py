"""What every command of the operator shares: the home, --json, exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from node import answers, config
from node.answers import CommandError
from node.home import KeyFileError

PROGRAM = "munimentd"
DEFAULT_HOME = Path.home() / ".muniment"
HomeOption = Annotated[
    Path, typer.Option("--home", envvar="MUNIMENT_HOME", help="Home folder of the node.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


@contextmanager
def failing(as_json: bool) -> Iterator[None]:
    """Turn failures into the documented exit codes."""
    try:
        yield
    except CommandError as error:
        answers.fail(error, PROGRAM, as_json=as_json)
    except config.ConfigError as error:
        answers.fail(
            CommandError(answers.CONFIG, "CONFIG_INVALID", str(error)), PROGRAM, as_json=as_json
        )
    except KeyFileError as error:
        answers.fail(CommandError(answers.KEY, "KEY_FILE", str(error)), PROGRAM, as_json=as_json)
    except OSError as error:
        answers.fail(
            CommandError(answers.TEMPORARY, "SYSTEM", str(error)), PROGRAM, as_json=as_json
        )
