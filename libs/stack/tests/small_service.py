"""A child as small as can be that keeps the services' promises: /livez, /readyz, /metrics, SIGTERM, exit codes.

`P95_TEST_<NAME>=crash` exits 1 at once, `config` exits 2 with a message, `stubborn` ignores SIGTERM,
`waiting` is never ready.
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

NAME = sys.argv[1]
MODE = Path("mode_" + NAME).read_text() if Path("mode_" + NAME).exists() else ""
PAGES = {
    "/livez": (200, "ok"),
    "/readyz": (503, json.dumps({"checks": {"redis": "away"}})) if MODE == "waiting" else (200, "{}"),
    "/metrics": (200, f'p95_hop_latency_ms_quantile{{hop="{NAME}",quantile="0.5"}} 1.5\n'),
    "/api/info": (200, json.dumps({"counts": {"decisions": 7, "orders": 2}, "equity": "10000.5"})),
    "/api/portfolio": (200, json.dumps({"count": 0})),
    "/paper/v1/status": (200, json.dumps({"started": True, "done": True, "symbols": {"BTCUSDT": {"lastAggId": 0}}})),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, text = PAGES[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


def stop(*_: object) -> None:
    with Path("stopped").open("a") as file:
        file.write(NAME + "\n")
    os._exit(0)


if "migrate" in sys.argv:
    sys.exit(0)
if MODE == "crash":
    sys.exit("something broke")
if MODE == "config":
    sys.stderr.write(f"phoenix95 {NAME}: unknown setting P95_TYPO\n")
    sys.exit(2)
signal.signal(signal.SIGTERM, signal.SIG_IGN if MODE == "stubborn" else stop)
Path(f"env_{NAME}.json").write_text(json.dumps(dict(os.environ)))
extra = {"gateway": "P95_GATEWAY_PORT", "paper": "P95_PAPER_PORT"}.get(NAME)
if extra:
    api = HTTPServer(("127.0.0.1", int(os.environ[extra])), Handler)
    Thread(target=api.serve_forever, daemon=True).start()
HTTPServer(("127.0.0.1", int(os.environ[f"P95_{NAME.upper()}_HTTP_PORT"])), Handler).serve_forever()
