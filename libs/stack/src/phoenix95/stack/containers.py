"""Redis and Postgres as containers, for tests on a machine that has an engine and the image. Nothing is pulled."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Final

from phoenix95.stack.external import ExternalPostgres, ExternalRedis

REDIS_IMAGE: Final = "redis:7"
POSTGRES_IMAGE: Final = "postgres:16"
_SOCKET: Final = Path("/var/run/docker.sock")


def has_image(image: str) -> bool:
    """Whether a container engine answers and has the image already."""
    if "DOCKER_HOST" not in os.environ and not _SOCKET.exists():
        return False
    docker = import_module("docker")  # here, because it is slow and needed only where an engine is
    try:
        engine = docker.from_env(timeout=3)
        engine.images.get(image)
    except docker.errors.DockerException:
        return False
    return True


@contextmanager
def redis_container() -> Iterator[ExternalRedis]:
    """A Redis on a free port of this machine, removed at the end."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    ready = LogMessageWaitStrategy("Ready to accept connections")
    with DockerContainer(REDIS_IMAGE).with_exposed_ports(6379).waiting_for(ready) as container:
        host, port = container.get_container_host_ip(), container.get_exposed_port(6379)
        yield ExternalRedis(f"redis://{host}:{port}")


@contextmanager
def postgres_container(password: str) -> Iterator[ExternalPostgres]:
    """A Postgres on a free port of this machine, removed at the end."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    ready = LogMessageWaitStrategy("database system is ready to accept connections", times=2)
    container = DockerContainer(POSTGRES_IMAGE).with_env("POSTGRES_PASSWORD", password).with_exposed_ports(5432)
    with container.waiting_for(ready):
        host, port = container.get_container_host_ip(), container.get_exposed_port(5432)
        yield ExternalPostgres(f"postgresql://postgres:{password}@{host}:{port}/postgres")
