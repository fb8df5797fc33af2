"""The registry of settings is what the services really read: no more, no less, with the same defaults."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from phoenix95.common.settings import Common, Secret, Settings, load
from phoenix95.common.settings_registry import SERVICES, SETTINGS, variable

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"\bP95_[A-Z0-9_]*[A-Z0-9]\b(?![_*{<])")
MEMBER_OF_SECTION = {"cli": "cli", "stack": "libs/stack"}
PLACEHOLDER = "P95_X"  # of the documentation
TEXTS = (
    "Makefile",
    "README*.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/**/*.md",
    "deploy/**/*",
    "scripts/*",
    "*.yml",
)


def settings_of(service: str) -> type[Settings]:
    """The one settings struct that a service's config module defines."""
    module = importlib.import_module(f"phoenix95.{service}.config")
    (found,) = (
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Settings) and kind.__module__ == module.__name__
    )
    return found


def own_fields(service: str) -> dict[str, msgspec.structs.FieldInfo]:
    fields = msgspec.structs.fields(settings_of(service))
    return {variable(service, field.name): field for field in fields if field.name not in Common.__struct_fields__}


@pytest.mark.parametrize("service", SERVICES)
def test_the_registry_names_exactly_what_a_service_reads(service: str) -> None:
    registered = {name for name, setting in SETTINGS.items() if setting.section == service}
    assert registered == set(own_fields(service))


@pytest.mark.parametrize("service", SERVICES)
def test_a_registered_default_is_the_default(service: str) -> None:
    kind = settings_of(service)
    for name, field in own_fields(service).items():
        text = SETTINGS[name].default
        if text:
            assert load(kind, service, {name: text}) == load(kind, service, {}), f"{name} is not {text!r} by default"
        else:
            assert field.default in (None, "", (), Secret()), f"{name} has the default {field.default!r}"


@pytest.mark.parametrize("service", SERVICES)
def test_a_secret_is_registered_as_one(service: str) -> None:
    for name, field in own_fields(service).items():
        assert SETTINGS[name].secret == (field.type is Secret), name


def sources(member: str) -> Iterator[Path]:
    yield from (ROOT / member / "src").rglob("*.py")


@pytest.mark.parametrize("section", MEMBER_OF_SECTION)
def test_what_is_no_service_s_setting_is_read_by_its_member(section: str) -> None:
    written = "\n".join(path.read_text(encoding="utf-8") for path in sources(MEMBER_OF_SECTION[section]))
    unread = [name for name, setting in SETTINGS.items() if setting.section == section and name not in written]
    assert unread == []


def is_known(name: str) -> bool:
    plain = name.removesuffix("_FILE")
    return (
        name == PLACEHOLDER
        or name in SETTINGS
        or name.startswith("P95_TEST_")
        or (plain in SETTINGS and SETTINGS[plain].secret)
    )


def test_every_name_that_is_written_anywhere_exists() -> None:
    members = [path.parent for path in ROOT.glob("*/*/pyproject.toml")] + [ROOT / "cli"]
    paths = [path for member in members for path in (member / "src").rglob("*") if path.suffix in {".py", ".toml"}]
    paths += [path for pattern in TEXTS for path in ROOT.glob(pattern) if path.is_file()]
    unknown = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in paths
        for name in NAME.findall(path.read_text(encoding="utf-8", errors="replace"))
        if not is_known(name)
    ]
    assert unknown == []
