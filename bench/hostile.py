"""The heaviest files that are still taken: what each costs its child in time and memory. `python -m bench.hostile`.

One JSON line last: by file its bytes, seconds, peak memory in MB and what came of it.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

from PIL import Image

from bench.report import finish, say
from bots import documents, photos, pointing, videos
from storage.messages import Refused
from storage.vision import CHAT_LIMITS
from tests.bots import clips, papers
from tests.bots.test_photos_refused import png_header, tiff

DARK = (1, 2, 3)


def files() -> dict[str, bytes]:
    """By name: the first word says which reader gets it."""

    def made(kind: str, mode: str, size: tuple[int, int], **options: Any) -> bytes:
        file = io.BytesIO()
        Image.new(mode, size, DARK[: len(Image.new(mode, (1, 1)).getbands())]).save(file, kind, **options)
        return file.getvalue()

    noise = Image.effect_noise((4000, 3000), 90).convert("RGB")
    grain = io.BytesIO()
    noise.save(grain, "PNG", compress_level=0)
    progressive: dict[str, Any] = {"progressive": True, "subsampling": 0}
    thousand = [Image.new("L", (64, 64), n % 255) for n in range(1_000)]
    return {
        "photo PNG of 34 MP with transparency": made("PNG", "RGBA", (6_800, 5_000)),
        "photo PNG of 12 MP of noise, cut to 20 MB": grain.getvalue()[:20_000_000],
        "photo JPEG of 51 MP, progressive": made("JPEG", "RGB", (8_192, 6_144), **progressive),
        "photo WebP of 20 MP": made("WEBP", "RGB", (5_000, 4_000), lossless=True, method=0),
        "photo AVIF of 20 MP": made("AVIF", "RGB", (5_000, 4_000), speed=10),
        "photo TIFF of 34 MP, LZW": made("TIFF", "RGB", (6_800, 5_000), compression="tiff_lzw"),
        "photo GIF of 34 MP": made("GIF", "L", (6_800, 5_000)),
        "photo BMP of 6 MP": made("BMP", "RGB", (3_000, 2_000)),
        "photo PNG that claims 2.5 gigapixels": png_header(50_000, 50_000),
        "photo PNG with 20 MB of zeros in its comment": _comment(),
        "photo TIFF of a million strips": tiff(1_000_000),
        "drawn on JPEG of 51 MP, 100 marks": made("JPEG", "RGB", (8_192, 6_144), **progressive),
        "document of 500 pages": papers.paper(["many words " * 200] * 500),
        "document of a page that draws 100,000 lines": papers.paper([""], content=b"0 0 m 500 700 l S " * 100_000),
        "document of a page that claims 200 inches of noise": papers.paper([""], size=(14_400, 14_400)),
        "video GIF of 1,000 frames": clips.animated("GIF", thousand),
        "video of 600 s": clips.clip(clips.hues(600), rate=1),
    }


def _comment() -> bytes:
    data = zlib.compress(bytes(20_000_000), 9)
    whole = png_header(64, 64)
    chunk = b"zTXtComment\0\0" + data
    return whole[:33] + len(chunk[4:]).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + whole[33:]


def read(name: str, data: bytes) -> str:
    """Read a file as its child does; what came of it."""
    try:
        match name.partition(" ")[0]:
            case "photo":
                return str(photos.prepare(data, CHAT_LIMITS).photo.size)
            case "drawn":
                marks = [pointing.Mark((n, n, n + 90, n + 90), f"{n}") for n in range(0, 900, 9)]
                return str(len(pointing.draw(data, marks)))
            case "document":
                found = documents.chosen(data, "what is it?", 32_768, 65_536, 1_310_720)
                return f"{len(found.texts)} texts, {len(found.pictures)} pictures"
            case _:
                return f"{len(videos.sample(data, 32_768, 65_536, 1_310_720)[0])} frames"
    except Refused as refused:
        return refused.code


def main() -> None:
    """Try each in a child of its own."""
    results: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files().items():
            (out := Path(folder) / "out").write_bytes(b"")
            begun = time.monotonic()
            if not (pid := os.fork()):
                begun = time.monotonic()
                Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
                found = read(name, data)
                seconds, status = time.monotonic() - begun, Path("/proc/self/status").read_text()
                peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
                out.write_text(f"{seconds:.2f} {peak // 1024} {found}")
                os._exit(0)
            os.waitpid(pid, 0)
            seconds, peak, found = (out.read_text() or "0 0 died").split(" ", 2)
            results[name] = {"bytes": len(data), "s": float(seconds), "peak_mb": int(peak), "found": found}
            say(f"  {name:55} {results[name]}")
    finish("hostile", {"files": results}, {})


if __name__ == "__main__":
    sys.exit(main())
