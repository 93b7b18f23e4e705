"""A Hugging Face hub for one model over real HTTP: its listing, its files in ranges, and stalls on the way."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from aiohttp import web

from tests.emulators.server import LocalServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubEmulator(LocalServer):
    """Serves `files` as the model `name`; GGUF and safetensors are LFS files. Set HF_ENDPOINT to its url.

    `hold_after`: bytes after which a download of an LFS file stalls. `reads` are (file, first byte).
    """

    def __init__(self, name: str, files: dict[str, bytes]) -> None:
        super().__init__([
            web.get(f"/api/models/{name}", self._model),
            web.get(f"/api/models/{name}/revision/{{revision}}", self._model),
            web.get(f"/api/models/{name}/tree/{{revision}}", self._tree),
            web.get(f"/{name}/resolve/{{revision}}/{{file:.*}}", self._file),
        ], cancel_on_disconnect=True)  # fmt: skip
        self.name, self.files = name, files
        self.claimed: dict[str, str] = {}  # another sha256 than a file has
        self.hold_after: int | None = None
        self.reads: list[tuple[str, int]] = []

    def _sha256(self, file: str) -> str:
        return self.claimed.get(file) or hashlib.sha256(self.files[file]).hexdigest()

    def _lfs(self, file: str) -> bool:
        return file.endswith((".gguf", ".safetensors"))

    async def _model(self, _: web.Request) -> web.Response:
        listed: list[dict[str, Any]] = []
        for file, data in self.files.items():
            entry: dict[str, Any] = {"rfilename": file, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}  # noqa: S324 : git's own
            if self._lfs(file):
                entry["lfs"] = {"sha256": self._sha256(file), "size": len(data), "pointerSize": 100}
            listed.append(entry)
        return web.json_response({"id": self.name, "sha": COMMIT, "siblings": listed, "private": False})

    async def _tree(self, _: web.Request) -> web.Response:
        listed: list[dict[str, Any]] = []
        for file, data in self.files.items():
            entry: dict[str, Any] = {"type": "file", "path": file, "size": len(data), "oid": "0" * 40}
            if self._lfs(file):
                entry["lfs"] = {"oid": self._sha256(file), "size": len(data), "pointerSize": 100}
            listed.append(entry)
        return web.json_response(listed)

    async def _file(self, http: web.Request) -> web.StreamResponse:
        file = http.match_info["file"]
        data = self.files[file]
        first = http.http_range.start or 0
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(data).hexdigest()}"', "Accept-Ranges": "bytes"}  # noqa: S324 : git's own
        if self._lfs(file):
            headers |= {"X-Linked-Etag": f'"{self._sha256(file)}"', "X-Linked-Size": str(len(data))}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        headers["Content-Length"] = str(len(data) - first)
        response = web.StreamResponse(status=206 if first else 200, headers=headers)
        await response.prepare(http)
        if http.method == "HEAD":
            return response
        self.reads.append((file, first))
        end = first + self.hold_after if self.hold_after is not None and self._lfs(file) else None
        await response.write(data[first:end])
        if end is not None:
            await asyncio.Event().wait()  # until the client goes, or stop()
        await response.write_eof()
        return response
