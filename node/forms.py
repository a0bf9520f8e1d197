"""What parsers say of a value, in words for people: no regular expressions, no JSON paths."""

from __future__ import annotations

import re
from typing import Final

_CODE: Final = "a-z, 0-9 and inner hyphens, at most 64"
_PARTY: Final = "a party id: a-z, 0-9, dots and hyphens, at most 64"
_RECORD: Final = "a record id: TYPE/ and 32 hex digits"
_NAME: Final = "a name: a-z, 0-9 and _, beginning with a letter, at most 32"
_ADDRESS: Final = "host:port, the port from 1 to 65535"
_PENDING: Final = "16 hex digits, as `muniment task list` shows them"
_PROPOSAL: Final = "1 to 64 of A-Za-z0-9._-"
_OF_SERVICE: Final = "SERVICE.NAME"
ACCOUNT: Final = "RECORD#NAME, RECORD being a record's id, or party:PARTY#NAME"
WORDS: Final = {
    "[0-9a-f]{64}": "64 lower-case hex digits",
    "[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?": _CODE,
    "[a-z0-9-]{1,64}": _CODE,
    "[a-z0-9](?:[a-z0-9.-]{0,62}[a-z0-9])?": _PARTY,
    "[a-z0-9.-]{1,64}": _PARTY,
    "([a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?)/([0-9a-f]{32})": _RECORD,
    "[a-z0-9-]{1,64}/[0-9a-f]{32}": _RECORD,
    "[a-z][a-z0-9_]{0,31}": _NAME,
    "[A-Za-z0-9._-]{1,64}": _PROPOSAL,
    "[0-9a-f]{16}": _PENDING,
    "[0-9a-f]{24}": "`next_cursor` of an earlier page of the same statement",
    "[0-9]{1,16}:[!-~]+": "`next_cursor` of an earlier page of the same list",
    r"[a-z0-9-]{1,31}\.[a-z0-9-]{1,64}": _OF_SERVICE,
    r"[a-z0-9-]{1,64}\.[a-z0-9-]{1,64}": _OF_SERVICE,
    "[ -~]+": "printable ASCII",
    "[!-~]{1,128}#[!-~]{1,64}": ACCOUNT,
    "[A-Za-z0-9_-]+": "base64url without padding",
    "[A-Za-z0-9_-]{43}": "32 bytes in base64url, 43 characters",
    "[A-Za-z0-9_-]{86}": "64 bytes in base64url, 86 characters",
    r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}": _ADDRESS,
    r"((\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5})?": f"{_ADDRESS}, or nothing",
    r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|"
    "6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}": _ADDRESS,
    "debug|info|warning|error": "debug, info, warning or error",
    "json|console": "json or console",
}
"""A pattern of a parameter, an operation's field or a setting, without what encloses it."""
_SAID: Final = re.compile(
    r"Expected `(?P<kind>[^`]+)`"
    r"(?: matching regex '(?P<pattern>(?:[^'\\]|\\.)*)'| (?P<bound>[^-`\n][^`\n]*?)"
    r"|, got `(?P<got>[^`]+)`)?"
    r" - at `\$\.?(?P<path>[^`]*)`"
)
_MISSING: Final = re.compile(r"Object missing required field `([^`]+)`(?: - at `\$\.?([^`]*)`)?")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `([^`]+)`(?: - at `\$\.?([^`]*)`)?")
_KINDS: Final = {"str": "text", "int": "a whole number", "bool": "true or false", "array": "a list"}


def bare(pattern: str) -> str:
    """A pattern without its anchors and the group around the whole."""
    text = pattern.removeprefix("^").removesuffix("\\Z").removesuffix("$")
    if text.startswith("(?:") and text.endswith(")"):
        text = text[3:-1]
    elif text.startswith("(") and text.endswith(")") and "|" in text and text.count("(") == 1:
        text = text[1:-1]
    return text


def in_words(message: str) -> str:
    """A message, its `Expected … at …` parts written for people."""
    message = _MISSING.sub(lambda found: f"{_at(found)}{found[1]} is missing", message)
    message = _UNKNOWN.sub(lambda found: f"{_at(found)}there is no {found[1]}", message)
    return _SAID.sub(_told, message)


def _at(found: re.Match[str]) -> str:
    return f"{found[2]}: " if found[2] else ""


def _told(found: re.Match[str]) -> str:
    path, kind = found["path"], found["kind"]
    if found["pattern"] is not None:
        pattern = re.sub(r"\\(.)", r"\1", found["pattern"])
        wanted = WORDS.get(bare(pattern), "another form, see docs/spec/formats.md")
    else:
        wanted = " or ".join(_KINDS.get(part, part) for part in kind.split(" | "))
        if found["bound"]:
            wanted += f" {found['bound']}"
        if found["got"]:
            wanted += f", got {_KINDS.get(found['got'], found['got'])}"
    return f"{path}: want {wanted}" if path else f"want {wanted}"
