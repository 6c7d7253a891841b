#!/usr/bin/env python3
"""Every run that the checkers' tests plant a lie in, judged by tools/verify_bundle.py as well.

  verify_planted_test.py TEST_CHECK    (the test program of chaos/check)

Invariant: two implementations that share no code say the same of each money rule and each planted
run: fail, pass, or cannot be judged; where they do not, the difference stands in KNOWN.
"""
import collections
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tools"))
import verify_bundle as auditor  # noqa: E402

# (test, rule) -> the checkers' word, the auditor's word; why.
A_BAD_WITNESS = ("pass", "fail")  # no node mines it, so the checkers verify the ledger's bytes only
NOTHING = ("inconclusive", "not-exercised")  # nothing was checked: no word for `pass` to either
NO_PLAN = ("inconclusive", "pass")  # how many coordinators there are stands in no record
KNOWN = {
    ("two outputs to one withdrawal in one transaction are a duplicate",
     "signing-policy-respected"): A_BAD_WITNESS,
    ("high S on the chain alone is other bytes than the ledger's",
     "signing-policy-respected"): A_BAD_WITNESS,
    ("a chain with other bytes than the ledger's is seen",
     "signing-policy-respected"): A_BAD_WITNESS,
    ("a run in which no key was used twice says nothing about keys",
     "idempotency-key-respected"): NOTHING,
    ("a request of an unknown kind or to an unknown coordinator is a defect",
     "no-duplicate-payment"): NO_PLAN,
    ("a request of an unknown kind or to an unknown coordinator is a defect",
     "no-lost-withdrawal"): NO_PLAN,
    ("a request of an unknown kind or to an unknown coordinator is a defect",
     "chain-matches-ledger"): NO_PLAN,
}
LEAST_RUNS, LEAST_FAILS = 200, 100  # of what the test program plants: not an empty comparison


class Folder(auditor.Archive):
    """A run's folder in place of an archive."""

    def __init__(self, path):
        self.path, self.run = path, "run"
        self.files = {str(file.relative_to(path)): (0, file.stat().st_size)
                      for file in path.rglob("*") if file.is_file()}

    def read(self, name):
        if name not in self.files:
            raise auditor.Unreadable(name + " is missing")
        return (self.path / name).read_bytes()

    def sha256(self, name):
        return hashlib.sha256(self.read(name)).hexdigest()

    def lines(self, name):
        lines = self.read(name).split(b"\n")
        yield from enumerate(lines[:-1], 1)
        if lines[-1] or len(lines) == 1:
            raise auditor.Unreadable("%s:%d: does not end with a line feed" % (name, len(lines)))


def word_of(check):
    if check.violations:
        return "fail"
    return "inconclusive" if check.open else "pass" if check.checked else "not-exercised"


def compare(folder, seen, used):
    """Differences of one run, for people."""
    archive, test = Folder(folder), (folder / "test").read_text()
    verdict = archive.json("verdict.json")
    stated = {one["id"]: one for one in verdict["invariants"]}
    run, report, out = auditor.Run(archive), auditor.Report(False), []
    for check in auditor.judgements(run):
        mine, theirs = word_of(check), stated[check.name]["status"]
        seen[mine] += 1
        if mine == theirs or theirs == "not-exercised" and mine == "pass" and not check.checked:
            continue
        if KNOWN.get((test, check.name)) == (theirs, mine):
            used.add((test, check.name))
            continue
        out.append("%s: %s: %s here, %s there: %s" % (
            test, check.name, mine, theirs, (check.violations + check.open +
                                             stated[check.name]["violations"])[:1]))
    auditor.check_weights(run, report, verdict)
    auditor.check_faults(run, report, verdict)
    return out + ["%s: %s" % (test, finding) for finding in report.findings]


def main(program):
    seen, used, out = collections.Counter(), set(), []
    with tempfile.TemporaryDirectory() as keep:
        subprocess.run([program], env=dict(os.environ, ROULETTE_KEEP_JUDGED=keep), timeout=120,
                       check=True, stdout=subprocess.DEVNULL)
        folders = sorted(pathlib.Path(keep).iterdir(), key=lambda path: int(path.name))
        for folder in folders:
            out += compare(folder, seen, used)
    out += ["no longer different: %s: %s" % known for known in sorted(set(KNOWN) - used)]
    if len(folders) < LEAST_RUNS or seen["fail"] < LEAST_FAILS:
        out.append("only %d runs and %d violations were compared" % (len(folders), seen["fail"]))
    print("\n".join(out))
    print("%d runs, %s" % (len(folders), dict(seen)))
    return 1 if out else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
