"""The agent of an ECS task at its own address, and a table, in a network of their own.

Runs the command in its arguments, and then prints a line for each request: what was asked of the agent,
or which access key signed a request to the table.
"""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

AGENT, TABLE = ("169.254.170.2", 80), ("127.0.0.1", 8000)
CREDENTIALS = {
    "AccessKeyId": "AKIDTASK",
    "SecretAccessKey": "canary",
    "Token": "session",
    "Expiration": "2099-01-01T00:00:00Z",
}
seen = []


class Agent(BaseHTTPRequestHandler):
    def do_GET(self):
        seen.append(f"agent {self.path}")
        answer(self, CREDENTIALS)

    def log_message(self, *_):
        pass


class Table(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        signer = self.headers["authorization"].split("Credential=")[1].split("/")[0]
        seen.append(f"table by {signer}")
        answer(self, {"Items": [], "Count": 0})

    def log_message(self, *_):
        pass


def answer(request, document):
    body = json.dumps(document).encode()
    request.send_response(200)
    request.send_header("x-amzn-requestid", "stand-in")
    request.send_header("content-length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


for address, handler in ((AGENT, Agent), (TABLE, Table)):
    server = ThreadingHTTPServer(address, handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print("\n".join(dict.fromkeys(seen)))
sys.exit(code)
