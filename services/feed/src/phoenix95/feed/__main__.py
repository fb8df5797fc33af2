"""`python -m phoenix95.feed`"""

from phoenix95.common.bus import connect, connect_reader
from phoenix95.common.serve import Context, run
from phoenix95.common.timekeeper import exchange_clock
from phoenix95.feed.commands import BLOCK_MS
from phoenix95.feed.config import FeedSettings
from phoenix95.feed.service import Feed
from phoenix95.feed.sources import build


async def main(context: Context[FeedSettings]) -> None:
    """Build the parts and run them."""
    settings = context.settings
    source = build(settings)
    user, password = settings.redis_username, settings.redis_password.reveal()
    redis = connect(settings.redis_url, name=context.service, username=user, password=password)
    reader = connect_reader(
        settings.redis_url, name=f"{context.service}-commands", block_ms=BLOCK_MS, username=user, password=password
    )
    try:
        await Feed(context, redis=redis, reader=reader, source=source, clock=exchange_clock(settings)).run()
    finally:
        await source.aclose()
        await redis.aclose()
        await reader.aclose()


if __name__ == "__main__":
    run("feed", FeedSettings, main)
