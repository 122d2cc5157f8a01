"""A knock at a line's door: "look into the database". A knock that is lost costs a few seconds, no more."""

import redis

from .connection import connection

_BLOCK_S = 1.0


def _channel(slug: str) -> str:
    return f"line:{slug}:wake"


def knock(slug: str) -> bool:
    """Whether a line's process heard it."""
    try:
        return bool(connection().publish(_channel(slug), b"1"))
    except redis.RedisError:
        return False


class Door:
    """Where a line's process hears the knocks."""

    def __init__(self, slug: str) -> None:
        self._slug = slug
        self._pubsub: redis.client.PubSub | None = None

    def heard(self) -> bool:
        """Waits up to a second for a knock; True as well after every new connection, as some may be lost.

        Raises:
            redis.RedisError: Redis is away; the next call connects anew.
        """
        if self._pubsub is None:
            pubsub = connection().pubsub(ignore_subscribe_messages=True)
            pubsub.subscribe(_channel(self._slug))
            self._pubsub = pubsub
            return True
        try:
            return self._pubsub.get_message(timeout=_BLOCK_S) is not None
        except redis.RedisError:
            self.close()
            raise

    def close(self) -> None:
        """Gives the connection back."""
        if self._pubsub is not None:
            self._pubsub.close()
            self._pubsub = None
