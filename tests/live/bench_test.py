"""`roulette bench`: every row is there, measured, and nothing is left behind.

Invariant: no figure is judged by the clock; only that it exists and that peers stand in one run.
"""
import json
import os
import unittest

from run_tool import fresh_runs, roulette

STEPS = {"nonce", "session", "share", "session+share", "share check", "aggregate"}
SHAPES = [(2, 3), (3, 5), (11, 15), (67, 100)]


class Bench(unittest.TestCase):
    def test_bench(self):
        runs = fresh_runs("bench")
        out = runs / "bench.json"
        done = roulette("bench", "steps", "signing", "--json", "--repetitions", 1,
                        "--signatures", 16, "--runs", runs, "--out", out, timeout=170)
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual(told, json.loads(out.read_text()))
        self.assertEqual((told["format"], told["version"]), ("roulette-bench", 1))
        self.assertGreater(told["machine"]["cores"], 0)

        rows = told["steps"]["rows"]
        for subject, threshold in [("frost", True), ("frost-tr", True), ("musig2", False),
                                   ("libsecp256k1 musig", False)]:
            for t, n in SHAPES:
                found = {r["step"] for r in rows if r["subject"] == subject and r["t"] == t
                         and r["n"] == (n if threshold else t)}
                self.assertTrue(STEPS <= found, (subject, t, found))
        self.assertTrue(all(r["median_us"] > 0 for r in rows))
        self.assertEqual({r["step"] for r in told["steps"]["operations"]},
                         {"sign", "verify", "parse", "multiply G", "multiply", "add 2", "add 16"})
        ratios = {(r["step"], r["t"]): r["frost_over_musig"] for r in told["steps"]["ratios"]}
        self.assertEqual(len(ratios), len(STEPS) * len(SHAPES))
        nonce = {r["subject"]: r["median_us"] for r in rows if r["step"] == "nonce" and r["t"] == 3}
        self.assertAlmostEqual(ratios["nonce", 3], nonce["frost"] / nonce["libsecp256k1 musig"],
                               places=2)

        signing = told["signing"]
        for scheme, rounds in [("frost", "pooled"), ("frost", "two rounds"),
                               ("frost-tr", "pooled"), ("musig2", "two rounds"),
                               ("single", "one round"), ("hsm", "one round")]:
            for in_flight in (1, 8):
                row, = [r for r in signing if (r["scheme"], r["rounds"], r["in_flight"]) ==
                        (scheme, rounds, in_flight)]
                self.assertEqual(row["signatures"], 16)
                self.assertGreaterEqual(row["p99_us"], row["p50_us"])
                self.assertGreater(row["p50_us"], 0)
        self.assertEqual([f.name for f in runs.iterdir()], ["bench.json"])

    def test_service(self):
        runs = fresh_runs("bench-service")
        done = roulette("bench", "service", "--json", "--clients", "1", "--signers", "5",
                        "--seconds", 2, "--runs", runs, timeout=230)
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual({"steps", "signing"} & told.keys(), set())
        service = told["service"]
        rows = {(r["clients"], r["commit_delay_ms"]): r for r in service["rows"]}
        self.assertEqual(set(rows), {(1, 0), (8, 0), (8, 5)})
        for row in rows.values():
            self.check_row(row)
        calm = rows[8, 0]
        self.assertAlmostEqual(service["ceiling_per_second"],
                               service["cores"] * 1e6 / calm["cpu_us"]["sum"], places=1)
        for clients in (1, 8):
            row = rows[clients, 0]
            self.assertAlmostEqual(row["of_ceiling"],
                                   row["per_second"] / service["ceiling_per_second"], places=2)
        self.assertIsNone(rows[8, 5]["of_ceiling"])
        # No share can have left before its record's delayed commit.
        self.assertGreaterEqual(rows[8, 5]["share_min_ms"], 5)
        self.assertEqual(list(runs.iterdir()), [])

    def check_row(self, row):
        self.assertEqual((row["signers"], row["threshold"]), (5, 3))
        self.assertGreater(row["paid"], 0)
        # One client waits for its answer: the whole run has settled what the window saw, and more.
        self.assertGreaterEqual(row["settled"], row["paid"])
        self.assertGreaterEqual(row["settled"], row["accepted"])
        rate = row["paid"] / row["seconds"]
        self.assertAlmostEqual(row["per_second"], rate, delta=rate / 1000)
        self.assertGreaterEqual(row["seconds"], 2)
        self.assertGreaterEqual(row["inputs"], 1)
        roles = row["cpu_us"]["roles"]
        self.assertEqual(set(roles), {"coordinator", "signer", "ledger", "etcd", "bitcoind"})
        self.assertTrue(all(us > 0 for us in roles.values()), roles)
        self.assertAlmostEqual(row["cpu_us"]["sum"], sum(roles.values()), places=1)
        # No more CPU than the machine has in that time, ticks of 10 ms aside.
        spent_us = (row["cpu_us"]["sum"] + row["load_cpu_us"]) * row["paid"]
        self.assertLessEqual(spent_us, os.cpu_count() * row["seconds"] * 1e6 * 1.1)
        for name in ("answer_ms", "broadcast_ms"):
            q = row[name]
            self.assertGreater(q["n"], 0)
            self.assertTrue(0 < q["p50"] <= q["p99"] <= q["max"], q)
        # What is at the node was answered or not; it was never there before it was asked for.
        self.assertLessEqual(row["broadcast_ms"]["n"], row["settled"])

    def test_wrong_flags(self):
        for words, named in [(["steeps"], "steeps"), (["--signatures", "1"], "--signatures"),
                             (["--repetitions", "0"], "--repetitions"),
                             (["service", "--clients", "0"], "--clients")]:
            done = roulette("bench", *words)
            self.assertEqual(done.returncode, 64, done.stderr)
            self.assertIn(named, done.stderr)
        refused = roulette("bench", "steps", "--runs", "/proc/none")
        self.assertEqual(refused.returncode, 2, refused.stderr)
        self.assertIn("/proc/none", refused.stderr)


if __name__ == "__main__":
    unittest.main()
