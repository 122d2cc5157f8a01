from pathlib import Path

import pytest

from inspection import events


@pytest.fixture
def folders(settings, tmp_path, media) -> Path:
    """Folders of the test's own for lines and model artefacts, beside those of images."""
    settings.LINE_DIR = tmp_path / "lines"
    settings.ARTEFACT_DIR = tmp_path / "models"
    return tmp_path


@pytest.fixture
def told(monkeypatch) -> list[events.Event]:
    """The events that pages would be told; no Redis is asked."""
    heard: list[events.Event] = []

    async def remember(event: events.Event) -> None:
        heard.append(event)

    monkeypatch.setattr(events, "publish_async", remember)
    return heard


@pytest.fixture
def redis_here(redis_server):
    """An empty, real Redis."""
    redis_server.flushdb()
    return redis_server
