"""`roulette up --nodes 2`: the primary node is cut off from its peer, then stands still.

Invariant: a payment counts as broadcast only when the fallback's own mempool or chain has it; which
node was asked is read from the coordinators' own logs.
"""
import json
import os
import pathlib
import secrets
import signal
import unittest

import run_tool
from run_tool import NodeRpc, Tool, children_of, fresh_runs, records

NEVER_MS = 600_000  # blocks come when the test says so
MINER = "51"  # a script that anybody can spend: its address receives what is mined


class NodeFallback(unittest.TestCase):
    def pay(self):
        """Accepted by a coordinator; the idempotency key."""
        address = self.fallback.call("decodescript", "0014" + secrets.token_hex(20))["address"]
        body = {"account": self.up["accounts"][0], "address": address, "amount_sat": 20_000}
        key = secrets.token_hex(16)
        status, _ = self.request("/v1/withdrawals", body, key)
        self.assertEqual(status, 202)
        return key

    def request(self, path, body=None, key=None):
        return run_tool.api_request(self.up, path, body, key)

    def view(self, key):
        return self.request(f"/v1/withdrawals?idempotency_key={key}")[1]

    def chosen(self):
        """[(from, to, why)] of coordinator-0, in order."""
        log = pathlib.Path(self.up["run_dir"]) / "work/coordinator-0/events.ndjson"
        return [(e["from"], e["to"], e["why"]) for e in records(log)
                if e.get("event") == "node_chosen"]

    def wait_chosen(self, change, what):
        run_tool.wait_for(lambda: change in self.chosen(), 20, what)

    def wait_held_by_fallback(self, key):
        run_tool.wait_for(
            lambda: self.view(key)["txid"] in self.fallback.call("getrawmempool"), 10,
            "the fallback has the payment")

    def mine(self, rpc, blocks):
        self.assertEqual(len(rpc.call("generatetodescriptor", blocks, f"raw({MINER})")), blocks)

    def peer_address(self, name):
        words = pathlib.Path(f"/proc/{self.up['pids'][name]}/cmdline").read_text().split("\0")
        return next(w.removeprefix("-bind=") for w in words if w.startswith("-bind="))

    def lags(self):
        self.primary.call("setnetworkactive", False)
        before = self.primary.call("getblockcount")
        self.mine(self.fallback, 2)
        self.assertEqual(self.primary.call("getblockcount"), before, "it is cut off")
        self.wait_chosen(("node", "fallback_node", "lags"), "the primary lags")
        self.wait_held_by_fallback(self.pay())
        self.primary.call("setnetworkactive", True)
        self.primary.call("addnode", self.peer_address("bitcoind-1"), "onetry")  # not in a minute
        run_tool.wait_for(lambda: self.primary.call("getblockcount") == before + 2, 20,
                          "the primary has caught up")
        self.wait_chosen(("fallback_node", "node", "preferred-again"), "the primary is asked again")

    def hangs(self):
        os.kill(self.up["pids"]["bitcoind-0"], signal.SIGSTOP)
        try:
            key = self.pay()
            self.wait_chosen(("node", "fallback_node", "no-answer"), "the primary hangs")
            self.wait_held_by_fallback(key)
        finally:
            os.kill(self.up["pids"]["bitcoind-0"], signal.SIGCONT)

    def test_primary(self):
        runs = fresh_runs("node-fallback")
        with Tool(runs, "up", "--json", "--signers", 3, "--threshold", 2, "--nodes", 2,
                  "--block-interval-ms", NEVER_MS, "--runs", runs) as tool:
            run_tool.wait_for(lambda: tool.ended() or tool.out_path.read_text().endswith("\n"), 60,
                              "one line when ready")
            self.assertFalse(tool.ended(), tool.errors())
            self.up = json.loads(tool.out_path.read_text())
            nodes = [NodeRpc(self.up[name]["rpc"], self.up[name]["cookie"])
                     for name in ("bitcoind", "fallback_bitcoind")]
            self.primary, self.fallback = nodes
            self.wait_held_by_fallback(self.pay())  # by way of the primary: they are peers
            self.lags()
            self.hangs()
            processes = children_of(tool.pid)
            tool.process.terminate()
            self.assertEqual(tool.wait(30), 0, tool.errors())
            run_tool.wait_gone(processes, "after SIGTERM")


if __name__ == "__main__":
    run_tool.main()
