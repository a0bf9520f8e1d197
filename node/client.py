"""A JSON-RPC client for commands and scripts, on the standard library."""

from __future__ import annotations

import http.client
import ipaddress
import json
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from node.answers import NOT_FOUND, REJECTED, TEMPORARY, UNREACHABLE, USAGE, CommandError

_EXIT_BY_CODE = {
    -32001: NOT_FOUND,
    -32003: REJECTED,
    -32601: USAGE,
    -32602: USAGE,
    -32002: TEMPORARY,
}
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_by_environment = urllib.request.build_opener()


def is_local(url: str) -> bool:
    """Whether a URL is of this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _opener(url: str) -> urllib.request.OpenerDirector:
    """The environment's proxy is for other hosts; it cannot reach a node of this one."""
    return _direct if is_local(url) else _by_environment


class Unreachable(Exception):
    """No answer from the node."""


class RpcRefusal(Exception):
    """The node answered with an error object."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error.get("message", "")))
        self.code: int = error.get("code", 0)
        found = error.get("data")
        data: dict[str, Any] = found if isinstance(found, dict) else {}
        self.reason: str = data.get("reason", "RPC_ERROR")
        self.data = data


def call_once(url: str, method: str, params: dict[str, Any], seconds: float = 15) -> Any:
    """One call to one node. Raises Unreachable or RpcRefusal."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked by the profile
        url, body.encode("utf-8"), {"Content-Type": "application/json"}
    )
    try:
        with _opener(url).open(request, timeout=seconds) as response:
            answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(f"{url}: {error}") from None
    if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
        raise RpcRefusal(answer["error"])
    if not isinstance(answer, dict) or "result" not in answer:
        raise Unreachable(f"{url}: the answer is not JSON-RPC")
    return answer["result"]


class Client:
    """Calls the first of several nodes that answers."""

    def __init__(self, urls: tuple[str, ...], remedy: str = "") -> None:
        """`remedy` says what to type when none of them answers."""
        self.urls = urls
        self.remedy = remedy

    def call(self, method: str, params: dict[str, Any] | None = None, seconds: float = 15) -> Any:
        """The result. Raises CommandError with the documented exit code."""
        failures: list[str] = []
        for url in self.urls:
            try:
                return call_once(url, method, params or {}, seconds)
            except Unreachable as error:
                failures.append(str(error))
            except RpcRefusal as error:
                if error.reason in ("SYNCING", "STOPPING", "MEMPOOL_FULL"):
                    failures.append(f"{url}: {error}")
                    continue
                code = _EXIT_BY_CODE.get(error.code, TEMPORARY)
                raise CommandError(code, error.reason, str(error)) from None
        raise self.unreachable(failures)

    def unreachable(self, failures: list[str]) -> CommandError:
        """The error when none of the nodes answers, with what each call met."""
        detail = "no node answers: " + "; ".join(failures)
        return CommandError(UNREACHABLE, "UNREACHABLE", detail, self.remedy)
