"""docs/format/page.md and snapshot.md: trees, pages, the collection list, item chunks."""
from dataclasses import dataclass

from .features import saw
from .keys import CONTENT, STRUCT, SYNC
from .wire import Cursor, Damaged, Unsupported, fields, need

ZEROS = bytes(32)
KINDS = {1: "mail", 2: "event", 3: "task", 4: "contact", 5: "note", 6: "rule", 7: "settings", 8: "other"}
DETAIL_NAMES = {1: "account", 2: "host", 3: "source", 4: "tags", 5: "tool", 6: "duration", 7: "collections",
                8: "skipped"}


@dataclass
class Row:
    """One item of a collection."""
    key: bytes
    summary: tuple  # (chunk id, slot), or None
    facts: bytes
    state: bytes
    ids: list


@dataclass
class Collection:
    path: bytes
    kind: int
    role: int
    attributes: dict
    items: int
    size: int
    spine: bytes
    state_root: bytes


def version_1(c):
    version = c.u8()
    if version != 1:
        raise Unsupported(f"{c.what} is of version {version}")


def read_node(chunks, node_id, ids_at_bottom):
    """Gives (level, [(items, ids)])."""
    c = Cursor(chunks.get(node_id, STRUCT), f"node {node_id.hex()}")
    version_1(c)
    level, width, count = c.u8(), c.u8(), c.u8()
    need(level <= 7 and 1 <= count <= 128, f"{c.what} of level {level} has {count} entries")
    need(width == (1 if level else ids_at_bottom), f"{c.what} has {width} ids in an entry")
    saw(f"node of level {level}")
    entries = [(c.limited(1 << 40, "items", 1), c.ids(width)) for _ in range(count)]
    c.end()
    return level, entries


def walk_tree(chunks, root, ids_at_bottom):
    """The leaves (items, ids) under ROOT, left to right."""
    if root == ZEROS:
        saw("empty collection")
        return
    level, entries = read_node(chunks, root, ids_at_bottom)
    for items, ids in entries:
        if level == 0:
            yield items, ids
            continue
        # A generator per child; what it gives must add up to what its parent says.
        below, below_level = 0, read_node(chunks, ids[0], ids_at_bottom)[0]
        need(below_level == level - 1, f"a node of level {below_level} stands below level {level}")
        for leaf in walk_tree(chunks, ids[0], ids_at_bottom):
            below += leaf[0]
            yield leaf
        need(below == items, f"a node counts {items} items, {below} lie below it")


def read_keys_column(data):
    c = Cursor(data, "keys column")
    version_1(c)
    items = c.limited(512, "items", 1)
    summaries = c.ids(c.limited(512, "summary chunks"))
    rows, before = [], b""
    for n in range(items):
        shared = c.var()
        need(shared <= len(before) and (n or not shared), "a key shares more than there is")
        key = before[:shared] + c.blob(4096)
        need(len(key) <= 4096 and (not n or key > before), "the keys do not rise")
        number, slot = c.limited(len(summaries), "as summary"), c.limited(511, "as slot")
        need(number or not slot, "a slot without a summary")
        if shared:
            saw("key that shares bytes")
        if not number:
            saw("key without summary")
        rows.append((key, (summaries[number - 1], slot) if number else None))
        before = key
    c.end()
    return rows, summaries


def read_blob_column(data, what, items):
    c = Cursor(data, what)
    version_1(c)
    need(c.var() == items, f"the {what} has another number of items than the keys")
    blobs = [c.blob() for _ in range(items)]
    c.end()
    return blobs


