#!/usr/bin/env python3
"""
Repositories that must stay readable for ever, and the two readers that read them (see README.md).

    golden.py make    --program MAILHOLD --golden DIR [--seed N]   makes DIR, which must not be there
    golden.py program --program MAILHOLD --golden DIR              lists, checks and restores DIR with the program
    golden.py reader  --golden DIR                                 the same with the reader of ../reader
    golden.py refuse  --program MAILHOLD --golden DIR [--seed N]   flips bits in a copy of DIR: both must see each
    golden.py go-on   --program MAILHOLD --golden DIR              the program adds to a copy of DIR, the reader reads it
    golden.py fresh   --program MAILHOLD [--seed N]                the program makes one now, the reader reads it

Every snapshot has a manifest, written from its source and never from a restore: a line for each file (mode, time in ns,
SHA-256, path) and each folder (mode, a dash each, path). Exit code: 0, 1, 2 usage, 77 skipped (the reader lacks a
library; 1 where MAILHOLD_TEST_NO_SKIP is set).
"""
import argparse
import hashlib
import json
import os
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import urllib.parse

import invent

HERE = os.path.dirname(os.path.abspath(__file__))
READER = os.path.join(HERE, "..", "reader", "read_repository.py")
PASSWORD = "correct horse battery staple"
FORGOTTEN = "shared-1"
PINNED = "ann-2"
RANDOM_MESSAGES = 200


class Failed(Exception):
    """What a reader refused, or gave back otherwise than it should."""


class Crashed(Exception):
    """A reader ended as nobody meant it to: no test may take that for a refusal."""


# ---- manifests ----

def manifest(root):
    """What stands below ROOT, ROOT itself left out: whoever restores says what that is."""
    lines = []
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in folders + files:
            path = os.path.join(folder, name)
            s = os.lstat(path)
            shown = urllib.parse.quote(os.path.relpath(path, os.fsencode(root)), safe="/ ,;:=.&-")
            mode = f"{stat.S_IMODE(s.st_mode):03o}"
            if stat.S_ISDIR(s.st_mode):
                lines.append(f"{mode} - - {shown}")
            else:
                with open(path, "rb") as f:
                    lines.append(f"{mode} {s.st_mtime_ns} {hashlib.sha256(f.read()).hexdigest()} {shown}")
    return sorted(lines, key=lambda line: line.split(" ", 3)[3])


def read_lines(path):
    with open(path, encoding="ascii") as f:
        return f.read().splitlines()


def write_lines(path, lines):
    with open(path, "w", encoding="ascii") as f:
        f.writelines(line + "\n" for line in lines)


def compare(what, wanted, got):
    if wanted == got:
        print(f"  {what}: {len(got)} files and folders as they must be")
        return
    missing, extra = set(wanted) - set(got), set(got) - set(wanted)
    for line in sorted(missing)[:10]:
        print(f"  wanted: {line}", file=sys.stderr)
    for line in sorted(extra)[:10]:
        print(f"  got:    {line}", file=sys.stderr)
    raise Failed(f"{what}: {len(missing)} lines of the manifest are not there, {len(extra)} others are")


# ---- the two readers ----

