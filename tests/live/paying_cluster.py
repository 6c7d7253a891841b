"""`roulette up` with clients that pay all the time, whatever is done to its processes meanwhile.

Invariant: a payment counts when a coordinator answers that it is broadcast; in the end the node's
blocks must hold each payment once, as asked, and none that nobody asked for.
"""
import contextlib
import json
import os
import pathlib
import secrets
import urllib.error
import urllib.request

import run_tool
import up_test
from run_tool import NodeRpc, Tool, fresh_runs, records
from up_test import Client

CLIENTS = 2
ADDRESSES = 1500  # of a client
PATIENCE_S = 40
SENT = ("broadcast", "confirmed", "settled")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


class PayingCluster(contextlib.ExitStack):
    """Use as a context: up when entered; `judge` before it is left."""

    def __init__(self, test, name, *flags, tool=None):
        super().__init__()
        self.test, self.runs, self.clients = test, fresh_runs(name), []
        self.flags = flags
        self.program = tool

    def __enter__(self):
        super().__enter__()
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def start(self):
        words = ("up", "--json", "--signers", 3, "--threshold", 2, "--block-interval-ms", 500,
                 "--runs", self.runs, *self.flags)
        with contextlib.ExitStack() as saved:
            if self.program:
                saved.callback(setattr, run_tool, "TOOL", run_tool.TOOL)
                run_tool.TOOL = str(self.program)
            self.tool = self.enter_context(Tool(self.runs, *words))
        out = self.tool.out_path
        run_tool.wait_for(lambda: self.tool.ended() or out.read_text().endswith("\n"), 60,
                          "one line when ready")
        self.test.assertFalse(self.tool.ended(), self.tool.errors())
        self.up = json.loads(self.tool.out_path.read_text())
        self.run = pathlib.Path(self.up["run_dir"])
        self.rpc = NodeRpc(self.up["bitcoind"]["rpc"], self.up["bitcoind"]["cookie"])
        for number in range(CLIENTS):
            up_test.ADDRESSES[number] = [
                self.rpc.call("decodescript", "0014" + secrets.token_hex(20))["address"]
                for _ in range(ADDRESSES)]
        self.clients = [Client(self.up, self.rpc, number) for number in range(CLIENTS)]
        self.callback(self.stop_clients)
        for client in self.clients:
            client.thread.start()

    def stop_clients(self):
        for client in self.clients:
            client.stop.set()
        for client in (c for c in self.clients if c.thread.ident):
            client.thread.join(60)

    # ---- the processes ----

    def config(self, name):
        return json.loads((self.run / f"work/{name}/config.json").read_text())

    def port(self, name, which):
        """(address, port): `listen` is TLS."""
        host, port = self.config(name)[which].split(":")
        return host, int(port)

    def pid(self, name):
        """Of the process that lives now by this name, by the tool's own record, or None."""
        pid = None
        for event in records(self.run / "work/tool-0.events.ndjson"):
            if event.get("name") == name and event["event"] in ("spawned", "exited"):
                pid = event["pid"] if event["event"] == "spawned" else None
        return pid

    def exits(self, name):
        """[(code, signal)] of the processes of this name that ended, in order."""
        return [(e["code"], e["signal"]) for e in records(self.run / "work/tool-0.events.ndjson")
                if e["event"] == "exited" and e.get("name") == name]

    def ready(self, name):
        host, port = self.port(name, "http")
        try:
            with urllib.request.urlopen(f"http://{host}:{port}/readyz", timeout=2) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def wait_ready(self, name):
        run_tool.wait_for(lambda: self.ready(name), PATIENCE_S, f"{name} is ready")

    def stderr(self, name):
        return (self.run / f"work/{name}/stderr.log").read_text(errors="replace")

    def metric(self, name, metric):
        """The sum over the labels of a metric, 0 where it is not there yet."""
        host, port = self.port(name, "http")
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines
                   if line.startswith((metric + " ", metric + "{")))

    @staticmethod
    def descriptors(pid):
        return len(os.listdir(f"/proc/{pid}/fd"))

    @staticmethod
    def resident_kib(pid):
        return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KIB

    # ---- the payments ----

    def pays(self, what, more=2):
        """Each client gets `more` new payments accepted, and the last of each is broadcast."""
        before = [len(c.answers) for c in self.clients]

        def accepted():
            for client in self.clients:
                self.test.assertIsNone(client.error, what)
            return all(len(c.answers) >= n + more for c, n in zip(self.clients, before))
        run_tool.wait_for(accepted, PATIENCE_S, f"payments are accepted: {what}")
        for client in self.clients:
            key = list(client.answers)[-1]
            run_tool.wait_for(lambda c=client, k=key: (c.state(k) or {}).get("state") in SENT,
                              PATIENCE_S, f"payments are signed: {what}")

    def judge(self):
        """Stops paying; every payment is on the chain once. Ends the cluster in order."""
        self.stop_clients()
        for client in self.clients:
            self.test.assertIsNone(client.error)
            self.test.assertEqual({key for key, _ in client.made}, set(client.answers))
        run_tool.wait_for(lambda: all((c.state(key) or {}).get("state") == "settled"
                                      for c in self.clients for key, _ in c.made[-3:]),
                          60, "the last withdrawals settle")
        run_tool.wait_for(lambda: all((c.state(key) or {}).get("state") == "settled"
                                      for c in self.clients for key, _ in c.made),
                          60, "every withdrawal settles")
        paid = self.rpc.payments()
        for client in self.clients:
            for key, payment in client.made:
                self.test.assertEqual(paid.get(payment["address"]), [payment["amount_sat"]], key)
            unasked = [a for a in up_test.ADDRESSES[client.number] if a in paid]
            self.test.assertEqual(unasked, [], "paid and never asked for")
        print(f"{sum(len(c.made) for c in self.clients)} payments, "
              f"{sum(c.retries for c in self.clients)} retries")
        processes = run_tool.children_of(self.tool.pid)
        self.tool.process.terminate()
        self.test.assertEqual(self.tool.wait(30), 0, self.tool.errors())
        run_tool.wait_gone(processes, "after SIGTERM")
