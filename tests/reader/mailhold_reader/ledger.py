"""
docs/format/ledger.md: reads and folds the ledger.

One part of the page is left out on purpose: reading on in doubt (section 3). A ledger with an unreadable record that
no VOID names is refused; everything else of the fold is here, so a record that breaks a rule is void here, too.
"""
import os
import struct
import sys
from dataclasses import dataclass, field

from . import keys as crypto
from .features import saw
from .wire import Cursor, Damaged, Refused, Unsupported, need, padme

(INIT, OPEN, COMMIT, END, FORGET, UNFORGET, EXPIRE, CONDEMN, DROP, FENCE, REPACK, CHECKPOINT, VOID, HOLDER, POLICY, PIN,
 UNPIN, VERIFIED, HOLD, UNHOLD) = range(1, 21)
FULL, DEPOSIT, KEEPER = crypto.FULL, crypto.DEPOSIT, crypto.KEEPER
CRITICAL = 0x8000
RECORD_BYTES_MAX = 4 << 20
ALLOWED = {INIT: {FULL}, OPEN: {FULL, KEEPER, DEPOSIT}, COMMIT: {FULL, DEPOSIT}, END: {FULL, KEEPER, DEPOSIT},
           HOLDER: {FULL}, POLICY: {FULL}, VERIFIED: {FULL}, HOLD: {FULL}, UNHOLD: {FULL}}
KEEPING = {FULL, KEEPER}  # who may do every other kind


class Void(Exception):
    """The record breaks a rule: it has no effect for any reader."""


@dataclass
class Record:
    number: int
    previous: bytes
    checkpoint: int
    checkpoint_hash: bytes
    holder: bytes
    time: int
    kind: int
    critical: bool
    payload: bytes
    message: bytes
    signature: bytes
    stored_hash: bytes
    epoch: int


@dataclass
class Pack:
    session: int
    random: bytes
    header_hash: bytes
    size: int
    ordinal: int = 0
    state: str = "live"

    def path(self):
        """repository.md and pack.md: sharded by the first byte of the random part."""
        return f"pack/{self.random[:1].hex()}/{self.session:016x}-{self.random.hex()}"


@dataclass
class Snapshot:
    id: bytes
    account: bytes
    time: int
    zone: int
    flags: int
    base: bytes
    replaces: bytes
    spine: bytes
    state_root: bytes
    items: int
    size: int
    details: bytes
    epoch: int = 0
    state: str = "live"
    pinned: bool = False
    partial: bool = field(init=False)

    def __post_init__(self):
        self.partial = bool(self.flags & 1)


def record_name(number):
    return f"ledger/{number:016x}"


def stored_hash(data):
    """An object above the limit is no record: its hash is 0xff by definition."""
    return crypto.plain_hash(data) if len(data) <= RECORD_BYTES_MAX else b"\xff" * 32


def read_record(keys, number, data):
    """Section 2: one stored object. Damaged or Unsupported when it is unreadable."""
    what = f"record {number}"
    need(len(data) <= RECORD_BYTES_MAX, f"{what} is too large")
    c = Cursor(data, what)
    need(c.take(8) == b"mhledger", f"{what} has another magic")
    version, flags = c.u16(), c.u16()
    if version != 1 or flags:
        raise Unsupported(f"{what} is of another version")
    epoch, repository, named = c.u32(), c.take(16), c.u64()
    need(repository == keys.repository and named == number, f"{what} is of another place")
    body = keys.box_open(b"mh_ledgr", epoch, data[:40], data[40:], what)
    need(len(body) >= 102 + 64, f"{what} is cut short")
    c = Cursor(body[:-64], what)
    previous, checkpoint, checkpoint_hash = c.take(32), c.u64(), c.take(32)
    holder, time, kind = c.take(16), c.i64(), c.u16()
    payload = c.take(c.u32())
    need(len(data) == padme(246 + len(payload), 512), f"{what} has {len(data)} bytes for {len(payload)}")
    need(not any(c.take(c.left())), f"the padding of {what} is not zeros")
    message = b"mailhold ledger 1" + repository + struct.pack("<Q", number) + body[:-64]
    return Record(number, previous, checkpoint, checkpoint_hash, holder, time, kind & ~CRITICAL,
                  bool(kind & CRITICAL), payload, message, body[-64:], stored_hash(data), epoch)


