"""`roulette up --scheme hsm` with a token that fails while payments wait for it.

Invariant: a fault counts only when the module wrote that it happened; while it lasts nothing is
signed, afterwards every payment is made once, which the node's blocks say.

  token_faults_test.py MODULE      the module of tests/token
"""
import json
import pathlib
import secrets
import sys
import threading
import urllib.error
import urllib.request

import unittest

import run_tool
from run_tool import NodeRpc, Tool, children_of, fresh_runs, records

LASTS_S = 1.5


class TokenFaults(unittest.TestCase):
    module = ""

    def pay(self):
        """Accepted; what comes of it is asked for by its key."""
        address = self.rpc.call("decodescript", "0014" + secrets.token_hex(20))["address"]
        key = secrets.token_hex(16)
        body = {"account": self.up["accounts"][0], "address": address, "amount_sat": 20_000}
        status, _ = self.request("/v1/withdrawals", body, key)
        self.assertEqual(status, 202)
        self.paid[address] = [20_000]
        return key

    def refused(self):
        """A new request is answered 503 before anything is proposed."""
        address = self.rpc.call("decodescript", "0014" + secrets.token_hex(20))["address"]
        body = {"account": self.up["accounts"][0], "address": address, "amount_sat": 20_000}
        key = secrets.token_hex(16)
        with self.assertRaises(urllib.error.HTTPError) as error:
            self.request("/v1/withdrawals", body, key)
        problem = json.load(error.exception)
        self.assertEqual(error.exception.code, 503, problem)
        self.assertTrue(problem["type"].endswith("quorum-lost"), problem)
        with self.assertRaises(urllib.error.HTTPError) as unknown:
            self.state(key)
        self.assertEqual(unknown.exception.code, 404)

    def request(self, path, body=None, key=None):
        return run_tool.api_request(self.up, path, body, key)

    def state(self, key):
        return self.request(f"/v1/withdrawals?idempotency_key={key}")[1]["state"]

    def takes_payments(self):
        try:
            url = self.up["coordinators"][0] + "/readyz"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            return False

    def wait_sent(self, key, seconds):
        sent = ("broadcast", "confirmed", "settled")
        run_tool.wait_for(lambda: self.state(key) in sent, seconds, f"{key} is sent")

    def tell(self, how):
        self.control.write_text(how + "\n")

    def not_ready(self):
        """How often the tool heard that a signer's key was out of reach."""
        log = pathlib.Path(self.up["run_dir"]) / "work" / "tool-0.events.ndjson"
        return sum(line.get("event") == "down" and line.get("why") == "key-unavailable"
                   for line in records(log))

    def noted(self, word):
        log = pathlib.Path(str(self.control) + ".log")
        return log.read_text().split("\n").count(word) if log.exists() else 0

    def test_faults(self):
        runs = fresh_runs("token-faults")
        with Tool(runs, "up", "--json", "--scheme", "hsm", "--pkcs11", self.module,
                  "--block-interval-ms", 500, "--runs", runs) as tool:
            run_tool.wait_for(lambda: tool.ended() or tool.out_path.read_text().endswith("\n"), 60,
                              "one line when ready")
            self.assertFalse(tool.ended(), tool.errors())
            self.up, self.paid = json.loads(tool.out_path.read_text()), {}
            self.rpc = NodeRpc(self.up["bitcoind"]["rpc"], self.up["bitcoind"]["cookie"])
            self.control = pathlib.Path(self.up["run_dir"]) / "work" / "signer-0" / "token-control"
            self.wait_sent(self.pay(), 20)
            self.faults_that_pass()
            self.token_that_hangs(tool)
            run_tool.wait_for(lambda: all(self.rpc.payments().get(a) == p
                                          for a, p in self.paid.items()), 30, "all are in blocks")
            processes = children_of(tool.pid)
            tool.process.terminate()
            self.assertEqual(tool.wait(30), 0, tool.errors())
            run_tool.wait_gone(processes, "after SIGTERM")

    def faults_that_pass(self):
        for calls, how in (("sign", "refuse"), ("all", "removed"), ("sign", "session-lost")):
            downs = self.not_ready()
            self.tell(f"{calls} {how}")
            key = self.pay()  # the signer does not know yet
            threading.Event().wait(LASTS_S)
            self.assertGreater(self.noted(f"sign {how}"), 0, "the fault did not happen")
            self.refused()
            self.assertEqual(self.state(key), "planned", how)
            self.assertEqual(self.not_ready(), downs + 1, "the signer says that it is not ready")
            self.tell("")
            self.wait_sent(key, 10)
            # The other coordinator may have heard of the key first, and have sent it.
            run_tool.wait_for(self.takes_payments, 5, "the asked coordinator is ready again")
        self.tell("sign slow 300")
        self.wait_sent(self.pay(), 10)
        self.assertGreater(self.noted("sign slow"), 0)
        self.tell("")

    def token_that_hangs(self, tool):
        """The signer ends with the reason, comes back, and pays what waited."""
        self.tell("sign hang")
        key = self.pay()
        run_tool.wait_for(lambda: "signer-0 restarted" in tool.errors(), 20, "the signer ends")
        self.assertGreater(self.noted("sign hang"), 0)
        said = (pathlib.Path(self.up["run_dir"]) / "work/signer-0/stderr.log").read_text()
        self.assertIn("has not answered for 5000 ms", said)
        self.tell("")
        self.wait_sent(key, 30)


if __name__ == "__main__":
    TokenFaults.module = sys.argv.pop(1)
    unittest.main(verbosity=2)
