"""`roulette` as a child of a test: started, watched, signalled by pid, and its children with it.

Invariant: only processes started here, or named by a run's own records and seen to be children of
the tool, are signalled; nothing is looked up by name. Judges nothing: the tests do.
"""
import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = os.environ.get("ROULETTE", str(ROOT / "build/release/bin/roulette"))
RUNS = pathlib.Path(os.environ.get("ROULETTE_TEST_RUNS", str(ROOT / "build/live-runs")))
EXPERIMENT = ROOT / "tests/live/run_short.yaml"
GONE_WITHIN_S = 10


def fresh_runs(name):
    """An empty folder for the runs of one test; what an earlier run of the test left is removed."""
    folder = RUNS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def run_folder(runs):
    """The one run folder inside."""
    folders = [f for f in runs.iterdir() if f.is_dir()]
    assert len(folders) == 1, f"{len(folders)} run folders in {runs}"
    return folders[0]


def roulette(*arguments, timeout=120):
    return subprocess.run([TOOL, *map(str, arguments)], cwd=ROOT, text=True, capture_output=True,
                          timeout=timeout, stdin=subprocess.DEVNULL)


def records(path):
    """Lines of one of our NDJSON files, its header and a line still being written left out."""
    try:
        text = pathlib.Path(path).read_text()
    except FileNotFoundError:
        return []
    whole = text[:text.rfind("\n") + 1]
    return [json.loads(line) for line in whole.splitlines()[1:]]


SECRETS = {".key", ".share-key", ".pin", ".so-pin", ".object"}  # and the API's token


def secrets_of(run):
    """Every spelling in which a secret of a run might leak: bytes, hex, and a PEM file's lines."""
    for file in (run / "secrets").rglob("*"):
        if not file.is_file() or file.suffix not in SECRETS and file.name != "token":
            continue
        secret = file.read_bytes().strip()
        if secret.startswith(b"-----BEGIN"):
            yield from (line for line in secret.splitlines() if b"-----" not in line)
        else:
            yield from (secret, secret.hex().encode(), base64.b64encode(secret))


def verify_by_both(test, run):
    """The run's bundle by the tool and by Python alone, under the key that signed it; no secret of
    the run is in it."""
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, XDG_CONFIG_HOME=folder)
        bundle = pathlib.Path(folder) / "bundle.tar"

        def call(*words):
            done = subprocess.run([*map(str, words)], text=True, capture_output=True, timeout=100,
                                  env=environment, cwd=folder)
            test.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            return done.stdout
        call(TOOL, "key", "new")
        call(TOOL, "bundle", run, "--out", bundle)
        trust = re.search("SHA256:[0-9a-f]{64}", call(TOOL, "key", "show")).group()
        call(TOOL, "verify", bundle, "--trust", trust)
        began = time.monotonic()
        said = call(sys.executable, "-B", "-I", ROOT / "tools/verify_bundle.py", bundle, "--trust",
                    trust)
        print(f"Python alone took {time.monotonic() - began:.1f} s")
        test.assertIn("signed by the trusted key\nverdict stated: pass; money rules violated: 0\n",
                      said)
        archive = bundle.read_bytes()
        secrets = list(secrets_of(run))
        test.assertGreater(len(secrets), 8)
        for secret in secrets:
            test.assertGreaterEqual(len(secret), 16)
            test.assertNotIn(secret, archive)


def stat_of(pid):
    """(parent, state, start time) of a process, or None."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rfind(")") + 2:].split()
    return int(fields[1]), fields[0], fields[19]


def children_of(pid):
    """{pid: start time} of the direct children."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        stat = stat_of(int(entry))
        if stat and stat[0] == pid:
            found[int(entry)] = stat[2]
    return found


def alive(processes):
    """Those of {pid: start time} that still run; a number given to somebody else is not one."""
    left = []
    for pid, started in processes.items():
        stat = stat_of(pid)
        if stat and stat[2] == started and stat[1] not in "ZX":
            left.append(pid)
    return left


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return value


