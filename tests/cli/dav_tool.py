#!/usr/bin/env python3
"""An independent CalDAV and CardDAV client for the tests: fills a server, changes it, and says what a reader must end up with.
Strict and plain: one request for each thing, nothing cleverer than GET and PROPFIND.

  dav_tool.py URL make PATH calendar|addressbook [NAME [COMPONENT…]]   a collection
  dav_tool.py URL put PATH FILE                                       one resource, as it is
  dav_tool.py URL delete PATH
  dav_tool.py URL fill PATH event|task|contact FIRST COUNT [LF]        invented ones
  dav_tool.py URL dump PATH FOLDER                                     every resource of a collection, by GET, into FOLDER

The login is in DAV_USER and DAV_PASSWORD, the authority in DAV_CA."""
import base64, http.client, os, ssl, sys, urllib.parse
from xml.sax.saxutils import escape
import xml.etree.ElementTree as ET


class Client:
    def __init__(self, url):
        self.url = urllib.parse.urlsplit(url)
        self.headers = {}
        if os.environ.get("DAV_USER"):
            login = "%s:%s" % (os.environ["DAV_USER"], os.environ["DAV_PASSWORD"])
            self.headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        self.open()

    def open(self):
        if self.url.scheme == "https":
            context = ssl.create_default_context(cafile=os.environ["DAV_CA"])
            self.line = http.client.HTTPSConnection(self.url.hostname, self.url.port, context=context)
        else:
            self.line = http.client.HTTPConnection(self.url.hostname, self.url.port)

    def ask(self, method, path, body=None, expect=(200, 201, 204, 207), **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        for attempt in range(2):
            try:
                self.line.request(method, path, body=body, headers={**self.headers, **headers})
                answer = self.line.getresponse()
                got = answer.read()
                break
            except (http.client.HTTPException, ConnectionError):
                if attempt:
                    raise
                self.line.close()
                self.open()
        if answer.status not in expect:
            sys.exit("%s %s: %d %s" % (method, path, answer.status, got[:300]))
        return got


def make(client, path, kind, name="", *components):
    if kind == "calendar":
        parts = "".join('<C:comp name="%s"/>' % c for c in components or ("VEVENT",))
        extra = "<C:supported-calendar-component-set>%s</C:supported-calendar-component-set>" % parts
        extra += '<I:calendar-color xmlns:I="http://apple.com/ns/ical/">#FF2968FF</I:calendar-color>'
        types, space = "<D:collection/><C:calendar/>", "urn:ietf:params:xml:ns:caldav"
    else:
        extra = "<C:addressbook-description>People that one knows</C:addressbook-description>"
        types, space = "<D:collection/><C:addressbook/>", "urn:ietf:params:xml:ns:carddav"
    body = ('<?xml version="1.0" encoding="utf-8"?><D:mkcol xmlns:D="DAV:" xmlns:C="%s"><D:set><D:prop><D:resourcetype>%s'
            "</D:resourcetype><D:displayname>%s</D:displayname>%s</D:prop></D:set></D:mkcol>") % (space, types, escape(name), extra)
    client.ask("MKCOL", path, body.encode(), Content_Type="application/xml")


def invented(kind, n, end="\r\n"):
    if kind == "contact":
        lines = ["BEGIN:VCARD", "VERSION:3.0", "UID:contact-%d@example.org" % n, "FN:Person %d Öxâmple" % n,
                 "N:Öxâmple;Person %d;;;" % n, "EMAIL;TYPE=INTERNET:person%d@example.org" % n,
                 "NOTE:a & b < c > d \\n ]]> %d" % n, "END:VCARD", ""]
    else:
        name = "VEVENT" if kind == "event" else "VTODO"
        lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//example.org//test//EN", "BEGIN:" + name,
                 "UID:%s-%d@example.org" % (kind, n), "DTSTAMP:20261122T201500Z",
                 "DTSTART:202612%02dT%02d0000Z" % (1 + n % 28, n % 24),
                 *(["DTEND:202612%02dT%02d3000Z" % (1 + n % 28, n % 24)] if kind == "event" else []), "SUMMARY:Lunch %d & more <x> Ü" % n,
                 "DESCRIPTION:" + ("word %d " % n) * (n % 9), "END:" + name, "END:VCALENDAR", ""]
    return end.join(lines).encode()


def fill(client, path, kind, first, count, end="CRLF"):
    what = "text/vcard" if kind == "contact" else "text/calendar"
    for n in range(int(first), int(first) + int(count)):
        name = "%s-%d.%s" % (kind, n, "vcf" if kind == "contact" else "ics")
        client.ask("PUT", path + name, invented(kind, n, "\n" if end == "LF" else "\r\n"), Content_Type=what + "; charset=utf-8")


def dump(client, path, folder):
    body = b'<?xml version="1.0"?><D:propfind xmlns:D="DAV:"><D:prop><D:resourcetype/></D:prop></D:propfind>'
    tree = ET.fromstring(client.ask("PROPFIND", path, body, Depth="1", Content_Type="application/xml"))
    os.makedirs(folder, exist_ok=True)
    for response in tree.iter("{DAV:}response"):
        href = urllib.parse.urlsplit(response.find("{DAV:}href").text.strip()).path
        if response.find(".//{DAV:}collection") is not None or href.endswith("/"):
            continue
        name = urllib.parse.unquote(href.rsplit("/", 1)[1])
        with open(os.path.join(folder, name.replace("/", "%2F")), "wb") as f:
            f.write(client.ask("GET", href))


def main(url, word, path, *rest):
    client = Client(url)
    if word == "put":
        with open(rest[0], "rb") as f:
            kind = "text/vcard" if path.endswith(".vcf") else "text/calendar"
            client.ask("PUT", path, f.read(), Content_Type=kind + "; charset=utf-8")
    elif word == "delete":
        client.ask("DELETE", path)
    else:
        {"make": make, "fill": fill, "dump": dump}[word](client, path, *rest)


main(*sys.argv[1:])
