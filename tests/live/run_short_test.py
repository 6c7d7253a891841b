"""One short run under kills: its verdict, its records, and two judges that share no code with us.

Invariant: `run` makes the run once and keeps it; the other commands read that run only and fail
when it is not there. The node of a finished run is gone, so its kept data folder is served again.

  run_short_test.py run | verdict | faults | npm | node | carried | doctored | explain | bundle |
                    report | evidence | stamp
"""
import base64
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

import run_tool
from run_tool import EXPERIMENT, RUNS, NodeRpc, program, records, roulette, run_folder

FOLDER = RUNS / "short"
INVARIANTS = [
    "no-duplicate-payment", "no-lost-withdrawal", "no-partial-transaction",
    "idempotency-key-respected", "no-conflicting-signature", "share-has-its-record",
    "nonce-never-reused", "signing-policy-respected", "quorum-continuity", "safe-refusal",
    "orderly-stop-finishes", "ledger-replicas-agree", "books-balance", "chain-matches-ledger",
    "limits-respected"]
SETTLE_DEPTH = 3


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def node_of(run):
    """The kept node serves again: yields (RPC, one call of bitcoin-cli)."""
    data, port = run / "work/bitcoind-0/data", free_port()
    cookie = data / "regtest/.cookie"
    cookie.unlink(missing_ok=True)
    common = ["-regtest", f"-datadir={data}", f"-rpcport={port}"]
    node = subprocess.Popen(
        program("bitcoind") + common +
        ["-server=1", "-listen=0", "-dnsseed=0", "-fixedseeds=0", "-rpcbind=127.0.0.1",
         "-rpcallowip=127.0.0.1/32", "-txindex=1", "-disablewallet=1", "-printtoconsole=0"],
        stdin=subprocess.DEVNULL)
    rpc = NodeRpc(f"http://127.0.0.1:{port}", cookie)

    def cli(*arguments):
        return json.loads(subprocess.run(program("bitcoin-cli") + common + list(arguments),
                                         check=True, text=True, capture_output=True).stdout)

    def indexed():
        assert node.poll() is None, "bitcoind ended"
        with contextlib.suppress(OSError):
            return rpc.call("getindexinfo")["txindex"]["synced"]
        return False
    try:
        run_tool.wait_for(indexed, 30, "the node serves its transactions")
        yield rpc, cli
    finally:
        node.terminate()
        try:
            node.wait(20)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()


def spellings_of(secret):
    """How a secret file's bytes could stand in a text: as they are, hex, base64, and the body of a
    PEM."""
    lines = [line for line in secret.split(b"\n") if line and not line.startswith(b"-----")]
    raw = secret.strip()
    return {raw, raw.hex().encode(), base64.b64encode(raw), *(x for x in lines if len(x) >= 16)}


class TimeStampAuthority:
    """A local RFC 3161 authority, by OpenSSL's own command."""
    CONFIG = """[tsa]
default_tsa = one
[one]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
ess_cert_id_alg = sha256
"""

    def __init__(self, folder):
        folder.mkdir()
        self.folder, self.certificate = folder, folder / "tsa.pem"
        (folder / "config").write_text(self.CONFIG.format(folder=folder))
        (folder / "serial").write_text("01\n")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-nodes", "-days", "2", "-subj", f"/CN=tsa {folder.name}",
                     "-addext", "extendedKeyUsage=critical,timeStamping",
                     "-keyout", folder / "key.pem", "-out", self.certificate)

    @staticmethod
    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True,
                       timeout=30, stdin=subprocess.DEVNULL)

    def stamp(self, data):
        asked, told, given = (self.folder / name for name in ("data", "query", "reply"))
        asked.write_bytes(data)
        self.openssl("ts", "-query", "-data", asked, "-sha256", "-cert", "-out", told)
        self.openssl("ts", "-reply", "-config", self.folder / "config", "-queryfile", told,
                     "-inkey", self.folder / "key.pem", "-signer", self.certificate,
                     "-out", given)
        return given.read_bytes()


