"""Stand-ins for the ECS agent and for DynamoDB, in the network namespace of the test.

Runs the command in its arguments, and then prints one line for each kind of request: the path that was requested from
the agent, or the access key that signed a request to the table.
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
requests = []


class Agent(BaseHTTPRequestHandler):
    def do_GET(self):
        requests.append(f"agent {self.path}")
        answer(self, CREDENTIALS)

    def log_message(self, *_):
        pass


class Table(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        signer = self.headers["authorization"].split("Credential=")[1].split("/")[0]
        requests.append(f"table by {signer}")
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
print("\n".join(dict.fromkeys(requests)))
sys.exit(code)