def read_ordinals(c, most=1 << 20):
    """Strictly rising numbers, each as its distance from the smallest that may stand there."""
    numbers, least = [], 0
    for _ in range(c.limited(most, "packs")):
        numbers.append(least + c.var())
        least = numbers[-1] + 1
    return numbers


def read_snapshot_ids(c):
    return [c.take(16) for _ in range(c.limited(4096, "snapshots"))]


def read_snapshot(c):
    sid, account, time, zone, flags = c.take(16), c.take(16), c.i64(), c.i16(), c.u16()
    need(not flags & ~0x3FF and -1440 <= zone <= 1440, f"a snapshot has flags {flags:#x} and zone {zone}")
    base = c.take(16) if flags & 0x100 else None
    replaces = c.take(16) if flags & 0x200 else None
    need(base != bytes(16) and replaces != bytes(16), "a snapshot names zeros as base")
    return Snapshot(sid, account, time, zone, flags, base, replaces, c.take(32), c.take(32), c.var(), c.var(),
                    c.blob(65536))


def read_commit(c, with_snapshots):
    """Section 4.2: (session, ends, first ordinal, packs, against, snapshots)."""
    session, flags = c.var(), c.u8()
    need(not flags & ~1, f"a commit has flags {flags:#x}")
    first = c.var()
    packs = []
    for _ in range(c.limited(65536, "packs")):
        random, header_hash = c.take(16), c.take(16)
        packs.append(Pack(session, random, header_hash, c.limited(4 << 30, "bytes of a pack")))
    against = read_ordinals(c)
    snapshots = [read_snapshot(c) for _ in range(c.limited(4096, "snapshots"))]
    need(with_snapshots or not snapshots, "a repack brings snapshots")
    need(session or not packs, "packs without a session")
    return session, bool(flags & 1), first, packs, against, snapshots


