"""One look at the figures of another service, over HTTP."""

import asyncio
from types import TracebackType
from typing import Final, Self

import httpx

from phoenix95.common.errors import TransientError
from phoenix95.common.readings import Reading, readings_of

DEADLINE_S: Final = 2.0  # for the whole answer, however slowly it drips
BODY_BYTES_MAX: Final = 4_000_000
CONNECTIONS_MAX: Final = 8


class FigureProbe:
    """Scrapes /metrics addresses. Use it as an async context manager."""

    def __init__(self) -> None:
        limits = httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=0)  # a minute is too long
        self._client = httpx.AsyncClient(trust_env=False, timeout=DEADLINE_S, limits=limits)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def readings(self, url: str) -> tuple[Reading, ...]:
        """All figures at an address. Raises TransientError that says why there are none."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                text = await self._text(url)
            # In a thread: a large answer takes some ms that the loop should not stand still for.
            return await asyncio.to_thread(readings_of, text)
        except TimeoutError as error:
            raise TransientError("no answer in time") from error
        except (httpx.HTTPError, OSError) as error:
            raise TransientError(f"no answer: {error or type(error).__name__}") from error
        except (ValueError, KeyError, IndexError) as error:  # what the parser raises at nonsense
            raise TransientError("its answer is no Prometheus text") from error

    async def _text(self, url: str) -> str:
        async with self._client.stream("GET", url) as answer:
            if answer.status_code != httpx.codes.OK:
                raise TransientError(f"it answers {answer.status_code}")
            body = b""
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > BODY_BYTES_MAX:
                    raise TransientError(f"its answer is longer than {BODY_BYTES_MAX} bytes")
            return body.decode(errors="replace")
