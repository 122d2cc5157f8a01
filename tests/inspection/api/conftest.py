from collections.abc import Callable

import pytest
from rest_framework.test import APIClient


@pytest.fixture
def api_as(people) -> Callable[[str], APIClient]:
    """A program that works under somebody's role."""

    def login(role: str) -> APIClient:
        api = APIClient()
        api.force_authenticate(people[role])
        return api

    return login