class Fold:
    """The state that the records amount to."""

    def __init__(self, keys):
        self.keys = keys
        self.holders = {}    # id: (public key, role, accounts)
        self.sessions = {}   # number: holder; open ones only
        self.packs = []      # by ordinal
        self.snapshots = {}  # id: Snapshot, in commit order, expired ones too
        self.holds = {}      # id: (query, snapshots, accounts), or None once released
        self.checkpoint = (0, bytes(32))

    def apply(self, r):
        """Judges a readable record (section 5) and takes it in. Void when it breaks a rule."""
        if r.number == 0:
            self.begin(r)
        public, role, _ = self.holders.get(r.holder, (None, 0, ()))
        if not role or not crypto.signed_by(public, r.message, r.signature):
            raise Void("it is not signed by a holder")
        if not INIT <= r.kind <= UNHOLD:
            if r.critical:
                raise Unsupported(f"record {r.number} is of unknown kind {r.kind}")
            return
        if role not in ALLOWED.get(r.kind, KEEPING):
            raise Void(f"its holder may not write kind {r.kind}")
        if (r.checkpoint, r.checkpoint_hash) != self.checkpoint:
            raise Void("it names another checkpoint than the newest")
        c = Cursor(r.payload, f"record {r.number}")
        saw(f"record of kind {r.kind}")
        getattr(self, HANDLERS[r.kind])(r, c)

    def begin(self, r):
        """Section 4.1. Record 0 says who may sign; without it nothing holds."""
        c = Cursor(r.payload, "record 0")
        need(r.kind == INIT and len(r.payload) == 168, "record 0 is no INIT")
        root, holder, public, signature = c.take(32), c.take(16), c.take(32), c.take(64)
        need(root == self.keys.root and holder == r.holder, "record 0 has another root key")
        vouched = b"mailhold holder 1" + self.keys.repository + holder + public + b"\1"
        need(crypto.signed_by(root, vouched, signature), "the root key did not sign the first holder")
        splitter, cutter = c.u32(), c.u32()
        if (splitter, cutter) != (1, 1):
            raise Unsupported(f"splitter {splitter}, cutter {cutter}")
        self.holders[holder] = (public, FULL, ())

    def on_init(self, r, c):
        if r.number:
            raise Void("INIT is record 0 and no other")

    def on_open(self, r, c):
        c.end()
        self.sessions[r.number] = r.holder

    def own_session(self, r, session):
        if session not in self.sessions:
            raise Void(f"session {session} is not open")
        if self.sessions[session] != r.holder and self.holders[r.holder][1] != FULL:
            raise Void(f"session {session} is another's")

    def on_end(self, r, c):
        session = c.var()
        c.end()
        self.own_session(r, session)
        del self.sessions[session]

    def on_fence(self, r, c):
        session = c.var()
        c.end()
        if session not in self.sessions:
            raise Void(f"session {session} is not open")
        del self.sessions[session]

    def live_packs(self, numbers, state="live"):
        for n in numbers:
            if n >= len(self.packs) or self.packs[n].state != state:
                raise Void(f"pack {n} is not {state}")
        return [self.packs[n] for n in numbers]

    def on_commit(self, r, c):
        session, ends, first, packs, against, snapshots = read_commit(c, True)
        c.end()
        if session:
            self.own_session(r, session)
        elif ends:
            raise Void("it ends no session")
        self.check_commit(r, first, packs, against, snapshots)
        self.add_packs(packs)
        for s in snapshots:
            s.epoch = r.epoch
            if s.base:
                saw("snapshot with a base")
            self.snapshots[s.id] = s
            old = self.snapshots.get(s.replaces)
            if old and old.partial and old.account == s.account and not old.pinned and not self.held(old, True):
                old.state = "expired"
        if session and ends:
            del self.sessions[session]

    def check_commit(self, r, first, packs, against, snapshots):
        """Rules D and G."""
        if first != len(self.packs):
            raise Void(f"its first ordinal is {first}, {len(self.packs)} packs are known")
        self.live_packs(against)
        names = [(p.session, p.random) for p in packs]
        if len(set(names)) < len(names) or set(names) & {(p.session, p.random) for p in self.packs}:
            raise Void("a pack's name is taken")
        ids = [s.id for s in snapshots]
        if len(set(ids)) < len(ids) or any(i in self.snapshots for i in ids):
            raise Void("a snapshot's id is taken")
        accounts = self.holders[r.holder][2]
        for s in snapshots:
            if s.base and (s.base not in self.snapshots or self.snapshots[s.base].state not in ("live", "trash")):
                raise Void("a snapshot's base is gone")
            if accounts and s.account not in accounts:
                raise Void("a snapshot is of an account that its holder may not write")

    def add_packs(self, packs):
        for p in packs:
            p.ordinal = len(self.packs)
            self.packs.append(p)

    def on_repack(self, r, c):
        session, ends, first, packs, against, _ = read_commit(c, False)
        c.end()
        self.own_session(r, session)
        self.check_commit(r, first, packs, against, [])
        old = self.live_packs(against)
        self.add_packs(packs)
        for p in old:
            p.state = "condemned"
        if ends:
            del self.sessions[session]

    def held(self, s, queries):
        """Section 4.4: is S under a hold? QUERIES: those on items of its account count."""
        for hold in filter(None, self.holds.values()):
            query, snapshots, accounts = hold
            if query and not queries:
                continue
            if s.account in accounts or s.id in snapshots or (query and not accounts):
                return True
        return False

    def kept(self, r, s):
        return s.pinned or self.held(s, self.holders[r.holder][1] != FULL)

    def on_hold(self, r, c):
        hid, flags = c.take(16), c.u8()
        snapshots = read_snapshot_ids(c)
        accounts = [c.take(16) for _ in range(c.limited(4096, "accounts"))]
        c.u32()
        c.blob(16384)
        c.end()
        need(hid != bytes(16) and flags <= 1 and (not snapshots if flags else snapshots or accounts),
             f"record {r.number} holds nothing")
        if hid in self.holds:
            raise Void("a hold's id is taken")
        self.holds[hid] = (bool(flags), snapshots, accounts)
        for s in self.snapshots.values():
            if not flags and s.state == "trash" and (s.account in accounts or s.id in snapshots):
                s.state = "live"

    def on_unhold(self, r, c):
        hid = c.take(16)
        c.end()
        if not self.holds.get(hid):
            raise Void("there is no such hold")
        self.holds[hid] = None

    def move(self, c, before, after, movable=lambda s: True):
        """An id that is not in the right state is passed over; the others count."""
        ids = read_snapshot_ids(c)
        c.end()
        for i in ids:
            s = self.snapshots.get(i)
            if s and s.state == before and movable(s):
                s.state = after

    def on_forget(self, r, c):
        self.move(c, "live", "trash", lambda s: not self.kept(r, s))

    def on_unforget(self, r, c):
        self.move(c, "trash", "live")

    def on_expire(self, r, c):
        self.move(c, "trash", "expired", lambda s: not self.kept(r, s))

    def set_pin(self, c, pinned):
        ids = read_snapshot_ids(c)
        c.end()
        for i in ids:
            s = self.snapshots.get(i)
            if s and s.state == "live":
                s.pinned = pinned

    def on_pin(self, r, c):
        self.set_pin(c, True)

    def on_unpin(self, r, c):
        self.set_pin(c, False)

    def change_packs(self, c, before, after):
        packs = self.live_packs(read_ordinals(c), before)
        c.end()
        for p in packs:
            p.state = after

    def on_condemn(self, r, c):
        self.change_packs(c, "live", "condemned")

    def on_drop(self, r, c):
        self.change_packs(c, "condemned", "dropped")

    def on_verified(self, r, c):
        self.change_packs(c, "live", "live")

    def on_checkpoint(self, r, c):
        need(len(r.payload) <= 65536, f"record {r.number} is too long")
        self.checkpoint = (r.number, r.stored_hash)

    def on_policy(self, r, c):
        need(len(r.payload) <= 65536, f"record {r.number} is too long")

    def on_void(self, r, c):
        """What it names was passed over already (see read_ledger)."""
        c.var()
        c.take(32)
        c.end()

    def on_holder(self, r, c):
        holder, public, role = c.take(16), c.take(32), c.u8()
        accounts = [c.take(16) for _ in range(c.limited(4096, "accounts"))]
        c.end()
        need(role <= KEEPER, f"record {r.number} gives unknown role {role}")
        after = dict(self.holders)
        after[holder] = (public, role, tuple(accounts))
        if not any(h[1] == FULL for h in after.values()):
            raise Void("no full holder would be left")
        self.holders = after


