"""Fault points: what can go wrong at an effect, by its kind.

crash_*   the process dies before or after it; another one starts RESTART_MS later
nap_*     the process stops there; a successor takes over, the process wakes while it works and goes on
pause_*   the same, but it wakes only when its successor has finished the trade
error     no answer, nothing done                     no_reply  done, but the answer was lost (a commit, too)
lost      a request that never arrived; unknown       timeout   carried out; unknown
late      carried out some time later; unknown        limited   refused for too many requests
reject:N  refused with the exchange's code N          away      Postgres answers nothing for a stretch
deaf      the exchange answers no question for a stretch

Effects take no time here, so what happens between two effects of a step is the same behind the first as before the
second; each is listed once where the kind tells it. A process that was stopped before a write of the ledger does
nothing more when it wakes, the fence sees to it: that is a crash. So stops are placed before everything else.
"""

from typing import Final

_DIES: Final = ("crash_before", "crash_after")
_STOPS: Final = ("nap_before", "pause_before")
_SENT: Final = ("lost", "timeout", "late", "limited")

# the faults that only need the state just before or just after an effect: no step is run again for them
FROM_STATE: Final = frozenset((*_DIES, *_STOPS))

FAULTS: Final[dict[str, tuple[str, ...]]] = {
    "read": ("crash_before", *_STOPS, "error", "away"),
    "write": (*_DIES, "error", "no_reply", "away"),
    "ask": ("crash_before", *_STOPS, "error", "deaf"),
    "set": (*_DIES, *_STOPS, "error", "reject:-4161"),
    "cancel": (*_DIES, *_STOPS, "error", "timeout", "late:cancel"),
    "send_entry": (*_DIES, *_STOPS, *_SENT, "reject:-2019"),
    "send_exit": (*_DIES, *_STOPS, *_SENT, "reject:-4131"),
    "send_conditional": (*_DIES, *_STOPS, *_SENT, "reject:-4045", "reject:-2021"),
    "gone": ("crash_before",),
}


def possible(kind: str, index: int, *, woken: bool) -> tuple[str, ...]:
    """The faults to place at the effect with this index of a step; `woken`: of a process that was stopped before, for
    which a longer stop is a placement of its own. A step that begins when all is over does nothing."""
    if woken:
        return tuple(fault for fault in FAULTS[kind] if fault not in _STOPS)
    if index == 0:
        return tuple(fault for fault in FAULTS[kind] if fault != "pause_before")
    return FAULTS[kind]
