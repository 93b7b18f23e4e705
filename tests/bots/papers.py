"""PDFs for tests, written by hand: what no library would write is asked for too."""

from __future__ import annotations

from collections.abc import Sequence

A4 = (595, 842)


def built(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalogue."""
    body, places = b"%PDF-1.7\n", list[int]()
    for number, each in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    table += b"".join(b"%010d 00000 n \n" % place for place in places)
    last = b"trailer << /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, len(body))
    return body + table + last


def stream(content: bytes, extra: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), extra, content)


# Every character is its own code, so that text in any script can be read back; no font is there to draw it.
_RANGES = [b"<%02x00> <%02xff> <%02x00>\n" % (high, high, high) for high in range(256) if not 0xD8 <= high <= 0xDF]
_TO_UNICODE = b"".join(
    b"%d beginbfrange\n%sendbfrange\n" % (len(part), b"".join(part))
    for part in (_RANGES[:100], _RANGES[100:200], _RANGES[200:])
)
_CMAP = (
    b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def "
    b"1 begincodespacerange <0000> <ffff> endcodespacerange\n%sendcmap end end" % _TO_UNICODE
)
_SYSTEM = b"<< /Registry (Adobe) /Ordering (Identity) /Supplement 0 >>"


def paper(
    pages: Sequence[str],
    size: tuple[float, float] = A4,
    catalogue: bytes = b"",
    trailer: bytes = b"",
    count: int | None = None,
    content: bytes = b"",
) -> bytes:
    """A PDF with a text on each page, a line of it on each line; `content` is drawn on every page before it."""
    kids = b" ".join(b"%d 0 R" % (7 + 2 * n) for n in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalogue,
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages) if count is None else count),
        b"<< /Font << /F 4 0 R >> >>",
        b"<< /Type /Font /Subtype /Type0 /BaseFont/X /Encoding /Identity-H /ToUnicode 6 0 R /DescendantFonts [5 0 R]>>",
        b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /X /DW 600 /CIDSystemInfo %s >>" % _SYSTEM,
        stream(_CMAP),
    ]
    for n, text in enumerate(pages):
        lines = b"\n".join(b"<%s> Tj T*" % line.encode("utf-16-be").hex().encode() for line in text.split("\n"))
        box = b"0 0 %g %g" % size
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [%s] /Resources 3 0 R /Contents %d 0 R >>" % (box, 8 + 2 * n),
            stream(content + b"\nBT /F 8 Tf 10 TL 50 %g Td\n%s\nET" % (size[1] - 50, lines)),
        ]
    return built(objects, trailer)


LOCKED = b"/Encrypt << /Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P -4 >> /ID [<00> <00>]" % (b"ab" * 32, b"cd" * 32)
SCRIPTED = b"/Names << /JavaScript << /Names [(a) << /S /JavaScript /JS (app.alert\\(1\\)) >>] >> >>"


def form(filled: str) -> bytes:
    """A page with a field that somebody filled in."""
    fonts = b"<< /Font << /H << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    return built(
        [
            b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [4 0 R] /DR %s /NeedAppearances true >> >>" % fonts,
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Annots [4 0 R] /Contents 5 0 R /Resources %s>>"
            % fonts,
            b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (%s) /Rect [100 700 300 720] /DA (/H 12 Tf) /F 4 >>"
            % filled.encode(),
            stream(b"BT /H 12 Tf 50 750 Td (Please write your full name into the field below, in capitals.) Tj ET"),
        ]
    )