class ShortRun(unittest.TestCase):
    def verdict(self):
        return json.loads((run_folder(FOLDER) / "verdict.json").read_text())

    def transactions(self):
        return records(run_folder(FOLDER) / "state/transactions.ndjson")

    def run_ends_pass(self):
        run_tool.fresh_runs("short")
        began = time.monotonic()
        done = roulette("run", EXPERIMENT, "--runs", FOLDER, "--keep", "--json", timeout=150)
        self.assertEqual(done.returncode, 0, done.stderr)
        verdict = self.verdict()
        self.assertEqual(json.loads(done.stdout), verdict, "stdout is the verdict and nothing else")
        self.assertIn(str(run_folder(FOLDER)), done.stderr)
        print(f"run and verdict took {time.monotonic() - began:.0f} s")
        for member in (run_folder(FOLDER) / "work").iterdir():
            if member.name.startswith("etcd-"):
                shutil.rmtree(member)  # 60 MB each, and no test reads them

    def verdict_is_whole(self):
        verdict = self.verdict()
        self.assertEqual((verdict["verdict"], verdict["reasons"]), ("pass", []))
        self.assertEqual([i["id"] for i in verdict["invariants"]], INVARIANTS)
        for invariant in verdict["invariants"]:
            self.assertEqual(invariant["violations"], [], invariant)
            self.assertIn(invariant["status"], ("pass", "not-exercised", "inconclusive"))
            if invariant["status"] == "pass":
                self.assertGreater(invariant["checked"], 0, invariant)
        self.assertEqual(verdict["seed"], 3)
        self.assertRegex(verdict["schedule_hash"], "^[0-9a-f]{64}$")
        dry = roulette("run", EXPERIMENT, "--dry-run").stdout
        self.assertIn(verdict["schedule_hash"], dry)
        load = verdict["load"]
        self.assertGreaterEqual(load["settled"], 20)
        self.assertEqual(load["indeterminate"], 0)
        self.assertEqual(
            sorted(load), ["acknowledged", "indeterminate", "refused", "rejected", "requested",
                           "settled"])
        for what in ("signing", "withdrawal"):
            for when in ("undisturbed", "disturbed"):
                figures = verdict["latency_ms"][what][when]
                self.assertGreater(figures["n"], 0)
                self.assertLessEqual(figures["p50"], figures["p95"])
                self.assertLessEqual(figures["p95"], figures["p99"])
                self.assertLessEqual(figures["p99"], figures["max"])
        for role in ("signer", "coordinator", "ledger", "bitcoind"):
            self.assertGreater(verdict["recovery_ms"][role]["n"], 0, role)
            self.assertGreater(verdict["memory_mb"][role], 0, role)
        self.assertGreater(verdict["memory_mb"]["etcd"], 0)
        self.assertTrue(0 < verdict["availability"] <= 1, verdict["availability"])

    def bundle_is_an_auditors(self):
        run = run_folder(FOLDER)
        with tempfile.TemporaryDirectory() as folder:
            home = pathlib.Path(folder)
            key, bundle = home / "operator.pem", home / "bundle.tar"

            def tool(*arguments, code=0):
                done = roulette(*arguments)
                self.assertEqual(done.returncode, code, done.stdout + done.stderr)
                return done.stdout

            fingerprint = tool("key", "new", "--key", key).split()[1]
            self.assertEqual(tool("bundle", run, "--key", key, "--out", bundle).strip(),
                             str(bundle))
            found = json.loads(tool("verify", bundle, "--json"))
            self.assertEqual((found["consistent"], found["pinned"], found["verdict"]),
                             (True, False, "pass"))
            self.assertRegex(found["run_identity"], "^[0-9a-f]{64}$",
                             "the cluster's own key signed its records")
            self.assertTrue(json.loads(tool("verify", bundle, "--trust", fingerprint,
                                            "--json"))["pinned"])
            self.assertIn("NOT AUTHENTIC", tool("verify", bundle, "--trust", "SHA256:" + "0" * 64,
                                                code=1))
            text = bundle.read_bytes()
            secrets = [path for path in (run / "secrets").iterdir() if path.suffix != ".pem"]
            self.assertGreater(len(secrets), 5)
            for path in secrets + [key]:
                for spelling in spellings_of(path.read_bytes()):
                    self.assertNotIn(spelling, text, f"{path.name} is in the bundle")

    def a_time_stamp_is_checked(self):
        run = run_folder(FOLDER)
        with tempfile.TemporaryDirectory() as folder:
            home = pathlib.Path(folder)
            key, bundle, stamped = home / "operator.pem", home / "b.tar", home / "stamped.tar"
            self.assertEqual(roulette("key", "new", "--key", key).returncode, 0)
            self.assertEqual(roulette("bundle", run, "--key", key, "--out", bundle).returncode, 0)
            with tarfile.open(bundle) as archive:
                envelope = archive.extractfile(f"{run.name}/statement.dsse.json").read()
            ours, other = (TimeStampAuthority(home / name) for name in ("ours", "other"))
            token = home / "statement.tsr"
            token.write_bytes(ours.stamp(envelope))
            done = roulette("bundle", run, "--key", key, "--out", stamped, "--time-stamp", token)
            self.assertEqual(done.returncode, 0, done.stderr)

            def verified(file, *flags, code=0):
                done = roulette("verify", file, *flags)
                self.assertEqual(done.returncode, code, done.stdout + done.stderr)
                return done.stdout

            by_python = subprocess.run([sys.executable, run_tool.ROOT / "tools/verify_bundle.py",
                                        stamped], text=True, capture_output=True, timeout=50)
            self.assertEqual(by_python.returncode, 0, by_python.stdout + by_python.stderr)
            self.assertRegex(by_python.stdout, "not checked here: .*statement.tsr")
            self.assertRegex(verified(stamped), "time stamp: [0-9]{14}.*Z, authority not pinned")
            self.assertRegex(verified(stamped, "--tsa", ours.certificate), "time stamp: [0-9.]+Z\n")
            self.assertIn("by the trusted authority",
                          verified(stamped, "--tsa", other.certificate, code=1))
            for flag in ("--trust", "--tsa"):  # as a script with an unset variable has it
                done = roulette("verify", stamped, flag, "")
                self.assertEqual(done.returncode, 64, done.stdout)
            self.assertIn("statement.tsr is missing",
                          verified(bundle, "--tsa", ours.certificate, code=1))
            year = time.strftime("%Y").encode()
            self.assertIn(b"\x18\x0f" + year, token.read_bytes(), "the token's own time")
            token.write_bytes(token.read_bytes().replace(b"\x18\x0f" + year, b"\x18\x0f2019"))
            done = roulette("bundle", run, "--key", key, "--out", stamped, "--time-stamp", token)
            self.assertEqual(done.returncode, 64)
            self.assertIn("its signature is not that of the certificate in it", done.stderr)
            token.write_bytes(ours.stamp(envelope + b" "))
            done = roulette("bundle", run, "--key", key, "--out", stamped, "--time-stamp", token)
            self.assertEqual(done.returncode, 64)
            self.assertIn("no token for this envelope", done.stderr)

    def report_is_complete(self):
        run = run_folder(FOLDER)
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / run.name
            shutil.copytree(run, copy, ignore=shutil.ignore_patterns("work", "secrets"))
            done = roulette("report", copy)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stdout.strip(), str(copy / "report.html"))
            self.assertEqual(sorted(p.name for p in copy.glob("report.html*")), ["report.html"])
            page = (copy / "report.html").read_text()
            self.page_stands_alone(page)
            verdict = self.verdict()
            self.assertIn(f"<b>{verdict['load']['settled']:,}</b>withdrawals settled", page)
            self.assertIn("<b>Paid twice: no. Acknowledged and lost: no.</b>", page)
            for invariant in verdict["invariants"]:
                self.assertIn(f'id="invariant-{invariant["id"]}"', page)
            for fault in records(run / "faults.ndjson"):
                self.assertIn(f'id="fault-{fault["fault_id"]}"', page)
            phases = "before the first fault|under faults|after the last fault was over"
            rows = re.findall(f">({phases})</td><td[^>]*>([0-9,]+)<", page)
            self.assertEqual(len(rows), 3, rows)
            signed = sum(int(n.replace(",", "")) for _, n in rows)
            self.assertLessEqual(signed, verdict["load"]["acknowledged"])
            self.assertGreaterEqual(signed, verdict["load"]["settled"])
            self.bundle_holds_the_report(copy, page, pathlib.Path(folder))
            self.report_cites_other_runs(copy, pathlib.Path(folder))

    def page_stands_alone(self, page):
        """Complete without JavaScript and without a network."""
        static = page[:page.index('<script type="application/json"')]
        self.assertEqual(static.count("<svg"), 3, "a chart each, drawn already")
        targets = set(re.findall(r' id="([^"]+)"', static))
        links = re.findall(r'href="#([^"]+)"', static)
        self.assertGreater(len(links), 16)
        self.assertEqual([link for link in links if link not in targets], [])
        self.assertEqual(re.findall(r'(?:src|href)="(?!#)[^"]*"', static), [])
        self.assertIn("What is not claimed", static)

    def report_cites_other_runs(self, copy, home):
        """A matrix of the simulator, made here; what no tool wrote is refused before it is kept."""
        cells = home / "cells"
        done = roulette("matrix", "--sim", "--points", "signer.persist.*", "--out", cells)
        self.assertIn(done.returncode, (0, 2), done.stdout + done.stderr)
        matrix = json.loads((cells / "matrix.json").read_text())
        broken = home / "broken.json"
        broken.write_text(json.dumps(dict(matrix, exercised=matrix["exercised"] + 1)))
        done = roulette("report", copy, "--matrix", broken)
        self.assertEqual(done.returncode, 64)
        self.assertIn("attached/matrix.json: exercised: ", done.stderr)
        self.assertFalse((copy / "attached").exists())
        done = roulette("report", copy, "--matrix", cells / "matrix.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        page = (copy / "report.html").read_text()
        static = page[:page.index('<script type="application/json"')]
        self.assertEqual(static.count("<svg"), 4)
        self.assertIn("A matrix of the simulator", static)
        self.assertIn("Not of this run.", static)
        self.assertIn(f"{matrix['cells']} cells: {matrix['exercised']} exercised", static)
        for cell in matrix["list"]:
            self.assertIn(f"<code>{cell['point']}</code>", static)
        bundle, key = home / "bundle.tar", home / "operator.pem"
        self.assertEqual(roulette("bundle", copy, "--key", key, "--out", bundle).returncode, 0)
        self.assertEqual(roulette("verify", bundle).returncode, 0)
        with tarfile.open(bundle) as archive:
            kept = archive.extractfile(f"{copy.name}/attached/matrix.json").read()
        self.assertEqual(kept, (cells / "matrix.json").read_bytes())

    def bundle_holds_the_report(self, copy, page, home):
        key, bundle = home / "operator.pem", home / "bundle.tar"
        self.assertEqual(roulette("key", "new", "--key", key).returncode, 0)
        self.assertEqual(roulette("bundle", copy, "--key", key, "--out", bundle).returncode, 0)
        self.assertEqual(roulette("verify", bundle).returncode, 0)
        settled = '"settled":' + str(self.verdict()["load"]["settled"])
        self.assertIn(settled, page)
        (copy / "report.html").write_text(page.replace(settled, '"settled":999999'))
        done = roulette("bundle", copy, "--key", key, "--out", bundle)
        self.assertEqual(done.returncode, 2)
        self.assertIn("report.html is of other records", done.stderr)

    def faults_are_proven(self):
        run = run_folder(FOLDER)
        faults = records(run / "faults.ndjson")
        self.assertEqual(self.verdict()["faults"]["requested"], len(faults))
        self.assertEqual(sorted(f["signal"] for f in faults),
                         ["SIGKILL"] * 6 + ["SIGSTOP", "SIGTERM"])
        for fault in faults:
            proof = fault["proof"]
            self.assertTrue(fault["fired"] and fault["proven"], fault)
            self.assertEqual(proof["send_result"], 0)
            self.assertEqual(fault["hit"] is not None, fault["trigger"] == "point")
            if fault["signal"] == "SIGKILL":
                self.assertEqual(proof["wtermsig"], 9)
            elif fault["signal"] == "SIGTERM":
                self.assertTrue(proof["shutdown_started"] and proof["exit_code"] == 0, proof)
            else:
                self.assertTrue(proof["stopped"] and proof["continued"], proof)
        (put_back,) = [f for f in faults if f["recover"] == "rolled-back"]
        told = [e for e in records(run / "events.ndjson") if e["event"] == "signer_quarantined"]
        self.assertEqual({e["signer"] for e in told}, {put_back["victim"]})
        self.assertIsNone(put_back["ready_us"])
        before = f"state/{put_back['victim']}.before-{put_back['fault_id']}.ndjson"
        self.assertGreater(len(records(run / before)),
                           len(records(run / f"state/{put_back['victim']}.ndjson")))
        # What is promised of a run folder, and nothing secret outside secrets/.
        for name in ("experiment.yaml", "environment.json", "history.ndjson", "events.ndjson"):
            self.assertGreater((run / name).stat().st_size, 0, name)
        self.assertEqual((run / "experiment.yaml").read_text(), EXPERIMENT.read_text())
        self.assertEqual((run / "secrets").stat().st_mode & 0o777, 0o700)
        keys = [f for f in (run / "secrets").iterdir() if f.suffix != ".pem"]
        self.assertGreaterEqual(len(keys), 3 + 2 + 3 + 3 + 1, "TLS keys, share keys, token")
        for secret in keys:
            self.assertEqual(secret.stat().st_mode & 0o077, 0, secret)

    def npm_judges_the_transactions(self):
        judge = run_tool.ROOT / "tests/npm/judge_transactions.mjs"
        path = run_folder(FOLDER) / "state/transactions.ndjson"
        done = subprocess.run(["node", judge, path], text=True, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        judged = json.loads(done.stdout)
        self.assertGreaterEqual(judged["transactions"], 20)
        self.assertEqual(judged["failures"], [])
        self.assertEqual(judged["transactions"], len(self.transactions()))

    def node_agrees(self):
        acknowledged = {r["id"] for r in records(run_folder(FOLDER) / "history.ndjson")
                        if r["type"] == "answer" and r["status"] == 202}
        transactions = self.transactions()
        self.assertGreaterEqual({t["withdrawal_id"] for t in transactions}, acknowledged)
        with node_of(run_folder(FOLDER)) as (rpc, cli):
            paid = rpc.payments()
            for record in transactions:
                tx = cli("getrawtransaction", record["txid"], "true")
                self.assertEqual(tx["hex"], record["hex"])
                self.assertGreaterEqual(tx["confirmations"], SETTLE_DEPTH, record)
                self.assertIn(record["txid"], cli("getblock", tx["blockhash"], "1")["tx"])
                self.assertEqual(paid.get(record["address"]), [record["amount_sat"]], record)
            chain = records(run_folder(FOLDER) / "state/chain.ndjson")
            self.assertEqual(len(chain), rpc.call("getblockcount") + 1)
            self.assertEqual(chain[-1]["hash"], rpc.call("getbestblockhash"))

    def carried_into_the_simulator(self):
        out = FOLDER.parent / "carried"
        done = roulette("sim", "--from-run", run_folder(FOLDER), "--out", out)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr)
        schedule = json.loads((out / "carried.json").read_text())
        fired = [r for r in records(run_folder(FOLDER) / "faults.ndjson") if r["fired"]]
        left = [line for line in done.stderr.splitlines() if line.startswith("not carried: ")]
        self.assertEqual(len(schedule["faults"]) + len(left), len(fired), done.stderr)
        self.assertGreaterEqual(len(schedule["faults"]), 4, done.stderr)
        self.assertTrue(any("point=persist.signing_record" in f for f in schedule["faults"]))
        for kind in ("kill_node", "wipe", "roll_back"):
            self.assertTrue(any(f.startswith(kind + " at=") for f in schedule["faults"]), kind)
        self.assertEqual(schedule["options"]["signers"], "3")
        self.assertIn("✖ down", done.stdout)

    def doctored_records_do_not_pass(self):
        done = subprocess.run([run_tool.ROOT / "tools/check-evidence", run_folder(FOLDER),
                               "--tool", os.environ["ROULETTE"], "--sample", "60"],
                              text=True, capture_output=True, timeout=110)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(done.stdout.startswith("60 changes: "), done.stdout)

    def explained(self):
        """What passed has nothing against it; a lie is told as the story of its payment."""
        run = run_folder(FOLDER)
        done = roulette("explain", run)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Nothing speaks against it", done.stdout)
        with tempfile.TemporaryDirectory() as folder:
            lied = pathlib.Path(folder) / "lied"
            shutil.copytree(run, lied, ignore=shutil.ignore_patterns("work", "secrets"))
            history = (lied / "history.ndjson").read_text().splitlines(keepends=True)
            at = next(i for i, line in enumerate(history) if '"type":"key"' in line)
            key = json.loads(history[at])
            lie = dict(key, amount_sat=key["amount_sat"] + 1)
            history[at] = json.dumps(lie, sort_keys=True, separators=(",", ":")) + "\n"
            (lied / "history.ndjson").write_text("".join(history))
            done = roulette("explain", lied, "--json")
            self.assertEqual(done.returncode, 0, done.stderr)
            told = json.loads(done.stdout)
        self.assertNotEqual(told["verdict"], "pass")
        self.assertIn(key["key"], told["violation"])
        words = [moment["text"].split()[0] for moment in told["story"]]
        for what in ("key", "invoke", "answer", "session_opened", "share_released", "aggregated",
                     "signed_applied", "broadcast"):
            self.assertIn(what, words)
        self.assertEqual(told["story"], sorted(told["story"], key=lambda moment: moment["t_us"]))
        self.assertTrue({m["process"].split("-")[0] for m in told["story"]} >=
                        {"client", "coordinator", "signer"})

    def evidence_is_verified_by_both(self):
        run_tool.verify_by_both(self, run_folder(FOLDER))


CASES = {"run": "run_ends_pass", "verdict": "verdict_is_whole", "faults": "faults_are_proven",
         "npm": "npm_judges_the_transactions", "node": "node_agrees",
         "carried": "carried_into_the_simulator",
         "doctored": "doctored_records_do_not_pass", "explain": "explained",
         "bundle": "bundle_is_an_auditors", "report": "report_is_complete",
         "evidence": "evidence_is_verified_by_both", "stamp": "a_time_stamp_is_checked"}

if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] not in CASES:
        sys.exit(__doc__)
    chosen = sys.argv[1:] or list(CASES)
    suite = unittest.TestSuite(ShortRun(CASES[name]) for name in chosen)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)
