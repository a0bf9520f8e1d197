"""config.toml: strict, documented, overridden by the environment."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from node import config
from node.config import SECTIONS, Config, ConfigError


def load(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return config.load(path, environment or {})


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "") == Config()


def test_the_template_has_every_option_and_means_the_defaults(tmp_path: Path) -> None:
    text = config.template({})
    assert load(tmp_path, text) == Config()
    uncommented = "\n".join(
        line.removeprefix("# ") if " = " in line else line for line in text.split("\n")
    )
    document = tomllib.loads(uncommented)
    assert document.keys() == {"config_version", *SECTIONS}
    for name, section in SECTIONS.items():
        assert tuple(document[name]) == section.__struct_fields__
    assert load(tmp_path, uncommented) == Config()


def test_the_template_sets_what_it_is_given(tmp_path: Path) -> None:
    made = load(tmp_path, config.template({"node": {"name": 'a"b\\'}, "rpc": {"batch_max": 7}}))
    assert (made.node.name, made.rpc.batch_max) == ('a"b\\', 7)


def test_every_option_is_documented() -> None:
    text = config.template({})
    for section in SECTIONS.values():
        for field in section.__struct_fields__:
            above = text[: text.index(f"\n# {field} = ")].rsplit("\n", 1)[1]
            assert above.startswith("# ")
            assert above.endswith(".")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[rpcs]", "unknown section [rpcs]; did you mean rpc?"),
        ("[rpc]\nlistn = 1", "unknown key rpc.listn; did you mean listen?"),
        ("[rpc]\nzzzzzz = 1", "unknown key rpc.zzzzzz"),
        ("rpc = 1", "[rpc] is not a section"),
        ("[mempool]\nbytes_max = 0", "bytes_max"),
        ("[mempool]\nbytes_max = 1.5", "bytes_max"),
        ("[mempool]\nbytes_max = -1", "bytes_max"),
        ('[rpc]\nlisten = "here"', "listen"),
        ('[rpc]\nlisten = "127.0.0.1:70000"', "rpc.listen: want a port up to 65535"),
        ('[rpc]\nlisten = "127.0.0.1:1\\n"', "listen"),
        ('[metrics]\nlisten = "x"', "listen"),
        ('[p2p]\nlisten = "a:99999"', "p2p.listen"),
        ('[log]\nlevel = "loud"', "level"),
        ("config_version = 2", "config_version: want 1, got 2"),
        ("[", "not TOML"),
        ("\udcff", "not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError) as caught:
        config.load(path, {})
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="munimentd init"):
        config.load(tmp_path / "config.toml", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path, {})


def test_metrics_may_be_off_and_addresses_may_be_ipv6(tmp_path: Path) -> None:
    made = load(tmp_path, '[metrics]\nlisten = ""\n[rpc]\nlisten = "[::1]:26657"')
    assert (made.metrics.listen, made.rpc.listen) == ("", "[::1]:26657")


def test_the_environment_wins(tmp_path: Path) -> None:
    environment = {
        "MUNIMENT_RPC__BATCH_MAX": "9",
        "MUNIMENT_NODE__NAME": "val-7",
        "MUNIMENT_RPC__ALLOWED_HOSTS": "a, b,",
        "MUNIMENT_HOME": "/elsewhere",
        "PATH": "/bin",
    }
    made = load(tmp_path, '[rpc]\nbatch_max = 3\n[node]\nname = "x"', environment)
    assert (made.rpc.batch_max, made.node.name) == (9, "val-7")
    assert made.rpc.allowed_hosts == ("a", "b")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MUNIMENT_RPC__BATCHMAX", "1"),
        ("MUNIMENT_NOTHING__X", "1"),
        *[("MUNIMENT_RPC__BATCH_MAX", text) for text in ("", "ten", "1.5", "--5", "²", "9" * 5000)],
        ("MUNIMENT_RPC__BATCH_MAX", "-5"),
        ("MUNIMENT_RPC__LISTEN", "nowhere"),
    ],
)
def test_an_environment_that_means_nothing_is_refused(
    tmp_path: Path, name: str, value: str
) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, "", {name: value})


def test_sections_and_the_struct_agree() -> None:
    fields: Any = {name: type(getattr(Config(), name)) for name in SECTIONS}
    assert fields == SECTIONS
    assert set(Config.__struct_fields__) == {"config_version", *SECTIONS}
