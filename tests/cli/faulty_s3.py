#!/usr/bin/env python3
"""Stands between a client and an S3 server, and lets things go wrong by the dice.

usage: faulty_s3.py PORT SERVER_PORT SEED SHARE

SHARE of the requests (0 to 1) fail: 503 SlowDown unseen by the server, the line cut before or after the server has done
what was asked, an answer cut in the middle, a request that reaches the server twice. Prints what it did when it is ended.
"""
import collections
import http.client
import http.server
import random
import signal
import sys
import threading

PORT, SERVER, SEED, SHARE = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
FAULTS = ["slow down", "cut before", "cut after", "cut answer", "twice"]
SLOW = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Reduce your request rate</Message></Error>'
dice, lock, done = random.Random(SEED), threading.Lock(), collections.Counter()


class Door(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def ask(self, body):
        server = http.client.HTTPConnection("127.0.0.1", SERVER, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
        server.request(self.command, self.path, body=body, headers=headers)
        answer = server.getresponse()
        return answer.status, answer.getheaders(), answer.read()

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with lock:
            fault = dice.choice(FAULTS) if dice.random() < SHARE else "none"
            done[fault] += 1
        if fault == "slow down":
            self.answer(503, [("Content-Type", "application/xml")], SLOW, len(SLOW))
            return
        if fault == "cut before":
            self.close_connection = True
            return
        if fault == "twice":
            self.ask(body)
        status, headers, got = self.ask(body)
        if fault == "cut after":
            self.close_connection = True
            return
        kept = [(k, v) for k, v in headers if k.lower() not in ("connection", "content-length", "transfer-encoding")]
        length = next((int(v) for k, v in headers if k.lower() == "content-length"), len(got))
        self.answer(status, kept, got, length, fault == "cut answer")

    def answer(self, status, headers, body, length, cut=False):
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = serve


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


def end(*_):
    print(dict(done), flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, end)
Server(("127.0.0.1", PORT), Door).serve_forever()
