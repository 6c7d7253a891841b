"""`roulette compare` over two schemes, and a run whose log is a file, judged by what stands in the
records rather than by what the tool says of them.

Invariant: every column that can be worked out from a run's folder is worked out here once more.
"""
import csv
import json
import pathlib
import unittest

from run_tool import fresh_runs, records, roulette, run_folder

HERE = pathlib.Path(__file__).parent
SIGNS = ("signer-", "coordinator-")


def moments(folder):
    """When the faults of a run struck, in ms of the load."""
    events = list(records(folder / "events.ndjson"))
    began = next(e["t_us"] for e in events
                 if e["event"] == "phase" and e["name"] == "undisturbed")
    faults = records(folder / "faults.ndjson")
    return [(f["proof"]["sent_us"] - began) / 1000 for f in faults if f["fired"]]


class Compare(unittest.TestCase):
    def test_two_schemes(self):
        runs = fresh_runs("compare")
        out = runs / "out"
        done = roulette("compare", HERE / "run_compare.yaml", "--schemes", "frost,single",
                        "--runs", runs / "runs", "--out", out, "--json", timeout=220)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
        told = json.loads(done.stdout)
        self.assertEqual(told, json.loads((out / "compare.json").read_text()))
        self.assertEqual((told["format"], told["version"]), ("roulette-compare", 1))
        self.assertEqual([s["scheme"] for s in told["schemes"]], ["frost", "single"])
        self.assertEqual(told["not_run"], [])
        for scheme in told["schemes"]:
            self.check_scheme(scheme)
        frost, single = told["schemes"]
        self.check_same_blows(frost, single)
        self.assertEqual(frost["failed"], 0)
        # The only signer is away for 700 ms and more each time, while clients ask.
        self.assertGreater(single["longest_stall_ms"], 700)
        self.assertIn("times that of frost", single["sentence"])
        rows = list(csv.DictReader((out / "compare.csv").read_text().splitlines()))
        self.assertEqual([r["name"] for r in rows], ["frost", "single"])
        self.assertEqual(int(rows[0]["settled"]), frost["settled"])
        self.assertIn(frost["sentence"], (out / "compare.txt").read_text())

    def check_scheme(self, scheme):
        run, = scheme["repeats"]
        folder = pathlib.Path(run["folder"])
        verdict = json.loads((folder / "verdict.json").read_text())
        self.assertEqual((verdict["verdict"], run["verdict"]), ("pass", "pass"))
        self.assertEqual(scheme["settled"], verdict["load"]["settled"])
        self.assertEqual(scheme["p99_ms"]["disturbed"],
                         verdict["latency_ms"]["withdrawal"]["disturbed"]["p99"])
        events = list(records(folder / "events.ndjson"))
        paid = list(records(folder / "state/transactions.ndjson"))
        self.assertEqual(set(scheme["txids"]), {t["txid"] for t in paid})
        signatures = sum(len(t["prevouts"]) for t in paid)
        self.assertEqual(run["signatures"], signatures)
        lives = [e for e in events if e["event"] == "exited" and e["name"].startswith(SIGNS)]
        spawned = [e for e in events if e["event"] == "spawned" and e["name"].startswith(SIGNS)]
        self.assertEqual(len(lives), len(spawned))
        self.assertGreater(sum(e["signal"] == 9 for e in lives), 2)  # the dead count as well
        spent = sum(e["cpu_us"] for e in lives)
        self.assertAlmostEqual(scheme["cpu_us_per_signature"], spent / signatures, places=3)
        between = [e for e in events if e["event"] == "traffic"
                   and {e["name"].split("-")[0], e["peer"]} == {"signer", "coordinator"}]
        self.assertEqual(scheme["messages"], sum(e["messages"] for e in between))
        self.assertEqual(scheme["bytes"], sum(e["bytes"] for e in between))
        shares = [e for e in events if e["event"] == "share_received"]
        self.assertGreater(scheme["messages"], 2 * len(shares))  # each has its request

    def check_same_blows(self, one, other):
        first, second = (moments(pathlib.Path(s["repeats"][0]["folder"])) for s in (one, other))
        self.assertEqual(len(first), len(second))
        self.assertGreaterEqual(len(first), 3)
        for a, b in zip(first, second):
            self.assertLess(abs(a - b), 400)  # a victim that is still down is struck a little later

    def test_what_cannot_be_compared(self):
        runs = fresh_runs("compare-refused")
        wrong = roulette("compare", HERE / "run_compare.yaml", "--schemes", "frost,rsa",
                         "--runs", runs)
        self.assertEqual(wrong.returncode, 64)
        self.assertIn("'rsa' is none of frost", wrong.stderr)
        self.assertEqual(roulette("compare", runs / "missing.yaml").returncode, 64)
        self.assertEqual(list(runs.iterdir()), [])
        dry = roulette("compare", HERE / "run_compare.yaml", "--dry-run", "--runs", runs)
        self.assertEqual(dry.returncode, 0)
        self.assertIn("== musig2: musig2, 3 of 3 signers", dry.stdout)
        self.assertEqual(list(runs.iterdir()), [])

    def test_log_in_a_file(self):
        runs = fresh_runs("sqlite-log")
        done = roulette("run", HERE / "run_sqlite.yaml", "--runs", runs, timeout=220)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
        folder = run_folder(runs)
        events = list(records(folder / "events.ndjson"))
        names = {e["name"] for e in events if e["event"] == "spawned"}
        self.assertFalse([n for n in names if n.startswith("etcd")])
        self.assertEqual({n for n in names if n.startswith("ledger")}, {"ledger-0"})
        self.assertTrue([e for e in events if e["event"] == "log_trimmed"])
        entries = [r for r in records(folder / "state/ledger-0.ndjson") if r["type"] == "entry"]
        self.assertEqual([e["index"] for e in entries], list(range(1, len(entries) + 1)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
