"""Each service's lock is complete, fits the developers' one, and names no place on the network."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from phoenix95.common.settings_registry import SERVICES

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements"
PINNED = re.compile(r"^([a-z0-9][a-z0-9.-]*)==([^ ;\\]+)", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    """Distribution and version."""
    return dict(PINNED.findall((REQUIREMENTS / f"{lock}.lock").read_text(encoding="utf-8")))


def modules_of_commands(service: str) -> set[str]:
    """What only the command line `phoenix95` loads, with the dependencies of the service's extra `commands`."""
    manifest = tomllib.loads((ROOT / f"services/{service}/pyproject.toml").read_text(encoding="utf-8"))
    entries = manifest["project"].get("entry-points", {}).get("phoenix95.commands", {})
    return {entry.partition(":")[0] for entry in entries.values()}


def imported(folder: Path, but_of: set[str]) -> Iterator[str]:
    """Dotted names of everything that is imported below a folder `src`, `from a import b` as both `a` and `a.b`.

    `but_of`: modules that are not looked at.
    """
    for path in folder.rglob("*.py"):
        if ".".join(path.relative_to(folder).with_suffix("").parts) in but_of:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("lock", sorted(path.stem for path in REQUIREMENTS.glob("*.lock")))
def test_a_lock_pins_with_hashes_and_carries_no_address(lock: str) -> None:
    text = (REQUIREMENTS / f"{lock}.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert pins(lock)
    entries = text.replace("\\\n", " ").splitlines()
    assert [entry for entry in entries if entry and "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("lock", [*SERVICES, "build"])
def test_what_is_shipped_is_what_was_tested(lock: str) -> None:
    tested = pins("dev")
    assert {name: version for name, version in pins(lock).items() if tested.get(name) != version} == {}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_s_lock_holds_everything_that_it_imports(service: str) -> None:
    """The one environment of the developers hides a dependency that a service forgot to declare."""
    installed = packages_distributions()
    locked = pins(service)
    commands = modules_of_commands(service)
    names = {
        name for folder in ("libs/common", f"services/{service}") for name in imported(ROOT / folder / "src", commands)
    }
    assert names & commands == set()
    missing = {
        name
        for name in (dotted.partition(".")[0] for dotted in names)
        if name != "phoenix95"
        and name not in sys.stdlib_module_names
        and not any(found.lower().replace("_", "-") in locked for found in installed.get(name, ()))
    }
    assert missing == set()
