"""A line's sign of life: a key that expires, so that a process that died is missed within seconds."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import redis

from .connection import connection

ANNOUNCE_EVERY_S = 0.5
EXPIRES_AFTER_S = 2.5


@dataclass(frozen=True, kw_only=True)
class LineStatus:
    """What a running line says of itself.

    Attributes:
        pid: its process.
        started_at: ISO 8601, UTC.
        state: "running", "no model" or "fault".
        deployment: id of the deployment in force, or None.
        model_version: of the deployment in force, or None.
        engine: what serves the model.
        waiting: parts that wait to be judged.
        unstored: records that wait for the disk.
        delivery_error: why the database does not have the latest parts, empty where it has.
        plc: what it sees of its PLC, or None where it has none.
        revision: names the settings that it runs by.
    """

    pid: int
    started_at: str
    state: str = "no model"
    deployment: int | None = None
    model_version: int | None = None
    engine: str = ""
    waiting: int = 0
    unstored: int = 0
    delivery_error: str = ""
    plc: dict[str, Any] | None = None
    revision: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _key(slug: str) -> str:
    return f"line:{slug}:alive"


def announce(slug: str, status: LineStatus) -> None:
    """Says that the line runs; good for `EXPIRES_AFTER_S`."""
    connection().set(_key(slug), json.dumps(status.to_dict()), px=int(EXPIRES_AFTER_S * 1000))


def withdraw(slug: str) -> None:
    """Says that the line stops now."""
    connection().delete(_key(slug))


def line_status(slug: str) -> LineStatus | None:
    """The line's last word, or None where it is not running or Redis is away."""
    return line_statuses([slug])[slug]


def line_statuses(slugs: Iterable[str]) -> dict[str, LineStatus | None]:
    """The last word of each line, in one question."""
    names = list(slugs)
    if not names:
        return {}
    try:
        found = connection().mget([_key(name) for name in names])
    except redis.RedisError:
        found = [None] * len(names)
    return {
        name: LineStatus(**json.loads(stored)) if stored else None
        for name, stored in zip(names, found, strict=True)
    }
