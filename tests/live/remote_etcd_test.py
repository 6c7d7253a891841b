"""A cluster on an etcd that somebody else runs, over TLS, with other users' keys in it.

Invariant: the other user reads his keys, every revision of each, by a client that is none of ours;
money is judged by the node's blocks alone.
"""
import json
import pathlib
import secrets
import unittest

import run_tool
from run_tool import NodeRpc, Tool, fresh_runs, records, roulette
from tls_etcd import Authority, TlsEtcd
from up_test import ADDRESSES, Client

CLIENTS = 2
SNAPSHOT_EVERY = 64  # the least: keys are removed within the test
REVISIONS = 3
STRUCK_ETCD = "chaos/experiments/ledger-and-etcd-kills.yaml"


class OtherUser:
    """Keys around ours, each written several times; what was read once must read so for ever."""

    def __init__(self, etcd):
        self.etcd, self.seen = etcd, {}

    def write(self, *keys):
        for key in keys:
            for n in range(REVISIONS):
                self.seen[key, self.etcd.put(key, f"{key} {n}")] = None
        for key, revision in self.seen:
            self.seen[key, revision] = self.etcd.get(key, revision)
        assert all(self.seen.values())

    def check(self, test):
        """Every revision is still to be had, and nothing was written since."""
        for (key, revision), read in self.seen.items():
            test.assertEqual(self.etcd.get(key, revision), read, (key, revision))
        for key in {key for key, _ in self.seen}:
            last = max(revision for k, revision in self.seen if k == key)
            test.assertEqual(self.etcd.get(key), self.seen[key, last], key)


