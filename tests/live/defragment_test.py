"""Every etcd member is compacted and defragmented, the leader too, while clients pay.

Invariant: no request fails: each is answered 202 the first time it is sent. What an answer takes is
printed, never asserted. The members hold ballast, so that defragmenting one takes a while: etcd
answers nothing meanwhile and what it copies is what it holds, not what it once held.
"""
import base64
import json
import os
import threading
import time
import unittest
import urllib.request

import run_tool
from paying_cluster import PATIENCE_S, PayingCluster

BALLAST = 96  # values of
VALUE_BYTES = 512 << 10
QUIET_S = 4  # of undisturbed payments, and between two members


def gateway(address, what, body, timeout=60):
    request = urllib.request.Request(f"http://{address}/v3/{what}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)


class Timed:
    """Keeps (start, seconds) of every request of a client."""

    def __init__(self, client):
        self.asked, self.up = [], client.up
        client.request = self.request

    def request(self, coordinator, path, body=None, key=None):
        begun = time.monotonic()
        try:
            return run_tool.api_request(self.up, path, body, key, coordinator, timeout=PATIENCE_S)
        finally:
            self.asked.append((begun, time.monotonic() - begun))


class Defragment(unittest.TestCase):
    def longest_ms(self, since, until):
        """(requests, p50, longest) of those that were under way between both moments."""
        took = sorted(t for timed in self.timed for at, t in timed.asked
                      if at < until and at + t > since)
        self.assertTrue(took)
        return len(took), round(took[len(took) // 2] * 1e3), round(took[-1] * 1e3)

    def during(self, what, work):
        begun = time.monotonic()
        work()
        took_ms = round((time.monotonic() - begun) * 1e3)
        threading.Event().wait(QUIET_S)
        count, p50, longest = self.longest_ms(begun, time.monotonic())
        print(f"{what}: took {took_ms} ms; {count} answers around it, p50 {p50}, "
              f"longest {longest} ms")
        for client in self.cluster.clients:
            self.assertIsNone(client.error)
            self.assertEqual(client.retries, 0, what)

    def fill(self, address):
        value = base64.b64encode(os.urandom(VALUE_BYTES)).decode()
        for number in range(BALLAST):
            key = base64.b64encode(f"ballast/{number}".encode()).decode()
            gateway(address, "kv/put", {"key": key, "value": value})

    def status(self, address):
        return gateway(address, "maintenance/status", {})

    def test_members(self):
        with PayingCluster(self, "defragment") as self.cluster:
            members = self.cluster.config("ledger-0")["etcd"]
            self.assertTrue(self.cluster.config("ledger-0")["own_etcd"])
            self.fill(members[0])
            self.fill(members[0])  # once more: half of the file is history now
            self.cluster.pays("before")
            self.timed = [Timed(client) for client in self.cluster.clients]
            self.during("nothing", lambda: None)
            before = self.status(members[0])
            self.during("compaction", lambda: gateway(members[0], "kv/compaction", {
                "revision": before["header"]["revision"], "physical": True}))
            leader = self.status(members[0])["leader"]
            roles = []
            for address in members:
                status = self.status(address)
                roles.append("leader" if status["header"]["member_id"] == leader else "follower")
                self.during(f"defragmentation of a {roles[-1]} of {status['dbSize']} bytes",
                            lambda a=address: gateway(a, "maintenance/defragment", {}))
                after = self.status(address)
                self.assertLess(int(after["dbSize"]), int(status["dbSize"]) * 3 // 4)
            self.assertIn("leader", roles)
            self.cluster.pays("behind it")
            self.cluster.judge()


if __name__ == "__main__":
    unittest.main()
