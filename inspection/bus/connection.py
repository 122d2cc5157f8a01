from functools import cache

import redis
from django.conf import settings

CONNECT_TIMEOUT_S = 1.0
# Longer than any blocking call below, which waits at most a second at a time.
ANSWER_TIMEOUT_S = 5.0


@cache
def connection() -> redis.Redis:
    """The process's connections to Redis; threads may share it."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=ANSWER_TIMEOUT_S,
        health_check_interval=30,
    )
