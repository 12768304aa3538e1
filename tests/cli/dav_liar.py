#!/usr/bin/env python3
"""A CalDAV and CardDAV server on 127.0.0.1 that is strict about what it is told and faulty on request: the user's name is the fault.

  dav_liar.py serve FOLDER             prints its port; FOLDER/stage is the state of the world (0 or 1), looked at for each request;
                                       what a client may not do is written to FOLDER/offences, requests to FOLDER/requests
  dav_liar.py expect DIR USER...       DIR/USER/STAGE: what a reader must end up with, for each stage

Each user has a calendar "work" with ten events and an address book "people" with four contacts. From stage 0 to stage 1 event-3 changes,
event-4 goes and event-77 comes."""
import base64, hashlib, http.server, os, re, sys, threading, urllib.parse
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

D, C, A, S = "DAV:", "urn:ietf:params:xml:ns:caldav", "urn:ietf:params:xml:ns:carddav", "http://calendarserver.org/ns/"
OPEN = '<?xml version="1.0" encoding="utf-8"?><D:multistatus xmlns:D="%s" xmlns:C="%s" xmlns:A="%s" xmlns:S="%s">' % (D, C, A, S)
CLOSE = "</D:multistatus>"
LARGE = 17 << 20  # more than is held whole


def event(n, title, end="\r\n", more=""):
    return end.join(["BEGIN:VCALENDAR", "VERSION:2.0", "BEGIN:VEVENT", "UID:%d@example.org" % n, "DTSTART:20261201T100000Z",
                     "SUMMARY:" + title, "END:VEVENT", "END:VCALENDAR", more]).encode()


def world(user, stage):
    """name in its collection → bytes"""
    work = {"event-%d.ics" % n: event(n, "number %d & <more>" % n) for n in range(10)}
    people = {"%d.vcf" % n: ("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:%d\r\nFN:Person %d\r\nEND:VCARD\r\n" % (n, n)).encode() for n in range(4)}
    if stage:
        work["event-3.ics"] = event(3, "changed")
        work["event-77.ics"] = event(77, "new")
        del work["event-4.ics"]
    if user == "encoded":
        work = {"a b+%d (ü)%%.ics" % i: body for i, body in enumerate(work.values())}
    if user == "nonsense":
        work["event-5.ics"] = b"\xff\xfe\x00\x01 no calendar at all"
    if user in ("large", "too_much"):
        work["event-5.ics"] = event(5, "large", more="X-FILLER:" + "z" * LARGE)
    if user == "heavy":
        work = {name: event(5, "heavy", more="X-FILLER:" + "y" * (3 << 20)) for name in work}
    if user == "emptied" and stage:
        work = {}
    return {"work": work, "people": people}


def known(user, stage):
    """What a reader must end up with."""
    all_ = world(user, stage)
    if user in ("cut_off", "bomb", "says_nothing", "refused_list", "listed_507_for_ever", "html"):
        all_["work"] = {}
    if user == "poison":
        del all_["work"]["event-6.ics"]
    if user in ("gone", "gone_silently"):
        del all_["work"]["event-6.ics"]
    if user == "cut_off_later":
        all_["work"] = world(user, 0)["work"]
    return all_


def etag(body):
    return '"%s"' % hashlib.sha1(body).hexdigest()[:16]


