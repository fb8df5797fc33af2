"""Run the system in containers, trade, look, tear a file, stop; write what happened to docs/compose.md.

    python3 tests/compose/transcript.py [FILE]

Needs Compose (`P95_COMPOSE`, default `docker compose`) and nothing else: no package of ours, nor of others. It works
in a project of its own, so a system that runs here already is left alone, and it removes what it made, also when a
step fails; then nothing is written and the exit code is 1.
"""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
SHOWN_PROJECT: Final = "phoenix95"
PROJECT: Final = "p95record"  # as long as the one that is shown instead, so that tables stay straight
STAY: Final = ("redis", "postgres", "paper", "engine", "executor", "monitor", "gateway", "feed")
SYMBOLS: Final = ("BTCUSDT", "XRPUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT")
HEALTHY_SECONDS: Final = 180.0
PROTECTED_SECONDS: Final = 30.0
LOOK: Final = "sh /etc/phoenix95/look.sh"
TORN_BYTES: Final = 7
HIDDEN: Final = "$(cat deploy/secrets/api_key)"

INTRO: Final = """# The system in containers

```
make up        # builds, makes up the secrets, starts everything: http://127.0.0.1:8103
make logs      # ARGS=executor for one service
make down      # what was stored stays; make down ARGS=-v removes it
```

It needs a Docker engine with Compose 1.29 or later. `P95_COMPOSE` names the command, `docker compose` by default.

- **Settings** are variables of the environment, or lines of a file `.env` beside `docker-compose.yml`, which lists
  those that it passes on. `P95_GATEWAY_PORT` is the port on this machine.
- **Secrets** are made up once by `deploy/make-secrets`, into `deploy/secrets`, which git ignores and only its owner
  can enter. Keep them as long as the volumes: the database knows its passwords. Each container sees its own alone.
- **Rights.** Our containers run as user 10095 without any capability, on a read-only file system. Redis has a user for
  each service, made from the table of streams; in Postgres the executor owns the ledger, the monitor adds rows and
  the gateway reads. The network is cut off from the outside, but for the monitor, which sends notifications, and the
  gateway, which alone is published, on loopback.
- **Updates.** `git pull && make down up`: the images, the tables and the rights are then those of the new code.

Below is a run as it was, written by `tests/compose/transcript.py`. Calls of the API are shown as curl makes them, and
long answers in part.
"""


class Failed(Exception):
    """A step did not do what it should."""


