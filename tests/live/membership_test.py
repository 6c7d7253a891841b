"""Ledger replicas and coordinators join and leave a deployed cluster under load (docs/DEPLOY.md).

Invariant: each step is one of the page's, done by files, signals and starts alone, as an operator
would; money is judged as after any run of deployed.py.
"""
import pathlib
import socket
import tempfile
import unittest

import run_tool
from deployed import Cluster
from run_tool import records

HOSTS = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
PORTS = 48  # the cluster's own, and those of who joins
SNAPSHOT_EVERY = 64
JOINING = "ledger-3"


def first_port():
    """Of PORTS in a row that are free on every host."""
    for base in range(20_000, 30_000, PORTS):
        try:
            for port in range(base, base + PORTS):
                for host in HOSTS:
                    with socket.socket() as probe:
                        probe.bind((host, port))
            return base
        except OSError:
            continue
    raise AssertionError("no ports in a row are free")


class Membership(unittest.TestCase):
    def snapshots(self):
        files = (self.work / "state").glob("ledger-*/events.ndjson")
        return sum(e.get("event") == "snapshot_stored" for f in files for e in records(f))

    def one_less(self, name):
        """Without this replica payments go on, and so do snapshots: a majority still reports."""
        process = self.cluster.processes[name]
        process.kill()
        before = self.snapshots()
        self.cluster.wait_paid(10)
        run_tool.wait_for(lambda: self.snapshots() > before + 1, 60, f"snapshots without {name}")
        process.start()
        self.cluster.wait_ready()

    def count(self, replicas):
        """One replica after the other counts majorities of so many."""
        ledgers = {p.name: p for p in self.cluster.of("ledger") if p.name != JOINING}
        joining = self.cluster.processes[JOINING].config()["listen"]
        for process in ledgers.values():
            peers = [p for p in process.config()["peers"] if p["name"] != JOINING]
            if replicas == 4:
                peers.append({"name": JOINING, "address": joining})
            process.reconfigure(replicas=replicas, peers=peers)
            process.stop()
            process.start()
            self.cluster.wait_ready()
            self.cluster.wait_paid(3)

    def ask(self, joined):
        for process in self.cluster.of("coordinator"):
            ledgers = [p for p in process.config()["ledgers"] if p["name"] != JOINING]
            if joined:
                ledgers.append({"name": JOINING,
                                "address": self.cluster.processes[JOINING].config()["listen"]})
            process.reconfigure(ledgers=ledgers)
        self.cluster.rolling("coordinators ask " + ("four" if joined else "three"),
                             ["coordinator"])

    def replica_joins(self, base):
        old = self.cluster.of("ledger")
        peers = [{"name": p.name, "address": p.config()["listen"]} for p in old]
        joining = self.cluster.new_member(JOINING, replicas=4, peers=peers,
                                          listen=f"{HOSTS[0]}:{base + PORTS - 1}",
                                          http=f"{HOSTS[0]}:{base + PORTS - 2}")
        joining.start()
        self.cluster.wait_ready()
        self.one_less("ledger-1")  # three count majorities of three, one of four
        self.count(4)
        self.ask(joined=True)
        self.one_less("ledger-0")

    def replica_leaves(self):
        self.ask(joined=False)
        self.count(3)
        leaving = self.cluster.processes.pop(JOINING)
        leaving.stop()
        self.one_less("ledger-2")
        return leaving

    def coordinators_change(self, base):
        def of(role):
            return [{"name": p.name, "address": p.config()["listen"]}
                    for p in self.cluster.of(role)]
        joining = self.cluster.new_member("coordinator-3", coordinators=of("coordinator"),
                                          listen=f"{HOSTS[0]}:{base + PORTS - 3}",
                                          http=f"{HOSTS[0]}:{base + PORTS - 4}")
        joining.start()
        self.cluster.wait_ready()
        # In place of the one that leaves: clients ask whom the list names.
        self.cluster.up["coordinators"][0] = f"http://{joining.config()['http']}"
        self.cluster.processes.pop("coordinator-0").stop()
        self.cluster.wait_paid(20)
        events = [e.get("event")
                  for e in records(self.work / "state/coordinator-3/events.ndjson")]
        self.assertGreater(events.count("answered"), 3, "clients were answered by it")
        self.assertGreater(events.count("aggregated"), 0, "signers signed for it")

    def test_under_load(self):
        base = first_port()
        with tempfile.TemporaryDirectory() as folder:
            self.work = pathlib.Path(folder)
            with Cluster(HOSTS, self.work, flags=["--first-port", base]) as self.cluster:
                for process in self.cluster.of("ledger"):
                    process.reconfigure(snapshot_interval=SNAPSHOT_EVERY)
                self.cluster.start()
                self.cluster.begin_load()
                self.cluster.wait_paid(5)
                self.replica_joins(base)
                self.coordinators_change(base)
                leaving = self.replica_leaves()
                self.cluster.judge(self.cluster.end_load())
                self.judge_entries(leaving)

    def judge_entries(self, leaving):
        """What the replica that left applied is what the others applied."""
        def entries(process):
            return {row["index"]: row for row in process.export() if row["type"] == "entry"}
        theirs, compared = entries(leaving), 0
        for process in self.cluster.of("ledger"):  # those that were away have a gap
            others = entries(process)
            both = set(theirs) & set(others)
            compared = max(compared, len(both))
            self.assertEqual({i: theirs[i] for i in both}, {i: others[i] for i in both})
        self.assertGreater(compared, SNAPSHOT_EVERY)


if __name__ == "__main__":
    run_tool.main()
