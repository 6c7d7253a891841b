"""`roulette bench`: every row is there, measured, and nothing is left behind.

Invariant: no figure is judged by the clock; only that it exists and that peers stand in one run.
"""
import json
import unittest

from run_tool import fresh_runs, roulette

STEPS = {"nonce", "session", "share", "session+share", "share check", "aggregate"}
SHAPES = [(2, 3), (3, 5), (11, 15), (67, 100)]


class Bench(unittest.TestCase):
    def test_bench(self):
        runs = fresh_runs("bench")
        out = runs / "bench.json"
        done = roulette("bench", "--json", "--repetitions", 1, "--signatures", 16, "--runs", runs,
                        "--out", out, timeout=170)
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

    def test_wrong_flags(self):
        for words, named in [(["steeps"], "steeps"), (["--signatures", "1"], "--signatures"),
                             (["--repetitions", "0"], "--repetitions")]:
            done = roulette("bench", *words)
            self.assertEqual(done.returncode, 64, done.stderr)
            self.assertIn(named, done.stderr)
        refused = roulette("bench", "steps", "--runs", "/proc/none")
        self.assertEqual(refused.returncode, 2, refused.stderr)
        self.assertIn("/proc/none", refused.stderr)


if __name__ == "__main__":
    unittest.main()
