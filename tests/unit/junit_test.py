#!/usr/bin/env python3
"""JUnit files by a schema, with a validator that is not ours (libxml2's xmllint).

  junit_test.py SMALL_BUNDLE ROULETTE

Invariant: what a run's bundle and a matrix hold is valid by junit.xsd and counts its own cases;
each rule of the schema is seen to bite.
"""
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import unittest
import xml.etree.ElementTree as xml

SCHEMA = pathlib.Path(__file__).resolve().parent / "junit.xsd"
SMALL_BUNDLE = ROULETTE = ""


def defects(text):
    """Empty for a valid file."""
    done = subprocess.run(["xmllint", "--noout", "--nonet", "--schema", str(SCHEMA), "-"],
                          input=text, text=True, capture_output=True, timeout=30)
    if done.returncode not in (0, 1, 3):  # 1: no XML, 3: not valid; others: it could not look
        raise RuntimeError(done.stderr)
    return "" if done.returncode == 0 else done.stderr


class JUnit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.holder.name)
        subprocess.run([SMALL_BUNDLE, cls.folder], check=True, capture_output=True, timeout=60)
        cls.files = {name: cls.of_bundle(cls.folder / (name + ".tar")) 
                     for name in ("pass", "fail", "open")}
        done = subprocess.run([ROULETTE, "matrix", "--sim", "--points", "signer.*", "--out",
                               cls.folder / "matrix"], capture_output=True, text=True, timeout=120)
        if done.returncode not in (0, 2):
            raise RuntimeError(done.stdout + done.stderr)
        cls.files["matrix"] = (cls.folder / "matrix/junit.xml").read_text()

    @classmethod
    def tearDownClass(cls):
        cls.holder.cleanup()

    @staticmethod
    def of_bundle(path):
        with tarfile.open(path) as archive:
            name = next(one for one in archive.getnames() if one.endswith("/junit.xml"))
            return archive.extractfile(name).read().decode()

    def test_the_files_are_valid_and_count_their_cases(self):
        outcomes = set()
        for name, text in self.files.items():
            self.assertEqual(defects(text), "", name)
            suites = xml.fromstring(text.encode()).findall("testsuite")
            self.assertGreater(len(suites), 2, name)
            for suite in suites:
                cases = suite.findall("testcase")
                outcomes |= {outcome.tag for case in cases for outcome in case}
                self.assertEqual(int(suite.get("tests")), len(cases))
                for told, tag in (("failures", "failure"), ("errors", "error"),
                                  ("skipped", "skipped")):
                    self.assertEqual(int(suite.get(told)),
                                     len([case for case in cases if case.find(tag) is not None]))
        self.assertLessEqual({"failure", "skipped"}, outcomes, "what is shown here shows little")

    def test_each_rule_bites(self):
        whole = self.files["fail"]
        case = whole[whole.index("<testcase"):whole.index("/>", whole.index("<testcase"))]
        for old, new in (
                ('failures="1"', 'failures="-1"'), ('errors="0"', 'errors="no"'),
                ('errors="0" ', ""), ('tests="15" ', ""),
                ('<testsuite name="faults"', "<testsuite"),
                ('name="faults"', 'name="invariants"'), ('name="faults"', 'name=""'),
                ("<failure ", "<failed "), ("<failure ", '<failure colour="red" '),
                (case, case + "/><skipped"), ('classname="verdict" ', ""),
                ('name="books-balance"', 'name="no-lost-withdrawal"'),
                ('name="books-balance"', 'name="books-balance" time="soon"'),
                ('name="books-balance"', 'name="books-balance" time="-1"'),
                ('name="books-balance"', 'name="books-balance" result="fine"'),
                ("<testsuites ", "<suites "), ("</testsuites>", "")):
            self.assertIn(old, whole)
            self.assertNotEqual(defects(whole.replace(old, new, 1)), "", f"{old} -> {new}")


if __name__ == "__main__":
    ROULETTE = sys.argv.pop(2)
    SMALL_BUNDLE = sys.argv.pop(1)
    unittest.main()