class Program:
    """The built program, with folders of its own."""

    def __init__(self, path, scratch):
        self.path, self.scratch = path, scratch
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("MAILHOLD_")}
        for name in ("HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
            self.env[name] = os.path.join(scratch, name.lower())
            os.makedirs(self.env[name], exist_ok=True)

    def run(self, repository, secret, *words):
        done = subprocess.run([self.path, "-r", repository, *secret, *words], env=self.env, capture_output=True,
                              stdin=subprocess.DEVNULL, check=False)
        if done.returncode < 0 or b"Sanitizer" in done.stderr or b"runtime error" in done.stderr:
            raise Crashed(f"mailhold {' '.join(words)}: exit code {done.returncode}\n{os.fsdecode(done.stderr)}")
        if done.returncode:
            raise Failed(f"mailhold {' '.join(words)}: exit code {done.returncode}\n{os.fsdecode(done.stderr)}")
        return done.stdout

    def snapshots(self, repository, secret, *words):
        return json.loads(self.run(repository, secret, "snapshots", "--json", *words))["snapshots"]


def reader(repository, *words):
    done = subprocess.run([sys.executable, READER, repository, *words], capture_output=True, check=False,
                          env={**os.environ, "GOLDEN_PASSWORD": PASSWORD, "PYTHONDONTWRITEBYTECODE": "1"})
    if done.returncode == 77:
        print(os.fsdecode(done.stderr).strip())
        sys.exit(1 if os.environ.get("MAILHOLD_TEST_NO_SKIP") else 77)
    if b"Traceback" in done.stderr:
        raise Crashed(f"the reader, {' '.join(words)}:\n{os.fsdecode(done.stderr)}")
    if done.returncode:
        raise Failed(f"the reader, {' '.join(words)}: exit code {done.returncode}\n{os.fsdecode(done.stderr)}")
    return done.stdout.decode()


# ---- making ----

def take_snapshots(program, repository, secret, sources):
    """Yields (name, account, id, manifest) of every step."""
    for name, account, source in sources.steps():
        out = json.loads(program.run(repository, secret, "snapshot", "--json", "--account", account, source))
        yield name, account, out["id"], manifest(source.split(":", 1)[1])


def make_main(program, folder, seed):
    """The repository of a key file, with its manifests."""
    repository, key = os.path.join(folder, "repository"), os.path.join(folder, "key")
    secret = ("--key-file", key)
    os.makedirs(os.path.join(folder, "manifests"))
    program.run(repository, secret, "init", "--label", "golden")
    rows = []
    with tempfile.TemporaryDirectory(dir=program.scratch) as root:
        for name, account, snapshot, lines in take_snapshots(program, repository, secret, invent.Sources(root, seed)):
            write_lines(os.path.join(folder, "manifests", name), lines)
            if name == FORGOTTEN:
                program.run(repository, secret, "forget", snapshot)
            if name == PINNED:
                program.run(repository, secret, "pin", snapshot)
            rows.append((name, account, snapshot))
    write_lines(os.path.join(folder, "snapshots"), [" ".join(row) for row in rows])


def make_password(program, folder, seed):
    """A second one, of one message, opened with a password."""
    os.makedirs(folder)
    word = os.path.join(folder, "password")
    write_lines(word, [PASSWORD])
    repository, secret = os.path.join(folder, "repository"), ("--password-file", word)
    with tempfile.TemporaryDirectory(dir=program.scratch) as sources:
        invent.put(os.path.join(sources, "note.eml"), invent.message(b"hello", b"It opens.\n", seed % 60), invent.START)
        program.run(repository, secret, "init")
        program.run(repository, secret, "snapshot", "--account", "bob", "files:" + sources)
        write_lines(os.path.join(folder, "manifest"), manifest(sources))


def make(program, golden, seed):
    if os.path.exists(golden):
        raise Failed(f"{golden} is there already; golden repositories are never made again (see README.md)")
    with tempfile.TemporaryDirectory(dir=program.scratch) as scratch:
        made = os.path.join(scratch, "golden")
        os.makedirs(made)
        make_main(program, made, seed)
        make_password(program, os.path.join(made, "password"), seed)
        for folder, _, files in os.walk(made):
            for name in files:
                os.chmod(os.path.join(folder, name), 0o644)
        read_with_program(program, made)
        read_with_reader(made, scratch, ("--cuts",))
        check_features(made)
        shutil.copytree(made, golden)
    size = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(golden) for f in files)
    print(f"made {golden} with seed {seed}: {size} bytes")


# ---- reading ----

def golden_rows(golden):
    return [line.split() for line in read_lines(os.path.join(golden, "snapshots"))]