def wait_gone(processes, what):
    wait_for(lambda: not alive(processes), GONE_WITHIN_S, f"{what}: {alive(processes)} still run")


def client_signature(up, key, payment):
    """The header field by which the cluster's client asks for this payment."""
    client = up["client"]
    arguments = [TOOL, "client-signature", "--key-file", client["key_file"],
                 "--cluster", client["cluster_id"], "--client", client["name"],
                 "--idempotency-key", key, "--account", payment["account"],
                 "--address", payment["address"], "--amount-sat", str(payment["amount_sat"])]
    return subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=20,
                          stdin=subprocess.DEVNULL).stdout.strip()


class Tool:
    """A tool that runs meanwhile; leaving the block kills it, whatever happened inside."""

    def __init__(self, folder, *arguments, restore_signals=True):
        self.out_path, self.err_path = folder / "tool.out", folder / "tool.err"
        with open(self.out_path, "w") as out, open(self.err_path, "w") as err:
            self.process = subprocess.Popen([TOOL, *map(str, arguments)], cwd=ROOT, stdout=out,
                                            stderr=err, stdin=subprocess.DEVNULL,
                                            restore_signals=restore_signals)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def errors(self):
        return self.err_path.read_text()

    def ended(self):
        return self.process.poll() is not None

    def wait_load(self, runs, answers=5):
        """The run folder, once clients have had answers."""
        def answered():
            assert not self.ended(), self.errors()
            for folder in (f for f in runs.iterdir() if f.is_dir()):
                seen = [r for r in records(folder / "history.ndjson") if r["type"] == "answer"]
                if sum(r["status"] == 202 for r in seen) >= answers:
                    return folder
            return None
        return wait_for(answered, 60, "clients are answered")

    def wait(self, seconds=90):
        return self.process.wait(seconds)


def program(name):
    """argv prefix of a program of .deps, through its own loader where it has one."""
    deps = ROOT / ".deps"
    entry = json.loads((deps / "manifest.json").read_text())["programs"][name]
    path = str(deps / entry["path"])
    if "loader" not in entry:
        return [path]
    return [str(deps / entry["loader"]), "--library-path", str(deps / entry["library_path"]), path]


def api_request(up, path, body=None, key=None, coordinator=0, timeout=5):
    """(status, answer) of one request with the token of `up --json`; a body is signed as needed."""
    token = pathlib.Path(up["token_file"]).read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    if key:
        headers["Idempotency-Key"] = f'"{key}"'
        headers["Client-Signature"] = client_signature(up, key, body)
    request = urllib.request.Request(up["coordinators"][coordinator] + path,
                                     json.dumps(body).encode() if body else None, headers)
    with urllib.request.urlopen(request, timeout=timeout) as response:
        return response.status, json.load(response)


class NodeRpc:
    """JSON-RPC of a bitcoind by its cookie file; the cookie is read anew: a restart changes it."""

    def __init__(self, url, cookie):
        self.url, self.cookie = url, pathlib.Path(cookie)

    def call(self, method, *params):
        body = json.dumps({"id": 1, "method": method, "params": list(params)}).encode()
        token = base64.b64encode(self.cookie.read_bytes()).decode()
        request = urllib.request.Request(self.url, body, {"Authorization": f"Basic {token}"})
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)["result"]

    def payments(self):
        """{address: [amount in satoshi, one entry an output]} of the active chain from genesis."""
        paid = {}
        for height in range(self.call("getblockcount") + 1):
            block = self.call("getblock", self.call("getblockhash", height), 2)
            for output in (out for tx in block["tx"] for out in tx["vout"]):
                address = output["scriptPubKey"].get("address")
                if address:
                    paid.setdefault(address, []).append(round(output["value"] * 10**8))
        return paid


def main():
    unittest.main(verbosity=2)
