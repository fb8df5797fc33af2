"""Every way this system fails, and who has to act.

Phoenix95Error
├── ConfigError        the operator's settings are wrong; exits with 2 before anything starts
├── TransientError     try again, with bounded and jittered back-off
│   └── RateLimited    not looked at, so not done: the exchange wants fewer requests
├── BadMessage         an entry nobody can read; dead-letter it in the commit that skips it
├── VenueRejected      the exchange said no; definite
├── OutcomeUnknown     the exchange said nothing we can trust; never resend, only resolve
├── Fenced             another owner holds the partition now; drop it or claim it again
└── InvariantBroken    something impossible happened; end the process at once
    └── Diverged       a recomputed output differs from the stored one
"""


class Phoenix95Error(Exception):
    """Base of all errors that this project raises on purpose."""


class ConfigError(Phoenix95Error):
    """A setting is missing, unknown or out of range. The message names the key."""


class TransientError(Phoenix95Error):
    """A dependency did not answer; the same call may succeed later."""


class RateLimited(TransientError):
    """A request was refused, or held back here, for the exchange's rate limits: it was not done.

    `wait_s` is how long to wait in real seconds before another one.
    """

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class BadMessage(Phoenix95Error):
    """An entry or frame that cannot be decoded. Carries where it was found."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason


class VenueRejected(Phoenix95Error):
    """A definite refusal by the exchange: `code` is the exchange's own number."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class OutcomeUnknown(Phoenix95Error):
    """A request may or may not have been applied. Ask by client id; never send it again."""


class Fenced(Phoenix95Error):
    """The store refused a commit: `rule` is FENCED_OWNER or FENCED_SEQ."""

    def __init__(self, rule: str, key: str) -> None:
        super().__init__(f"{rule} on {key}")
        self.rule = rule
        self.key = key


class InvariantBroken(Phoenix95Error):
    """The program's own rules were violated; continuing would make it worse."""


class Diverged(InvariantBroken):
    """A recomputed output is not the one that is stored under its id."""

    def __init__(self, key: str, entry_id: str) -> None:
        super().__init__(f"DIVERGED on {key} at {entry_id}")
        self.key = key
        self.entry_id = entry_id
