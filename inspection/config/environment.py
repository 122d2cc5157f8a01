"""Typed readers of the process environment. A bad value stops the start with its name."""

import hashlib
import secrets
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvError, validate

BASE_DIR = Path(__file__).resolve().parents[2]

# A Unix socket's path holds at most 107 bytes on Linux.
_SOCKET_PATH_LIMIT = 100

env = Env()


def read(reader: str, name: str, **options):
    """Read one setting with an environs reader, naming the variable when its value is bad."""
    try:
        return getattr(env, reader)(name, **options)
    except EnvError as error:
        raise ImproperlyConfigured(f"{error} (environment variable {name})") from error


def var_dir() -> Path:
    """The folder that holds everything the product writes; made when absent."""
    folder = Path(read("str", "INSPECTION_VAR_DIR", default=str(BASE_DIR / "var"))).expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def secret_key(folder: Path) -> str:
    """SECRET_KEY from the environment, else from a generated file readable by its owner alone."""
    given = read("str", "SECRET_KEY", default="")
    if given:
        return given
    path = folder / "secret_key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(64))
    return path.read_text().strip()


def socket_path(folder: Path, name: str) -> Path:
    """A Unix socket below var/, or in a short private folder where var/'s path is too long for one."""
    socket = folder / name
    if len(str(socket)) < _SOCKET_PATH_LIMIT:
        return socket
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"inspection-{digest}"
    short.mkdir(mode=0o700, exist_ok=True)
    return short / name


def redis_url(folder: Path) -> str:
    """REDIS_URL, or the embedded server's socket as a unix:// address."""
    url = read("str", "REDIS_URL", default="")
    if not url:
        return f"unix://{socket_path(folder, 'redis.sock')}"
    if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        raise ImproperlyConfigured(
            f"The environment variable REDIS_URL must begin with redis://, rediss:// or unix://, not {url!r}"
        )
    return url


def celery_broker_url(url: str) -> str:
    """The same Redis in Celery's spelling."""
    return url.replace("unix://", "redis+socket://", 1) if url.startswith("unix://") else url


__all__ = [
    "BASE_DIR",
    "celery_broker_url",
    "read",
    "redis_url",
    "secret_key",
    "socket_path",
    "validate",
    "var_dir",
]
