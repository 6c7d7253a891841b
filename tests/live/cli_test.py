"""The tool's words without a cluster: lists, refusals, exit codes, schedules.

Invariant: nothing here starts a process but the tool itself; a refusal names what is wrong, a
wrong file also the line.
"""
import fcntl
import json
import pathlib
import subprocess
import unittest

import run_tool
from run_tool import EXPERIMENT, fresh_runs, roulette

TEXT = EXPERIMENT.read_text()


class Cli(unittest.TestCase):
    def test_killpoints(self):
        done = roulette("killpoints", "--json")
        self.assertEqual(done.returncode, 0)
        points = json.loads(done.stdout)
        self.assertIsInstance(points, list)
        self.assertGreaterEqual(len(points), 40)
        self.assertEqual(len({p["point"] for p in points}), len(points), "each once")
        for point in points:
            self.assertEqual(set(point), {"point", "role", "effect", "subject", "when"})
            parts = [point["role"], point["effect"], point["subject"], point["when"]]
            self.assertEqual(point["point"], ".".join(part for part in parts if part))
        self.assertEqual(roulette("killpoints").stdout.split(), [p["point"] for p in points])

    def test_provisioning_wants_the_ledger(self):
        """A source whose journal went back shows in a replica's export only."""
        signer = pathlib.Path(run_tool.TOOL).parent / "roulette-signer"
        told = [signer, "reprovision", "--config", "none.json", "--previous-epoch", "1",
                "--from", "none.ndjson"]
        for more in ([], ["--ledger", "none.ndjson", "--without-ledger"]):
            done = subprocess.run(told + more, capture_output=True, text=True, timeout=20)
            self.assertEqual(done.returncode, 64, done.stderr)
            self.assertIn("--without-ledger", done.stderr)
        done = subprocess.run(told + ["--without-ledger"], capture_output=True, text=True,
                              timeout=20)
        self.assertNotIn("--without-ledger", done.stderr, "then its file is missing")
        self.assertNotEqual(done.returncode, 0)

    def refused(self, folder, name, old, new, words, after=""):
        """The file with `old` replaced is refused with 64, the line of the change and the words."""
        self.assertEqual(TEXT.count(old), 1, old)
        path = folder / f"{name}.yaml"
        path.write_text(TEXT.replace(old, new))
        marked = after or new
        line = next(i for i, text in enumerate(path.read_text().splitlines(), 1) if marked in text)
        done = roulette("run", path, "--runs", folder / "runs")
        self.assertEqual(done.returncode, 64, f"{name}: {done.stderr}")
        self.assertIn(f"{path}:{line}: ", done.stderr, name)
        self.assertIn(words, done.stderr, name)
        self.assertFalse((folder / "runs").exists(), f"{name}: a run folder was made")
        self.assertEqual(done.stdout, "")

    def test_wrong_files(self):
        folder = fresh_runs("wrong-files")
        self.refused(folder, "unknown key", "seed: 3", "sede: 3", "sede")
        self.refused(folder, "t > n", "threshold: 2", "threshold: 4", "threshold")
        self.refused(folder, "2t <= n", "signers: 3, threshold: 2", "signers: 4, threshold: 2",
                     "2t > n")
        self.refused(folder, "victims", "{role: ledger}, trigger: {at_ms: 6500}",
                         "{role: ledger, mode: fixed, value: 4}, trigger: {at_ms: 6500}",
                     "4 victims")
        self.refused(folder, "point", "signer.persist.signing_record.after",
                     "signer.persist.signing_record.afterwards", "unknown point")
        self.refused(folder, "invariant", "require: [no-duplicate-payment",
                     "require: [no-such-invariant", "no-such-invariant")
        self.refused(folder, "twice", "    seed: 3\n", "    seed: 3\n    seed: 4\n", "seed",
                     after="seed: 4")
        self.refused(folder, "type", "signers: 3", "signers: three", "three")
        missing = roulette("run", folder / "none.yaml", "--runs", folder / "runs")
        self.assertEqual(missing.returncode, 64)
        self.assertIn("none.yaml", missing.stderr)

    def test_suites(self):
        """A folder is a suite: checked whole before its first run, one row each at its end."""
        folder = fresh_runs("suite")
        (folder / "compare-schemes.yaml").write_text("for roulette compare")
        for name in ("first", "second"):
            (folder / f"{name}.yaml").write_text(TEXT)
        nothing = ["run", folder, "--etcd", "/nonexistent", "--runs", folder / "runs"]
        done = roulette(*nothing)
        self.assertEqual(done.returncode, 2, done.stderr)
        table = done.stderr[done.stderr.index("\nexperiment "):].split("\n")[2:]
        rows = [line.split()[:2] for line in table if line]
        self.assertEqual(rows, [["first.yaml", "none"], ["second.yaml", "none"]])
        (folder / "third.yaml").write_text(TEXT.replace("seed: 3", "sede: 3"))
        done = roulette(*nothing)
        self.assertEqual(done.returncode, 64, done.stderr)
        self.assertIn("sede", done.stderr)
        self.assertNotIn("/nonexistent", done.stderr, "the first one was tried all the same")
        shipped = run_tool.ROOT / "chaos" / "experiments"
        done = roulette("run", "--dry-run", shipped)
        self.assertEqual(done.returncode, 0, done.stderr)
        files = [f for f in shipped.glob("*.yaml") if not f.name.startswith("compare-")]
        self.assertEqual(done.stdout.count("schedule_hash "), len(files))

    def test_wrong_flags(self):
        for arguments in (["run"], ["run", EXPERIMENT, "--sede", 1], ["run", EXPERIMENT, "--seed",
                          "x"], ["spin"], [], ["killpoints", "--xml"], ["up", "--signers", "x"],
                          ["run", EXPERIMENT, "--duration", 3], ["run", EXPERIMENT, "--duration",
                          0], ["up", "--signers", 4, "--threshold", 2], ["up", "--signers", 2],
                          ["up", "--coordinators", 0], ["up", "--block-interval-ms", 0]):
            done = roulette(*arguments, timeout=20)
            self.assertEqual(done.returncode, 64, f"{arguments}: {done.stderr}")
            self.assertNotEqual(done.stderr, "", arguments)
            self.assertEqual(done.stdout, "", arguments)
        self.assertEqual(roulette("--help").returncode, 0)
        self.assertEqual(roulette("run", "--help").returncode, 0)
        self.assertEqual(roulette("version").returncode, 0)
        self.assertIn("roulette", json.loads(roulette("version", "--json").stdout))

    def test_init(self):
        file = fresh_runs("init") / "mine.yaml"
        done = roulette("init", file)
        self.assertEqual(done.returncode, 0, done.stderr)
        dry = roulette("run", file, "--dry-run")
        self.assertEqual(dry.returncode, 0, dry.stderr)
        file.write_text("mine")
        self.assertEqual(roulette("init", file).returncode, 64)
        self.assertEqual(file.read_text(), "mine")
        nowhere = roulette("init", file.parent / "no-folder" / "mine.yaml")
        self.assertEqual(nowhere.returncode, 2)
        self.assertIn("No such file", nowhere.stderr)

    def test_clean(self):
        runs = fresh_runs("clean")

        def run(number, verdict="pass", work=False):
            folder = runs / f"2026112{number}T000000Z-story-00a{number}"
            folder.mkdir()
            (folder / "events.ndjson").write_text("{}\n")
            (folder / "verdict.json").write_text(json.dumps({"verdict": verdict}))
            if work:
                (folder / "work").mkdir()
            return folder
        old, failed, used, newest = run(1), run(2, "fail"), run(3, work=True), run(4)
        other, empty = runs / "notes", runs / "20261121T000000Z-story-ffff"
        other.mkdir(), empty.mkdir()
        outside = fresh_runs("clean-outside")
        link = runs / "20261120T000000Z-story-0001"
        (outside / "events.ndjson").write_text("{}\n")
        link.symlink_to(outside)
        with open(used / "work/lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            said = roulette("clean", "--runs", runs, "--keep", 1)
            self.assertEqual(said.returncode, 0, said.stderr)
            self.assertIn("1 of 4 run folders", said.stdout)
            self.assertIn("nothing was deleted", said.stdout)
            self.assertTrue(old.exists())
            done = roulette("clean", "--runs", runs, "--keep", 1, "--yes")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual([f.exists() for f in (old, failed, used, newest)],
                             [False, True, True, True], done.stdout)
            self.assertIn("in use", done.stdout)
        done = roulette("clean", "--runs", runs, "--keep", 0, "--failed", "--yes")
        self.assertEqual([f.exists() for f in (failed, used, newest)], [False] * 3, done.stdout)
        self.assertTrue(other.exists() and empty.exists() and link.is_symlink())
        self.assertTrue((outside / "events.ndjson").exists())
        self.assertEqual(roulette("clean", "--runs", runs / "none").returncode, 2)

    def test_preflight(self):
        folder = fresh_runs("preflight")
        plain = folder / "plain-file"
        plain.write_text("")
        nowhere = pathlib.Path("/nonexistent")
        for command in (["run", EXPERIMENT], ["up"]):
            for flags, words in ((["--etcd", nowhere], "etcd"), (["--bitcoind", nowhere],
                                 "bitcoind"), (["--etcd", plain], "etcd")):
                runs = folder / "runs"
                done = roulette(*command, *flags, "--runs", runs)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(words, done.stderr)
                self.assertIn(str(flags[1]), done.stderr)
                self.assertFalse(runs.exists(), "a run folder was made before the pre-flight")
            for runs, named in ((plain / "inside", plain), ("/proc/nothing-here",) * 2):
                done = roulette(*command, "--runs", runs)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(str(named), done.stderr)
        for command in (["run", EXPERIMENT], ["up"]):
            done = roulette(*command, "--runs", "")
            self.assertEqual(done.returncode, 64, done.stderr)
            self.assertIn("--runs", done.stderr)
        self.assertEqual(roulette("judge", folder / "no-run").returncode, 2)
        self.assertEqual(roulette("doctor", "--runs", folder, "--etcd", nowhere).returncode, 2)
        done = roulette("doctor", "--runs", folder, "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["ready"]), (0, True))

    def test_schedules(self):
        shipped = run_tool.ROOT / "chaos/experiments/mid-round-kills.yaml"

        def schedule(*flags):
            done = roulette("run", shipped, "--dry-run", *flags)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout
        first = schedule()
        self.assertEqual(first, schedule())
        self.assertEqual(first, schedule("--seed", 7))
        digest = first.splitlines()[-1]
        self.assertRegex(digest, "^schedule_hash [0-9a-f]{64}$")
        self.assertEqual(len({schedule("--seed", n).splitlines()[-1] for n in range(1, 9)}), 8)


if __name__ == "__main__":
    run_tool.main()