class Liar(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    once = {}
    lock = threading.Lock()

    def log_message(self, *_):
        pass

    def offence(self, what):
        with open(os.path.join(FOLDER, "offences"), "a") as f:
            f.write("%s %s: %s\n" % (self.command, self.path, what))

    def first(self, what, times=1):
        with self.lock:
            n = self.once[(self.user, what)] = self.once.get((self.user, what), 0) + 1
        return n <= times

    def answer(self, status, body=b"", **headers):
        if isinstance(body, str):
            body = body.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    # ---- who it is ----

    def login(self):
        told = self.headers.get("Authorization", "")
        if told.startswith("Basic "):
            user, _, password = base64.b64decode(told[6:]).decode().partition(":")
            if user == "digest":
                self.offence("a password in clear, where Digest was offered")
            return user if password == "secret" else None
        if told.startswith("Digest "):
            part = dict(re.findall(r'(\w+)="?([^",]+)"?', told[7:]))
            h = lambda s: hashlib.md5(s.encode()).hexdigest()
            want = h(":".join([h("%s:test:secret" % part["username"]), part["nonce"], part["nc"], part["cnonce"], part["qop"],
                               h("%s:%s" % (self.command, part["uri"]))]))
            return part["username"] if want == part["response"] and part["uri"] == self.path else None
        if told.startswith("Bearer "):
            return "token" if told[7:] == "good" else None
        return ""

    def handle_one(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        with open(os.path.join(FOLDER, "stage")) as f:
            self.stage = int(f.read())
        self.user = self.login()
        path = urllib.parse.unquote(self.path)
        with open(os.path.join(FOLDER, "requests"), "a") as f:
            f.write("%s %s %s\n" % (self.user or "-", self.command, self.path))
        if not self.user:
            if path.startswith("/open/") and self.user == "":
                return self.answer(207, OPEN + self.response("/open/", "<D:current-user-principal><D:unauthenticated/></D:current-user-principal>") + CLOSE)
            ways = ['Digest realm="test", nonce="abc", qop="auth", algorithm=MD5', 'Basic realm="test"']
            self.send_response(401)
            for way in ways[(0 if "digest" in path else 1):]:
                self.send_header("WWW-Authenticate", way)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        if self.body:
            try:
                self.xml = ET.fromstring(self.body)
            except ET.ParseError as why:
                self.offence("no XML: %s" % why)
                return self.answer(400)
        if self.command == "PROPFIND":
            return self.propfind(path)
        if self.command == "REPORT":
            return self.report(path)
        return self.get(path)

    do_PROPFIND = do_REPORT = do_GET = handle_one

    def handle_forbidden(self):
        self.offence("a method that could change something")
        self.answer(403)

    do_PUT = do_DELETE = do_POST = do_PROPPATCH = do_MKCOL = do_MKCALENDAR = do_MOVE = do_COPY = do_LOCK = do_PATCH = handle_forbidden

    # ---- what there is ----

    def response(self, href, props, status="200 OK"):
        return "<D:response><D:href>%s</D:href><D:propstat><D:prop>%s</D:prop><D:status>HTTP/1.1 %s</D:status></D:propstat></D:response>" % (
            escape(href), props, status)

    def href(self, name, kind="work", other=False):
        base = "/dav/%s/%s/" % (self.user, kind)
        if self.user == "encoded":
            return base + ("".join("%%%02x" % b for b in name.encode()) if other else urllib.parse.quote(name))
        if self.user == "absolute":
            return "http://%s%s%s" % (self.headers["Host"], base, name)
        return base + name

    def token(self):
        return "urn:%s:%d" % (self.user, self.stage)

    def collection(self, kind):
        types = "<C:calendar/>" if kind == "work" else "<A:addressbook/>"
        props = "<D:resourcetype><D:collection/>%s</D:resourcetype><D:displayname>%s</D:displayname>" % (types, kind)
        if self.user not in ("no_token", "no_sync"):
            props += "<D:sync-token>%s</D:sync-token>" % self.token()
        if self.user != "no_token":
            props += "<S:getctag>c%d</S:getctag>" % self.stage
        return self.response("/dav/%s/%s/" % (self.user, kind), props)

    def propfind(self, path):
        depth = self.headers.get("Depth")
        if depth not in ("0", "1") or not self.body:
            self.offence("Depth: %s" % depth)
        if path in ("/.well-known/caldav", "/.well-known/carddav"):
            to = {"elsewhere": "https://other.example.org/dav/", "in_clear": "http://elsewhere.example.org/"}.get(self.user, "/dav/%s/" % self.user)
            return self.answer(301, Location=to)
        if self.user == "busy" and self.first("busy", 2):
            return self.answer(503, Retry_After="1")
        if self.user == "circle":
            return self.answer(302, Location=self.path)
        home = "/dav/%s/" % self.user
        if path == "/open/":
            return self.answer(207, OPEN + self.response("/open/", "<D:current-user-principal><D:href>%s</D:href></D:current-user-principal>" % home) + CLOSE)
        if path == home and depth == "0":
            at = "https://other.example.org" if self.user == "home_elsewhere" else ""
            return self.answer(207, OPEN + self.response(home, "<D:resourcetype><D:collection/><D:principal/></D:resourcetype>"
                "<D:current-user-principal><D:href>%s</D:href></D:current-user-principal>"
                "<C:calendar-home-set><D:href>%s</D:href></C:calendar-home-set><A:addressbook-home-set><D:href>%s</D:href></A:addressbook-home-set>"
                % (home, at + home, at + home)) + CLOSE)
        if path == home:
            if self.user == "nothing":
                return self.answer(207, OPEN + self.response(home, "<D:resourcetype><D:collection/></D:resourcetype>") + CLOSE)
            return self.answer(207, OPEN + self.response(home, "<D:resourcetype><D:collection/></D:resourcetype>") +
                               self.collection("work") + self.collection("people") + CLOSE)
        if path == home + "work/" or path == home + "people/":
            return self.listing(path, path[len(home):-1])
        return self.answer(404)

    def member(self, kind, name, body):
        tag = etag(body)
        if self.user == "weak":
            tag = "W/" + tag
        if self.user == "no_etag":
            return self.response(self.href(name, kind), "<D:resourcetype/>")
        return self.response(self.href(name, kind), "<D:getetag>%s</D:getetag><D:resourcetype/>" % escape(tag))

    def listing(self, path, kind):
        text = OPEN + self.response(path, "<D:resourcetype><D:collection/></D:resourcetype>")
        members = world(self.user, self.stage)[kind]
        for name, body in members.items():
            text += self.member(kind, name, body)
            if self.user == "twice":
                text += self.member(kind, name, body)
        if kind == "work" and self.user == "refused_list":
            return self.answer(403)
        if kind == "work" and self.user == "html":
            return self.answer(200, "<html>Please log in</html>")
        if kind == "work" and (self.user.startswith("listed_507")):
            return self.answer(207, OPEN + "<D:response><D:href>%s</D:href><D:status>HTTP/1.1 507 x</D:status></D:response>" % path + CLOSE)
        if kind == "work" and self.user == "says_nothing":
            return self.answer(207, OPEN + CLOSE)
        if kind == "work" and self.user == "bomb":
            bomb = "".join('<!ENTITY l%d "%s">' % (i, ("&l%d;" % (i - 1)) * 10 if i else "lol") for i in range(9))
            return self.answer(207, '<!DOCTYPE x [%s]>' % bomb + text[len(OPEN) - len(OPEN.split("?>")[1]):] + "&l8;" + CLOSE)
        if kind == "work" and self.user == "outside":
            for href in ("/dav/somebody/work/x.ics", "https://other.example.org/dav/outside/work/y.ics", "/dav/outside/work/../../z.ics",
                         "/dav/outside/work/deep/er.ics"):
                text += self.response(href, "<D:getetag>\"1\"</D:getetag>")
        if kind == "work" and (self.user == "cut_off" or (self.user == "cut_off_once" and self.first("cut")) or
                               (self.user == "cut_off_later" and self.stage)):
            return self.answer(207, text[:len(text) // 2])
        if kind == "work" and self.user == "breaks_off" and self.first("breaks", 2):
            self.send_response(207)
            self.send_header("Content-Length", str(len(text) + 100))
            self.end_headers()
            self.wfile.write(text.encode()[:300])
            self.close_connection = True
            return None
        return self.answer(207, text + CLOSE)

    # ---- reports ----

    def report(self, path):
        kind = path.rstrip("/").rsplit("/", 1)[1]
        if path != "/dav/%s/%s/" % (self.user, kind):
            return self.answer(404)
        if self.xml.tag == "{DAV:}sync-collection":
            return self.changes(path, kind)
        if self.xml.tag not in ("{%s}calendar-multiget" % C, "{%s}addressbook-multiget" % A):
            self.offence("an unknown report")
            return self.answer(400)
        return self.multiget(kind)

    def changes(self, path, kind):
        told = self.xml.find("{DAV:}sync-token").text or ""
        if self.xml.find("{DAV:}sync-level").text != "1" or self.headers.get("Depth", "0") != "0":
            self.offence("sync-collection without level or with a depth")
        more = "<D:response><D:href>%s</D:href><D:status>HTTP/1.1 507 Insufficient Storage</D:status></D:response>" % path
        if self.user in ("expired", "listed_507_for_ever", "cut_off_later"):
            return self.answer(403, '<?xml version="1.0"?><D:error xmlns:D="DAV:"><D:valid-sync-token/></D:error>')
        if self.user == "sync_500":
            return self.answer(500)
        if self.user == "sync_404":
            return self.answer(404)
        if self.user == "for_ever":
            return self.answer(207, OPEN + more + "<D:sync-token>%s</D:sync-token>" % escape(told) + CLOSE)
        before = {"work": {}, "people": {}} if not told else world(self.user, int(told.split(":")[2].split("+")[0]))
        now, at = world(self.user, self.stage)[kind], int(told.partition("+")[2] or 0)
        if told and int(told.split(":")[2].split("+")[0]) == self.stage:
            before = world(self.user, 0) if "+" in told else before
        if "+" in told and told.startswith("urn:listed"):
            before = {"work": {}, "people": {}}
        list_ = [(n, b) for n, b in sorted(now.items()) if before[kind].get(n) != b] + [(n, None) for n in sorted(before[kind]) if n not in now]
        size = 1 if self.user == "pages" else 3 if self.user == "listed_507" else 1000
        text = OPEN
        for name, body in list_[at:at + size]:
            if body is None:
                text += "<D:response><D:href>%s</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>" % escape(self.href(name, kind))
            else:
                text += self.member(kind, name, body)
        token = self.token()
        if at + size < len(list_):
            text += more
            token += "+%d" % (at + size)
        if self.user == "no_new_token":
            token = ""
        return self.answer(207, text + "<D:sync-token>%s</D:sync-token>" % token + CLOSE)

    def multiget(self, kind):
        if self.user == "multiget_500":
            return self.answer(500)
        if self.user == "multiget_501":
            return self.answer(501)
        what, text = ("C:calendar-data" if kind == "work" else "A:address-data"), OPEN
        hrefs = [urllib.parse.unquote(h.text) for h in self.xml.findall("{DAV:}href")]
        members = world(self.user, self.stage)[kind]
        for i, path in enumerate(hrefs):
            name = path.rsplit("/", 1)[1]
            if name not in members or path != "/dav/%s/%s/%s" % (self.user, kind, name):
                self.offence("asked for %s" % path)
                continue
            body = members[name]
            if name == "event-6.ics" and self.user in ("gone", "poison"):
                text += "<D:response><D:href>%s</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>" % self.href(name, kind)
                continue
            if (name == "event-6.ics" and self.user in ("gone_silently",)) or (self.user == "passes_over" and i % 2):
                continue
            data = body.decode("utf-8", "replace")
            length = "<D:getcontentlength>%d</D:getcontentlength>" % len(body)
            if self.user == "wrong_bytes" and name == "event-2.ics":
                data = data.replace("number", "numbers")
            if self.user in ("no_cr", "no_cr_no_length"):
                data = data.replace("\r\n", "\n")
            if self.user == "no_cr_no_length":
                length = ""
            data = escape(data) if self.user != "cr_as_reference" else escape(data).replace("\r", "&#13;")
            if self.user == "cdata":
                data = "<![CDATA[%s]]>" % body.decode()
            text += self.response(self.href(name, kind, other=True), length + "<%s>%s</%s>" % (what, data, what))
            if self.user == "too_many":
                text += self.response("/dav/%s/%s/stranger.ics" % (self.user, kind), "<%s>BEGIN:VCALENDAR</%s>" % (what, what))
                text += self.response(self.href(name, kind), "<%s>another</%s>" % (what, what))
        if self.user == "nonsense" and kind == "work":
            text += "\x01"
        if self.user == "multiget_cut":
            return self.answer(207, text[:-50])
        return self.answer(207, text + CLOSE)

    def get(self, path):
        parts = path.split("/")
        if len(parts) != 5 or parts[2] != self.user:
            self.offence("a GET of what is not listed")
            return self.answer(404)
        body = world(self.user, self.stage).get(parts[3], {}).get(parts[4])
        if body is None or (parts[4] == "event-6.ics" and self.user in ("gone", "gone_silently")):
            return self.answer(404)
        if parts[4] == "event-6.ics" and self.user == "poison":
            return self.answer(500)
        return self.answer(200, body, Last_Modified="Sun, 22 Nov 2026 20:15:00 GMT", ETag=etag(body))


def expect(top, users):
    for user, stage in ((user, stage) for user in users for stage in (0, 1)):
        for kind, members in known(user, stage).items():
            folder = os.path.join(top, user, str(stage), "calendars" if kind == "work" else "contacts", kind)
            if members:
                os.makedirs(folder, exist_ok=True)
            for name, body in members.items():
                with open(os.path.join(folder, name.replace("%", "%25")), "wb") as f:
                    f.write(body)


if sys.argv[1] == "expect":
    expect(sys.argv[2], sys.argv[3:])
else:
    FOLDER = sys.argv[2]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    print(server.server_address[1], flush=True)
    server.serve_forever()
