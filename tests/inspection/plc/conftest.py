import threading

import pytest


@pytest.fixture(autouse=True)
def no_thread_is_left():
    """Fails a test that leaves a thread behind."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]
    for thread in left:
        thread.join(1.0)
    left = [thread.name for thread in left if thread.is_alive()]
    assert not left, f"threads left behind: {left}"