class RemoteEtcd(unittest.TestCase):
    def up_line(self, tool):
        def ready():
            self.assertFalse(tool.ended(), tool.errors())
            return tool.out_path.read_text().endswith("\n")
        run_tool.wait_for(ready, 90, "one line when ready")
        return json.loads(tool.out_path.read_text())

    def snapshots_and_trims(self, run_dir):
        events = [e.get("event") for i in range(3)
                  for e in records(pathlib.Path(run_dir) / f"work/ledger-{i}/events.ndjson")]
        return events.count("snapshot_stored"), events.count("log_trimmed")

    def told(self, run_dir, words):
        """Some replica says on stderr which member it cannot ask."""
        logs = [(pathlib.Path(run_dir) / f"work/ledger-{i}/stderr.log").read_text()
                for i in range(3)]
        self.assertTrue(any(words in log for log in logs), logs)

    def judge(self, rpc, clients):
        for client in clients:
            self.assertIsNone(client.error)
            self.assertEqual({key for key, _ in client.made}, set(client.answers))
        run_tool.wait_for(lambda: all((c.state(key) or {}).get("state") == "settled"
                                      for c in clients for key, _ in c.made), 40, "all settle")
        paid = rpc.payments()
        for client in clients:
            for key, payment in client.made:
                self.assertEqual(paid.get(payment["address"]), [payment["amount_sat"]], key)

    def pay(self, etcd, up, rpc):
        """Payments; the leader is killed among them, and they go on."""
        for number in range(CLIENTS):
            ADDRESSES[number] = [rpc.call("decodescript", "0014" + secrets.token_hex(20))["address"]
                                 for _ in range(3000)]
        clients = [Client(up, rpc, number) for number in range(CLIENTS)]

        def paid(more):
            before = [len(c.answers) for c in clients]
            run_tool.wait_for(lambda: any(c.error for c in clients) or all(
                len(c.answers) >= n + more for c, n in zip(clients, before)), 40, "payments")
        try:
            for client in clients:
                client.thread.start()
            paid(5)
            killed = etcd.leader()
            etcd.kill(killed)
            paid(10)
            run_tool.wait_for(lambda: any(c.error for c in clients) or
                              min(self.snapshots_and_trims(up["run_dir"])) >= 2, 60,
                              "snapshots are stored and the log is trimmed behind them")
            self.told(up["run_dir"], f"etcd https://127.0.0.1:{etcd.ports[killed]}: ")
            etcd.start(killed)
            run_tool.wait_for(etcd.serves, 30, "the member is back")
            paid(3)
            with etcd.paused(etcd.leader()):  # its connections stand, and nothing comes
                paid(10)
            paid(3)
        finally:
            for client in clients:
                client.stop.set()
            for client in (c for c in clients if c.thread.ident):
                client.thread.join(60)
        self.judge(rpc, clients)
        print(f"{sum(len(c.made) for c in clients)} payments, "
              f"{sum(c.retries for c in clients)} retries")

    def test_shared(self):
        runs = fresh_runs("remote-etcd")
        with TlsEtcd(runs) as etcd:
            other = OtherUser(etcd)
            other.write("a", "orders/1", "orders/2", "run-", "run.", "zz")
            with Tool(runs, "up", "--json", "--signers", 3, "--threshold", 2,
                      "--block-interval-ms", 300, "--snapshot-interval", SNAPSHOT_EVERY,
                      "--runs", runs, *etcd.flags()) as tool:
                up = self.up_line(tool)
                self.assertFalse([name for name in up["pids"] if name.startswith("etcd")])
                ours = up["client"]["cluster_id"]
                # The neighbours of our keys: what begins alike, and both ends of our range.
                other.write(ours, f"{ours}-2/log/1", f"{ours}.", f"{ours}0", f"{ours}0/head")
                rpc = NodeRpc(up["bitcoind"]["rpc"], up["bitcoind"]["cookie"])
                self.pay(etcd, up, rpc)
                self.assertGreater(etcd.count(f"{ours}/", f"{ours}0"), 0)
                other.check(self)
                processes = run_tool.children_of(tool.pid)
                tool.process.terminate()
                self.assertEqual(tool.wait(60), 0, tool.errors())
                run_tool.wait_gone(processes, "after SIGTERM")
            self.assertEqual(etcd.count(f"{ours}/", f"{ours}0"), 0, tool.errors())
            # Nobody compacted: the first revision of all is still there.
            other.check(self)
            self.assertEqual(etcd.count("\0", "\xff", min(r for _, r in other.seen)), 1)
            self.refused(etcd, runs)

    def refused(self, etcd, runs):
        """Each wrong credential and address: which member, what is wrong, what to do."""
        stranger = Authority(runs, "other-ca")
        closed = etcd.urls.replace(str(etcd.ports[1]), "1")
        named = etcd.urls.replace("127.0.0.1", "localhost")
        first, second = (f"etcd https://127.0.0.1:{port}: " for port in etcd.ports[:2])
        no_client = ["--etcd", etcd.urls, "--etcd-ca", etcd.authority.ca]
        cases = [
            (2, etcd.flags(ca=stranger.ca), [first, "not one of the authority in", "other-ca.pem"]),
            (2, etcd.flags(client=stranger.issue("x", "DNS:x")),
             [first, "refuses the client certificate in", "other-ca-x.pem"]),
            (2, etcd.flags(client=etcd.authority.issue("late", "DNS:x", "serverAuth")),
             [first, "refuses the client certificate in", "for client authentication"]),
            (2, no_client, [first, "wants a client certificate"]),
            (2, etcd.flags(urls=named),
             [f"etcd https://localhost:{etcd.ports[0]}: ", "does not name localhost but",
              "IP:127.0.0.1"]),
            (2, etcd.flags(urls=closed),
             ["etcd https://127.0.0.1:1: ", "Connection refused", "is this member up"]),
            (2, ["--etcd", etcd.urls.replace("https", "http")],
             [first.replace("https", "http"), "is it https?"]),
            (2, etcd.flags(ca=etcd.client[1]), ["etcd-ca-client.key: no certificate"]),
            (2, etcd.flags(client=(etcd.client[0], etcd.server[1])), ["no key of"]),
            (64, ["--etcd", etcd.urls], ["--etcd-ca"]),
            (64, [*no_client, "--etcd-cert", etcd.client[0]], ["go together"]),
            (64, [*no_client, "--etcd-key", "-----BEGIN PRIVATE KEY-----"], ["path of a file"]),
            (64, etcd.flags(urls="https://user:word@127.0.0.1:1"), ["do not belong there"]),
            (64, ["--etcd-ca", etcd.authority.ca], ["go with --etcd https"]),
            (64, [*etcd.flags(), "--log", "sqlite"], ["sqlite"]),
        ]
        self.assertNotIn(second, cases[0][2])
        for code, flags, words in cases:
            done = roulette("up", "--json", "--runs", runs / "refused", *flags, timeout=60)
            self.assertEqual(done.returncode, code, (flags, done.stderr))
            for word in words:
                self.assertIn(word, done.stderr, flags)
            self.assertNotIn("user:word", done.stderr)
        self.assertFalse((runs / "refused").exists(), "refused before anything is made")
        for command in (["run", STRUCK_ETCD, "--dry-run"], ["run", STRUCK_ETCD]):
            done = roulette(*command, *etcd.flags(), "--runs", runs / "refused")
            self.assertEqual(done.returncode, 64, done.stderr)
            self.assertRegex(done.stderr, r"-etcd-kills\.yaml:\d+: this fault strikes etcd")
        done = roulette("matrix", "--live", "--slice", "--etcd", etcd.urls)
        self.assertEqual(done.returncode, 64, done.stderr)

    def test_run(self):
        """An experiment to its verdict, its records judged again, its keys gone afterwards."""
        runs = fresh_runs("remote-etcd-run")
        with TlsEtcd(runs) as etcd:
            other = OtherUser(etcd)
            other.write("a", "zz")
            done = roulette("run", run_tool.EXPERIMENT, "--runs", runs / "made", *etcd.flags(),
                            timeout=150)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            run = run_tool.run_folder(runs / "made")
            self.assertIn('"remote-etcd"', (run / "experiment.yaml").read_text())
            self.assertEqual(roulette("judge", run).returncode, 0)
            other.check(self)
            self.assertEqual(etcd.count("run-", "run."), 0)


if __name__ == "__main__":
    run_tool.main()
