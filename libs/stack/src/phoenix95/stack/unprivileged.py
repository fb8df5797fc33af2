"""Postgres refuses to run as root. Three ways to be somebody else, tried in order, for root only.

1. A user namespace in which root is called 1000: files keep their owner, so a 0700 parent is no obstacle.
2. `nobody` with the one capability that reads and writes below any parent; containers often forbid 1 and allow this.
3. Plain `nobody`, which works where the parents may be entered by all.
"""

import os
import pwd
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phoenix95.common.errors import ConfigError

_NAMESPACE: Final = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
_CAPABILITY: Final = "+dac_override"
_PROBE: Final = 'cd -- "$1" && test -w . && { test ! -e "$2" || test -O "$2"; }'


@dataclass(frozen=True, slots=True)
class Wrapper:
    """Words put before a command, and the user that must own its files (None: the caller)."""

    words: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None

    def argv(self, death_signal: signal.Signals | None = None) -> list[str]:
        """The words; `death_signal` is asked for again, since a change of the user clears the first request."""
        words = list(self.words)
        if words and death_signal is not None:
            words += ["setpriv", "--pdeathsig", death_signal.name.removeprefix("SIG")]
        return words

    def hand_over(self, path: Path) -> None:
        """Make the file belong to the user of the wrapper."""
        if self.owner is not None:
            os.chown(path, *self.owner)


def wrapper_for(folder: Path, existing: Path) -> Wrapper:
    """How to run a server that keeps its files in `folder`; `existing` must stay its own when it is there.

    Raises ConfigError when root has no way.
    """
    if os.geteuid() != 0:
        return Wrapper()
    for wrapper in _candidates():
        owner_before = folder.stat()
        wrapper.hand_over(folder)
        if _works(wrapper, folder, existing):
            return wrapper
        os.chown(folder, owner_before.st_uid, owner_before.st_gid)
    raise ConfigError(
        f"Postgres refuses to run as root, and no other user can reach {folder}; "
        "run this as an ordinary user, or choose another --data folder"
    )


def _candidates() -> list[Wrapper]:
    candidates = []
    if shutil.which("unshare"):
        candidates.append(Wrapper(words=_NAMESPACE))
    if shutil.which("setpriv"):
        user = pwd.getpwnam("nobody")
        become = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
        owner = (user.pw_uid, user.pw_gid)
        candidates.append(Wrapper((*become, f"--inh-caps={_CAPABILITY}", f"--ambient-caps={_CAPABILITY}"), owner))
        candidates.append(Wrapper(become, owner))
    return candidates


def _works(wrapper: Wrapper, folder: Path, existing: Path) -> bool:
    call = [*wrapper.argv(), "sh", "-c", _PROBE, "sh", str(folder), str(existing)]
    return subprocess.run(call, capture_output=True, check=False).returncode == 0
