#!/usr/bin/env python3
"""The last line of tools/test counts what ctest wrote, and an unexpected skip cannot be green.

Invariant: each case is a result file in the form ctest writes it. Deliberately runs no ctest.
"""
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PASSED = '<testcase name="a" status="run"><system-out>ok</system-out></testcase>'
FAILED = '<testcase name="b" status="fail"><failure message=""/></testcase>'
NO_VECTORS = ('<testcase name="c" status="notrun">'
              '<skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>'
              '<system-out>skipped: no vectors</system-out></testcase>')
OTHER_SKIP = ('<testcase name="d" status="notrun"><skipped message="SKIP_RETURN_CODE=4"/>'
              '<system-out>skipped: no etcd</system-out></testcase>')
NOT_STARTED = ('<testcase name="e" status="notrun"><skipped message="Unable to find executable: x"'
               '/></testcase>')
DISABLED = '<testcase name="f" status="disabled"><skipped message="Disabled"/></testcase>'


def summary(cases, ctest_status=0, ci=""):
    """(exit status, last line) of tools/test_summary.py."""
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
        file.write("<testsuite>" + "".join(cases) + "</testsuite>")
        file.flush()
        done = subprocess.run(
            [sys.executable, os.path.join(ROOT, "tools", "test_summary.py"), file.name,
             str(ctest_status)],
            stdout=subprocess.PIPE, text=True, check=False, env={**os.environ, "CI": ci})
    return done.returncode, done.stdout.splitlines()[-1]


class SummaryTest(unittest.TestCase):
    def test_passes_and_allowed_skips_are_green(self):
        self.assertEqual(summary([PASSED, PASSED, NO_VECTORS], ci="true"),
                         (0, "2 passed, 0 failed, 1 skipped"))

    def test_a_failure_is_red(self):
        self.assertEqual(summary([PASSED, FAILED], 8), (1, "1 passed, 1 failed, 0 skipped"))

    def test_another_skip_is_red_under_ci_only(self):
        self.assertEqual(summary([PASSED, OTHER_SKIP], ci="true"),
                         (1, "1 passed, 1 failed, 0 skipped"))
        self.assertEqual(summary([PASSED, OTHER_SKIP]), (0, "1 passed, 0 failed, 1 skipped"))

    def test_what_could_not_start_or_is_disabled_counts_as_failed(self):
        self.assertEqual(summary([PASSED, NOT_STARTED, DISABLED]),
                         (1, "1 passed, 2 failed, 0 skipped"))

    def test_nothing_run_is_red(self):
        self.assertEqual(summary([]), (1, "0 passed, 0 failed, 0 skipped"))
        self.assertEqual(summary([NO_VECTORS]), (1, "0 passed, 0 failed, 1 skipped"))

    def test_a_ctest_that_failed_otherwise_is_red(self):
        self.assertEqual(summary([PASSED], 8), (1, "1 passed, 0 failed, 0 skipped"))

    def test_a_missing_result_file_is_red(self):
        done = subprocess.run(
            [sys.executable, os.path.join(ROOT, "tools", "test_summary.py"), "/nonexistent", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1]),
                         (1, "0 passed, 0 failed, 0 skipped"))


if __name__ == "__main__":
    unittest.main()
