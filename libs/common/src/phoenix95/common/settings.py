"""Settings: defaults, then the TOML file named by `P95_CONFIG`, then the environment; the later wins.

A field `x` of a service's struct is the variable `P95_<SERVICE>_X` and the key `x` of the table `[<service>]`;
the fields of `Common` are `P95_X` and live in `[common]`. A secret may also come from the file that
`P95_<...>_FILE` names. An empty variable counts as not set, as compose files write it.
"""

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

import msgspec

from phoenix95.common.errors import ConfigError
from phoenix95.common.modes import Mode, addresses
from phoenix95.common.settings_registry import OPS_PORTS, SECTIONS, SETTINGS, variable

CONFIG_FILE: Final = "P95_CONFIG"
PREFIX: Final = "P95_"
EXEMPT_PREFIX: Final = "P95_TEST_"
FILE_SUFFIX: Final = "_FILE"

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class Secret:
    """A string that never prints. Ask for it with `reveal()`; falsy when empty, so when it was not given."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself; only for the call that needs it."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "***" if self._text else "(none)"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not stored")


class Common(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What several services share.

    `redis_url` is `unix:///path` or `redis://host:port/db`. Empty exchange addresses mean those of the `mode`; one that
    contradicts it is a ConfigError.
    `partitions` is fixed for the life of a deployment.
    """

    redis_url: str = ""
    redis_username: str | None = None
    redis_password: Secret = Secret()
    postgres_url: Secret = Secret()
    partitions: Annotated[int, msgspec.Meta(ge=1, le=100)] = 16
    mode: Mode = "paper"
    exchange_rest_url: str = ""
    exchange_ws_url: str = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    http_host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        rest, websocket = addresses(self.mode, self.exchange_rest_url, self.exchange_ws_url)
        msgspec.structs.force_setattr(self, "exchange_rest_url", rest)
        msgspec.structs.force_setattr(self, "exchange_ws_url", websocket)


class Settings(Common, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every service's settings. `http_port` serves /metrics, /livez and /readyz; 0 takes a free port."""

    http_port: Port = 0


T = TypeVar("T", bound=Common)


def load(cls: type[T], service: str, env: Mapping[str, str]) -> T:
    """Read the settings of one service. Raises ConfigError that names the key, never showing a secret."""
    fields = {_name(service, field.name): field for field in msgspec.structs.fields(cls)}
    known = fields.keys() | SETTINGS.keys()
    secrets = {name for name, field in fields.items() if _holds(field.type, Secret)}
    found: dict[str, tuple[str, Any]] = dict(_from_file(env.get(CONFIG_FILE, ""), _keys(service, cls)))
    found.update(_from_environment(env, known, secrets))
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in found:
            source, raw = found[name]
            values[field.name] = _converted(source, raw, field.type)
        elif field.name == "http_port" and service in OPS_PORTS:
            values[field.name] = OPS_PORTS[service]
        elif field.required:
            raise ConfigError(f"{name} is required and not set")
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(f"settings of {service}: {error}") from error


def check_names(env: Mapping[str, str], where: str, content: Mapping[str, Any]) -> None:
    """Raise ConfigError for a setting that no service knows: in `env`, or in `content`, the tables of file `where`.

    For those who start services and want to say so before anything runs; values are each service's own matter.
    """
    for _ in _from_tables(where, content, _keys("common", Common)):
        pass
    for _ in _from_environment(env, set(SETTINGS), set()):
        pass


def require(settings: Common, *names: str) -> None:
    """Raise ConfigError for the first of these fields of `Common` that was not set."""
    for name in names:
        if not getattr(settings, name):
            raise ConfigError(f"{PREFIX}{name.upper()} is required and not set")


def _name(service: str, field: str) -> str:
    return variable("common" if field in Common.__struct_fields__ else service, field)


def _keys(service: str, cls: type[Common]) -> dict[str, dict[str, str]]:
    """For each table of the file its keys and the variables that they stand for."""
    tables: dict[str, dict[str, str]] = {section: {} for section in (*SECTIONS, service)}
    for name, setting in SETTINGS.items():
        if name != CONFIG_FILE:
            tables[setting.section][name.removeprefix(variable(setting.section, "")).lower()] = name
    for field in cls.__struct_fields__:
        section = "common" if field in Common.__struct_fields__ else service
        tables[section][field] = variable(section, field)
    return tables


def _from_file(path: str, tables: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, tuple[str, Any]]]:
    """Yield (variable, (where, value)). The tables of other services are checked for typos too."""
    if not path:
        return
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{CONFIG_FILE}: cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{CONFIG_FILE}: {path} is not TOML: {error}") from error
    yield from _from_tables(path, content, tables)


def _from_tables(
    path: str, content: Mapping[str, Any], tables: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, tuple[str, Any]]]:
    for section, table in content.items():
        if not isinstance(table, dict) or section not in tables:
            raise ConfigError(f"{path}: unknown table or key {section!r}{_meant(section, tables)}")
        keys = tables[section]
        for key, value in table.items():
            if key not in keys:
                raise ConfigError(f"{path}: unknown key {key!r} in [{section}]{_meant(key, keys)}")
            yield keys[key], (f"{path}: [{section}] {key}", value)


def _from_environment(
    env: Mapping[str, str], known: set[str], secrets: set[str]
) -> Iterator[tuple[str, tuple[str, Any]]]:
    for name, text in env.items():
        if not name.startswith(PREFIX) or name.startswith(EXEMPT_PREFIX):
            continue
        plain = name.removesuffix(FILE_SUFFIX)
        from_file = name not in known and plain in known
        if from_file and not (plain in secrets or (plain in SETTINGS and SETTINGS[plain].secret)):
            raise ConfigError(f"{name}: only a secret can be read from a file; set {plain}")
        if not from_file and name not in known:
            raise ConfigError(f"unknown setting {name}{_meant(name, known)}")
        if text == "":
            continue
        if from_file and plain in secrets:
            if env.get(plain):
                raise ConfigError(f"{name} and {plain} are both set; keep one")
            yield plain, (name, _secret_text(name, text))
        elif not from_file:
            yield name, (name, text)


def _secret_text(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{name}: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: {path} is not text") from error


def _converted(source: str, raw: Any, kind: Any) -> Any:
    if isinstance(raw, str) and _holds(kind, tuple):
        raw = tuple(part for part in (piece.strip() for piece in raw.split(",")) if part)
    try:
        return msgspec.convert(raw, type=kind, strict=False, dec_hook=_secret)
    except msgspec.ValidationError as error:
        reason = str(error).replace("`", "")
        shown = "" if _holds(kind, Secret) else f" (got {raw!r})"
        raise ConfigError(f"{source}: {reason[:1].lower()}{reason[1:]}{shown}") from error


def _secret(kind: type, raw: Any) -> Any:
    if kind is Secret and isinstance(raw, str):
        return Secret(raw)
    raise ValueError("expected text")


def _holds(kind: Any, wanted: type) -> bool:
    """Whether a field's type is `wanted`, or a union, an annotation or a parametrised form of it."""
    if kind is wanted or getattr(kind, "__origin__", None) is wanted:
        return True
    return any(_holds(part, wanted) for part in get_args(kind))


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
