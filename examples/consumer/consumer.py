#!/usr/bin/env python3
"""Receives the events that Pillarbox delivers, and acts once on each of them.

    LEDGER_WHSEC=whsec_... python3 consumer.py [PORT]

Python 3.8 or later, standard library only. The important part is the three steps in `do_POST`:
verify the signature over the raw bytes, act once on each key, and answer after that is stored.
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

TOLERANCE_SECS = 5 * 60  # a captured request cannot be replayed later
MAX_BODY_BYTES = 32 * 1024 * 1024


def read_secret():
    """Returns the signing key: the decoded bytes after `whsec_`."""
    secret = os.environ.get("LEDGER_WHSEC", "")
    if not secret.startswith("whsec_"):
        sys.exit("Set LEDGER_WHSEC to the secret that pillarbox.toml refers to: whsec_ and base64.")
    return base64.b64decode(secret[len("whsec_"):])


def parse_number(text):
    """Returns a header's number, or None. int() alone accepts signs, spaces and any number of digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def is_genuine(secret, headers, body, now):
    """Checks a Standard Webhooks signature (https://www.standardwebhooks.com).

    The signature covers the exact bytes of the body, which parsing and serialising would change.
    Trust nothing in an event before this returns True.
    """
    key, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    signed_at = parse_number(timestamp)
    if signed_at is None or abs(now - signed_at) > TOLERANCE_SECS:
        return False
    signed = b"%s.%s.%s" % (key.encode(), timestamp.encode(), body)
    expected = b"v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest())
    # The header has several signatures while a secret is rotated. compare_digest takes the same
    # time wherever the texts differ, so its timing reveals nothing.
    given = headers.get("webhook-signature", "").encode().split(b" ")
    return any(hmac.compare_digest(expected, one) for one in given)


class Ledger:
    """The events that were acted on, in one SQLite file.

    Pillarbox delivers an event *at least* once: after a crash or a lost answer it delivers the
    event again, always with the same key and bytes. So one transaction stores the key and does
    the work for it: either both are stored, or the next attempt does both.
    """

    def __init__(self, path):
        self.lock = threading.Lock()  # one connection, used by one thread at a time
        self.database = sqlite3.connect(path, check_same_thread=False)
        with self.database:
            self.database.execute(
                "CREATE TABLE IF NOT EXISTS event (key TEXT PRIMARY KEY, type TEXT, subject TEXT, body BLOB)"
            )

    def act_once(self, key, event, body):
        """Stores an event; returns False if its key was stored before."""
        with self.lock, self.database:  # commits at the end, or rolls back if anything fails
            row = (key, event["type"], event.get("subject"), body)
            done = self.database.execute("INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?)", row)
            # Your own work goes here, in the same transaction.
            return done.rowcount == 1


class Consumer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # Pillarbox reuses the connection for the next event
    timeout = 60

    def do_POST(self):
        length = parse_number(self.headers.get("content-length", ""))
        if length is None or length > MAX_BODY_BYTES:
            self.close_connection = True  # the unread body would be read as the next request
            return self.answer(400)
        body = self.rfile.read(length)

        if not is_genuine(self.server.secret, self.headers, body, time.time()):
            return self.answer(401)  # Pillarbox retries, so a wrong secret loses nothing

        # Python's floats would round 1.10 and overflow at 1e400; Decimal keeps every digit.
        event = json.loads(body, parse_float=Decimal)
        key = self.headers["webhook-id"]  # the same as event["id"]
        if self.server.ledger.act_once(key, event, body):
            print(key, event["type"], event.get("subject", "-"), flush=True)
        self.answer(204)  # after an error before this line, Pillarbox delivers the event again

    def answer(self, status):
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass  # do_POST prints one line for each event


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
