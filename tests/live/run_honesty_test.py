"""No run that went otherwise than it should ends green, and no ended tool leaves a process.

Invariant: each case starts a real cluster of its own in a fresh folder; processes are signalled by
pids that the run's own log gives and that are children of the tool.
"""
import json
import os
import resource
import signal
import time
import unittest

import run_tool
from run_tool import Tool, alive, children_of, fresh_runs, records, roulette, run_folder

EXPERIMENT = run_tool.ROOT / "tests/live/run_honesty.yaml"


def verdict_of(run):
    return json.loads((run / "verdict.json").read_text())


class Honesty(unittest.TestCase):
    def test_silent_kill_and_floor(self):
        runs = fresh_runs("silent-kill")
        done = roulette("run", EXPERIMENT, "--runs", runs)
        verdict = verdict_of(run_folder(runs))
        self.assertEqual((done.returncode, verdict["verdict"]), (2, "inconclusive"), done.stderr)
        self.assertEqual(verdict["faults"]["fired"], 0)
        self.assertGreater(verdict["load"]["settled"], 0)
        reasons = verdict["reasons"]
        self.assertEqual(len(reasons), 2, reasons)
        fired = [r for r in reasons if "block_disconnected" in r and "did not fire" in r]
        floor = [r for r in reasons if r.startswith("floor:") and "100000" in r]
        self.assertEqual((len(fired), len(floor)), (1, 1), reasons)
        for reason in reasons:
            self.assertIn(reason, done.stderr)

    def test_unasked_exit(self):
        runs = fresh_runs("unasked-exit")
        with Tool(runs, "run", EXPERIMENT, "--runs", runs) as tool:
            run = tool.wait_load(runs)
            pid = next(r["pid"] for r in records(run / "work/tool-0.events.ndjson")
                       if r["event"] == "spawned" and r["name"] == "signer-1")
            self.assertIn(pid, children_of(tool.pid))
            os.kill(pid, signal.SIGKILL)
            code = tool.wait()
        verdict = verdict_of(run)
        self.assertEqual((code, verdict["verdict"]), (1, "fail"), tool.errors())
        self.assertIn("signer-1", verdict["reasons"][0])
        self.assertIn("unasked exit", verdict["reasons"][0])
        self.assertIn("signal 9", verdict["reasons"][0])

    def test_killed_tool(self):
        runs = fresh_runs("killed-tool")
        with Tool(runs, "run", EXPERIMENT, "--runs", runs) as tool:
            run = tool.wait_load(runs, answers=1)
            processes = children_of(tool.pid)
            self.assertEqual(len(processes), 8, "3 signers, 2 coordinators, ledger, etcd, node")
            self.assertEqual(len(alive(processes)), 8)
            tool.process.kill()
            self.assertEqual(tool.wait(), -signal.SIGKILL)
            run_tool.wait_gone(processes, "after the tool's SIGKILL")
        self.assertFalse((run / "verdict.json").exists())

    def interrupted(self, number):
        runs = fresh_runs(f"interrupted-{number.name}")
        with Tool(runs, "run", EXPERIMENT, "--runs", runs, "--duration", 60) as tool:
            run = tool.wait_load(runs, answers=1)
            processes = children_of(tool.pid)
            tool.process.send_signal(number)
            began = time.monotonic()
            code = tool.wait()
            took = time.monotonic() - began
            run_tool.wait_gone(processes, f"after {number.name}")
        verdict = verdict_of(run)
        self.assertEqual((code, verdict["verdict"]), (2, "inconclusive"), tool.errors())
        self.assertTrue(any(r.startswith("interrupted") for r in verdict["reasons"]),
                        verdict["reasons"])
        print(f"{number.name} to the end: {took:.1f} s")

    def test_sigint(self):
        self.interrupted(signal.SIGINT)

    def test_sigterm(self):
        self.interrupted(signal.SIGTERM)

    def test_record_cannot_be_written(self):
        # The limit makes write(2) fail as a full disk does; the signal that comes with it is
        # ignored here, and so in the tool.
        runs = fresh_runs("no-room")
        with Tool(runs, "run", EXPERIMENT, "--runs", runs, "--duration", 60,
                  restore_signals=False) as tool:
            run = tool.wait_load(runs)
            processes = children_of(tool.pid)
            size = (run / "history.ndjson").stat().st_size
            resource.prlimit(tool.pid, resource.RLIMIT_FSIZE, (size, size))
            code = tool.wait()
            run_tool.wait_gone(processes, "after the record could not be written")
        self.assertEqual(code, 2, tool.errors())
        self.assertIn("history.ndjson cannot be written", tool.errors())
        self.assertNotIn("\npass", tool.errors())

    def test_signal_during_start(self):
        for name, arguments in (("run", ["run", EXPERIMENT]), ("up", ["up", "--json"])):
            runs = fresh_runs(f"stopped-start-{name}")
            with Tool(runs, *arguments, "--runs", runs) as tool:
                processes = run_tool.wait_for(lambda t=tool: children_of(t.pid), 20, "a child")
                tool.process.send_signal(signal.SIGTERM)
                self.assertEqual(tool.wait(), 2, tool.errors())
                run_tool.wait_gone(processes, "after a SIGTERM while it started")
            self.assertIn("interrupted", tool.errors())
            self.assertEqual(tool.out_path.read_text(), "", "nothing was ready")
            self.assertFalse((run_folder(runs) / "history.ndjson").exists(), "load began")


if __name__ == "__main__":
    run_tool.main()
