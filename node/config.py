"""config.toml -> frozen Config. Unknown keys are errors; every knob says what it does.

Precedence: environment MUNIMENT_<SECTION>__<KEY> over config.toml over the defaults here.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

ENVIRONMENT_PREFIX = "MUNIMENT_"
PORT_MAX = 65_535
_Port = Annotated[str, msgspec.Meta(pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}\Z")]
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_PortOrNone = Annotated[
    str, msgspec.Meta(pattern=r"^((\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5})?\Z")
]
_Positive = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]


class ConfigError(ValueError):
    """The configuration cannot be used. Exit code 64."""


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who this node is."""

    name: str = ""
    """Member name in the validator set."""


class P2p(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Peers."""

    listen: _Port = "127.0.0.1:26656"
    """host:port of the peer listener (mutual TLS 1.3)."""


class Rpc(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """JSON-RPC."""

    listen: _Port = "127.0.0.1:26657"
    """host:port of JSON-RPC, /livez and /readyz."""
    body_bytes_max: _Positive = 8_388_608
    """Largest request body."""
    batch_max: _Positive = 100
    """Most calls in one batch, and most transactions in one tx_submitMany."""
    connections_max: _Positive = 1_000
    """Most open client connections."""
    waiters_max: _Positive = 10_000
    """Most tx_wait calls that wait at once."""
    websockets_max: _Positive = 200
    """Most WebSocket connections; half of connections_max at most."""
    subscriptions_max: _Positive = 16
    """Most subscriptions of one WebSocket connection."""
    websocket_bytes_max: _Positive = 1_048_576
    """Largest message that a WebSocket client may send."""
    slow_reader_ms: _Positive = 10_000
    """How long a WebSocket client may take nothing before it is closed with code 4008."""
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    """Accepted Host header names (against DNS rebinding). Empty accepts any."""


class Metrics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prometheus."""

    listen: _PortOrNone = "127.0.0.1:26660"
    """host:port of /metrics; empty turns it off."""


class Mempool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Waiting transactions."""

    transactions_max: _Positive = 20_000
    """Most waiting transactions."""
    bytes_max: _Positive = 67_108_864
    """Most bytes of waiting transactions."""


class Consensus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Patience of this node; milliseconds. Never decides validity."""

    progress_min_ms: _Positive = 1_000
    """Shortest patience with a primary that owes a block."""
    progress_max_ms: _Positive = 30_000
    """Longest patience before any view failed."""
    request_ms: _Positive = 4_000
    """How long a transaction may wait, though blocks had room, before the node complains."""
    pace_max_ms: _Positive = 250
    """Longest pause between loaded blocks; a block of n transactions asks for n ms."""


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Logs go to standard error."""

    level: Annotated[str, msgspec.Meta(pattern="^(debug|info|warning|error)$")] = "info"
    """debug, info, warning or error."""
    format: Annotated[str, msgspec.Meta(pattern="^(json|console)$")] = "json"
    """json or console."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a node reads at start."""

    config_version: int = 1
    node: Node = Node()
    p2p: P2p = P2p()
    rpc: Rpc = Rpc()
    metrics: Metrics = Metrics()
    mempool: Mempool = Mempool()
    consensus: Consensus = Consensus()
    log: Log = Log()


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "node": Node,
    "p2p": P2p,
    "rpc": Rpc,
    "metrics": Metrics,
    "mempool": Mempool,
    "consensus": Consensus,
    "log": Log,
}


def load(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read `path` and the environment. Raises ConfigError, which names the key and the remedy."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing; make one with: munimentd init --home DIR") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    _merge_environment(document, os.environ if environment is None else environment)
    return parse(document, str(path))


def parse(document: Mapping[str, Any], source: str) -> Config:
    """From a parsed TOML document. Raises ConfigError."""
    _refuse_unknown(document, source)
    try:
        config = msgspec.convert(document, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {error}") from None
    if config.config_version != 1:
        raise ConfigError(f"{source}: config_version: want 1, got {config.config_version}")
    for section in ("p2p", "rpc", "metrics"):
        address: str = getattr(config, section).listen
        if address and int(address.rpartition(":")[2]) > PORT_MAX:
            raise ConfigError(f"{source}: {section}.listen: want a port up to {PORT_MAX}")
    return config


def _refuse_unknown(document: Mapping[str, Any], source: str) -> None:
    for section, values in document.items():
        if section == "config_version":
            continue
        if section not in SECTIONS:
            raise ConfigError(f"{source}: unknown section [{section}]{_hint(section, SECTIONS)}")
        if not isinstance(values, Mapping):
            raise ConfigError(f"{source}: [{section}] is not a section")
        fields = SECTIONS[section].__struct_fields__
        for key in values:
            if key not in fields:
                hint = _hint(key, fields)
                raise ConfigError(f"{source}: unknown key {section}.{key}{hint}")


def _hint(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _merge_environment(document: dict[str, Any], environment: Mapping[str, str]) -> None:
    for name, text in environment.items():
        section, separator, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        if not name.startswith(ENVIRONMENT_PREFIX) or not separator:
            continue
        if section not in SECTIONS or key not in SECTIONS[section].__struct_fields__:
            raise ConfigError(f"environment {name}: no such setting {section}.{key}")
        default = getattr(SECTIONS[section](), key)
        value: Any = text
        if isinstance(default, int):
            if _INTEGER.fullmatch(text) is None:
                raise ConfigError(f"environment {name}: want a whole number, got {text!r}")
            value = int(text)
        elif isinstance(default, tuple):
            value = [item.strip() for item in text.split(",") if item.strip()]
        table = document.setdefault(section, {})
        if isinstance(table, dict):
            table[key] = value


def template(values: Mapping[str, Mapping[str, Any]]) -> str:
    """config.toml with every option: those in `values` set, the others commented at default."""
    lines = [
        "# Muniment node configuration. Every option is here; a commented line is the default."
    ]
    lines += ["config_version = 1", ""]
    for section, form in SECTIONS.items():
        lines += [f"# {_first_line(form.__doc__)}", f"[{section}]"]
        documents = _field_documents(form)
        for field in form.__struct_fields__:
            given = values.get(section, {}).get(field)
            value = getattr(form(), field) if given is None else given
            lines.append(f"# {documents[field]}")
            lines.append(f"{'# ' if given is None else ''}{field} = {_toml(value)}")
        lines.append("")
    return "\n".join(lines)


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]


def _field_documents(form: type[msgspec.Struct]) -> dict[str, str]:
    """The docstring under each field, read from the source so that it is written once."""
    import ast
    import inspect

    body = ast.parse(inspect.getsource(form)).body[0]
    assert isinstance(body, ast.ClassDef)
    documents: dict[str, str] = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            documents[field.target.id] = " ".join(str(text.value.value).split())
    return documents


def _toml(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, str):
        return msgspec.json.encode(value).decode("utf-8")
    return str(value)
