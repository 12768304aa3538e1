"""docs/format/fields.md: writes collections back as the Maildirs, mbox files and trees that they were."""
import os
import struct

from .features import saw
from .item import read_streams
from .pages import walk_rows
from .wire import Refused, fields, need

SIZE, TIME, ANCHOR, FROM_LINE, TAIL, MODE = 1, 2, 5, 7, 8, 9   # facts
PLACE, POSITION, SUFFIX = 2, 4, 5                              # state
FOLDER_MODE = 0o700                                            # of folders that no collection tells of


def inside(root, *names):
    """ROOT and below it NAMES, which come from the repository: nothing may lead out."""
    path = root
    for name in names:
        for part in name.split(b"/"):
            need(part not in (b"..", b".") and b"\0" not in part, f"{name!r} leads out of the folder")
            if part:
                path = os.path.join(path, part)
    return path


def make_folder(root, path, mode=None):
    """Makes PATH and what is missing above it, down from ROOT."""
    if not os.path.isdir(path):
        if path != root:
            make_folder(root, os.path.dirname(path))
        os.mkdir(path)
        os.chmod(path, FOLDER_MODE)
    if mode is not None:
        os.chmod(path, mode)


def write_file(path, data, mode=None, time_ns=None):
    # "x": two things of one name would be a mistake in keys or paths.
    with open(path, "xb") as f:
        f.write(data)
    if mode is not None:
        os.chmod(path, mode & 0o777)
    if time_ns is not None:
        os.utime(path, ns=(time_ns, time_ns))


def number(found, tag, code):
    return struct.unpack("<" + code, found[tag])[0] if tag in found else None


def stat_words(text):
    mode, time_ns = text.split()
    return int(mode, 8), int(time_ns)


def header_block(data):
    """What an anchor is made of: up to and with the first empty line, at most 256 KiB."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        line, at = data[at:end], end
        if line in (b"\n", b"\r\n"):
            break
    return data[:min(at, 256 << 10)]


class Restore:
    """One snapshot into one folder."""

    def __init__(self, keys, chunks, root, gear=None):
        self.keys, self.chunks, self.gear = keys, chunks, gear
        self.root = os.fsencode(root)
        self.items = self.bytes = 0
        self.late_modes = []  # a folder without write permission gets its mode last

    def run(self, collections):
        os.makedirs(self.root, exist_ok=True)
        if os.listdir(self.root):
            raise Refused(f"{os.fsdecode(self.root)} is not empty")
        for c in collections:
            if b"maildir:folder" in c.attributes:
                saw("maildir")
                self.maildir(c)
            elif b"mbox:stat" in c.attributes:
                saw("mbox")
                self.mbox(c)
            elif b"files:mode" in c.attributes:
                saw("files")
                self.files(c)
            else:
                raise Refused(f"collection {c.path!r} is of a world that this reader does not know")
        for path, mode in reversed(self.late_modes):
            os.chmod(path, mode)

    def rows(self, c):
        """(row, facts, state, primary stream), counted and compared with what the collection says."""
        items = size = 0
        for row in walk_rows(self.chunks, c.spine, c.state_root):
            facts, state = fields(row.facts, "facts"), fields(row.state, "state")
            for tag in facts:
                saw(f"fact {tag}")
            for tag in state:
                saw(f"state {tag}")
            data = read_streams(self.chunks, row, self.gear)[b""]
            need(number(facts, SIZE, "Q") == len(data), f"{row.key!r} has {len(data)} bytes")
            need(facts.get(ANCHOR) == self.keys.anchor(header_block(data)), f"{row.key!r} has another anchor")
            items, size = items + 1, size + len(data)
            yield row, facts, state, data
        need((items, size) == (c.items, c.size), f"collection {c.path!r} counts {c.items} items, has {items}")
        self.items, self.bytes = self.items + items, self.bytes + size

    def maildir(self, c):
        folder = inside(self.root, c.attributes[b"maildir:folder"])
        make_folder(self.root, folder)
        there = dict(word.split(b"=") for word in c.attributes[b"maildir:folders"].split())
        for name, mode in there.items():
            path = inside(folder, b"" if name == b"." else name)
            make_folder(self.root, path)
            self.late_modes.append((path, int(mode, 8)))
        for row, facts, state, data in self.rows(c):
            if b"/" in row.key:
                saw("key with an ordinal")
            # A base name that stands in the folder more than once has "/", inode and ordinal behind it.
            name = row.key.split(b"/")[0] + state.get(SUFFIX, b"")
            place = (b"new", b"cur")[number(state, PLACE, "B")]
            saw(f"place {place.decode()}")
            write_file(inside(folder, place, name), data, number(facts, MODE, "H"), number(facts, TIME, "q"))
        self.auxiliary(c, folder)

    def auxiliary(self, c, folder):
        """Files beside cur: subscriptions and the like."""
        prefix = b"maildir:file:"
        for attribute, data in c.attributes.items():
            if attribute.startswith(prefix):
                name = attribute[len(prefix):]
                saw("file beside the mail")
                mode, time_ns = stat_words(c.attributes[b"maildir:stat:" + name])
                write_file(inside(folder, name), data, mode, time_ns)

    def mbox(self, c):
        pieces = []
        for _, facts, state, data in self.rows(c):
            pieces.append((number(state, POSITION, "Q"), facts[FROM_LINE] + data + facts[TAIL]))
        pieces.sort()
        need([p for p, _ in pieces] == list(range(len(pieces))), f"the positions in {c.path!r} have gaps")
        path = inside(self.root, c.path)
        make_folder(self.root, os.path.dirname(path))
        mode, time_ns = stat_words(c.attributes[b"mbox:stat"])
        write_file(path, b"".join(p for _, p in pieces), mode, time_ns)

    def files(self, c):
        folder = inside(self.root, b"" if c.path == b"." else c.path)
        make_folder(self.root, folder)
        self.late_modes.append((folder, int(c.attributes[b"files:mode"], 8)))
        for row, facts, _, data in self.rows(c):
            write_file(inside(folder, row.key), data, number(facts, MODE, "H"), number(facts, TIME, "q"))
