"""`roulette sim` and `roulette replay` as a user calls them.

Invariant: no cluster, no port; a schedule that fails is made by giving the clients too little
virtual time, never by breaking a machine.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "live"))
import run_tool  # noqa: E402
from run_tool import TOOL, fresh_runs, roulette  # noqa: E402

HURRIED = {"format": "roulette-schedule", "version": 1, "scheme": "frost",
           "options": {"seed": "3", "bound": "1000000", "payments": "5", "disk": "300..900"},
           "faults": ["kill_node at=1500000", "pause_node at=2000000 down=9000000",
                      "strike at=1800000 a=signer-1", "lose_log at=900000 a=ledger-1"]}


def sweep(*flags):
    done = roulette("sim", "--json", *flags)
    return done.returncode, json.loads(done.stdout), done.stderr


def kill_a_child(process):
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    os.kill(int(children.split()[0]), signal.SIGKILL)


class SimCommand(unittest.TestCase):
    def test_jobs(self):
        results = []
        for jobs in (1, 3):
            code, result, _ = sweep("--seed", 11, "--schedules", 24, "--jobs", jobs,
                                    "--check-determinism")
            self.assertEqual((code, result["verdict"], result["jobs"]), (0, "pass", jobs))
            results.append(result)
        for same in ("schedules", "withdrawals", "faults_fired", "probes", "violations", "unseed",
                     "trace_hash", "seed", "scheme"):
            self.assertEqual(results[0][same], results[1][same], same)
        self.assertEqual(results[0]["schedules"], 24)
        self.assertGreaterEqual(results[0]["withdrawals"], 3 * 24)
        self.assertGreater(results[0]["faults_fired"], 2 * 24)
        _, other, _ = sweep("--seed", 12, "--schedules", 24)
        self.assertNotEqual(other["trace_hash"], results[0]["trace_hash"])
        self.assertNotEqual(other["unseed"], results[0]["unseed"])

    def test_interrupted(self):
        child = subprocess.Popen([TOOL, "sim", "--json", "--schedules", "1000000", "--jobs", "1"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for line in child.stderr:  # the first line of progress
            if "schedules" in line:
                break
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 2)
        result = json.loads(out)
        self.assertEqual(result["verdict"], "inconclusive")
        self.assertIn("interrupted by a signal", result["reasons"])
        self.assertIn("next: ", err.splitlines()[-1])

    def begun(self, *flags):
        child = subprocess.Popen([TOOL, "sim", "--json", "--schedules", "1000000", "--jobs", "2",
                                  *map(str, flags)], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, start_new_session=True)
        for line in child.stderr:  # the first line of progress
            if "schedules" in line:
                break
        return child

    def test_group_stopped(self):
        # As timeout(1) does it: the children hear it too, and none of them is a finding.
        child = self.begun()
        os.killpg(child.pid, signal.SIGTERM)
        out, err = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 2, err)
        self.assertEqual(json.loads(out)["violations"], [])

    def test_child_killed(self):
        folder = fresh_runs("sim-child-killed")
        child = self.begun("--out", folder)
        kill_a_child(child)
        for line in child.stderr:
            if "process-ended" in line:
                break
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 1, err)
        result = json.loads(out)
        self.assertEqual(result["verdict"], "fail")
        self.assertEqual([v["id"] for v in result["violations"]], ["process-ended"])
        self.assertIn("does not fail again by itself", err)
        self.assertEqual(list(folder.iterdir()), [])

    def test_matrix_of_no_point_leaves_nothing(self):
        top = fresh_runs("matrix-of-no-point") / "made"
        for kind in ("--sim", "--live"):
            done = roulette("matrix", kind, "--points", "nowhere.*", "--out", top / "deep")
            self.assertEqual(done.returncode, 64, done.stderr)
            self.assertIn("nowhere.*", done.stderr)
            self.assertFalse(top.exists())

    def test_matrix_child_killed(self):
        folder = fresh_runs("matrix-child-killed")
        child = subprocess.Popen([TOOL, "matrix", "--sim", "--pairs", "--jobs", "2", "--json",
                                  "--out", folder], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        killed = False
        for line in child.stderr:
            if "/" in line and not killed:  # the first line of progress
                kill_a_child(child)
                killed = True
            if "  1 failed" in line:
                break
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=120)
        self.assertEqual(child.returncode, 1, err)
        result = json.loads(out)
        self.assertEqual(result["failed"], 1)
        self.assertIn("ended", result["failures"][0]["reason"])
        self.assertGreater(result["not_run"], 0)
        by_status = {s: sum(c["status"] == s for c in result["list"])
                     for s in ("exercised", "failed", "not-run")}
        self.assertEqual(by_status, {"exercised": result["exercised"], "failed": 1,
                                     "not-run": result["not_run"]})

    def test_stdout_full(self):
        for arguments in (["sim", "--json", "--schedules", "1"], ["version"]):
            with open("/dev/full", "w") as full:
                done = subprocess.run([TOOL, *arguments], stdout=full, stderr=subprocess.PIPE,
                                      text=True, timeout=60)
            self.assertEqual(done.returncode, 70, done.stderr)
            self.assertIn("stdout cannot be written", done.stderr)

    def test_minutes(self):
        before = time.monotonic()
        code, result, _ = sweep("--minutes", 0.05)
        self.assertLess(time.monotonic() - before, 60)
        self.assertEqual(code, 0 if result["schedules"] < 1000 else code)
        self.assertGreater(result["schedules"], 0)

    def test_replay(self):
        first = roulette("replay", "--seed", 4)
        self.assertEqual(first.returncode, 0)
        self.assertEqual(first.stdout, roulette("replay", "--seed", 4).stdout)
        lines = first.stdout.splitlines()
        self.assertEqual(lines[0], "seed 4")
        self.assertIn("pass: ", lines[-1])
        self.assertIn("✖ down", first.stdout)
        self.assertNotIn("heartbeat", first.stdout)
        self.assertIn("heartbeat", roulette("replay", "--seed", 4, "--all").stdout)
        told = json.loads(roulette("replay", "--seed", 4, "--json").stdout)
        self.assertIn(f"trace_hash {told['trace_hash']}", lines[-2])

    def test_shrink(self):
        folder = fresh_runs("sim-shrink")
        path = folder / "hurried.json"
        path.write_text(json.dumps(HURRIED))
        done = roulette("replay", path, "--shrink", "--out", folder / "out")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("no-lost-withdrawal", done.stdout)
        command = done.stderr.splitlines()[-1]
        self.assertTrue(command.startswith("next: roulette replay "), command)
        small = pathlib.Path(command.split()[-1])
        shrunk = json.loads(small.read_text())
        self.assertEqual((shrunk["format"], shrunk["version"]), ("roulette-schedule", 1))
        self.assertEqual(shrunk["violates"], ["no-lost-withdrawal"])
        self.assertLess(len(shrunk["faults"]), len(HURRIED["faults"]))
        again = roulette("replay", small)
        self.assertEqual(again.returncode, 1)
        self.assertIn("no-lost-withdrawal", again.stdout)
        shrunk["options"].pop("bound")
        small.write_text(json.dumps(shrunk))
        mended = roulette("replay", small)
        self.assertEqual(mended.returncode, 0, mended.stdout)
        self.assertIn("is gone", mended.stdout)

    def test_as_experiment(self):
        folder = fresh_runs("sim-experiment")
        lines = 0
        for seed in range(20, 26):
            done = roulette("replay", "--seed", seed, "--as-experiment")
            self.assertIn(done.returncode, (0, 70), done.stderr)
            if done.returncode == 70:
                self.assertIn("no fault of it exists in a live run", done.stderr)
                continue
            faults = [f for f in roulette("replay", "--seed", seed).stdout.splitlines()
                      if f.startswith("fault ")]
            text = done.stdout
            rules, left = text.count("- {target: "), text.count("# not carried: fault ")
            self.assertEqual(rules + left, len(faults), text)
            (folder / "carried.yaml").write_text(text)
            dry = roulette("run", folder / "carried.yaml", "--dry-run")
            self.assertEqual(dry.returncode, 0, dry.stderr)
            lines += rules
        self.assertGreater(lines, 10)

    def test_refusals(self):
        folder = fresh_runs("sim-refusals")
        path = folder / "file.json"
        for change, words in (({"version": 2}, "version 2 of roulette-schedule"),
                              ({"format": "x"}, "no roulette-schedule file"),
                              ({"faults": ["kick_all"]}, "faults[0]"),
                              ({"sede": 1}, "unknown field 'sede'")):
            path.write_text(json.dumps({**HURRIED, **change}))
            done = roulette("replay", path)
            self.assertEqual(done.returncode, 64, done.stderr)
            self.assertIn(words, done.stderr)
            self.assertIn(str(path), done.stderr)
            self.assertEqual(done.stdout, "")
        for arguments in (["replay"], ["replay", path, "--seed", 1], ["replay", folder / "none"],
                          ["sim", "--from-run", folder / "none"], ["sim", "--from-run", folder],
                          ["sim", "--schedules", 0], ["sim", "--jobs", "two"],
                          ["sim", "--scheme", "none"], ["sim", "--minutes", -1],
                          ["reprovision", folder, "--retire", "--signer", 1],
                          ["sim", "--minutes", "nan"], ["sim", "--minutes", "inf"],
                          ["sim", "--seed", 2**64], ["replay", "--seed", "010"],
                          ["matrix", "--sim", "--seed", 2**64], ["sim", "--schedules", 2**64]):
            done = roulette(*arguments, timeout=20)
            self.assertEqual(done.returncode, 64, arguments)
            self.assertNotEqual(done.stderr, "", arguments)
            self.assertLess(len(done.stderr), 300, arguments)
            self.assertEqual(done.stdout, "", arguments)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONIOENCODING", "utf-8")
    run_tool.main()
