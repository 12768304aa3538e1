#!/usr/bin/env python3
"""A small IMAP server in memory, over TLS, that takes APPENDs and is faulty on request, for restores that meet bad days.

    faulty_imap.py CERTIFICATE KEY PORT DUMP FAULT...

When it gets SIGTERM it writes what it holds to DUMP, one line a message: folder, uid, flags, date, size, subject, and ends. Faults:

    no-literal-plus   synchronising literals only           no-multiappend    one message a command
    no-uidplus        does not tell UIDs                    no-condition      (nothing: a good server)
    limit=N           APPENDLIMIT=N                         refuse=TEXT       NO to a message that has TEXT
    half              a refused MULTIAPPEND keeps what came before the refused message
    lose=N            after every N-th APPEND that it has stored it closes the connection instead of answering; twice
    bye=N             says BYE in the middle of the N-th APPEND of all; twice
    quota=N           NO [OVERQUOTA] once N messages are there
    throttle=N        the first N APPENDs are answered NO [LIMIT]
    eight-bit         refuses 8-bit bytes in headers, long lines and bare CR, LF and NUL
    rewrite           puts a header of its own in front of every message
    no-keywords       keeps system flags only
    deny=NAME         refuses to make folder NAME
"""
import re
import signal
import socket
import ssl
import sys
import threading

LOCK = threading.RLock()
FOLDERS = {"INBOX": []}
NEXT = {"INBOX": 1}
FAULTS = {}
STATE = {"appends": 0, "losses": 2, "byes": 2, "throttled": 0}


class Gone(Exception):
    pass


def fault(name, default=None):
    return FAULTS.get(name, default)


class Message:
    def __init__(self, uid, flags, date, body):
        self.uid, self.flags, self.date, self.body = uid, flags, date, body

    def header(self, name):
        head = self.body.split(b"\r\n\r\n", 1)[0] + b"\r\n"
        found = re.search(rb"(?im)^" + name + rb":[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", head)
        return found.group(0) if found else b""


