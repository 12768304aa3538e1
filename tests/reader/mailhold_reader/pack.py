"""docs/format/pack.md: directories, id lists and blocks of packs, and the plainest index there can be."""
import os
import struct
from collections import Counter, OrderedDict
from dataclasses import dataclass

import zstandard

from . import keys as crypto
from .features import saw
from .wire import Cursor, Damaged, Refused, Unsupported, need, padme

# Block classes.
ITEM, TEXT, BINARY, SUMMARY, REFS, NODE, MANIFEST, KEYS, FACTS, STATE, ATTRIBUTE = range(1, 12)
SCOPE_OF_CLASS = {ITEM: crypto.CONTENT, TEXT: crypto.CONTENT, BINARY: crypto.CONTENT, SUMMARY: crypto.CONTENT,
                  REFS: crypto.STRUCT, NODE: crypto.STRUCT, MANIFEST: crypto.STRUCT,
                  KEYS: crypto.SYNC, FACTS: crypto.SYNC, STATE: crypto.SYNC, ATTRIBUTE: crypto.SYNC}
CLASS_NAMES = dict(zip(SCOPE_OF_CLASS, ("item text binary summary refs node manifest keys facts state "
                                        "attribute").split(), strict=True))
STORED, ZSTD = 0, 1
HEADER_BYTES, FOOTER_BYTES, FOOTER_CLEAR_BYTES = 64, 160, 32
PACK_MAX = 256 << 20
RAW_MAX, CHUNKS_MAX = 8 << 20, 65536
PART_LIST, PART_DIRECTORY, PART_FOOTER = 1, 2, 3
BLOCKS_CACHED = 64


@dataclass
class Block:
    pack: "OpenPack"
    number: int
    seal: int
    counter: int
    block_class: int
    codec: int
    offset: int
    sealed_bytes: int
    raw_bytes: int
    chunk_count: int
    hash: bytes
    list_offset: int
    list_bytes: int


