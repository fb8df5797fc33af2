"""docker-compose.yml and the image: what can be proved without an engine."""

import importlib
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from phoenix95.common.serve import DRAIN_S
from phoenix95.common.settings import Settings, load
from phoenix95.common.settings_registry import OPS_PORTS, REQUIRED, SERVICES, SETTINGS

ROOT = Path(__file__).parents[2]
COMPOSE = YAML(typ="safe").load(ROOT / "docker-compose.yml")
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: row for name, row in CONTAINERS.items() if "build" in row}
ONE_SHOT = {"redis-users", "migrate"}
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
NOT_IN_1_29 = {"name", "include", "version"}  # the last one is what today's Compose complains of


def environment(name: str) -> dict[str, str | None]:
    return dict(CONTAINERS[name].get("environment", {}))


def secrets_of(name: str) -> set[str]:
    return set(CONTAINERS[name].get("secrets", ()))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of secrets, freshly made."""
    deploy = tmp_path_factory.mktemp("deploy")
    shutil.copy(ROOT / "deploy/make-secrets", deploy)
    subprocess.run([deploy / "make-secrets"], check=True)
    return deploy / "secrets"


def test_it_is_what_the_specification_of_compose_allows() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, ROOT / "docker-compose.yml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_old_compose_understands_it_too() -> None:
    assert not NOT_IN_1_29 & COMPOSE.keys()
    for name, row in CONTAINERS.items():
        assert "deploy" not in row, name
        assert "mem_limit" in row, name
        assert not {"start_interval"} & row.get("healthcheck", {}).keys(), name
        assert all(set(wait) == {"condition"} for wait in row.get("depends_on", {}).values()), name


def test_every_service_is_there() -> None:
    assert set(OURS) == {*SERVICES, *ONE_SHOT}
    for service in SERVICES:
        assert OURS[service]["build"]["args"] == {"SERVICE": service}


def test_only_the_gateway_is_published_and_only_on_loopback() -> None:
    published = {name: row["ports"] for name, row in CONTAINERS.items() if "ports" in row}
    assert list(published) == ["gateway"]
    assert all(port.startswith("127.0.0.1:") for port in published["gateway"])
    assert COMPOSE["networks"]["inner"] == {"internal": True}
    assert [name for name, row in CONTAINERS.items() if row["networks"] != ["inner"]] == ["monitor", "gateway"]
    assert not any("network_mode" in row for row in CONTAINERS.values())


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_may_do_no_more_than_it_must(name: str) -> None:
    row = CONTAINERS[name]
    assert row["cap_drop"] == ["ALL"]
    assert row["security_opt"] == ["no-new-privileges:true"]
    assert row["read_only"] is True
    assert "privileged" not in row
    if name in OURS:
        assert row["user"] == "10095:10095"
        assert "cap_add" not in row


@pytest.mark.parametrize("name", sorted(CONTAINERS.keys() - ONE_SHOT))
def test_who_stays_says_when_it_is_ready_and_gets_time_to_stop(name: str) -> None:
    row = CONTAINERS[name]
    assert "curl" not in str(row["healthcheck"]["test"])
    assert row["restart"] == "unless-stopped"
    assert float(row["stop_grace_period"].removesuffix("s")) > DRAIN_S + 1
    if name in OURS:
        assert row["healthcheck"]["test"] == ["CMD", "ready"]


def test_nobody_starts_before_what_it_needs_is_ready() -> None:
    for name, row in CONTAINERS.items():
        for needed, wait in row.get("depends_on", {}).items():
            expected = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
            assert wait["condition"] == expected, (name, needed)


@pytest.mark.parametrize("name", sorted(OURS.keys() - {"redis-users"}))
def test_a_service_takes_its_environment(name: str, made: Path) -> None:
    """Loaded as the service itself does, with every setting that the file leaves open at its default."""
    service = OURS[name]["build"]["args"]["SERVICE"]
    given = {key: value or SETTINGS[key].default for key, value in environment(name).items()}
    assert all(key in SETTINGS or SETTINGS[key.removesuffix("_FILE")].secret for key in given)
    of_others = {key for key in given if SETTINGS[key.removesuffix("_FILE")].section not in {"common", service}}
    assert of_others == set()
    settings = load(kind_of(service), service, {key: v.replace("/run/secrets", str(made)) for key, v in given.items()})
    if name == service:
        assert [field for field in REQUIRED.get(service, ()) if not getattr(settings, field)] == []
        assert (settings.mode, settings.http_port) == ("paper", OPS_PORTS[service])


def kind_of(service: str) -> type[Settings]:
    module = importlib.import_module(f"phoenix95.{service}.config")
    (kind,) = (
        found
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, Settings) and found.__module__ == module.__name__
    )
    return kind


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_gets_the_secrets_that_it_reads_and_no_others(name: str) -> None:
    row = CONTAINERS[name]
    read = set(re.findall(r"/run/secrets/(\w+)", " ".join(str(value) for value in environment(name).values())))
    if name == "redis-users":
        read = {f"redis_{user}" for user in (*SERVICES, "operator") if user != "paper"}
    if name == "redis":
        read = {"redis_operator"}  # for the health check and for people
    assert secrets_of(name) == read
    assert not [
        value for value in environment(name).values() if value and "password" in value.lower() and "/" not in value
    ]
    assert row.get("env_file") is None


def test_every_secret_is_made_once_and_readable_only_through_its_folder(made: Path) -> None:
    files = {ROOT / row["file"] for row in COMPOSE["secrets"].values()}
    assert {path.name for path in files} <= {path.name for path in made.iterdir()}
    assert {path.parent for path in files} == {ROOT / "deploy/secrets"}
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    before = {path.name: path.read_text() for path in made.iterdir()}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.iterdir()} == {0o444}
    assert len(set(before.values())) == len(before)
    subprocess.run([made.parent / "make-secrets"], check=True)
    assert {path.name: path.read_text() for path in made.iterdir()} == before


def test_secrets_are_kept_out_of_the_repository_and_of_the_images() -> None:
    ignored = subprocess.run(["git", "check-ignore", "-q", "deploy/secrets/api_key"], cwd=ROOT, check=False)
    assert ignored.returncode == 0
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in rules
    assert not [rule for rule in rules if rule.startswith("!") and rule in {"!deploy", "!.", "!deploy/secrets"}]


def test_an_image_holds_locked_packages_and_runs_as_nobody_in_particular() -> None:
    assert "://" not in DOCKERFILE
    assert DOCKERFILE.count("--require-hashes --no-deps") == DOCKERFILE.count("-r ") == 2
    assert DOCKERFILE.count("--no-index --no-deps") == 2
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["10095:10095"]
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
