"""Starts and stops one child process that cannot outlive this one."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_POLL_SECONDS: Final = 0.02


def spawn(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    log: Path,
    env: Mapping[str, str],
    death_signal: signal.Signals = signal.SIGKILL,
    pass_fds: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Start a child in a session of its own, its output appended to `log`.

    The kernel sends it `death_signal` when the thread that called this ends, even by kill -9; so call it from the
    main thread. A session of its own keeps the terminal's Ctrl-C away from it: the order of the stop is ours.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(word) for word in argv],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
            preexec_fn=_bound_to_parent(death_signal),  # safe: the supervisor has no other threads
        )


def complete(
    argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], text: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run a helper to its end with `text` as its input; it too dies with us, and hears no Ctrl-C."""
    return subprocess.run(
        [str(word) for word in argv],
        cwd=cwd,
        env=dict(env),
        input=text,
        text=True,
        errors="replace",
        capture_output=True,
        start_new_session=True,
        preexec_fn=_bound_to_parent(signal.SIGKILL),
        check=False,
    )


def stop(process: "subprocess.Popen[bytes]", how: signal.Signals, *, within_seconds: float) -> bool:
    """Signal, wait, kill if it does not go. Answers whether it went by itself."""
    if process.poll() is None:
        process.send_signal(how)
        # A stopped process cannot act on a signal; let it run, it has nothing to lose.
        process.send_signal(signal.SIGCONT)
    if wait_until(lambda: process.poll() is not None, within_seconds):
        return True
    process.kill()
    process.wait()
    return False


def wait_until(condition: Callable[[], bool], within_seconds: float) -> bool:
    """Poll until the condition holds; False when the time is over first."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _bound_to_parent(death_signal: signal.Signals) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)  # loaded here, because after the fork it is too late for imports
    parent = os.getpid()

    def bind() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died between the fork and the call above
            os._exit(1)

    return bind
