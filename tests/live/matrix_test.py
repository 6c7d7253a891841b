"""A slice of the live kill matrix: every point of a signer, one cell each, but for those of
provisioning again, which no cluster of a matrix passes (chaos/plan/matrix.h).

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


if __name__ == "__main__":
    unittest.main()