class OpenPack:
    """One pack, known from the ledger; its footer and directory are read and checked here."""

    def __init__(self, repository, keys, known):
        self.keys, self.known, self.what = keys, known, known.path()
        self.path = os.path.join(repository, self.what)
        need(os.path.getsize(self.path) == known.size, f"{self.what} has another length than the ledger says")
        need(known.size <= PACK_MAX, f"{self.what} is too large")
        need(known.size == padme(known.size, 0), f"the length of {self.what} is not padded")
        footer = self.read(known.size - FOOTER_BYTES, FOOTER_BYTES)
        self.epoch = self.read_footer_clear(footer)
        self.header = b"mh-pack\0" + struct.pack("<HHI", 1, 0, self.epoch) + keys.repository \
            + struct.pack("<Q", known.session) + known.random + bytes(8)
        need(self.read(0, HEADER_BYTES) == self.header, f"{self.what} has another header")
        first, directory = self.find_directory(footer)
        need(crypto.plain_hash(self.header + directory, 16) == known.header_hash,
             f"the directory of {self.what} is not the one that the ledger names")
        self.read_directory(self.open_part(PART_DIRECTORY, 0, directory, "directory"), first)

    def read(self, offset, count):
        with open(self.path, "rb") as f:
            f.seek(offset)
            data = f.read(count)
        need(len(data) == count, f"{self.what} is cut short")
        return data

    def open_part(self, part, block, box, what, more=b""):
        ad = self.header + bytes([part]) + struct.pack("<I", block) + more
        return self.keys.box_open(b"mh_table", self.epoch, ad, box, f"{what} of {self.what}")

    def read_footer_clear(self, footer):
        c = Cursor(footer, f"footer of {self.what}")
        need(c.take(8) == b"mh-foot\0", f"{self.what} has no footer")
        if c.u16() != 1:
            raise Unsupported(f"{self.what} is of another version")
        c.take(14)  # flags and parity: for repair
        return c.u32()

    def find_directory(self, footer):
        """Both copies must be there and equal, with zeros between them. Gives (place of the first, its bytes)."""
        clear = footer[:FOOTER_CLEAR_BYTES]
        plain = self.open_part(PART_FOOTER, 0, footer[FOOTER_CLEAR_BYTES:], "footer", clear)
        c = Cursor(plain, f"footer of {self.what}")
        size, first, second, length = c.u64(), c.u64(), c.u64(), c.u32()
        need(size == self.known.size, f"the footer of {self.what} gives another length")
        need(second + length + FOOTER_BYTES == size and first >= HEADER_BYTES
             and first + length + FOOTER_BYTES + 4096 <= second, f"{self.what}: directories at {first} and {second}")
        directory = self.read(second, length)
        need(self.read(first, length + FOOTER_BYTES) == directory + footer, f"the directories of {self.what} differ")
        gap = first + length + FOOTER_BYTES
        need(not any(self.read(gap, second - gap)), f"the padding of {self.what} is not zeros")
        return first, directory

    def read_directory(self, plain, end):
        c = Cursor(plain, f"directory of {self.what}")
        seals, blocks = c.u32(), c.u32()
        need(seals <= 1024 and blocks <= 65536, f"{self.what} claims {seals} seals and {blocks} blocks")
        self.seals = []
        for _ in range(seals):
            seal_id, scope, epoch = c.take(16), c.u8(), c.u32()
            if scope not in crypto.SCOPES:
                raise Unsupported(f"{self.what}: a seal of unknown scope {scope}")
            self.seals.append((seal_id, scope, epoch, c.take(c.u8())))
        self.blocks = [self.read_block_entry(c, n) for n in range(blocks)]
        c.end()
        self.opened = {}
        at = HEADER_BYTES
        for b in self.blocks:
            need(b.offset == at, f"{self.what}: block {b.number} lies at {b.offset}")
            at += b.sealed_bytes
        for b in self.blocks:
            need(b.list_offset == at, f"{self.what}: list {b.number} lies at {b.list_offset}")
            at += b.list_bytes
        need(at == end, f"{self.what}: blocks and lists end at {at}, the directory begins at {end}")

    def read_block_entry(self, c, number):
        seal, counter, block_class, codec, dictionary = c.u16(), c.u64(), c.u8(), c.u8(), c.u32()
        b = Block(self, number, seal, counter, block_class, codec, c.u64(), c.u32(), c.u32(), c.u32(), c.take(16),
                  c.u64(), c.u32())
        if block_class not in SCOPE_OF_CLASS or codec not in (STORED, ZSTD) or dictionary:
            raise Unsupported(f"{self.what}: class {block_class}, codec {codec}, dictionary {dictionary}")
        need(seal < len(self.seals) and self.seals[seal][1] == SCOPE_OF_CLASS[block_class],
             f"{self.what}: block {number} of class {block_class} has seal {seal}")
        need(b.raw_bytes <= RAW_MAX and 1 <= b.chunk_count <= CHUNKS_MAX,
             f"{self.what}: block {number} claims {b.raw_bytes} bytes in {b.chunk_count} chunks")
        need(16 < b.sealed_bytes <= b.raw_bytes + 16, f"{self.what}: block {number} has {b.sealed_bytes} bytes")
        need(b.list_bytes == 32 * b.chunk_count + 40, f"{self.what}: list {number} has {b.list_bytes} bytes")
        return b

    def ids(self, b):
        box = self.read(b.list_offset, b.list_bytes)
        plain = self.open_part(PART_LIST, b.number, box, f"list {b.number}")
        need(len(plain) == 32 * b.chunk_count, f"list {b.number} of {self.what} has {len(plain)} bytes")
        return [plain[i:i + 32] for i in range(0, len(plain), 32)]

    def seal_key(self, number):
        if number not in self.opened:
            seal_id, scope, epoch, wrapped = self.seals[number]
            self.opened[number] = self.keys.unwrap(seal_id, scope, epoch, wrapped)
        return self.opened[number]

    def chunks(self, b):
        """Opens, decompresses and takes apart one block."""
        what = f"block {b.number} of {self.what}"
        sealed = self.read(b.offset, b.sealed_bytes)
        need(crypto.plain_hash(sealed, 16) == b.hash, f"{what} does not have its hash")
        ad = self.keys.repository + self.seals[b.seal][0] + struct.pack(
            "<QBBIIH", b.counter, b.block_class, b.codec, b.raw_bytes, b.chunk_count, 1)
        raw = crypto.block_open(self.seal_key(b.seal), b.counter, ad, sealed, what)
        saw(f"block of class {b.block_class}")
        saw("block in zstd" if b.codec == ZSTD else "block stored")
        if b.codec == ZSTD:
            raw = unpack(raw, b.raw_bytes, what)
        need(len(raw) == b.raw_bytes, f"{what} has {len(raw)} bytes")
        c = Cursor(raw, what)
        need(c.u32() == b.chunk_count, f"{what} holds another number of chunks")
        lengths = [c.var() for _ in range(b.chunk_count)]
        chunks = [c.take(n) for n in lengths]
        c.end()
        return chunks


