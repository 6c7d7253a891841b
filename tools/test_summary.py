#!/usr/bin/env python3
"""Counts a ctest result file and ends a test run: `N passed, N failed, N skipped` is the last line.

Invariant: the exit status is 0 only when ctest succeeded, at least one test passed and none failed.
A test that could not be started, or was disabled, is a failure and not a skip. With CI=true a skip
for any reason but missing vectors is a failure too. Deliberately trusts no printed text but the
reason of a skip.

  test_summary.py RESULT.xml CTEST_STATUS
"""
import os
import sys
import xml.etree.ElementTree as ElementTree

ALLOWED_SKIP = "skipped: no vectors"


def judge(path, strict):
    """(passed, failed, skipped, complaints) of one JUnit file as ctest writes it."""
    passed, failed, skipped, complaints = 0, 0, 0, []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name, status = case.get("name"), case.get("status")
        output = case.findtext("system-out") or ""
        skip = case.find("skipped")
        # ctest marks a test that it could not start as skipped as well; only SKIP_* properties are
        # true skips.
        if skip is not None and skip.get("message", "").startswith("SKIP_"):
            if strict and ALLOWED_SKIP not in output:
                failed += 1
                complaints.append(f"a skip other than ({ALLOWED_SKIP}): {name}")
            else:
                skipped += 1
        elif status == "run":
            passed += 1
        else:
            failed += 1
            complaints.append(f"{status}: {name}")
    return passed, failed, skipped, complaints


def main(path, ctest_status):
    strict = os.environ.get("CI", "") == "true"
    try:
        passed, failed, skipped, complaints = judge(path, strict)
    except (OSError, ElementTree.ParseError) as error:
        print(f"test: ctest left no result: {error}", file=sys.stderr)
        passed, failed, skipped, complaints = 0, 0, 0, []
    for complaint in complaints:
        print(complaint)
    sys.stdout.flush()
    good = ctest_status == 0 and failed == 0 and passed > 0
    if not good and failed == 0:
        print(f"ctest ended with status {ctest_status}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if good else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        sys.exit(64)
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
