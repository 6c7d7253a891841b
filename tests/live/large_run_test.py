"""A group of twenty signers pays while nine of them, as many as may, are dead at the same time.

Invariant: the verdict is not enough: payments must have been signed inside the gap, by quorums
without any of the dead.
"""
import json
import pathlib
import unittest

from run_tool import fresh_runs, records, roulette, run_folder

EXPERIMENT = pathlib.Path(__file__).parent / "run_twenty.yaml"
DEAD, THRESHOLD = 9, 11


class Twenty(unittest.TestCase):
    def test_run(self):
        runs = fresh_runs("twenty")
        done = roulette("run", EXPERIMENT, "--runs", runs, timeout=170)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        folder = run_folder(runs)
        verdict = json.loads((folder / "verdict.json").read_text())
        self.assertEqual(verdict["verdict"], "pass")
        self.assertEqual(verdict["faults"]["fired"], DEAD)

        kills = list(records(folder / "faults.ndjson"))
        dead = {kill["victim"] for kill in kills}
        self.assertEqual(len(dead), DEAD)
        began = max(kill["proof"]["reaped_us"] for kill in kills)
        ended = min(kill["restarted_us"] for kill in kills)
        self.assertLess(began, ended, "they were never all dead at once")

        events = list(records(folder / "events.ndjson"))
        signed = {e["session_digest"] for e in events if e["event"] == "aggregated"
                  and began < e["t_us"] < ended}
        inside = [e for e in events if e["event"] == "session_opened" and e["t_us"] > began
                  and e["session_digest"] in signed]
        self.assertGreaterEqual(len(inside), 3)
        for session in inside:
            self.assertEqual(len(session["signers"]), THRESHOLD)
            self.assertFalse(dead & set(session["signers"]))


if __name__ == "__main__":
    unittest.main()
