"""
Invented sources: mail, an mbox, and a tree of calendars, cards and scripts, that no person wrote. The same seed gives
the same bytes, names, times and modes. Everything that the program writes occurs: golden.py make holds the result against
the list in ../reader/mailhold_reader/features.py.
"""
import base64
import hashlib
import os
import shutil

DAY = 86_400_000_000_000
START = 1_600_000_000_000_000_000  # ns
WORDS = ("ledger harbour copper meadow lantern quartz ribbon saddle timber violet walnut yonder zephyr anchor basket "
         "candle dapple ember fennel garnet hollow indigo juniper kernel linnet marble nectar orchard pebble quiver "
         "russet sorrel").split()


class Seeded:
    """Numbers that depend on nothing but the seed, for as long as there is SHA-256."""

    def __init__(self, seed):
        self.seed, self.count, self.pool = str(seed).encode(), 0, b""

    def bytes(self, size):
        while len(self.pool) < size:
            self.pool += hashlib.sha256(self.seed + b":%d" % self.count).digest()
            self.count += 1
        out, self.pool = self.pool[:size], self.pool[size:]
        return out

    def below(self, limit):
        return int.from_bytes(self.bytes(4), "little") % limit

    def words(self, size):
        """At least SIZE bytes of prose."""
        out, length = [], 0
        while length < size:
            out.append(WORDS[self.below(len(WORDS))] + (".\n" if not self.below(12) else " "))
            length += len(out[-1])
        return "".join(out).encode()


def wrapped(data, width, end=b"\n", prefix=b"", first=None):
    text = base64.b64encode(data)
    first = width if first is None else first
    return (end + prefix).join([text[:first]] + [text[i:i + width] for i in range(first, len(text), width)]) + end


def put(path, data, time_ns, mode=0o600):
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, mode)
    os.utime(path, ns=(time_ns, time_ns))


