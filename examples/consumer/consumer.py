#!/usr/bin/env python3
"""Receives the events that Pillarbox hands on, and acts on each of them once.

    LEDGER_WHSEC=whsec_... python3 consumer.py [PORT]

Python 3.8 or later, standard library only. What matters are the three steps in `do_POST`:
prove the signature over the raw bytes, act on each key once, and answer when that is stored.
"""

import base64
import hashlib
import hmac
import json
import os
import sqlite3
import sys
import threading
import time
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE = 5 * 60  # seconds; a captured request that is sent again later is refused
LONGEST_BODY = 32 * 1024 * 1024


def read_secret():
    """The bytes behind `whsec_`, which Pillarbox signs with."""
    secret = os.environ.get("LEDGER_WHSEC", "")
    if not secret.startswith("whsec_"):
        sys.exit("Set LEDGER_WHSEC to the secret that pillarbox.toml refers to: whsec_ and base64.")
    return base64.b64decode(secret[len("whsec_"):])


def number(text):
    """A header's number, or None: int() alone would take signs, spaces and endless digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def is_genuine(secret, headers, body, now):
    """Checks a Standard Webhooks signature (https://www.standardwebhooks.com).

    It covers the bytes exactly as they came: parsing them first and writing them again would
    change them. Nothing of an event may be believed before this has returned True.
    """
    key, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    signed_at = number(timestamp)
    if signed_at is None or abs(now - signed_at) > TOLERANCE:
        return False
    signed = b"%s.%s.%s" % (key.encode(), timestamp.encode(), body)
    expected = b"v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest())
    # There can be several, while a secret is being changed. compare_digest takes the same time
    # wherever two texts differ, so it gives nothing away to someone who guesses.
    given = headers.get("webhook-signature", "").encode().split(b" ")
    return any(hmac.compare_digest(expected, one) for one in given)


class Ledger:
    """What has been acted on, in one SQLite file.

    Pillarbox hands an event on *at least* once: after a crash or a lost answer it comes again,
    always under the same key and with the same bytes. So the key and the work that belongs to it
    go into one transaction: either both are there, or the next attempt does both.
    """

    def __init__(self, path):
        self.lock = threading.Lock()  # one connection, used by one thread at a time
        self.database = sqlite3.connect(path, check_same_thread=False)
        with self.database:
            self.database.execute(
                "CREATE TABLE IF NOT EXISTS event (key TEXT PRIMARY KEY, type TEXT, subject TEXT, body BLOB)"
            )

    def act_once(self, key, event, body):
        """Returns False if this key was acted on before."""
        with self.lock, self.database:  # commits at the end, or rolls back if anything fails
            row = (key, event["type"], event.get("subject"), body)
            done = self.database.execute("INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?)", row)
            # Your own work goes here, in the same transaction.
            return done.rowcount == 1


class Consumer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept for the next event
    timeout = 60

    def do_POST(self):
        length = number(self.headers.get("content-length", ""))
        if length is None or length > LONGEST_BODY:
            self.close_connection = True  # what was not read can't be told from a next request
            return self.answer(400)
        body = self.rfile.read(length)

        if not is_genuine(self.server.secret, self.headers, body, time.time()):
            return self.answer(401)  # Pillarbox tries again, so a wrong secret loses nothing

        # Python's floats would round 1.10 and overflow at 1e400; Decimal keeps every digit.
        event = json.loads(body, parse_float=Decimal)
        key = self.headers["webhook-id"]  # the same as event["id"]
        if self.server.ledger.act_once(key, event, body):
            print(key, event["type"], event.get("subject", "-"), flush=True)
        self.answer(204)  # only now: an error before this line means that the event comes again

    def answer(self, status):
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass  # one line an event is enough


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    server = ThreadingHTTPServer(("127.0.0.1", port), Consumer)
    server.daemon_threads = True
    server.secret, server.ledger = read_secret(), Ledger("consumer.db")
    print("listening on http://127.0.0.1:%d/events" % server.server_port, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
