"""`make demo`: a morning in four agencies, real documents, a lost leader, and on it goes.

Documents go through the two commands that a user would type, each shown before it runs; the
services' stories through JSON-RPC (scripts/morning).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ledger.receipt import ReceiptInvalid
from node.authoring.scenario import ScenarioFailed
from node.client import RpcRefusal, Unreachable
from scripts.morning.play import STORIES, Morning

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
DOCUMENTS = 200
AFTER_THE_KILL = 20
SUFFIXES = {".py", ".md", ".toml", ".json", ".yaml", ".yml", ".sh", ".lock", ".txt", ".service"}


class DemoFailed(Exception):
    """Something did not happen that should have."""


def say(text: str = "") -> None:
    """A line for people."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Demo:
    """One run in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.net = folder / "net"
        self.documents = folder / "documents"
        self.environment = {**os.environ, "MUNIMENT_CLIENT_HOME": str(folder / "client")}
        self.environment.pop("MUNIMENT_PROFILE", None)

    def run(self, *words: str, expect: int = 0, show: bool = True) -> dict[str, Any]:
        """Run a command with --json and return its data; DemoFailed on another exit code."""
        if show:
            say(f"$ {' '.join(self._short(word) for word in words)}")
        command = [str(BIN / words[0]), *words[1:], "--json"]
        done = subprocess.run(
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        if done.returncode != expect:
            raise DemoFailed(
                f"{' '.join(words[:3])}: want exit {expect}, got {done.returncode}\n"
                f"{done.stdout}{done.stderr}"
            )
        answer = json.loads(done.stdout)
        said: dict[str, Any] = answer["data"] if answer["ok"] else answer["error"]
        return said

    def _short(self, word: str) -> str:
        return word.replace(str(self.folder), self.folder.name)

    def start(self) -> None:
        """Four validators, and a client profile that pins their genesis."""
        if (self.net / "net.json").exists():
            self.run("munimentd", "testnet", "clean", "--home", str(self.net), show=False)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.documents.mkdir(parents=True)
        info = self.run(
            "munimentd", "testnet", "up", "--validators", "4", "--home", str(self.net), "--detach"
        )
        say(f"  four validators agree on block 1 of {info['chain_id']}")
        self.run(
            "muniment", "profile", "add", "demo", "--info-file", str(self.net / "net.json"), "--use"
        )

    def morning(self) -> None:
        """The four services, voted in and used; a receipt of every act."""
        kept = self.folder / "receipts"
        kept.mkdir()
        morning = Morning(self.net, kept, say)
        for service, title in STORIES.items():
            say()
            say(f"{title} ({service})")
            try:
                timed = morning.play(service)
            except (ScenarioFailed, RpcRefusal, Unreachable, ReceiptInvalid) as error:
                raise DemoFailed(f"{service}: {error}") from error
            for record in timed:
                file = self.folder / f"{service}.proof.json"
                self.run("muniment", "proof", "get", f"record/{record}", "-o", str(file))
                proved = self.run("muniment", "proof", "verify", str(file))
                say(f"  VALID: the record's state at block {proved['height']}")
        last = max(kept.iterdir())
        verdict = self.run("muniment", "receipt", "verify", str(last))
        signed = f"{verdict['signers']} of {verdict['members']} signed"
        say(f"  VALID: block {verdict['height']}, {signed}")

    def gather(self, count: int) -> list[Path]:
        """Copies of real files of this project."""
        names = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.splitlines()
        found = [ROOT / name for name in names if Path(name).suffix in SUFFIXES]
        if len(found) < count:  # not a git checkout, or a small one: take what Python ships
            found += sorted(Path(os.__file__).parent.glob("*.py"))
        copies = []
        for number, source in enumerate(found[:count]):
            copy = self.documents / f"{number:03d}-{source.name}"
            shutil.copyfile(source, copy)
            copies.append(copy)
        if len(copies) < count:
            raise DemoFailed(f"want {count} files to register, found {len(copies)}")
        return copies

    def register(self, files: list[Path]) -> list[dict[str, Any]]:
        """Register documents and keep their receipts."""
        say(f"$ muniment document register --type permit … {len(files)} files")
        started = time.monotonic()
        data = self.run(
            *("muniment", "document", "register", "--type", "permit"),
            *("--title-code", "building-permit", "--timeout", "60"),
            *(str(path) for path in files),
            show=False,
        )
        rows: list[dict[str, Any]] = data["documents"]
        if any(row["status"] != "committed" for row in rows):
            raise DemoFailed("not every document was committed")
        heights = sorted({row["height"] for row in rows})
        say(
            f"  {len(rows)} documents committed in blocks {heights[0]} to {heights[-1]} "
            f"in {time.monotonic() - started:.1f} s, each with its receipt"
        )
        return rows

    def verify(self, file: Path) -> None:
        """A receipt is good offline, and bad after one byte of the document changed."""
        verdict = self.run("muniment", "receipt", "verify", str(file))
        say(
            f"  VALID: block {verdict['height']}, signed by {verdict['signers']} of "
            f"{verdict['members']} validators, file unchanged"
        )
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(bytes(data))
        say("  … one bit of the document is changed …")
        error = self.run("muniment", "receipt", "verify", str(file), expect=1)
        say(f"  REFUSED: {error['reason']}")
        data[len(data) // 2] ^= 1
        file.write_bytes(bytes(data))
        receipt = file.with_name(file.name + ".receipt.json")
        kept = json.loads(receipt.read_text())
        kept["receipt"]["header"]["time_ms"] += 1
        forged = self.folder / "forged.receipt.json"
        forged.write_text(json.dumps(kept))
        error = self.run("muniment", "receipt", "verify", str(forged), expect=1)
        say(f"  REFUSED after a change in the receipt: {error['reason']}")

    def lose_the_leader(self, files: list[Path]) -> None:
        """SIGKILL the leader; commits go on; it comes back and catches up."""
        leader = int(self.status()[0]["leader"].removeprefix("val-"))
        self.run("munimentd", "testnet", "kill", str(leader), "--home", str(self.net))
        say(f"  the leader, validator {leader}, is dead")
        self.register(files)
        self.run("munimentd", "testnet", "start", str(leader), "--home", str(self.net))
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            rows = self.status()
            if len(rows) == 4 and len({row["block_hash"] for row in rows}) == 1:
                say(f"  validator {leader} is back and caught up: all at block {rows[0]['height']}")
                return
            time.sleep(0.2)
        raise DemoFailed("the restarted validator did not catch up in 30 s")

    def status(self) -> list[dict[str, Any]]:
        """What the nodes that serve say of themselves."""
        nodes = self.run("muniment", "status", "--all", show=False)["nodes"]
        return [row["status"] for row in nodes if row["status"] is not None]

    def agree(self) -> None:
        """All four hold one state."""
        rows = self.status()
        roots = {row["state_root"] for row in rows}
        if len(rows) != 4 or len(roots) != 1:
            raise DemoFailed(f"the validators disagree: {roots}")
        say(f"  all four hold state root {roots.pop()}")

    def stop(self) -> None:
        """End what was started; nothing of it is left."""
        if (self.net / "net.json").exists():
            self.run("munimentd", "testnet", "clean", "--home", str(self.net), show=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def stay(self) -> None:
        """Keep the network up on a terminal until Ctrl-C."""
        info = json.loads((self.net / "net.json").read_text())
        say()
        for node in info["nodes"]:
            say(f"  {node['name']}  {node['rpc']}  {node['metrics']}")
        say()
        say("The network stays up. In another terminal, try:")
        for line in self.hints():
            say(f"  {line}")
        say("Ctrl-C stops it and removes its data.")
        signal.pause()

    def hints(self) -> list[str]:
        """What a visitor may type; all that it leaves is in the folder."""
        visitor = self.folder / "LICENSE"  # a receipt is kept beside its document
        shutil.copyfile(ROOT / "LICENSE", visitor)
        return [
            f"export MUNIMENT_CLIENT_HOME={self.folder / 'client'} PATH={BIN}:$PATH",
            f"muniment document register {visitor}",
            f"muniment receipt verify {visitor}",
            "muniment status --all",
            f"munimentd testnet kill 2 --home {self.net}",
        ]


def play(demo: Demo) -> None:
    """The whole story."""
    demo.start()
    demo.morning()
    say()
    say("Documents, and a validator that dies")
    files = demo.gather(DOCUMENTS + AFTER_THE_KILL)
    demo.register(files[:DOCUMENTS])
    demo.verify(files[0])
    demo.lose_the_leader(files[DOCUMENTS:])
    demo.agree()


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="demo")
    parser.add_argument("--once", action="store_true", help="end when the story is told")
    parser.add_argument("--folder", type=Path, default=ROOT / "demo")
    options = parser.parse_args()
    demo = Demo(options.folder.resolve())
    stays = not options.once and sys.stdin.isatty() and sys.stdout.isatty()
    started = time.monotonic()
    try:
        play(demo)
        say(f"done in {time.monotonic() - started:.1f} s")
        if stays:
            demo.stay()
    except KeyboardInterrupt:
        say("stopping")
    except (DemoFailed, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    finally:
        demo.stop()
    if not stays:
        say(f"{options.folder.name}/ is removed; `make demo` on a terminal keeps it until Ctrl-C")
    return 0


if __name__ == "__main__":
    sys.exit(main())
