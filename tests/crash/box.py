"""What the crash tests share: a home of their own, a seeded Maildir, the program, and ways to compare and to damage."""
import collections
import filecmp
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PROGRAM = os.environ.get("MAILHOLD")
SKIPPED = 77


class Failed(Exception):
    pass


def skip(why):
    print("skipped:", why)
    sys.exit(SKIPPED)


def seeded(name):
    """A random source whose seed is printed; MAILHOLD_TEST_SEED repeats a run."""
    seed = int(os.environ.get("MAILHOLD_TEST_SEED", time.time_ns() % 1000000007))
    print(f"{name}: seed {seed} (MAILHOLD_TEST_SEED repeats it)", flush=True)
    return random.Random(seed)


class Box:
    """A temporary folder with a home, a cache, a key file and a repository."""

    def __init__(self):
        if not PROGRAM:
            sys.exit("MAILHOLD names the program to test")
        self.path = tempfile.mkdtemp(prefix="mailhold-crash-")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("MAILHOLD_")}
        self.env.update(HOME=self.at("home"), XDG_CACHE_HOME=self.at("cache"), XDG_STATE_HOME=self.at("state"),
                        TZ="UTC", LC_ALL="C.UTF-8", MAILHOLD_REPOSITORY=self.at("repo"),
                        MAILHOLD_KEY_FILE=self.at("key"), MAILHOLD_PARTIAL_MS="150")
        os.mkdir(self.at("home"))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None or not os.environ.get("MAILHOLD_KEEP"):
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            print("kept:", self.path)

    def at(self, *names):
        return os.path.join(self.path, *names)

    def start(self, *words, **env):
        return subprocess.Popen([PROGRAM, *words], env={**self.env, **env}, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, codes, *words, **env):
        """Runs the program, which must end with one of CODES. Gives code, stdout and stderr as text."""
        child = self.start(*words, **env)
        out, err = (b.decode("utf-8", "replace") for b in child.communicate())
        if child.returncode not in (codes if isinstance(codes, tuple) else (codes,)):
            raise Failed(f"mailhold {' '.join(words)} ended with {child.returncode}, not {codes}\n"
                         f"--- stdout\n{out[-3000:]}\n--- stderr\n{err[-3000:]}")
        return child.returncode, out, err

    def fresh(self, *names):
        """An empty place: what was there is removed."""
        path = self.at(*names)
        shutil.rmtree(path, ignore_errors=True)
        return path

    def objects(self, folder=""):
        top = self.at("repo", folder)
        found = []
        for base, _, files in os.walk(top):
            found += [os.path.join(base, f) for f in files]
        return sorted(found)


def sentence(rng):
    words = ("the contract budget meeting of next week report please find attached invoice number thanks regards "
             "customer server outage backup restore mailbox question answer").split()
    return " ".join(rng.choice(words) for _ in range(rng.randint(4, 14)))


def base64_lines(rng, size):
    import base64
    return base64.encodebytes(rng.randbytes(size)).replace(b"\n", b"\r\n")


def message(rng, number, size):
    head = (f"From: Person {rng.randrange(40)} <p{rng.randrange(40)}@example.org>\r\n"
            f"To: list@example.net\r\nSubject: {sentence(rng)}\r\nMessage-ID: <{number}.{rng.randrange(1 << 30)}"
            f"@example.org>\r\nDate: Mon, 02 Jan 2023 10:{rng.randrange(60):02}:00 +0000\r\nMIME-Version: 1.0\r\n")
    text = "".join(sentence(rng) + "\r\n" for _ in range(rng.randint(2, 30)))
    if size < 4000:
        return (head + "\r\n" + text).encode()
    return (head + "Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n").encode() + \
        base64_lines(rng, size)


def make_maildir(rng, path, count, total_mib):
    """COUNT messages in some folders, about TOTAL_MIB of them, and a few attachments sent twice."""
    folders = ["", ".Sent", ".Archive.2022", ".Lists.d&APw-sseldorf"]
    for f in folders:
        for part in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(path, f, part))
    large = max(1, count // 20)
    large_bytes = max(1, total_mib * 1024 * 1024 * 3 // 4 // large)
    for n in range(count):
        size = large_bytes // 2 + rng.randrange(large_bytes) if n % 20 == 0 else 0
        name = f"{1700000000 + n}.M{n}P1.host"
        where = "new" if n % 50 == 7 else "cur"
        with open(os.path.join(path, folders[rng.randrange(len(folders))], where,
                               name + ("" if where == "new" else ":2," + rng.choice(["", "S", "RS", "FS"]))), "wb") as f:
            f.write(message(rng, n, size))


def files_of(top):
    found = {}
    for base, _, files in os.walk(top):
        for f in files:
            path = os.path.join(base, f)
            found[os.path.relpath(path, top)] = path
    return found


def compare(source, restored):
    """Names that are missing, that differ, and that nobody asked for."""
    a, b = files_of(source), files_of(restored)
    missing = sorted(set(a) - set(b))
    differ = sorted(n for n in set(a) & set(b) if not filecmp.cmp(a[n], b[n], shallow=False))
    return missing, differ, sorted(set(b) - set(a))


def same_tree(source, restored):
    missing, differ, more = compare(source, restored)
    if missing or differ or more:
        raise Failed(f"{source} and {restored}: {len(missing)} missing {missing[:3]}, {len(differ)} differ {differ[:3]}, "
                     f"{len(more)} too many {more[:3]}")


def contents(top):
    """How often each content is there."""
    return collections.Counter(hashlib.blake2b(open(p, "rb").read(), digest_size=16).digest()
                               for p in files_of(top).values())


def kill(child):
    child.send_signal(signal.SIGKILL)
    child.communicate()


def main(test):
    try:
        test()
    except Failed as why:
        print("FAILED:", why, file=sys.stderr)
        sys.exit(1)
    print("ok")