HANDLERS = {INIT: "on_init", OPEN: "on_open", COMMIT: "on_commit", END: "on_end", FORGET: "on_forget",
            UNFORGET: "on_unforget", EXPIRE: "on_expire", CONDEMN: "on_condemn", DROP: "on_drop", FENCE: "on_fence",
            REPACK: "on_repack", CHECKPOINT: "on_checkpoint", VOID: "on_void", HOLDER: "on_holder",
            POLICY: "on_policy", PIN: "on_pin", UNPIN: "on_unpin", VERIFIED: "on_verified", HOLD: "on_hold",
            UNHOLD: "on_unhold"}


def stored_records(repository):
    """Records are looked for by name, one after the other; a listing proves nothing."""
    number = 0
    while True:
        try:
            with open(os.path.join(repository, record_name(number)), "rb") as f:
                yield number, f.read(RECORD_BYTES_MAX + 1)
        except FileNotFoundError:
            return
        number += 1


def voided(records):
    """{number: hash} of the VOID records among those that can be read."""
    named = {}
    for r in records:
        if r is not None and r.kind == VOID:
            c = Cursor(r.payload, f"record {r.number}")
            named[c.var()] = c.take(32)
    return named


def read_ledger(repository, keys):
    """Reads, verifies and folds. Gives (fold, number of records)."""
    records, hashes, reasons = [], [], {}
    for number, data in stored_records(repository):
        try:
            r = read_record(keys, number, data)
            if number == 0:
                need(r.previous == bytes(32), "record 0 has something before it")
            elif records[-1] is not None:
                need(r.previous == hashes[-1], f"record {number} does not follow record {number - 1} as stored")
        except (Damaged, Unsupported) as problem:
            r, reasons[number] = None, problem
        records.append(r)
        hashes.append(stored_hash(data))
    if not records:
        raise Refused(f"{repository} is no repository: it has no record 0")
    return fold_records(keys, records, hashes, reasons), len(records)


def fold_records(keys, records, hashes, reasons):
    fold, voids = Fold(keys), voided(records)
    for number, r in enumerate(records):
        if r is None:
            if voids.get(number) != hashes[number]:
                raise reasons[number]
            continue
        try:
            fold.apply(r)
        except Void as why:
            print(f"record {number} has no effect: {why}", file=sys.stderr)
    return fold