def read_with_program(program, golden):
    """On a copy: whoever opens a repository may write to it, and one snapshot must come back from the trash."""
    with tempfile.TemporaryDirectory(dir=program.scratch) as scratch:
        copy, key = os.path.join(scratch, "repository"), ("--key-file", os.path.join(golden, "key"))
        shutil.copytree(os.path.join(golden, "repository"), copy)
        rows = golden_rows(golden)
        listed = {s["id"]: s for s in program.snapshots(copy, key, "--all")}
        for name, account, snapshot in rows:
            found = listed.get(snapshot)
            if not found or found["account"] != account or bool(found["forgotten"]) != (name == FORGOTTEN) \
                    or found["pinned"] != (name == PINNED):
                raise Failed(f"snapshot {name} is listed as {found}")
        if len(listed) != len(rows):
            raise Failed(f"{len(listed)} snapshots are listed, {len(rows)} were made")
        program.run(copy, key, "check", "--read-data")
        program.run(copy, key, "forget", "--undo", dict((r[0], r[2]) for r in rows)[FORGOTTEN])
        for name, _, snapshot in rows:
            out = os.path.join(scratch, name)
            program.run(copy, key, "restore", snapshot, "--to", out, "--into", ".")
            compare(f"{name}, restored by the program", read_lines(os.path.join(golden, "manifests", name)), manifest(out))
        copy, out = os.path.join(scratch, "of-password"), os.path.join(scratch, "note")
        word = ("--password-file", os.path.join(golden, "password", "password"))
        shutil.copytree(os.path.join(golden, "password", "repository"), copy)
        program.run(copy, word, "restore", "latest", "--to", out, "--into", ".")
        compare("password, restored by the program", read_lines(os.path.join(golden, "password", "manifest")),
                manifest(out))


def read_with_reader(golden, scratch, more=()):
    repository, key = os.path.join(golden, "repository"), ("--key-file", os.path.join(golden, "key"))
    listed = [line.split("\t")[:4] for line in reader(repository, *key, "--list").splitlines()]
    wanted = [[str(n), snapshot, "trash" if name == FORGOTTEN else "live", account]
              for n, (name, account, snapshot) in enumerate(golden_rows(golden))]
    if listed != wanted:
        raise Failed(f"the reader lists {listed} instead of {wanted}")
    print("  " + reader(repository, *key, "--verify").splitlines()[0])
    with tempfile.TemporaryDirectory(dir=scratch) as into:
        for name, _, snapshot in golden_rows(golden):
            out = os.path.join(into, name)
            reader(repository, *key, "--snapshot", snapshot, "--out", out, *more)
            compare(f"{name}, restored by the reader", read_lines(os.path.join(golden, "manifests", name)), manifest(out))
        out = os.path.join(into, "note")
        reader(os.path.join(golden, "password", "repository"), "--password-env", "GOLDEN_PASSWORD", "--out", out)
        compare("password, restored by the reader", read_lines(os.path.join(golden, "password", "manifest")),
                manifest(out))


def check_features(golden):
    """A golden repository that lacks a part of the format would keep nothing of it readable."""
    key = ("--key-file", os.path.join(golden, "key"))
    missing = reader(os.path.join(golden, "repository"), *key, "--missing-features").splitlines()
    if missing:
        raise Failed("the golden repository does not hold: " + "; ".join(missing))


def content_chunks(repository, key):
    """How many chunks of content there are: ["item=…", "text=…", "binary=…"]."""
    return reader(repository, *key, "--verify").splitlines()[1].split()[1:4]


def go_on(program, golden):
    """
    The same mail again, of another account: today's program must split and cut as the one that made the repository did, or
    every user would store all attachments once more.
    """
    with tempfile.TemporaryDirectory(dir=program.scratch) as scratch:
        copy, key = os.path.join(scratch, "repository"), ("--key-file", os.path.join(golden, "key"))
        out, again = os.path.join(scratch, "out"), os.path.join(scratch, "again")
        shutil.copytree(os.path.join(golden, "repository"), copy)
        before = content_chunks(copy, key)
        program.run(copy, key, "restore", dict((r[0], r[2]) for r in golden_rows(golden))["ann-2"], "--to", out,
                    "--into", ".")
        program.run(copy, key, "snapshot", "--account", "heir", "maildir:" + out)
        program.run(copy, key, "check", "--read-data")
        after = content_chunks(copy, key)
        if after != before:
            raise Failed(f"content that is there already is stored again: {before} chunks before, {after} after")
        reader(copy, *key, "--out", again)
        compare("ann-2, put back into the repository", read_lines(os.path.join(golden, "manifests", "ann-2")),
                manifest(again))