def read_list_chunks(chunks, list_ids):
    """More than 64 ids stand in chunks of their own."""
    ids = []
    for list_id in list_ids:
        data = chunks.get(list_id, STRUCT)
        need(data[:1] == b"\1" and len(data) % 32 == 1, "a list chunk is damaged")
        need(len(data) // 32 <= 65536, "a list chunk is too long")
        ids += [data[i:i + 32] for i in range(1, len(data), 32)]
    saw("list chunk")
    need(64 < len(ids) <= 1 << 20, f"an item has a list of {len(ids)} ids")
    return ids


def read_refs_column(chunks, data, items, summaries):
    c = Cursor(data, "refs column")
    version_1(c)
    need(c.var() == items, "the refs column has another number of items than the keys")
    need(c.ids(c.limited(512, "summary chunks")) == summaries, "keys and refs name different summary chunks")
    refs = []
    for _ in range(items):
        head = c.var()
        need(head >> 1 <= 64, f"an item names {head >> 1} chunks")
        ids = c.ids(head >> 1)
        refs.append(read_list_chunks(chunks, ids) if head & 1 else ids)
    c.end()
    return refs


def walk_rows(chunks, spine, state_root):
    """Every item of a collection, in key order."""
    need((spine == ZEROS) == (state_root == ZEROS), "one root of a collection is empty, the other is not")
    last = None
    for (items, three), (state_items, (state_id,)) in zip(walk_tree(chunks, spine, 3),
                                                          walk_tree(chunks, state_root, 1), strict=True):
        refs_id, keys_id, facts_id = three
        keys, summaries = read_keys_column(chunks.get(keys_id, SYNC))
        need(items == state_items == len(keys), "a page has another number of items than its nodes say")
        need(last is None or keys[0][0] > last, "the keys of two pages do not rise")
        if last is not None:
            saw("collection of several pages")
        last = keys[-1][0]
        facts = read_blob_column(chunks.get(facts_id, SYNC), "facts column", items)
        state = read_blob_column(chunks.get(state_id, SYNC), "state column", items)
        refs = read_refs_column(chunks, chunks.get(refs_id, STRUCT), items, summaries)
        for (key, summary), f, s, ids in zip(keys, facts, state, refs, strict=True):
            yield Row(key, summary, f, s, ids)


def read_attributes(chunks, c, ids):
    found = {}
    for _ in range(c.limited(4096, "attributes")):
        name, where = c.blob(255), c.u8()
        need(where <= 1, f"an attribute lies at {where}")
        saw("attribute in a chunk" if where else "attribute in place")
        if where == 0:
            found[name] = c.blob(512)
            continue
        number = c.var()
        need(2 <= number < len(ids), f"an attribute's value is id {number} of {len(ids)}")
        found[name] = chunks.get(ids[number], SYNC)
    return found


def read_collection(chunks, row):
    """A row of the collection list."""
    need(len(row.ids) >= 2, "a collection without roots")
    c = Cursor(row.facts, "facts of a collection")
    version_1(c)
    kind, role = c.u8(), c.u8()
    attributes = read_attributes(chunks, c, row.ids)
    c.end()
    c = Cursor(row.state, "state of a collection")
    version_1(c)
    c.blob()  # the cursor is the source's own
    items, size = c.var(), c.var()
    c.end()
    return Collection(row.key, kind, role, attributes, items, size, row.ids[0], row.ids[1])


def read_snapshot(chunks, snapshot):
    """The collections of a snapshot, in the order of their paths."""
    found = [read_collection(chunks, row) for row in walk_rows(chunks, snapshot.spine, snapshot.state_root)]
    need(sum(c.items for c in found) == snapshot.items, "the collections do not add up to the snapshot's items")
    return found


def read_details(keys, snapshot):
    """{name: bytes}; the box is sealed for the epoch of the record."""
    plain = keys.box_open(b"mh_names", snapshot.epoch, b"mailhold snapshot 1" + snapshot.id, snapshot.details,
                          f"details of snapshot {snapshot.id.hex()}")
    found = fields(plain, "details")
    return {DETAIL_NAMES[tag]: value for tag, value in found.items() if tag in DETAIL_NAMES}


def read_item_chunk(data):
    """{stream name: (part ids, recipe)}; the primary stream's name is empty and comes first."""
    c = Cursor(data, "item chunk")
    version_1(c)
    streams = {}
    for n in range(c.u8()):
        name = c.blob(255)
        parts = c.ids(c.limited(1 << 20, "parts"))
        need(name not in streams and (n == 0) == (name == b""), "the streams of an item are in disorder")
        streams[name] = (parts, c.blob(8 << 20))
    need(1 <= len(streams) <= 16, f"an item has {len(streams)} streams")
    c.end()
    return streams


def check_summary(chunks, row):
    """summary.md: a summary must be there where the keys column says so. Gives its fields."""
    if row.summary is None:
        return {}
    chunk_id, slot = row.summary
    c = Cursor(chunks.get(chunk_id, CONTENT), "summary chunk")
    version_1(c)
    blobs = [c.blob(4096) for _ in range(c.limited(512, "summaries", 1))]
    c.end()
    if slot >= len(blobs):
        raise Damaged(f"slot {slot} of {len(blobs)} summaries")
    return fields(blobs[slot], "summary")
