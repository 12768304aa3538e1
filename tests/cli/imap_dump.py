#!/usr/bin/env python3
"""What an independent client sees in an account: one line a message, sorted: folder, flags, date, SHA-256 of its bytes.

    imap_dump.py PORT USER [--ca FILE] [--prefix FOLDER/] [--no-flags] [--loose]

Folders are shown with '/' between levels, without the personal namespace's prefix. --ca: TLS. --loose: bytes with every line end an LF
and none at the end, as servers may change them.
"""
import argparse
import email.utils
import hashlib
import imaplib
import re
import ssl
import sys
import time


def connect(args):
    if args.ca:
        box = imaplib.IMAP4_SSL("127.0.0.1", args.port, ssl_context=ssl.create_default_context(cafile=args.ca))
    else:
        box = imaplib.IMAP4("127.0.0.1", args.port)
    box.login(args.user, args.password)
    return box


def folders(box):
    """(raw name, shown name) of all that can be opened."""
    code, data = box.namespace()
    found = re.match(rb'\(\("([^"]*)" "(.)"', data[0] or b"")
    prefix, delimiter = (found.group(1).decode(), found.group(2).decode()) if found else ("", "/")
    for line in box.list()[1]:
        if isinstance(line, tuple):
            line = line[0] + b'"' + line[1] + b'"'
        attributes, rest = re.match(rb'\(([^)]*)\) (?:"."|NIL) (.*)', line).groups()
        if re.search(rb"\\No(select|nexistent)", attributes, re.I):
            continue
        raw = rest.decode()
        name = raw[1:-1].replace('\\"', '"').replace("\\\\", "\\") if raw.startswith('"') else raw
        shown = name
        if shown.upper() == "INBOX":
            shown = "INBOX"
        elif prefix and shown.startswith(prefix):
            shown = shown[len(prefix):]
        yield '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"', shown.replace(delimiter, "/")


def messages(box, folder):
    if int(box.select(folder, readonly=True)[1][0]) == 0:
        return
    code, data = box.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")
    assert code == "OK", data
    # A literal, and what comes around it, before and behind.
    for i, part in enumerate(data):
        if not isinstance(part, tuple):
            continue
        tail = data[i + 1] if i + 1 < len(data) and isinstance(data[i + 1], bytes) else b""
        yield part[0] + b" " + tail, part[1]


def line_of(folder, told, body, args):
    flags = sorted(f for f in re.search(rb"FLAGS \(([^)]*)\)", told).group(1).decode().split() if f != "\\Recent")
    stamp = re.search(rb'INTERNALDATE "([^"]*)"', told).group(1).decode().strip()
    when = int(email.utils.mktime_tz(email.utils.parsedate_tz(stamp.replace("-", " ", 2))))
    if args.loose:
        body = body.replace(b"\r\n", b"\n").rstrip(b"\n")
    return "%s\t%s\t%d\t%s" % (folder, "-" if args.no_flags else " ".join(flags), when, hashlib.sha256(body).hexdigest())


def main():
    p = argparse.ArgumentParser()
    p.add_argument("port", type=int)
    p.add_argument("user")
    p.add_argument("--password", default="secret")
    p.add_argument("--ca")
    p.add_argument("--prefix", default="")
    p.add_argument("--no-flags", action="store_true")
    p.add_argument("--loose", action="store_true")
    args = p.parse_args()
    imaplib._MAXLINE = 100_000_000
    box = connect(args)
    lines = []
    for raw, shown in folders(box):
        if not shown.startswith(args.prefix):
            continue
        lines += [line_of(shown[len(args.prefix):], told, body, args) for told, body in messages(box, raw)]
    box.logout()
    sys.stdout.write("".join(line + "\n" for line in sorted(lines)))


if __name__ == "__main__":
    main()