def fails(action, *words):
    try:
        action(*words)
        return False
    except Failed:
        return True


def flip(path, place, bit):
    os.chmod(path, 0o600)
    with open(path, "r+b") as f:
        f.seek(place)
        byte = f.read(1)[0]
        f.seek(place)
        f.write(bytes([byte ^ 1 << bit]))


def refuse_flips(program, golden, seed):
    """One bit of each object, anywhere in it: whoever reads all must tell."""
    print(f"seed {seed}")
    rnd, key = invent.Seeded(seed), ("--key-file", os.path.join(golden, "key"))
    with tempfile.TemporaryDirectory(dir=program.scratch) as scratch:
        copy = os.path.join(scratch, "repository")
        shutil.copytree(os.path.join(golden, "repository"), copy)
        objects = sorted(os.path.join(d, f) for d, _, files in os.walk(copy) for f in files if f != "readme.txt")
        for path in objects:
            place, bit = rnd.below(os.path.getsize(path)), rnd.below(8)
            shown = f"bit {bit} of byte {place} of {os.path.relpath(path, copy)}"
            flip(path, place, bit)
            if not fails(reader, copy, *key, "--verify"):
                raise Failed(f"the reader does not see {shown}")
            if not fails(program.run, copy, key, "check", "--read-data"):
                raise Failed(f"mailhold check --read-data does not see {shown}")
            flip(path, place, bit)
        reader(copy, *key, "--verify")
        program.run(copy, key, "check", "--read-data")
    print(f"  {len(objects)} objects, a bit each: all seen")


def read_fresh(program, scratch, seed):
    print(f"seed {seed}")
    repository, key = os.path.join(scratch, "repository"), ("--key-file", os.path.join(scratch, "key"))
    program.run(repository, key, "init")
    sources = invent.Sources(os.path.join(scratch, "sources"), seed, RANDOM_MESSAGES)
    for name, _, snapshot, wanted in take_snapshots(program, repository, key, sources):
        for who in ("reader", "program"):
            out = os.path.join(scratch, name + "-" + who)
            if who == "reader":
                reader(repository, *key, "--snapshot", snapshot, "--out", out, "--cuts")
            else:
                program.run(repository, key, "restore", snapshot, "--to", out, "--into", ".")
            compare(f"{name}, restored by the {who}", wanted, manifest(out))
    print("  " + reader(repository, *key, "--verify").splitlines()[0])


def arguments():
    p = argparse.ArgumentParser(description="golden repositories")
    p.add_argument("what", choices=("make", "program", "reader", "refuse", "go-on", "fresh"))
    p.add_argument("--program", help="the built mailhold")
    p.add_argument("--golden", help="the folder of a golden repository")
    p.add_argument("--seed", type=int, help="else MAILHOLD_TEST_SEED, else a random one (make: 1)")
    given = p.parse_args()
    if given.what != "reader" and not given.program:
        p.error("--program is needed")
    if given.what != "fresh" and not given.golden:
        p.error("--golden is needed")
    if given.seed is None:
        given.seed = 1 if given.what == "make" else int(os.environ.get("MAILHOLD_TEST_SEED") or secrets.randbelow(1 << 32))
    return given


def main():
    given = arguments()
    os.umask(0o077)
    with tempfile.TemporaryDirectory(prefix="mailhold-golden-") as scratch:
        program = Program(os.path.abspath(given.program), scratch) if given.program else None
        if given.what == "make":
            make(program, os.path.abspath(given.golden), given.seed)
        elif given.what == "program":
            read_with_program(program, given.golden)
        elif given.what == "reader":
            read_with_reader(given.golden, scratch, ("--cuts",))
        elif given.what == "go-on":
            go_on(program, given.golden)
        elif given.what == "refuse":
            refuse_flips(program, given.golden, given.seed)
        else:
            read_fresh(program, scratch, given.seed)


if __name__ == "__main__":
    try:
        main()
    except (Failed, Crashed) as problem:
        print(f"golden: {problem}", file=sys.stderr)
        sys.exit(1)