def unpack(frame, size, what):
    """One zstd frame with its content size, no dictionary, a window of at most 8 MiB, and nothing behind it."""
    try:
        head = zstandard.get_frame_parameters(frame)
        need(head.content_size == size and not head.dict_id, f"{what}: the frame holds {head.content_size} bytes")
        need(head.window_size <= 1 << 23, f"{what}: the frame asks for a window of {head.window_size} bytes")
        stream = zstandard.ZstdDecompressor().decompressobj()
        raw = stream.decompress(frame)
    except zstandard.ZstdError as problem:
        raise Damaged(f"{what}: {problem}") from None
    need(not stream.unused_data, f"{what}: bytes stand behind the frame")
    return raw


class Chunks:
    """Every chunk of every live pack: id -> places, lowest ordinal first, from the id lists alone."""

    def __init__(self, repository, keys, packs):
        self.keys, self.places, self.cache = keys, {}, OrderedDict()
        self.packs = [OpenPack(repository, keys, p) for p in packs if p.state == "live"]
        for pack in self.packs:
            for b in pack.blocks:
                for slot, chunk_id in enumerate(pack.ids(b)):
                    self.places.setdefault(chunk_id, []).append((b, slot))

    def block(self, b):
        at = (b.pack.what, b.number)
        if at not in self.cache:
            self.cache[at] = b.pack.chunks(b)
            while len(self.cache) > BLOCKS_CACHED:
                self.cache.popitem(last=False)
        self.cache.move_to_end(at)
        return self.cache[at]

    def get(self, chunk_id, scope):
        """The chunk whose keyed hash is CHUNK_ID, out of the first place that really holds it."""
        problem = Damaged(f"chunk {chunk_id.hex()} is in no pack")
        for b, slot in self.places.get(chunk_id, ()):
            try:
                need(SCOPE_OF_CLASS[b.block_class] == scope, f"chunk {chunk_id.hex()} is of another scope")
                plain = self.block(b)[slot]
                need(self.keys.chunk_id(scope, plain) == chunk_id, f"chunk {chunk_id.hex()} has other bytes")
                return plain
            except (Damaged, Refused) as why:
                problem = why
        raise problem

    def verify_all(self):
        """Every chunk of every block against the id list. Gives {class: number of chunks}."""
        counts = Counter()
        for pack in self.packs:
            for b in pack.blocks:
                scope = SCOPE_OF_CLASS[b.block_class]
                for chunk_id, plain in zip(pack.ids(b), pack.chunks(b), strict=True):
                    need(self.keys.chunk_id(scope, plain) == chunk_id, f"chunk {chunk_id.hex()} has other bytes")
                    counts[CLASS_NAMES[b.block_class]] += 1
        return counts
