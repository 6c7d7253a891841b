"""Faults of tokens in experiments: each kind with its proof, and none where no call met it.

Invariant: what the tool says of a fault is held against what the token's module wrote down itself,
and against what the signer said of its readiness; payments are looked up on the chain by the
run's own checkers.
"""
import json
import os
import pathlib
import subprocess
import unittest

import run_tool
from run_tool import fresh_runs, records, roulette, run_folder

HERE = pathlib.Path(__file__).parent
SHIPPED = HERE.parent.parent / "chaos" / "experiments" / "token-faults.yaml"
HANGS = SHIPPED.with_name("token-hangs.yaml")
ANSWERS = {"token-removed": "removed", "token-session-lost": "session-lost",
           "token-refusing": "refuse", "token-slow": "slow"}


class TokenRun(unittest.TestCase):
    def test_each_kind(self):
        runs = fresh_runs("token-each-kind")
        done = roulette("run", SHIPPED, "--runs", runs, timeout=150)
        self.assertEqual(done.returncode, 0, done.stderr)
        folder = run_folder(runs)
        faults = records(folder / "faults.ndjson")
        self.assertEqual({f["signal"] for f in faults}, set(ANSWERS))
        calls = records(folder / "state" / "token-signer-0.ndjson")
        events = records(folder / "events.ndjson")
        released = [e["t_us"] for e in events if e["event"] == "share_released"]
        posts = {r["op"]: r for r in records(folder / "history.ndjson")
                 if r.get("type") == "invoke" and r["intent"] == "new"}
        answers = [r for r in records(folder / "history.ndjson")
                   if r.get("type") == "answer" and r["op"] in posts]
        for fault in faults:
            self.assertTrue(fault["fired"] and fault["proven"], fault)
            proof = fault["proof"]
            met = [c for c in calls if c["answer"] == ANSWERS[fault["signal"]]
                   and proof["sent_us"] <= c["t_us"] <= proof["token_back_us"]]
            self.assertEqual(len(met), proof["token_calls"])
            self.assertGreater(len(met), 0)
            if fault["signal"] == "token-slow":
                continue
            within = [t for t in released
                      if met[0]["t_us"] <= t <= proof["token_back_us"]]
            self.assertEqual(within, [], "a share left without a key")
            # A second behind the first call that met it every new key gets 503.
            refused = [a["status"] for a in answers
                       if posts[a["op"]]["t_us"] > met[0]["t_us"] + 1_000_000
                       and a["t_us"] < proof["token_back_us"]]
            self.assertEqual(set(refused), {503})
            said = [e for e in events if e["process"] == "signer-0" and e["event"] == "not_ready"
                    and e["reason"] == "key-unavailable"
                    and proof["sent_us"] <= e["t_us"] <= proof["token_back_us"]]
            self.assertEqual(len(said), 1, "it says once that its key is out of reach")
        self.doctored(folder)

    def doctored(self, folder):
        """Twenty changed copies of an hsm's records: none passes that is not excused by name."""
        done = subprocess.run([run_tool.ROOT / "tools/check-evidence", folder,
                               "--tool", os.environ["ROULETTE"], "--sample", "20"],
                              text=True, capture_output=True, timeout=170)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(done.stdout.startswith("20 changes: "), done.stdout)

    def test_hangs(self):
        """Longer than its patience a token ends its signer, shorter it does not."""
        runs = fresh_runs("token-hangs")
        done = roulette("run", HANGS, "--runs", runs, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        folder = run_folder(runs)
        faults = sorted(records(folder / "faults.ndjson"), key=lambda f: f["fault_id"])
        calls = records(folder / "state" / "token-signer-0.ndjson")
        events = records(folder / "events.ndjson")
        exits = [e for e in events if e["event"] == "exited" and e["name"] == "signer-0"]
        released = [e["t_us"] for e in events if e["event"] == "share_released"]
        self.assertEqual([(e["code"], e["asked"]) for e in exits], [(2, False), (0, True)])
        self.assertEqual(json.loads((folder / "journal.json").read_text())["unasked_exits"], [])
        ends = []
        for fault in faults:
            proof = fault["proof"]
            self.assertTrue(fault["fired"] and fault["proven"], fault)
            self.assertEqual(fault["signal"], "token-hangs")
            met = [c for c in calls if proof["sent_us"] <= c["t_us"] <= proof["token_back_us"]]
            self.assertEqual([c["answer"] for c in met], ["hang"])  # one call, one line
            self.assertEqual(proof["token_calls"], 1)
            within = [t for t in released if met[0]["t_us"] <= t <= proof["token_back_us"]]
            self.assertEqual(within, [], "a share left while the token hung")
            ends.append(proof["exit_code"])
            if proof["exit_code"] is None:
                self.assertIsNone(fault["restarted_us"])
                continue
            self.assertLess(abs(proof["reaped_us"] - exits[0]["t_us"]), 250_000)
            self.assertGreater(proof["reaped_us"], met[0]["t_us"])
            self.assertGreaterEqual(fault["restarted_us"], proof["token_back_us"])
        self.assertEqual(ends, [None, 2])  # the short one first
        said = "".join(f.read_text() for f in (folder / "logs").glob("signer-0*"))
        self.assertIn("has not answered for 2000 ms", said)

    def test_no_call_no_proof(self):
        runs = fresh_runs("token-no-call")
        done = roulette("run", HERE / "run_token_idle.yaml", "--runs", runs, timeout=120)
        self.assertEqual(done.returncode, 2, done.stderr)
        folder = run_folder(runs)
        verdict = json.loads((folder / "verdict.json").read_text())
        self.assertEqual(verdict["verdict"], "inconclusive")
        self.assertIn("no call of its token met the fault", " ".join(verdict["reasons"]))
        fault = records(folder / "faults.ndjson")[0]
        self.assertEqual((fault["fired"], fault["proven"]), (True, False))


if __name__ == "__main__":
    unittest.main()