class Session(threading.Thread):
    def __init__(self, connection):
        super().__init__(daemon=True)
        self.c, self.f, self.folder = connection, connection.makefile("rb"), None

    def say(self, text):
        self.c.sendall(text if isinstance(text, bytes) else text.encode() + b"\r\n")

    def run(self):
        try:
            self.say("* OK [CAPABILITY %s] faulty" % self.capabilities())
            while self.command():
                pass
        except (Gone, OSError, ssl.SSLError, ValueError):
            pass
        self.c.close()

    def capabilities(self):
        words = ["IMAP4rev1", "AUTH=PLAIN", "SASL-IR", "NAMESPACE"]
        if "no-literal-plus" not in FAULTS:
            words.append("LITERAL+")
        if "no-multiappend" not in FAULTS:
            words.append("MULTIAPPEND")
        if "no-uidplus" not in FAULTS:
            words.append("UIDPLUS")
        if fault("limit"):
            words.append("APPENDLIMIT=" + fault("limit"))
        return " ".join(words)

    def line(self):
        text = self.f.readline()
        if not text.endswith(b"\n"):
            raise Gone
        return text.rstrip(b"\r\n")

    def command(self):
        tag, _, rest = self.line().partition(b" ")
        tag, word = tag.decode(), rest.split(b" ")[0].upper().decode()
        if word == "UID":
            word = "UID " + rest.split(b" ")[1].upper().decode()
        rest = rest[len(word):].strip()
        if word == "LOGOUT":
            self.say("* BYE\r\n%s OK bye" % tag)
            return False
        do = getattr(self, "do_" + word.lower().replace(" ", "_"), None)
        done = do(tag, rest) if do else "BAD what is " + word
        if done:
            self.say("%s %s" % (tag, done))
        return True

    def do_authenticate(self, tag, rest):
        return "OK [CAPABILITY %s] in" % self.capabilities()

    def do_capability(self, tag, rest):
        self.say("* CAPABILITY " + self.capabilities())
        return "OK"

    def do_noop(self, tag, rest):
        return "OK"

    def do_namespace(self, tag, rest):
        self.say('* NAMESPACE (("" "/")) NIL NIL')
        return "OK"

    def do_list(self, tag, rest):
        for name in sorted(FOLDERS):
            self.say('* LIST () "/" "%s"' % name)
        return "OK"

    def do_lsub(self, tag, rest):
        return "OK"

    def do_status(self, tag, rest):
        name = rest.split(b'"')[1].decode()
        self.say('* STATUS "%s" (MESSAGES %d UIDNEXT %d UIDVALIDITY 7)' % (name, len(FOLDERS[name]), NEXT[name]))
        return "OK"

    def do_create(self, tag, rest):
        name = rest.split(b'"')[1].decode()
        if name == fault("deny"):
            return "NO [NOPERM] not here"
        with LOCK:
            FOLDERS.setdefault(name, [])
            NEXT.setdefault(name, 1)
        return "OK"

    def do_delete(self, tag, rest):
        del FOLDERS[rest.split(b'"')[1].decode()]
        return "OK"

    def do_subscribe(self, tag, rest):
        return "OK"

    do_unsubscribe = do_subscribe

    def do_select(self, tag, rest):
        name = rest.split(b'"')[1].decode()
        if name not in FOLDERS:
            return "NO [NONEXISTENT] no such folder"
        self.folder = name
        keep = "" if "no-keywords" in FAULTS else " \\*"
        self.say("* %d EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT %d] ok\r\n"
                 "* OK [PERMANENTFLAGS (\\Seen \\Flagged \\Draft%s)] ok" % (len(FOLDERS[name]), NEXT[name], keep))
        return "OK"

    do_examine = do_select

    def chosen(self, text):
        last = FOLDERS[self.folder][-1].uid if FOLDERS[self.folder] else 0
        wanted = set()
        for part in text.decode().split(","):
            a, _, b = part.partition(":")
            b = last if b == "*" else int(b or a)
            a = min(int(a), b) if b == last and part.endswith("*") else int(a)
            wanted.update(range(a, b + 1))
        return [m for m in FOLDERS[self.folder] if m.uid in wanted]

    def do_uid_fetch(self, tag, rest):
        where, _, items = rest.partition(b" ")
        with LOCK:
            for m in self.chosen(where):
                out = b"* 1 FETCH (UID %d" % m.uid
                if b"FLAGS" in items:
                    out += b" FLAGS (%s) INTERNALDATE \"%s\" RFC822.SIZE %d" % (m.flags, m.date, len(m.body))
                if b"HEADER.FIELDS" in items:
                    head = m.header(b"Message-ID") + b"\r\n"
                    out += b" BODY[HEADER.FIELDS (MESSAGE-ID)] {%d}\r\n%s" % (len(head), head)
                elif b"BODY.PEEK[]" in items:
                    out += b" BODY[] {%d}\r\n%s" % (len(m.body), m.body)
                self.say(out + b")\r\n")
        return "OK"

    def do_uid_store(self, tag, rest):
        where, _, what = rest.partition(b" ")
        for m in self.chosen(where):
            flags = re.search(rb"\((.*)\)", what).group(1)
            m.flags = m.flags + b" " + flags if what.startswith(b"+") else flags
        return "OK"

    def do_uid_expunge(self, tag, rest):
        wanted = self.chosen(rest)
        FOLDERS[self.folder] = [m for m in FOLDERS[self.folder] if m not in wanted or b"\\Deleted" not in m.flags]
        return "OK"

    # What a message is refused for, or None.
    def refusal(self, folder, body, more):
        total = sum(len(f) for f in FOLDERS.values()) + more
        if fault("quota") and total >= int(fault("quota")):
            return "NO [OVERQUOTA] the mailbox is full"
        if fault("limit") and len(body) > int(fault("limit")):
            return "NO [TOOBIG] too large"
        if fault("refuse") and fault("refuse").encode() in body:
            return "NO the message smells"
        if "eight-bit" in FAULTS:
            head = body.split(b"\r\n\r\n", 1)[0]
            bare = body.replace(b"\r\n", b"")
            if b"\r" in bare or b"\n" in bare or b"\0" in body:
                return "NO bare line ends or NULs"
            if any(b >= 0x80 for b in head) or any(len(part) > 998 for part in body.split(b"\r\n")):
                return "NO 8-bit header or long line"
        return None

    def do_append(self, tag, rest):
        name = rest.split(b'"')[1].decode()
        rest = rest[len(name) + 2:]
        STATE["appends"] += 1
        got, refused = [], None
        while rest.strip():
            flags = re.match(rb" ?\(([^)]*)\)", rest)
            date = re.search(rb'"([^"]*)"', rest)
            size = int(re.search(rb"\{(\d+)\+?\}$", rest).group(1))
            if not rest.endswith(b"+}"):
                self.say("+ go on")
            if fault("bye") and STATE["appends"] % int(fault("bye")) == 0 and STATE["byes"]:
                STATE["byes"] -= 1
                self.f.read(size // 2)
                self.say("* BYE shutting down")
                raise Gone
            body = self.f.read(size)
            refused = refused or self.refusal(name, body, len(got))
            if not refused or "half" not in FAULTS:
                got.append((flags.group(1) if flags else b"", date.group(1) if date else b" 1-Jan-2020 00:00:00 +0000", body))
            rest = self.line()
        if name not in FOLDERS:
            return "NO [TRYCREATE] no such folder"
        if STATE["throttled"] < int(fault("throttle", 0)):
            STATE["throttled"] += 1
            return "NO [LIMIT] too many requests"
        if refused and "half" not in FAULTS:
            return refused
        with LOCK:
            first = NEXT[name]
            for flags, date, body in got:
                if "rewrite" in FAULTS:
                    body = b"X-Received: by somebody\r\n" + body
                if "no-keywords" in FAULTS:
                    flags = b" ".join(f for f in flags.split() if f.startswith(b"\\"))
                FOLDERS[name].append(Message(NEXT[name], flags, date, body))
                NEXT[name] += 1
        if refused:
            return refused
        if fault("lose") and STATE["appends"] % int(fault("lose")) == 0 and STATE["losses"]:
            STATE["losses"] -= 1
            raise Gone
        uids = "" if "no-uidplus" in FAULTS else "[APPENDUID 7 %d:%d] " % (first, NEXT[name] - 1)
        return "OK %sdone" % uids


def main():
    certificate, key, port, dump = sys.argv[1:5]
    for text in sys.argv[5:]:
        name, _, value = text.partition("=")
        FAULTS[name] = value

    def end(*_):
        with LOCK, open(dump, "w") as out:
            for name in sorted(FOLDERS):
                for m in FOLDERS[name]:
                    subject = m.header(b"Subject")[8:].strip().decode("latin-1")
                    out.write("%s\t%d\t%s\t%s\t%d\t%s\n" % (name, m.uid, m.flags.decode(), m.date.decode(), len(m.body), subject))
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(port)))
    listener.listen(8)
    while True:
        plain, _ = listener.accept()
        try:
            Session(context.wrap_socket(plain, server_side=True)).start()
        except (OSError, ssl.SSLError):
            plain.close()


if __name__ == "__main__":
    main()
