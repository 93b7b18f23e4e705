"""The storage's tests run on our own server and, where one is installed, on the system's."""

from __future__ import annotations

import shutil

import pytest

INSTALLED = any(shutil.which(name) for name in ("valkey-server", "redis-server"))


@pytest.fixture(params=["store_url", *(["system_url"] if INSTALLED else [])])
def server_url(request: pytest.FixtureRequest) -> str:
    """One server after the other."""
    return request.getfixturevalue(request.param)
