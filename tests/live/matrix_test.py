"""Slices of the live kill matrix: every point of a signer, one cell each, but for those of
provisioning again, which no cluster of a matrix passes (chaos/plan/matrix.h); and some of them
where all signers sign, so that each is a refusal.

Invariant: the matrix is judged by its own files (matrix.json, junit.xml, faults.ndjson), and every
cell's fault is looked up in its cluster's record.
"""
import json
import pathlib
import unittest
import xml.etree.ElementTree

from run_tool import fresh_runs, records, roulette

LIMIT_S = 90


class Matrix(unittest.TestCase):
    def test_signer_points(self):
        points = [p["point"] for p in json.loads(roulette("killpoints", "--json").stdout)
                  if p["role"] == "signer" and p["subject"] != "reprovisioned"]
        folder = fresh_runs("matrix") / "signers"
        done = roulette("matrix", "--live", "--slice", "--points", "signer.*", "--out", folder,
                        "--json", timeout=2 * LIMIT_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        matrix = json.loads(done.stdout)
        self.assertEqual(matrix, json.loads((folder / "matrix.json").read_text()))
        self.assertEqual([c["point"] for c in matrix["list"]], points)
        self.assertEqual(matrix["exercised"], len(points))
        self.assertLessEqual(matrix["took_s"], LIMIT_S)
        for cell in matrix["list"]:
            self.check_fault(cell)
        cases = xml.etree.ElementTree.parse(folder / "junit.xml").iter("testcase")
        self.assertEqual(len(list(cases)), len(points))
        heat = (folder / "heatmap.txt").read_text()
        for point in points:
            self.assertIn(point, heat)

    def where_all_sign(self, scheme, glob, points):
        """One signer away is a lost quorum: new keys are refused until it is back."""
        folder = fresh_runs(f"matrix-{scheme}") / "signers"
        done = roulette("matrix", "--live", "--slice", "--scheme", scheme, "--points", glob,
                        "--out", folder, "--json", timeout=2 * LIMIT_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        matrix = json.loads(done.stdout)
        self.assertEqual([c["point"] for c in matrix["list"]], points)
        self.assertEqual((matrix["scheme"], matrix["exercised"]), (scheme, len(points)))
        for cell in matrix["list"]:
            self.assertEqual((cell["expected"], cell["scheme"]), ("refusal", scheme))
            self.check_fault(cell)
            verdict = json.loads((pathlib.Path(cell["life"]) / "verdict.json").read_text())
            invariants = verdict["invariants"]
            self.assertIn(("safe-refusal", "pass"), [(i["id"], i["status"]) for i in invariants])

    def test_hsm_sends(self):
        points = [p["point"] for p in json.loads(roulette("killpoints", "--json").stdout)
                  if p["role"] == "signer" and p["effect"] == "send"
                  and p["subject"] != "nonce_batch"]
        self.where_all_sign("hsm", "signer.send.*", points)

    def test_musig2_persists(self):
        self.where_all_sign("musig2", "signer.p*",
                            ["signer.persist.signing_record.before",
                             "signer.persist.signing_record.after", "signer.process.at_time"])

    def check_fault(self, cell):
        faults = records(pathlib.Path(cell["life"]) / "faults.ndjson")
        mine = [f for f in faults if f["fault_id"] == cell["fault_id"]]
        self.assertEqual([f["victim"] for f in mine], cell["struck"], cell)
        for fault in mine:
            self.assertEqual((fault["point"], fault["signal"]), (cell["point"], "SIGKILL"))
            self.assertTrue(fault["fired"] and fault["proven"], fault)
            self.assertEqual(fault["proof"]["wtermsig"], 9)
            self.assertEqual(fault["hit"] is None, cell["point"].endswith(".at_time"))

    def test_wrong_flags(self):
        self.assertEqual(roulette("matrix").returncode, 64)
        self.assertEqual(roulette("matrix", "--live", "--points", "signer.nowhere").returncode, 64)
        self.assertEqual(roulette("matrix", "--sim", "--scheme", "schnorr").returncode, 64)
        # Its signer has no nonces to send.
        no_such = roulette("matrix", "--live", "--scheme", "hsm", "--points", "*.nonce_batch.*")
        self.assertEqual(no_such.returncode, 64)


if __name__ == "__main__":
    unittest.main()
