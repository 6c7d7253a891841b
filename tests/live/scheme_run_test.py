"""A short run under kills with another scheme than frost, and what makes it that scheme's.

Invariant: the run's own verdict is not enough: the records must show the scheme that was asked
for, the sizes that it has, and payments that the node's blocks hold.

  scheme_run_test.py frost-tr | musig2 | single | hsm | vault-token
"""
import json
import pathlib
import shutil
import sys
import unittest

from run_tool import RUNS, records, roulette, run_folder, verify_by_both

HERE = pathlib.Path(__file__).parent
# version string, signers of a share's session, bytes of a nonce and of a share
SCHEMES = {
    "frost-tr": ("FROST-secp256k1-SHA256-TR-v1", 2, 66, 32),
    "musig2": ("BIP 327 1.0", 3, 66, 32),
    "single": ("BIP 340", 1, 0, 64),
    "hsm": ("ECDSA P2WPKH", 1, 0, 64),
    "vault-token": ("BIP 445 draft 0.12", 2, 66, 32),  # frost, its shares in tokens
}


def witness_items(raw):
    """The number of witness items of each input of a serialized transaction (BIP 144)."""
    data = bytes.fromhex(raw)
    at = 0

    def take(n):
        nonlocal at
        at += n
        return data[at - n:at]

    def count():
        first = take(1)[0]
        wide = {0xfd: 2, 0xfe: 4, 0xff: 8}.get(first)
        return int.from_bytes(take(wide), "little") if wide else first

    take(4)
    if take(2) != b"\x00\x01":
        return []
    inputs = count()
    for _ in range(inputs):
        take(36)
        take(count())
        take(4)
    for _ in range(count()):
        take(8)
        take(count())
    items = []
    for _ in range(inputs):
        items.append(count())
        for _ in range(items[-1]):
            take(count())
    return items


class SchemeRun(unittest.TestCase):
    scheme = ""

    def setUp(self):
        self.version, self.members, self.nonce, self.share = SCHEMES[self.scheme]
        runs = RUNS / f"scheme-{self.scheme}"
        shutil.rmtree(runs, ignore_errors=True)
        file = HERE / f"run_{self.scheme.replace('-', '_')}.yaml"
        done = roulette("run", file, "--runs", runs, timeout=170)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.folder = run_folder(runs)

    def test_run(self):
        verdict = json.loads((self.folder / "verdict.json").read_text())
        self.assertEqual(verdict["verdict"], "pass")
        self.assertEqual(json.loads((self.folder / "environment.json").read_text())["scheme"],
                         self.version)
        status = {one["id"]: one["status"] for one in verdict["invariants"]}
        reuse = "pass" if self.nonce else "not-exercised"
        self.assertEqual(status["nonce-never-reused"], reuse)
        events = list(records(self.folder / "events.ndjson"))
        shares = [e for e in events if e.get("event") == "share_received"]
        opened = [e for e in events if e.get("event") == "session_opened"]
        self.assertTrue(shares and opened)
        for event in shares:
            self.assertEqual(len(event["nonces"]), len(event["shares"]) if self.nonce else 0)
            self.assertTrue(all(len(n) == 2 * self.nonce for n in event["nonces"]))
            self.assertTrue(all(len(s) == 2 * self.share for s in event["shares"]))
        self.assertTrue(all(len(e["signers"]) == self.members for e in opened))
        paid = {t["txid"] for t in records(self.folder / "state/transactions.ndjson")}
        self.assertGreaterEqual(len(paid), 15)
        self.check_spends()
        verify_by_both(self, self.folder)  # the signature rules of this scheme, by unrelated code

    def check_spends(self):
        """Every payment spends coins of the scheme's kind, with a witness of that kind. That the
        node took them is in the verdict (chain-matches-ledger)."""
        prefix = "0014" if self.scheme == "hsm" else "5120"
        items = 2 if self.scheme == "hsm" else 1
        lines = list(records(self.folder / "state/transactions.ndjson"))
        for line in lines:
            self.assertTrue(all(p["script"].startswith(prefix) for p in line["prevouts"]))
            self.assertEqual(witness_items(line["hex"]), [items] * len(line["prevouts"]))


if __name__ == "__main__":
    SchemeRun.scheme = sys.argv.pop(1)
    unittest.main(verbosity=2)
