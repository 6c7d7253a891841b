"""`roulette deploy`: each machine gets what its processes read, and nobody else's secrets.

Invariant: starts no cluster; what the files say is compared with each other, not with the code.
tools/three-hosts runs such a cluster.
"""
import json
import unittest

import run_tool
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