class Transcript:
    """The commands, what they answered, and the text that grows from it."""

    def __init__(self) -> None:
        self.compose = shlex.split(os.environ.get("P95_COMPOSE") or "docker compose")
        self.port = int(os.environ.get("P95_GATEWAY_PORT") or free_port())
        names = {"COMPOSE_PROJECT_NAME": PROJECT, "P95_GATEWAY_PORT": str(self.port), "COLUMNS": "200"}
        self.env = os.environ | names
        self.text = INTRO

    def say(self, sentence: str) -> None:
        self.text += f"\n{sentence}\n"

    def show(self, command: str, output: str) -> None:
        block = f"$ {command}\n{output.rstrip()}".rstrip()
        block = block.replace(PROJECT, SHOWN_PROJECT).replace(f":{self.port}", ":8103")
        self.text += f"\n```console\n{block}\n```\n"

    def call(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Compose with these words; its messages go with its output."""
        return run([*self.compose, *words], self.env)

    def shown(self, words: str, keep: Callable[[str], bool] = lambda line: bool(line.strip())) -> str:
        """A compose command that must succeed, shown with the lines to keep."""
        done = self.call(*shlex.split(words))
        if done.returncode != 0:
            raise Failed(f"{words} ended with {done.returncode}:\n{done.stdout[-3000:]}")
        output = "\n".join(line.rstrip() for line in done.stdout.splitlines() if keep(line))
        self.show(f"docker compose {words}", output)
        return output

    def wait_healthy(self) -> float:
        """Seconds until everybody is."""
        began = time.monotonic()
        while True:
            rows = self.call("ps").stdout.splitlines()
            sick = [name for name in STAY if not any(is_row_of(row, name) and "(healthy)" in row for row in rows)]
            if not sick:
                return time.monotonic() - began
            if time.monotonic() - began > HEALTHY_SECONDS:
                raise Failed(f"not healthy after {HEALTHY_SECONDS:g} s: {', '.join(sick)}\n" + "\n".join(rows))
            time.sleep(1)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> tuple[str, Any]:
        """The command as curl would make it, and the answer."""
        key = (ROOT / "deploy/secrets/api_key").read_text().strip()
        headers = {"X-API-Key": key, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        command = f'curl -s -H "X-API-Key: {HIDDEN}" '
        command += "" if body is None else f"-H 'Content-Type: application/json' -d '{json.dumps(body)}' "
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
                return f"{command}http://127.0.0.1:{self.port}{path}", json.load(answer)
        except urllib.error.HTTPError as error:
            raise Failed(f"{path}: {error.code} {error.read().decode()}") from error


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def run(call: list[str], env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        call,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def is_row_of(row: str, service: str) -> bool:
    """Whether a line of `ps` is about a service; Compose wrote project_service_1 once, and writes hyphens now."""
    return re.match(rf"\S+[-_]{service}[-_]1\s", row) is not None


def start(log: Transcript) -> None:
    log.say("## Up")
    began = time.monotonic()
    done = run(["make", "-s", "up"], log.env)
    if done.returncode != 0:
        raise Failed(f"make up ended with {done.returncode}:\n{done.stdout[-3000:]}")
    kept = [
        line for line in done.stdout.splitlines() if re.search(r"\.\.\. done$|(Started|Exited|Healthy) *$|API", line)
    ]
    log.show("make up", "\n".join(kept))
    log.wait_healthy()
    log.say(f"Everybody is healthy after {time.monotonic() - began:.0f} s; most of them go into images that are new.")
    log.shown("version", lambda line: "ompose version" in line)
    log.shown("ps")
    command, answer = log.ask("/health")
    states = {name: row["healthy"] for name, row in answer["components"].items()}
    log.show(command, json.dumps({"status": answer["status"], "components": states}, indent=1))
    if answer["status"] != "healthy":
        raise Failed(f"/health says {answer}")


def trade(log: Transcript) -> str:
    """Place a trade and see its stop on the exchange; answers the request's id."""
    log.say(
        "## A trade\n\nAn outside signal goes through the engine, the three gates and the executor to the exchange."
    )
    refused = []
    for symbol in SYMBOLS:
        command, answer = log.ask("/api/execute", {"symbol": symbol, "action": "buy", "confidence": 0.9})
        decision = answer.get("decision")
        if decision is not None and decision["accepted"]:
            break
        refused.append(f"{symbol}: {answer}")
    else:
        raise Failed("no trade was accepted:\n" + "\n".join(refused))
    told = {name: answer["analysis"][name] for name in ("action", "side", "price", "phoenix95_score", "stop_loss")}
    passed = {row["gate"]: row["reason"] or "passed" for row in decision["verdicts"]}
    shown = {"request_id": answer["request_id"], "analysis": told, "reason": decision["reason"], "gates": passed}
    log.show(command, json.dumps(shown, indent=1))
    request = str(answer["request_id"])
    log.say("The stop and the target stand on the exchange; `protected` means that the stop was seen in its list:")
    log.show(*protected(log, request))
    return request


def protected(log: Transcript, request: str) -> tuple[str, str]:
    deadline = time.monotonic() + PROTECTED_SECONDS
    while True:
        command, followed = log.ask(f"/api/execute/{request}")
        if followed["positions"] and all(row["protected"] for row in followed["positions"]):
            break
        if time.monotonic() > deadline:
            raise Failed(f"not protected after {PROTECTED_SECONDS:g} s: {json.dumps(followed)}")
        time.sleep(0.5)
    orders = [
        {name: row[name] for name in ("role", "state", "quantity", "trigger_price")} for row in followed["orders"]
    ]
    (held,) = followed["positions"]
    names = ("symbol", "side", "size", "entry_price", "stop_loss", "take_profit", "protected", "is_active")
    return command, json.dumps({"orders": orders, "position": {name: held[name] for name in names}}, indent=1)


def look(log: Transcript) -> str:
    """Read the streams as a person would; answers the key of a tick stream."""
    log.say(
        "## The streams\n\n`look.sh` is redis-cli as the user `operator`, who reads everything and changes nothing."
    )
    scan = f"exec -T redis {LOOK} --scan --pattern p95:*"
    keys = sorted(line for line in log.call(*shlex.split(scan)).stdout.splitlines() if line.startswith("p95:"))
    log.show(f"docker compose {scan} | sort", "\n".join(keys))
    ticks = next(key for key in keys if key.startswith("p95:tick:") and key.endswith("BTCUSDT"))
    length = int(log.shown(f"exec -T redis {LOOK} xlen {ticks}"))
    orders = log.shown(f"exec -T redis {LOOK} xrevrange p95:order + - count 2")
    if not length or "analysis_id" not in orders:
        raise Failed(f"the streams look empty: {length} ticks, orders:\n{orders}")
    log.say("Nobody else gets in, and nobody writes what is not his:")
    refusal = log.shown(f"exec -T redis {LOOK} xadd {ticks} * d forged")
    nobody = log.shown("exec -T redis redis-cli ping")
    if "NOPERM" not in refusal or "NOAUTH" not in nobody:
        raise Failed(f"Redis let somebody in: {refusal} {nobody}")
    log.shown("exec -T executor id")
    return ticks


def tear(log: Transcript, ticks: str, request: str) -> None:
    """A power failure in the middle of a write, as Redis meets it at its next start."""
    log.say(
        "## A torn file\n\nA power failure tears the end of Redis' append-only file. It is cut where the last whole"
        " transaction ends, before Redis starts; the services go on by themselves."
    )
    before = int(log.call(*shlex.split(f"exec -T redis {LOOK} xlen {ticks}")).stdout)
    log.shown("stop redis", lambda line: "done" in line or "Stopped" in line)
    script = f"truncate -s -{TORN_BYTES} /data/appendonlydir/*.incr.aof"
    log.shown(f"run --rm --no-deps -T --entrypoint sh redis -c '{script}'", lambda line: False)
    log.shown("start redis", lambda line: "done" in line or "Started" in line)
    log.wait_healthy()
    log.shown(
        "logs --no-color redis",
        lambda line: re.search(r"AOF (is not valid|analyzed|.*truncated)|ok_up_to=|Succes", line) is not None,
    )
    deadline = time.monotonic() + HEALTHY_SECONDS
    while (after := int(log.call(*shlex.split(f"exec -T redis {LOOK} xlen {ticks}")).stdout)) <= before:
        if time.monotonic() > deadline:
            raise Failed(f"no trades came after the restart: {before} before, {after} now")
        time.sleep(1)
    log.say(f"There were {before} trades of BTCUSDT in the stream, now there are {after}. The position is as it was:")
    log.show(*protected(log, request))


def main(file: Path) -> int:
    log = Transcript()
    try:
        start(log)
        request = trade(log)
        ticks = look(log)
        tear(log, ticks, request)
        log.say("## Down")
        log.shown(
            "down -v", lambda line: re.search(r"^Removing (volume|network)|Removed *$|removed$", line) is not None
        )
    except Failed as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.write(log.call("logs", "--no-color", "--tail=15").stdout)
        return 1
    finally:
        log.call("down", "-v")
    file.write_text(log.text, encoding="utf-8")
    sys.stdout.write(f"written: {file}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/compose.md"))
