"""`roulette deploy`: each machine gets what its processes read, and nobody else's secrets.

Invariant: starts no cluster; what the files say is compared with each other, not with the code.
tools/three-hosts runs such a cluster.
"""
import json
import pathlib
import subprocess
import unittest

import run_tool
from membership_test import first_port as free_base
from run_tool import fresh_runs, roulette

HOSTS = ["10.99.0.1", "10.99.0.2", "10.99.0.3"]
COUNTS = {"signer": 5, "ledger": 3, "coordinator": 3, "etcd": 3, "bitcoind": 2}
OWN = ("key.pem", "share.key", "share.sealed", "etcd-key.pem")  # of one process alone
SHARED = {"token", "node-login", "bitcoin.conf"}  # of the coordinators; of the nodes


class Deploy(unittest.TestCase):
    def test_files(self):
        out = fresh_runs("deploy") / "out"
        done = roulette("deploy", out, "--hosts", ",".join(HOSTS))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("note:", done.stderr, "no machine has more than n-t signers")
        self.assertEqual({f.name for f in out.iterdir()}, {"hosts", "authority", "client"})
        folders = {f.name: f for host in (out / "hosts").iterdir() for f in host.iterdir()}
        self.assertEqual(set(folders), {f"{role}-{i}" for role, n in COUNTS.items()
                                        for i in range(n)})
        seen, listeners = {}, []
        for name, folder in folders.items():
            role, index = name.rsplit("-", 1)
            self.assertEqual(folder.parent.name, HOSTS[int(index) % len(HOSTS)], name)
            for file in folder.iterdir():
                if file.name in OWN:
                    self.assertNotIn(file.read_bytes(), seen.values(), f"{name}/{file.name}")
                    seen[name, file.name] = file.read_bytes()
                if file.name in OWN and file.name != "share.sealed" or file.name in SHARED:
                    self.assertEqual(file.stat().st_mode & 0o077, 0, f"{name}/{file.name}")
            if (folder / "command").exists():
                self.assertTrue((folder / "command").stat().st_mode & 0o100)
                continue
            config = json.loads((folder / "config.json").read_text())
            self.assertEqual(config["folder"], f"/var/lib/roulette/{name}")
            listeners += [config["listen"], config["http"]]
            self.assertTrue(config["listen"].startswith(folder.parent.name + ":"))
            for key in ("ca", "cert", "key", "group", "clients", "share", "share_key", "token",
                        "etcd_ca", "etcd_cert", "etcd_key"):
                if key in config:
                    self.assertTrue((folder / config[key]).is_file(), f"{name}: {key}")
            if role == "ledger":
                self.assertTrue(all(url.startswith("https://") for url in config["etcd"]))
        self.assertEqual(len(listeners), len(set(listeners)))
        text = b"".join(f.read_bytes() for f in (out / "hosts").rglob("*") if f.is_file())
        for secret in ("authority/ca.key", "authority/etcd/ca.key", "client/client.pem"):
            line = (out / secret).read_bytes().splitlines()[1]
            self.assertNotIn(line, text, f"{secret} belongs to no machine of the cluster")
        self.assertEqual(sum(b"-----BEGIN" in kept for kept in seen.values()), 5 + 3 + 3 + 3 + 3)

    def test_ledger_settings(self):
        """What a ledger says of an etcd that it cannot be told of so."""
        runs = fresh_runs("deploy-ledger")
        out = runs / "out"
        done = roulette("deploy", out, "--hosts", "127.0.0.1,127.0.0.2", "--first-port",
                        free_base(), "--state-dir", runs / "state")
        self.assertEqual(done.returncode, 0, done.stderr)
        file = out / "hosts/127.0.0.1/ledger-0/config.json"
        config = json.loads(file.read_text())
        bare = [url.replace("https://", "") for url in config["etcd"]]
        for code, changes, words in [
                (64, {"etcd": config["etcd"][:1] + bare[1:]}, ["etcd", "mixes http and https"]),
                (64, {"etcd": ["https://user:word@h:1"]}, ["etcd", "neither ADDRESS:PORT nor"]),
                (64, {"etcd": []}, ["etcd", "is empty"]),
                (64, {"etcd_ca": None}, ["etcd_ca", "whom to trust"]),
                (64, {"etcd_key": None}, ["etcd_cert", "go together"]),
                (64, {"etcd": bare}, ["etcd_ca", "no meaning without https"]),
                (2, {"etcd_ca": "none.pem"}, ["none.pem", "no certificate of an authority"]),
                (2, {"etcd_key": "key.pem"}, ["key.pem: no key of"]),
                (2, {"etcd": ["https://two..dots:1"]}, ["two..dots", "no IPv4 address"])]:
            changed = {**config, **changes}
            file.write_text(json.dumps({k: v for k, v in changed.items() if v is not None}))
            program = pathlib.Path(run_tool.TOOL).resolve().parent / "roulette-ledger"
            done = subprocess.run([program, "--config", file], text=True, capture_output=True,
                                  timeout=20, stdin=subprocess.DEVNULL)
            self.assertEqual(done.returncode, code, (changes, done.stderr))
            for word in words:
                self.assertIn(word, done.stderr, changes)

    def test_refusals(self):
        runs = fresh_runs("deploy-refused")
        out, hosts = runs / "out", ",".join(HOSTS)
        for flags, words in [
                (["--hosts", "10.0.0.1"], "2 to"),
                (["--hosts", "10.0.0.1,10.0.0.1"], "twice"),
                (["--hosts", "10.0.0.1,host-b"], "host-b"),
                (["--hosts", hosts, "--operator", "desk"], "desk"),
                (["--hosts", hosts, "--scheme", "hsm"], "token"),
                (["--hosts", hosts, "--signers", 6, "--threshold", 3], "2t > n"),
                (["--hosts", hosts, "--state-dir", "var"], "absolute"),
                (["--hosts", hosts, "--first-port", 80], "--first-port")]:
            done = roulette("deploy", out, *flags)
            self.assertEqual(done.returncode, 64, done.stderr)
            self.assertIn(words, done.stderr)
            self.assertFalse(out.exists())
        out.mkdir()
        done = roulette("deploy", out, "--hosts", hosts)
        self.assertEqual(done.returncode, 64)
        self.assertIn("nothing is written over", done.stderr)
        done = roulette("deploy", runs / "three", "--hosts", hosts, "--signers", 3, "--threshold",
                        3)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("without it nothing is signed", done.stderr)


if __name__ == "__main__":
    run_tool.main()
