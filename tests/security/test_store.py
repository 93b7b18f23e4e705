"""The store in somebody else's hands: rights, a sealed line, codes as hashes."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from redis.exceptions import NoPermissionError

from storage.backup import load, save
from storage.connection import Client, StoreDown, connect
from storage.limits import Rules
from storage.status import gather
from storage.stores import open_stores
from tests.storage.test_backup import OLD
from tests.storage.test_keys import live

ROOT = Path(__file__).parents[2]
PASSWORD = "s3cr3t-of-the-store"


def rights() -> list[str]:
    """The rule that docs/security.md tells people to use."""
    found = re.search(r"ACL SETUSER askpix (.*)", (ROOT / "docs" / "security.md").read_text())
    assert found
    return found[1].replace("PASSWORD", PASSWORD).split()


@pytest_asyncio.fixture
async def limited(redis: Client) -> AsyncIterator[str]:
    """The address of a user who has only those rights."""
    await redis.execute_command("ACL", "SETUSER", "askpix", "reset", *rights())
    yield f"unix://askpix:{PASSWORD}@{redis.connection_pool.connection_kwargs['path']}"
    await redis.execute_command("ACL", "DELUSER", "askpix")


@pytest.mark.parametrize("who", ["ann", "telegram:1"])
async def test_a_user_with_the_documented_rights_can_do_all_that_askpix_does(
    limited: str, redis: Client, tmp_path: Path, who: str
) -> None:
    async with open_stores(limited) as stores:
        await live(stores, "telegram:1:1", who)
        limits = stores.limits(Rules())
        await limits.change(who, "allow", "telegram:2")
        await limits.change(who, "quota", "telegram:2", "5")
        await limits.take("telegram:2", "id")
        assert len(await limits.changes()) == 2
        assert await gather(stores.redis, stores.scripts)
        await stores.queue.cancel(who)
        await stores.history.forget(who)
        await stores.images.forget(who)
        await stores.images.sweep()
        assert await stores.health.model() is None
        assert await stores.queue.counts()
        assert await save(stores.redis, tmp_path / "file")
        await redis.flushall()
        assert await load(stores.redis, OLD)
        listening = asyncio.create_task(anext(stores.replies.listen("telegram")))
        assert await listening is None or listening.done()


@pytest.mark.parametrize(
    "command",
    ["FLUSHALL", "CONFIG GET *", "KEYS *", "SET other 1", "GET other", "SHUTDOWN", "SAVE", "ACL LIST", "MONITOR",
     "MODULE LIST", "REPLICAOF a 1", "PUBLISH other x", "FUNCTION LIST"],
)  # fmt: skip
async def test_it_can_do_nothing_else(limited: str, command: str) -> None:
    client = connect(limited)
    with pytest.raises(NoPermissionError):
        await client.execute_command(*command.split())
    await client.aclose()


async def test_a_wrong_password_is_refused_and_in_no_error(limited: str) -> None:
    client = connect(limited.replace(PASSWORD, "guessed-word"))
    with pytest.raises(Exception, match="invalid username-password") as refused:
        await client.ping()
    assert "guessed-word" not in str(refused.value)
    await client.aclose()


async def test_who_steals_the_store_finds_codes_and_no_way_to_use_them(redis: Client, store_url: str) -> None:
    async with open_stores(store_url) as stores:
        secrets = [await stores.limits(Rules()).offer_admin(), await stores.people.offer("telegram:1")]
        held = "".join([str(name) + str(await redis.dump(name)) for name in await redis.keys("*")])
        assert not any(secret in held for secret in secrets)


@pytest_asyncio.fixture
async def sealed(redis: Client, tmp_path: Path) -> AsyncIterator[tuple[int, Path]]:
    """The port of the store behind TLS, which the server of our wheel does not have, and the certificate."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = await asyncio.create_subprocess_exec(
        *["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
         "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await make.wait() == 0
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    path = redis.connection_pool.connection_kwargs["path"]

    async def pass_on(coming: asyncio.StreamReader, going: asyncio.StreamWriter) -> None:
        async def pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                while part := await source.read(1 << 16):
                    sink.write(part)
                    await sink.drain()
            sink.close()

        behind, before = await asyncio.open_unix_connection(path)
        await asyncio.gather(pour(coming, before), pour(behind, going))

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], cert


async def test_a_sealed_line_works_with_its_certificate_and_not_without(sealed: tuple[int, Path]) -> None:
    port, cert = sealed
    async with open_stores(f"rediss://localhost:{port}/0?ssl_ca_certs={cert}") as stores:
        await live(stores, "telegram:1:1", "telegram:1")
    for address in (f"rediss://localhost:{port}", f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={cert}"):
        client = connect(address)  # nobody whom we know, or another's name
        with pytest.raises(StoreDown):
            await client.ping()
        await client.aclose()
