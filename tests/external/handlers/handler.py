"""A handler of messages of GOV.UK Pay and HMRC, as an existing service would have it."""

import hashlib
import hmac
import json
import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAY = os.environ["PAY_SIGNING_SECRET"].encode()
HMRC = os.environ["HMRC_PUSH_SECRET"].encode()
# HMRC signs a character beyond U+FFFF as itself, and sends it as two escapes.
PAIR = re.compile(rb"(\\\\)|\\u([Dd][89ABab][0-9A-Fa-f]{2})\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})")


def as_signed(body):
    def join(match):
        if match.group(1):
            return match.group(1)
        high, low = (int(match.group(n), 16) for n in (2, 3))
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)).encode()

    return PAIR.sub(join, body)


def is_genuine(headers, body):
    pay, hmrc = headers.get("Pay-Signature"), headers.get("X-Hub-Signature")
    if pay:
        return hmac.compare_digest(pay, hmac.new(PAY, body, hashlib.sha256).hexdigest())
    if hmrc:
        forms = (body, as_signed(body))
        return any(hmac.compare_digest(hmrc, hmac.new(HMRC, form, hashlib.sha1).hexdigest()) for form in forms)
    return False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        genuine = is_genuine(self.headers, body)
        json.loads(body)
        signature = self.headers.get("Pay-Signature") or self.headers.get("X-Hub-Signature")
        print("genuine" if genuine else "forged", self.headers["Content-Type"], signature,
              hashlib.sha256(body).hexdigest(), self.headers.get("webhook-id", "-"), flush=True)
        self.send_response(200 if genuine else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print("http://127.0.0.1:%d/handler" % server.server_port, flush=True)
server.serve_forever()
