"""docs/format/item.md: joins an item from its recipe, and repeats the cuts of its parts."""
import base64

from .features import saw
from .keys import CONTENT
from .pages import read_item_chunk
from .wire import Cursor, Unsupported, need

LITERAL, PART, BASE64 = 1, 2, 3
CHUNK_MAX, CHUNK_MIN, ONE_CHUNK_BELOW, EASY_FROM = 524288, 32768, 262144, 98304
WARM_UP = 64  # a chunk's hash begins this many bytes before its first possible end
PREFIXES = {0: b"", 1: b" ", 2: b"\t"}


class Parts:
    """The part chunks of a stream, consumed in order."""

    def __init__(self, chunks, ids):
        self.chunks, self.ids, self.at, self.runs = chunks, ids, 0, []

    def take(self, count, size):
        need(count <= len(self.ids) - self.at, "a recipe takes more chunks than there are")
        need(-(-size // CHUNK_MAX) <= count <= -(-size // CHUNK_MIN), f"{size} bytes in {count} chunks")
        got = [self.chunks.get(i, CONTENT) for i in self.ids[self.at:self.at + count]]
        need(all(1 <= len(g) <= CHUNK_MAX for g in got), "a part chunk has an impossible length")
        need(sum(map(len, got)) == size, "part chunks do not have the length that the recipe names")
        saw("part of one chunk" if count == 1 else "part in several chunks")
        self.at += count
        self.runs.append(got)
        return b"".join(got)


def wrapped_base64(data, flags, first, line):
    text = base64.b64encode(data)
    end = b"\r\n" if flags & 4 else b"\n"
    if flags & 16:
        pieces = [text[:first]] + [text[i:i + line] for i in range(first, len(text), line)]
        text = (end + PREFIXES[flags & 3]).join(pieces)
    return text + (end if flags & 8 else b"")


def saw_base64(flags):
    if flags & 16:
        saw("base64 with CR LF" if flags & 4 else "base64 with LF")
        if flags & 3:
            saw("base64 with a space" if flags & 3 == 1 else "base64 with a tab")
    else:
        saw("base64 in one line")
    if not flags & 8:
        saw("base64 without tail")


def read_base64(c, parts):
    flags = c.u8()
    need(flags & 3 != 3 and not flags & 0xE0, f"a recipe has flags {flags:#x}")
    first = line = 0
    saw_base64(flags)
    if flags & 16:
        first, line = c.limited(998, "characters", 1), c.limited(998, "characters", 16)
    else:
        need(not flags & 3 and (flags & 8 or not flags & 4), f"one line has flags {flags:#x}")
    count, size = c.var(), c.limited(1 << 34, "bytes", 1)
    return wrapped_base64(parts.take(count, size), flags, first, line)


def join(recipe, parts):
    """The stream's bytes."""
    need(len(recipe) <= 8 << 20, "a recipe is too long")
    c = Cursor(recipe, "recipe")
    version = c.u8()
    if version != 1:
        raise Unsupported(f"a recipe is of version {version}")
    total = c.limited(1 << 34, "bytes")
    pieces = []
    for _ in range(c.limited(65536, "operations")):
        code = c.u8()
        if code == LITERAL:
            saw("literal")
            pieces.append(c.limited(8 << 20, "bytes", 1))  # its bytes stand behind all operations
        elif code == PART:
            count, size = c.var(), c.limited(1 << 34, "bytes", 1)
            pieces.append(parts.take(count, size))
        elif code == BASE64:
            pieces.append(read_base64(c, parts))
        else:
            raise Unsupported(f"a recipe has operation {code}")
    out = b"".join(c.take(p) if isinstance(p, int) else p for p in pieces)
    c.end()
    need(len(out) == total, f"a recipe gives {len(out)} bytes instead of {total}")
    need(parts.at == len(parts.ids), "a recipe leaves part chunks over")
    return out


def check_cuts(run, gear):
    """A run of chunks must end where cutter 1 ends them, or the same attachment would be stored twice."""
    data = b"".join(run)
    lengths = []
    while data:
        n = len(data) if not lengths and len(data) < ONE_CHUNK_BELOW else cut(data, gear)
        lengths.append(n)
        data = data[n:]
    need(lengths == [len(r) for r in run], f"chunks of {[len(r) for r in run]} bytes, the cutter makes {lengths}")


def cut(data, gear):
    """The length of the chunk at the beginning of DATA."""
    h = 0
    for n in range(CHUNK_MIN - WARM_UP, min(len(data), CHUNK_MAX)):
        h = (h << 1) + gear[data[n]] & 0xFFFFFFFFFFFFFFFF
        length = n + 1
        if length > CHUNK_MIN and h >> (50 if length > EASY_FROM else 46) == 0:
            return length
    return min(len(data), CHUNK_MAX)


def read_streams(chunks, row, gear=None):
    """{stream name: bytes} of an item; with GEAR the cuts of its parts are repeated, too."""
    need(row.ids, "an item without chunks")
    streams, named, out = read_item_chunk(chunks.get(row.ids[0], CONTENT)), [], {}
    for name, (ids, recipe) in streams.items():
        parts = Parts(chunks, ids)
        out[name] = join(recipe, parts)
        named += ids
        if gear:
            for run in parts.runs:
                check_cuts(run, gear)
    need(named == row.ids[1:], "the refs of an item are not its parts")
    return out
