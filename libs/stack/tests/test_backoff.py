"""Restarts: slower and slower, given up after five starts that came to nothing, forgiven after work."""

from phoenix95.stack.backoff import DELAY_SECONDS_MAX, FAILURES_MAX, STABLE_SECONDS, Backoff


def test_delays_double_and_then_it_is_given_up() -> None:
    backoff, delays = Backoff(), []
    for _ in range(FAILURES_MAX):
        backoff, delay = backoff.after(0.0)
        delays.append(delay)
    assert delays == [0.25, 0.5, 1.0, 2.0, 4.0]
    assert backoff.after(0.0)[1] is None
    assert max(delay or 0 for delay in delays) <= DELAY_SECONDS_MAX


def test_who_worked_starts_with_a_clean_slate() -> None:
    backoff = Backoff(failures=FAILURES_MAX)
    assert backoff.after(STABLE_SECONDS - 0.1)[1] is None
    again, delay = backoff.after(STABLE_SECONDS)
    assert (again.failures, delay) == (1, 0.25)
