from collections.abc import Callable

import pytest
from django.test import Client


@pytest.fixture
def as_role(people) -> Callable[[str], Client]:
    """A browser in which somebody of a role is logged in."""

    def login(role: str) -> Client:
        client = Client()
        client.force_login(people[role], "django.contrib.auth.backends.ModelBackend")
        return client

    return login
