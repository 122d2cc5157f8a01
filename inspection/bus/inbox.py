"""Images on their way to a line: one bounded list a line, taken off by the line's process.

An entry is MessagePack: {"kind": "frame" | "inspect", "sent_at": seconds of Redis's clock, "frames":
{station: {"name": str, "content": bytes}}, "trigger_sequence": int | None, "serial": str,
"reply": key | None}.
"""

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgpack

from .connection import connection

DEPTH = 32
# Redis keeps them in memory. A single entry is taken above that too, up to what Redis takes at all.
BUDGET_BYTES = 256_000_000
ENTRY_BYTES = 500_000_000
REPLY_EXPIRES_S = 60
_BLOCK_S = 1.0
# One step, so that two who send at the same time don't pass the limits together.
_PUT_WITHIN_LIMITS = """
local waiting = redis.call('LLEN', KEYS[1])
local used_bytes = 0
if waiting > 0 then used_bytes = redis.call('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 0) + #ARGV[1] end
if waiting >= tonumber(ARGV[2]) or used_bytes > tonumber(ARGV[3]) then
    redis.call('INCR', KEYS[2])
    return 0
end
redis.call('LPUSH', KEYS[1], ARGV[1])
return 1
"""


class EntryTooLong(ValueError):
    """More bytes than Redis takes at once."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One delivery of images; `age_s` is how long it was on its way when it was taken."""

    kind: Literal["frame", "inspect"]
    frames: dict[str, dict[str, Any]]
    age_s: float
    trigger_sequence: int | None = None
    serial: str = ""
    reply: str | None = None


def _key(slug: str) -> str:
    return f"line:{slug}:inbox"


def _refused_key(slug: str) -> str:
    return f"line:{slug}:refused"


def _now_s() -> float:
    """Redis's clock: one for all, wherever they run."""
    seconds, microseconds = connection().time()
    return float(seconds + microseconds / 1e6)


def put(
    slug: str,
    *,
    kind: Literal["frame", "inspect"],
    frames: Mapping[str, tuple[str, bytes]],
    trigger_sequence: int | None = None,
    serial: str = "",
) -> str | None:
    """Puts images on the line's list.

    Args:
        slug: the line.
        kind: "frame" feeds the line's push stations, "inspect" asks for a verdict.
        frames: name and bytes by station.
        trigger_sequence: the PLC's trigger that the frames belong to, where known.
        serial: the part's, for an inspection.

    Returns:
        The key that the answer will come under ("" for a frame); None where the list is full, by
        number or by bytes.

    Raises:
        EntryTooLong: the images are above `ENTRY_BYTES` together.
        redis.RedisError: Redis is away.
    """
    if sum(len(content) for _, content in frames.values()) > ENTRY_BYTES:
        raise EntryTooLong
    reply = f"line:{slug}:reply:{uuid.uuid4().hex}" if kind == "inspect" else ""
    entry = {
        "kind": kind,
        "frames": {
            station: {"name": name, "content": content} for station, (name, content) in frames.items()
        },
        "sent_at": _now_s(),
        "trigger_sequence": trigger_sequence,
        "serial": serial,
        "reply": reply or None,
    }
    put_within_limits = connection().register_script(_PUT_WITHIN_LIMITS)
    keys = [_key(slug), _refused_key(slug)]
    is_put = put_within_limits(keys=keys, args=[msgpack.packb(entry), DEPTH, BUDGET_BYTES])
    return reply if is_put else None


def take(slug: str) -> Entry | None:
    """The oldest entry, waited for up to a second; None where there is none.

    Raises:
        redis.RedisError: Redis is away.
    """
    found = connection().brpop([_key(slug)], timeout=_BLOCK_S)
    if not found:
        return None
    values = msgpack.unpackb(found[1])
    age_s = max(0.0, _now_s() - values.pop("sent_at"))
    return Entry(**values, age_s=age_s)


def take_refused(slug: str) -> int:
    """How many entries the full list has refused since the last time.

    Raises:
        redis.RedisError: Redis is away.
    """
    return int(connection().getdel(_refused_key(slug)) or 0)


def forget(slug: str) -> None:
    """Throws away what was sent to a process that is gone: its parts have long passed.

    Raises:
        redis.RedisError: Redis is away.
    """
    connection().delete(_key(slug), _refused_key(slug))


def answer(reply: str, answer_values: dict[str, Any]) -> None:
    """Answers an inspection.

    Raises:
        redis.RedisError: Redis is away.
    """
    with connection().pipeline() as pipeline:
        pipeline.lpush(reply, json.dumps(answer_values))
        pipeline.expire(reply, REPLY_EXPIRES_S)
        pipeline.execute()


def wait_for_answer(reply: str, *, timeout_s: float) -> dict[str, Any] | None:
    """The answer to an inspection, or None where none came in time.

    Raises:
        redis.RedisError: Redis is away.
    """
    ends = time.monotonic() + timeout_s
    while (left := ends - time.monotonic()) > 0:
        found = connection().brpop([reply], timeout=min(left, _BLOCK_S))
        if found:
            values: dict[str, Any] = json.loads(found[1])
            return values
    return None