def message(subject, body, number=0, end=b"\n", more=()):
    head = [b"From: Ann Example <ann@example.org>", b"To: Bob <bob@example.net>", b"Subject: " + subject,
            b"Message-ID: <%d.%s@example.org>" % (number, hashlib.md5(subject).hexdigest()[:8].encode()),
            b"Date: Mon, 14 Sep 2020 %02d:%02d:00 +0200" % (number // 60 % 24, number % 60), *more, b"", b""]
    return end.join(head) + body


def multipart(end, *parts):
    return b"".join(b"--=_b" + end + part + end for part in parts) + b"--=_b--" + end


MULTIPART = (b"MIME-Version: 1.0", b'Content-Type: multipart/mixed; boundary="=_b"')


def attachment(data, width, end, name):
    head = end.join([b'Content-Type: application/octet-stream; name="' + name + b'"',
                     b"Content-Transfer-Encoding: base64", b'Content-Disposition: attachment; filename="' + name + b'"',
                     b"", b""])
    return head + wrapped(data, width, end)


def odd_messages(rnd):
    """What real mailboxes hold and no standard allows, and what the splitter must leave alone."""
    shared = rnd.words(3000)
    noise = rnd.bytes(2500)
    text = b"Content-Type: text/plain" + b"\n\n" + rnd.words(300)
    return {
        "empty": b"",
        "no-header": b"\njust a body\n",
        "header-only": b"Subject: nothing follows\nFrom: ann@example.org",
        "nul-and-8bit": message(b"caf\xe9 \xff\xfe", b"a\0b\0c \x80\x81\xfe\xff\n"),
        "bare-cr": b"Subject: old\rFrom: ann@example.org\r\rline\rline\r",
        "crlf": message(b"dos", b"line one\r\nline two\r\n", 1, b"\r\n"),
        "long-line": message(b"long", b"x" * 5000 + b"\n" + rnd.words(2500).replace(b"\n", b" ")),
        "escaped-from": b">From ann Mon Sep 14 00:00:00 2020\nSubject: inside\n\nFrom here on\n>From there\n",
        "base64-76-lf": message(b"report", multipart(b"\n", text, attachment(shared, 76, b"\n", b"a.bin")), 2,
                                more=MULTIPART),
        "base64-72-crlf": message(b"report again", multipart(b"\r\n", text, attachment(shared, 72, b"\r\n", b"b.bin")),
                                  3, b"\r\n", MULTIPART),
        "base64-60-noise": message(b"noise", multipart(b"\n", text, attachment(noise, 60, b"\n", b"=?utf-8?q?=C3=A4?=")),
                                   4, more=MULTIPART),
        "base64-one-line": message(b"one line", base64.b64encode(noise) + b"\nand text behind it\n", 5),
        "base64-broken": message(b"broken", wrapped(shared, 76)[:-30] + b"==!\n" + wrapped(shared, 76) + b"=\n", 6),
        "base64-no-end": message(b"no end", wrapped(shared, 76).rstrip(b"\n"), 7),
        "no-boundary": message(b"broken mime", b"--other\n\n--other--\n--=_b\n", 8, more=MULTIPART),
        "many-parts": message(b"many", b"".join(b"part %d\n\n" % n + wrapped(b"%04d" % n + shared[:1100], 76) + b"\n"
                                                for n in range(70)), 9),
    }


def random_piece(rnd):
    """Text, bytes, or a base64 run with any parameters, now and then cut or spoiled."""
    kind, size = rnd.below(8), rnd.below(2500 if rnd.below(8) else 40000)
    end = (b"\n", b"\r\n")[rnd.below(2)]
    if kind == 0:
        return rnd.words(size)
    if kind == 1:
        return rnd.bytes(size)
    if kind == 2:
        return (b"", b"From here\n", b"\0", end, b"name: ", b"ATTACH;VALUE=BINARY:", b"a," * 9)[rnd.below(7)]
    data = rnd.bytes(size) if rnd.below(2) else rnd.words(size)
    width = (76, 72, 64, 16 + rnd.below(1100))[rnd.below(4)]
    first = width if rnd.below(3) else 1 + rnd.below(width)
    prefix = (b"", b"", b" ", b"\t", b"  ")[rnd.below(5)]
    text = bytearray(wrapped(data, width, end, prefix, first))
    if text and not rnd.below(4):
        text[rnd.below(len(text))] = rnd.below(256)
    if not rnd.below(4):
        del text[rnd.below(len(text) + 1):]
    return bytes(text)


def random_message(rnd, n):
    body = b"".join(random_piece(rnd) for _ in range(rnd.below(7)))
    return message(b"random %d" % n, body, n, (b"\n", b"\r\n")[rnd.below(2)]) if rnd.below(4) else body


class Sources:
    """
    Three accounts below one folder. steps() changes them, and gives after each what to take a snapshot of. RANDOM
    messages are more than the format needs, to look for bytes that nobody thought of.
    """

    def __init__(self, root, seed, random=0):
        self.root, self.rnd, self.random = root, Seeded(seed), random
        self.maildir = os.path.join(root, "ann", "Maildir")
        self.tree = os.path.join(root, "shared")
        self.mbox = os.path.join(root, "old")
        self.large = self.rnd.words(300 << 10)

    def steps(self):
        """(name, account, source): the caller looks at the source before the next step changes it."""
        self.make_maildir()
        yield "ann-1", "ann", "maildir:" + self.maildir
        self.make_tree()
        yield "shared-1", "shared", "files:" + self.tree
        self.make_mbox()
        yield "old-1", "old", "mbox:" + self.mbox
        self.change_maildir()
        yield "ann-2", "ann", "maildir:" + self.maildir
        self.change_tree()
        yield "shared-2", "shared", "files:" + self.tree
        self.empty_inbox()
        yield "ann-3", "ann", "maildir:" + self.maildir

    def folder(self, name, subs=("cur", "new", "tmp"), mode=0o700):
        path = os.path.join(self.maildir, name) if name else self.maildir
        os.makedirs(path, mode=0o700, exist_ok=True)
        for sub in subs:
            os.makedirs(os.path.join(path, sub), mode=0o700, exist_ok=True)
            os.chmod(os.path.join(path, sub), mode)
        os.chmod(path, mode)
        return path

    def mail(self, folder, place, name, data, n, mode=0o600):
        put(os.path.join(self.maildir, folder, place, name), data, START + n * DAY // 7 + n, mode)

    def make_maildir(self):
        self.folder("")
        self.folder(".Sent", mode=0o755)
        self.folder(".Projects.Caf&AOk-.Deep")
        self.folder(".Empty")
        self.folder(".No tmp", ("cur",))
        for n, (name, data) in enumerate(odd_messages(self.rnd).items()):
            flags = ("", ":2,", ":2,S", ":2,FRS", ":2,Sa", ";2,S")[n % 6]
            self.mail("", "cur" if flags else "new", f"16000{n:05d}.M{n}P1.{name}{flags}", data, n, (0o600, 0o644)[n % 2])
        # One base name in two places: each is nobody's alone.
        self.mail("", "new", "1600100000.twice", message(b"twice", b"new\n"), 40)
        self.mail("", "cur", "1600100000.twice:2,S", message(b"twice", b"cur\n"), 41)
        self.mail("", "cur", ".hidden", b"not a message\n", 42)
        self.mail(".Projects.Caf&AOk-.Deep", "cur", "1600200000.large:2,S",
                  message(b"large", multipart(b"\n", attachment(self.large, 76, b"\n", b"large.txt")), more=MULTIPART), 43)
        for n in range(90):
            self.mail(".Sent", "cur", f"16003{n:05d}.M{n * 7919 % 1000:03d}.host,S={n}:2,S",
                      message(b"daily %d" % n, b"All is well.\n", n), n)
        put(os.path.join(self.maildir, "subscriptions"), b"V\t2\n\nSent\nProjects\tCaf\xc3\xa9\tDeep\n", START, 0o644)
        put(os.path.join(self.maildir, ".Sent", "maildirfolder"), b"", START + 1)
        put(os.path.join(self.maildir, "dovecot-keywords"), b"0 $Label1\n1 later\n", START + 2)
        put(os.path.join(self.maildir, ".Sent", "dovecot-uidlist"),
            b"3 V1600000000 N91 G1\n" + b"".join(b"%d :16003%05d\n" % (n + 1, n) for n in range(90)), START + 3)

    def change_maildir(self):
        cur, new = (os.path.join(self.maildir, place) for place in ("cur", "new"))
        for name in sorted(os.listdir(new)):
            if "twice" not in name:
                os.rename(os.path.join(new, name), os.path.join(cur, name + ":2,S"))
        sent = os.path.join(self.maildir, ".Sent", "cur")
        for n, name in enumerate(sorted(os.listdir(sent))):
            if n % 20 == 3:
                os.rename(os.path.join(sent, name), os.path.join(sent, name.replace(":2,S", ":2,FS")))
            elif n % 20 == 7:
                os.unlink(os.path.join(sent, name))
        changed = self.large[:150000] + b"one thing was put in. " + self.large[150000:]
        self.folder(".Projects.New")
        self.mail(".Projects.New", "cur", "1601000000.large-again:2,",
                  message(b"large", multipart(b"\r\n", attachment(changed, 72, b"\r\n", b"large.txt")), 1, b"\r\n",
                          MULTIPART), 60)
        self.mail(".Projects.New", "new", "1601000001.plain", message(b"plain", self.rnd.words(2100)), 61)
        shutil.rmtree(os.path.join(self.maildir, ".Empty"))
        for n in range(self.random):
            self.folder(".Random")
            self.mail(".Random", "cur", f"1603{n:06d}.random:2,", random_message(self.rnd, n), n)

    def empty_inbox(self):
        for place in ("cur", "new"):
            folder = os.path.join(self.maildir, place)
            for name in os.listdir(folder):
                os.unlink(os.path.join(folder, name))
        self.mail("", "cur", "1602000000.last:2,T", message(b"the last one", b"bye\n"), 70)

    def event(self, n, more=b""):
        return (b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example//EN\r\nBEGIN:VEVENT\r\nUID:%d@example.org\r\n"
                b"DTSTART:202009%02dT100000Z\r\nSUMMARY:Meeting %d\r\n%sEND:VEVENT\r\nEND:VCALENDAR\r\n"
                % (n, n % 28 + 1, n, more))

    def make_tree(self):
        photo = self.rnd.words(1800)
        task = b"BEGIN:VCALENDAR\nBEGIN:VTODO\nUID:t1\nSUMMARY:Mow the meadow\nDUE:20200920T000000Z\nEND:VTODO\n" \
               b"END:VCALENDAR\n"
        card = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ann Example\r\nEMAIL:ann@example.org\r\nPHOTO;ENCODING=b;TYPE=JPEG:" \
            + wrapped(photo, 74, b"\r\n", b" ", 38) + b"END:VCARD\r\n"
        rule = b'require ["fileinto"];\nif header :contains "subject" "daily" { fileinto "Sent"; }\n'
        attach = b"ATTACH;ENCODING=BASE64;VALUE=BINARY:\r\n\t" + wrapped(photo, 73, b"\r\n", b"\t")
        for n in range(6):
            put(os.path.join(self.tree, "calendar", f"event-{n}.ics"), self.event(n), START + n, 0o644)
        put(os.path.join(self.tree, "calendar", "with-file.ics"), self.event(9, attach), START + 9, 0o640)
        put(os.path.join(self.tree, "calendar", "tasks", "t1.ics"), task, START + 10)
        put(os.path.join(self.tree, "contacts", "ann.vcf"), card, START + 11)
        put(os.path.join(self.tree, "sieve", "main.sieve"), rule, START + 12, 0o400)
        put(os.path.join(self.tree, "sieve", "r\u00e4ume & more#1.sieve"), rule * 2, START + 13)
        put(os.path.join(self.tree, "read me.txt"), b"", -5_000_000_001)
        os.makedirs(os.path.join(self.tree, "nothing"), mode=0o755)
        for name in ("calendar", "calendar/tasks", "contacts", "sieve"):
            os.chmod(os.path.join(self.tree, name), 0o755 if "s" in name else 0o700)

    def change_tree(self):
        put(os.path.join(self.tree, "calendar", "event-2.ics"), self.event(2, b"LOCATION:Room 7\r\n"), START + 20, 0o644)
        os.unlink(os.path.join(self.tree, "calendar", "event-3.ics"))
        put(os.path.join(self.tree, "contacts", "bob.vcf"), b"BEGIN:VCARD\nVERSION:4.0\nFN:Bob\nEND:VCARD\n", START + 21)

    def make_mbox(self):
        alarm = b"From alarm@example.org Mon Sep 14 00:00:00 2020\nSubject: alarm\n\nAll is well.\n\n"
        # As many items as it takes for trees of more than one level.
        put(os.path.join(self.mbox, "alarms.mbox"), alarm * 6000, START + 30, 0o640)
        put(os.path.join(self.mbox, "letters"), b"From a Thu Jan  1 00:00:00 1970\r\nSubject: one\r\n\r\n>From me\r\n\r\n"
            b"From b Thu Jan  1 00:00:01 1970\nSubject: two\n\n" + wrapped(self.rnd.words(1500), 64)
            + b"\nFrom c x\nno end", START + 31)
        put(os.path.join(self.mbox, "sub", "more.mbox"), alarm * 3, START + 32)
