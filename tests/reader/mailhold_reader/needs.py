"""
What every item of every snapshot needs of the store, found by reading it and watching what was read. A test that damages
objects compares the program's losses with it.
"""
import hashlib

from .item import read_streams
from .ledger import Fold
from .pages import read_snapshot, walk_rows


class Watched:
    """Chunks, and which blocks hold the only copy of something that was asked for."""

    def __init__(self, chunks):
        self.chunks, self.asked = chunks, set()

    def get(self, chunk_id, scope):
        self.asked.add(chunk_id)
        return self.chunks.get(chunk_id, scope)

    def blocks(self):
        """Those needed since the last call, as {(path of the pack, number)}."""
        needed = set()
        for chunk_id in self.asked:
            places = {(b.pack.what, b.number) for b, _ in self.chunks.places[chunk_id]}
            if len(places) == 1:
                needed |= places
        self.asked = set()
        return needed


def watch_records():
    """From now on a fold notes which record announced each pack and each snapshot. Gives ({path: record}, {id: record})."""
    packs, snapshots = {}, {}
    apply = Fold.apply

    def noting(fold, record):
        packs_before, snapshots_before = len(fold.packs), set(fold.snapshots)
        apply(fold, record)
        packs.update((p.path(), record.number) for p in fold.packs[packs_before:])
        snapshots.update((s, record.number) for s in set(fold.snapshots) - snapshots_before)

    Fold.apply = noting
    return packs, snapshots


def words(blocks, numbers):
    return ",".join(str(n) for n in sorted(numbers[b] for b in blocks)) or "-"


def print_items(watched, snapshot, numbers):
    collections = read_snapshot(watched, snapshot)
    listed = watched.blocks()
    for c in collections:
        rows = list(walk_rows(watched, c.spine, c.state_root))
        paged = watched.blocks()
        for row in rows:
            body = read_streams(watched, row)[b""]
            digest = hashlib.blake2b(body, digest_size=16).hexdigest()
            print("item", snapshot.id.hex(), c.path.hex(), row.key.hex(), len(body), digest,
                  words(watched.blocks(), numbers), words(listed | paged, numbers))


def print_needs(chunks, snapshots, pack_records, snapshot_records):
    """
    block NUMBER PACK FIRST END RECORD      bytes FIRST to END - 1 of PACK, which RECORD of the ledger announced
    snapshot ID RECORD
    item SNAPSHOT PATH KEY BYTES DIGEST CONTENT STRUCTURE
    The last two are numbers of blocks without which the item's bytes, or its place, name, date and flags, are lost; "-":
    none. ID, PATH and KEY are in hex.
    """
    numbers = {}
    for pack in chunks.packs:
        for b in pack.blocks:
            numbers[(pack.what, b.number)] = len(numbers)
            print("block", numbers[(pack.what, b.number)], pack.what, b.offset, b.offset + b.sealed_bytes,
                  pack_records[pack.what])
    for s in snapshots:
        print("snapshot", s.id.hex(), snapshot_records[s.id])
        print_items(Watched(chunks), s, numbers)
