"""`roulette trace`: the spans of a finished run, to a file and to a collector on loopback.

Invariant: the collector is this test's own and validates what arrives, by the records alone.
"""
import collections
import http.server
import json
import pathlib
import tempfile
import threading
import unittest

import run_tool

WHOLE = {"withdrawal", "client request", "ledger append Withdraw", "session", "share", "aggregate",
         "ledger append Signed", "broadcast"}


class Collector(http.server.BaseHTTPRequestHandler):
    bodies, status = [], 200

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/v1/traces" and self.headers["Content-Type"] == "application/json"
        Collector.bodies.append(json.loads(body))
        self.send_response(Collector.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def spans_of(requests):
    """[(service, span)]"""
    return [(resource["resource"]["attributes"][0]["value"]["stringValue"], span)
            for request in requests for resource in request["resourceSpans"]
            for scope in resource["scopeSpans"] for span in scope["spans"]]


class Traces(unittest.TestCase):
    def validate(self, requests):
        """{trace: [(service, span)]}, each of which is a tree."""
        traces = collections.defaultdict(list)
        for service, span in spans_of(requests):
            self.assertRegex(span["traceId"], "^[0-9a-f]{32}$")
            self.assertRegex(span["spanId"], "^[0-9a-f]{16}$")
            start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
            self.assertLessEqual(start, end)
            self.assertGreater(start, 1_600_000_000 * 10**9)
            traces[span["traceId"]].append((service, span))
        for spans in traces.values():
            by_id = {span["spanId"]: span for _, span in spans}
            self.assertEqual(len(by_id), len(spans), "an id is used twice")
            roots = [s for _, s in spans if "parentSpanId" not in s]
            self.assertEqual([s["name"] for s in roots], ["withdrawal"])
            for _, span in spans:
                parent = by_id[span.get("parentSpanId", span["spanId"])]
                for edge, outer in (("startTimeUnixNano", min), ("endTimeUnixNano", max)):
                    self.assertEqual(outer(int(span[edge]), int(parent[edge])), int(parent[edge]))
        return traces

    def test_trace(self):
        run = run_tool.run_folder(run_tool.RUNS / "short")
        server = http.server.HTTPServer(("127.0.0.1", 0), Collector)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1/traces"
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "spans.json"
            done = run_tool.roulette("trace", run, "--out", out, "--otlp", url)
            self.assertEqual(done.returncode, 0, done.stderr)
            written = [json.loads(line) for line in out.read_text().splitlines()]
        self.assertEqual(written, Collector.bodies)
        traces = self.validate(written)
        self.assertRegex(done.stderr, f"^{len(traces)} traces, ")
        paid = {r["withdrawal_id"] for r in run_tool.records(run / "state/transactions.ndjson")}
        self.assertEqual(paid - set(traces), set())
        whole = [t for t, spans in traces.items() if WHOLE <= {s["name"] for _, s in spans}]
        self.assertGreater(len(whole), len(paid) // 2)
        self.shares_are_the_signers(run, traces)
        one = run_tool.roulette("trace", run, "--withdrawal", whole[0])
        alone = self.validate([json.loads(line) for line in one.stdout.splitlines()])
        self.assertEqual(alone, {whole[0]: traces[whole[0]]})
        Collector.status = 503
        self.assertNotEqual(run_tool.roulette("trace", run, "--otlp", url).returncode, 0)
        for wrong in ("http://10.0.0.1:4318/v1/traces", "https://127.0.0.1:1/", "http://127.0.0.1"):
            self.assertEqual(run_tool.roulette("trace", run, "--otlp", wrong).returncode, 64)
        self.assertEqual(run_tool.roulette("trace", run, "--withdrawal", "0" * 32).returncode, 64)
        server.shutdown()
        server.server_close()

    def shares_are_the_signers(self, run, traces):
        """Every share that a signer released for a session that was opened is a span of its."""
        events = run_tool.records(run / "events.ndjson")
        opened = {e["session_digest"] for e in events if e["event"] == "session_opened"}
        released = collections.Counter(
            (e["withdrawal_id"], e["process"]) for e in events
            if e["event"] == "share_released" and e["session_digest"] in opened)
        shown = collections.Counter(
            (trace, service) for trace, spans in traces.items() for service, span in spans
            if span["name"] == "share" and span["status"]["code"] == 1)
        self.assertGreater(len(released), 10)
        self.assertEqual(shown, released)


if __name__ == "__main__":
    run_tool.main()
