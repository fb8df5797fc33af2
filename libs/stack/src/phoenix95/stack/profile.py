"""Profiles: named sets of settings, as TOML files of this package or of the user."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from phoenix95.common.errors import ConfigError


def profile_names() -> list[str]:
    """The profiles that come with the package."""
    folder = resources.files("phoenix95.stack") / "profiles"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def read_profile(name: str) -> str:
    """The text of a profile: one of ours by name, or a file. Raises ConfigError when there is none or it is no TOML."""
    if name in profile_names():
        text = (resources.files("phoenix95.stack") / "profiles" / f"{name}.toml").read_text(encoding="utf-8")
    elif name.endswith(".toml") and Path(name).is_file():
        text = Path(name).read_text(encoding="utf-8")
    else:
        raise ConfigError(f"--profile {name}: there are {', '.join(profile_names())}, or name a .toml file")
    parse_profile(name, text)
    return text


def parse_profile(name: str, text: str) -> dict[str, dict[str, Any]]:
    """The tables of a profile; the services themselves check the keys. Raises ConfigError."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"--profile {name}: not TOML: {error}") from error
    for section, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(f"--profile {name}: {section!r} stands outside of a table")
    return tables
