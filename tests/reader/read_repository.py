#!/usr/bin/env python3
"""
The second reader: restores a snapshot of a repository in a folder, and shares nothing with the program but docs/format/.
It was written from those pages alone, is plain and slow, and checks every signature, hash, chunk id and count on its
way. What it can read, anyone with the pages can read; when it and the program differ, one of them or a page is wrong.

    read_repository.py REPOSITORY --key-file FILE --list
    read_repository.py REPOSITORY --key-file FILE --out FOLDER [--snapshot N]
    read_repository.py REPOSITORY --password-env VARIABLE --verify

N is a number as --list tells it, or the beginning of an id; without it the newest snapshot that is not forgotten is
restored. The folder must be empty or not there. Exit code: 0 done, 1 damaged or refused, 2 usage,
77 PyNaCl or python-zstandard is missing (a test runner then counts the test as skipped).
"""
import argparse
import datetime
import os
import sys
import tempfile

try:
    import nacl.bindings  # noqa: F401
    import zstandard  # noqa: F401
except ImportError as missing:
    print(f"skipped: {missing}; scripts/packages test installs what is needed", file=sys.stderr)
    sys.exit(77)

from mailhold_reader import features, keys as key_page
from mailhold_reader.ledger import read_ledger
from mailhold_reader.needs import print_needs, watch_records
from mailhold_reader.pack import CLASS_NAMES, Chunks
from mailhold_reader.pages import check_summary, read_details, read_snapshot, walk_rows
from mailhold_reader.wire import Damaged, Refused, Unsupported
from mailhold_reader.worlds import Restore


def arguments():
    p = argparse.ArgumentParser(description="reads a mailhold repository by its format pages alone")
    p.add_argument("repository")
    secret = p.add_mutually_exclusive_group(required=True)
    secret.add_argument("--key-file", metavar="FILE")
    secret.add_argument("--password-env", metavar="VARIABLE", help="the password is in this environment variable")
    p.add_argument("--out", metavar="FOLDER", help="restore into this folder")
    p.add_argument("--snapshot", metavar="N", help="which one; else the newest")
    p.add_argument("--list", action="store_true", help="list the snapshots")
    p.add_argument("--verify", action="store_true", help="open every chunk of every block, and every summary")
    p.add_argument("--cuts", action="store_true", help="with --out: also repeat the cuts of all parts (very slow)")
    p.add_argument("--needs", action="store_true", help="tell which blocks each item needs, for tests that damage them")
    p.add_argument("--missing-features", action="store_true", help="tell what of the format the repository lacks")
    given = p.parse_args()
    if not (given.out or given.list or given.verify or given.missing_features or given.needs):
        p.error("one of --out, --list, --verify, --needs and --missing-features is needed")
    return given


def open_repository(given):
    if given.key_file:
        return key_page.open_keys(given.repository, key_file=key_page.secret_of_key_file(given.key_file))
    password = os.environ.get(given.password_env)
    if not password:
        raise Refused(f"{given.password_env} is not set")
    return key_page.open_keys(given.repository, password=os.fsencode(password))


def details_of(keys, snapshot):
    details = read_details(keys, snapshot)
    name = details.get("account", b"")
    if keys.account_id(name) != snapshot.account:
        raise Damaged(f"snapshot {snapshot.id.hex()} names an account that is not its own")
    return details


def print_list(keys, snapshots):
    """number, id, state, account, time, items, bytes: a tab between each."""
    for n, s in enumerate(snapshots):
        zone = datetime.timezone(datetime.timedelta(minutes=s.zone))
        time = datetime.datetime.fromtimestamp(s.time / 1000, zone).isoformat(timespec="milliseconds")
        account = os.fsdecode(details_of(keys, s).get("account", b""))
        print(n, s.id.hex(), s.state, account, time, s.items, s.size, sep="\t")


def choose(snapshots, word):
    if word is None:
        live = [s for s in snapshots if s.state == "live"]
        if not live:
            raise Refused("there is no snapshot")
        return live[-1]
    found = [s for s in snapshots if len(word) >= 4 and s.id.hex().startswith(word)]
    if not found and word.isdigit() and int(word) < len(snapshots):
        found = [snapshots[int(word)]]
    if len(found) != 1:
        raise Refused(f"{len(found)} snapshots are called {word}")
    return found[0]


def verify(chunks, snapshots):
    counts = chunks.verify_all()
    summaries = 0
    for s in snapshots:
        for c in read_snapshot(chunks, s):
            for row in walk_rows(chunks, c.spine, c.state_root):
                summaries += bool(check_summary(chunks, row))
    print(f"verified {sum(counts.values())} chunks and {summaries} summaries of {len(snapshots)} snapshots")
    print("chunks:", *(f"{name}={counts[name]}" for name in CLASS_NAMES.values()))


def restore(keys, chunks, given, snapshot):
    details_of(keys, snapshot)
    run = Restore(keys, chunks, given.out, keys.gear() if given.cuts else None)
    run.run(read_snapshot(chunks, snapshot))
    if (run.items, run.bytes) != (snapshot.items, snapshot.size):
        raise Damaged(f"the snapshot counts {snapshot.items} items of {snapshot.size} bytes, "
                      f"{run.items} of {run.bytes} were there")
    print(f"restored {run.items} items ({run.bytes} bytes) of snapshot {snapshot.id.hex()}")


def print_missing(keys, chunks, snapshots):
    """Restores every snapshot into nowhere that stays, and tells what did not occur."""
    chunks.verify_all()
    for s in snapshots:
        with tempfile.TemporaryDirectory(prefix="mailhold-reader-") as scratch:
            Restore(keys, chunks, scratch).run(read_snapshot(chunks, s))
    for what in features.missing():
        print(what)


def main():
    given = arguments()
    keys = open_repository(given)
    announced = watch_records() if given.needs else None
    fold, records = read_ledger(given.repository, keys)
    snapshots = [s for s in fold.snapshots.values() if s.state in ("live", "trash")]
    if given.list:
        print_list(keys, snapshots)
    if given.out or given.verify or given.missing_features or given.needs:
        chunks = Chunks(given.repository, keys, fold.packs)
        print(f"{records} records, {len(chunks.packs)} live packs, {len(chunks.places)} chunks", file=sys.stderr)
    if given.verify:
        verify(chunks, snapshots)
    if given.needs:
        print_needs(chunks, snapshots, *announced)
    if given.missing_features:
        print_missing(keys, chunks, snapshots)
    if given.out:
        restore(keys, chunks, given, choose(snapshots, given.snapshot))


if __name__ == "__main__":
    try:
        main()
    except (Damaged, Refused, Unsupported, OSError) as problem:
        print(f"read_repository: {problem}", file=sys.stderr)
        sys.exit(1)
