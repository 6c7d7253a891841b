"""A hostile peer at every port of a running cluster, while clients pay.

Shows: rubbish, wrong certificates, wrong frames, slow senders, broken requests and thousands of
connections end with the attacker's connection; every process stays the one it was, is ready, gives
its descriptors and memory back, and payments go on. `hostile_test.py Hostile.test_floods` takes the
number of connections from ROULETTE_FLOOD (10,000 unless that says less).
Invariant: an attack that was not answered as its row says fails; what closes late is told by name.
"""
import contextlib
import os
import re
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import pathlib

import hostile_peer
import run_tool
from hostile_peer import MAX_FRAME, attack, frame, greeting
from paying_cluster import PATIENCE_S, PayingCluster

SIGNERS, LEDGERS, COORDINATORS = 3, 3, 2
PROCESSES = [f"{role}-{i}" for role, count in (("signer", SIGNERS), ("ledger", LEDGERS),
                                               ("coordinator", COORDINATORS)) for i in range(count)]
# The tool's own certificate: one more coordinator's, which nobody else uses.
STRANGER = COORDINATORS
TOLERATED_DESCRIPTORS = 12  # peers that connect anew, a client's connection or two
TOLERATED_KIB = 24 * 1024   # of growth: caches, journals' pages, the buffers of the attack
FLOOD = int(os.environ.get("ROULETTE_FLOOD", "10000"))
SPARE_DESCRIPTORS = 10
MOST_CPU_SHARE = 0.7  # of one core, while idle connections wait for descriptors: no spinning
END = b"\r\n\r\n"
GET = b"GET /readyz HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /v1/withdrawals HTTP/1.1\r\nHost: x\r\n"


def dribble(data):
    return (data[i:i + 1] for i in range(len(data)))


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=30)


def other_authority(folder, cluster):
    """Files of a certificate that says everything right, by an authority that nobody trusts."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj",
            f"/CN={cluster} authority", "-days", "2")
    openssl(folder, "req", *key, "-keyout", "c.key", "-out", "c.csr", "-subj", "/CN=coordinator-0")
    (folder / "ext").write_text(
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
        "extendedKeyUsage=serverAuth,clientAuth\n"
        f"subjectAltName=critical,URI:roulette://{cluster}/coordinator/0\n")
    openssl(folder, "x509", "-req", "-in", "c.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", "ext", "-out", "c.pem")
    return folder / "c.pem", folder / "c.key"


class Hostile(unittest.TestCase):
    def cluster(self, name):
        return PayingCluster(self, name)

    def facts(self):
        """{process: (pid, descriptors, resident KiB)}"""
        found = {}
        for name in PROCESSES:
            pid = self.c.pid(name)
            found[name] = (pid, self.c.descriptors(pid), self.c.resident_kib(pid))
        return found

    def unharmed(self, before, what, but=()):
        """The same processes, ready, with the descriptors and about the memory of before."""
        for name in PROCESSES:
            self.c.wait_ready(name)
            if name in but:
                continue
            pid, descriptors, kib = before[name]
            self.assertEqual(self.c.pid(name), pid, f"{name} ended: {what}: {self.c.stderr(name)}")
            run_tool.wait_for(
                lambda p=pid, d=descriptors: self.c.descriptors(p) <= d + TOLERATED_DESCRIPTORS,
                PATIENCE_S, f"{name} closes what the attack opened: {what}")
            grown = self.c.resident_kib(pid) - kib
            self.assertLess(grown, TOLERATED_KIB, f"{name} grew by {grown} KiB: {what}")

    def lost(self, name, reason):
        return self.c.metric(name, f'roulette_connections_lost_total{{reason="{reason}"}}')

    def credentials(self, name):
        secret = self.c.run / "secrets"
        return secret / f"{name}.pem", secret / f"{name}.key"

    # ---- what is done, and what must come of it ----

    def wrong_peers(self, alien):
        """[(what, parts, how)]: each connection is closed and nothing of ours is told."""
        junk = [secrets.token_bytes(n) for n in (1, 7, 200, 5000)]
        hello_bytes = b"\x16\x03\x01\x40\x00" + b"\x01" * 64  # a record that never ends
        return [
            ("random bytes on a TLS port", junk, {"then_shut": True}),
            ("an HTTP request on a TLS port", [GET + END], {}),
            ("a TLS record that never ends", [hello_bytes], {}),
            ("a TLS hello, a byte at a time", dribble(hello_bytes), {"pause_s": 0.1}),
            ("silence on a TLS port", [], {}),
            ("no certificate", [frame(greeting(0))], {"tls": True}),
            ("a certificate of another authority", [frame(greeting(0))],
             {"tls": True, "credentials": alien}),
        ]

    def wrong_frames(self):
        """The same of a peer with a certificate: it is greeted, and then closed."""
        hello = frame(greeting(STRANGER))
        return [
            ("a certificate and silence", []),
            ("random bytes as frames", [secrets.token_bytes(4096)]),
            ("a frame of no bytes", [frame(b"")]),
            ("a frame over the limit", [hello, (MAX_FRAME + 1).to_bytes(4, "big")]),
            ("a frame of the limit, of rubbish", [hello, frame(secrets.token_bytes(MAX_FRAME))]),
            ("small frames of rubbish", [hello] + [frame(secrets.token_bytes(40))] * 50),
            ("a greeting in another's name", [frame(greeting(0))]),
            ("two greetings", [hello, hello]),
        ]

    def held_frames(self):
        hello = frame(greeting(STRANGER))
        return [
            ("a frame cut in the middle and held", [hello, frame(bytes(1000))[:500]], {}),
            ("a frame, a byte each 100 ms",
             [hello, (1000).to_bytes(4, "big"), *dribble(bytes(900))], {"pause_s": 0.1}),
        ]

    def wrong_requests(self):
        """[(what, parts, statuses that it may be answered with)]; b"" is a connection closed."""
        chunked = b"Transfer-Encoding: chunked\r\n\r\n"
        return [
            ("random bytes on an HTTP port", [secrets.token_bytes(3000) + END],
             (b"400", b"431", b"")),
            ("a header too large", [GET + b"A: " + b"a" * 70_000 + END], (b"431",)),
            ("headers without end", [GET] + [b"A: b\r\n"] * 30_000, (b"431",)),
            ("a body too large", [POST + b"Content-Length: 9999999999" + END], (b"413",)),
            ("chunks too large", [POST + chunked] + [b"4000\r\n" + b"x" * 0x4000 + b"\r\n"] * 40,
             (b"413",)),
            ("chunks of nonsense", [POST + chunked + b"zz\r\nhello\r\n-1\r\n"], (b"400",)),
            ("a chunk of almost 2^64", [POST + chunked + b"fffffffffffffff0\r\nx"],
             (b"413", b"400")),
            ("two lengths", [POST + b"Content-Length: 5\r\nContent-Length: 6" + END], (b"400",)),
            ("a length that is none", [POST + b"Content-Length: -1" + END], (b"400",)),
            ("HTTP/7.3", [b"GET / HTTP/7.3" + END], (b"400",)),
            ("a broken target", [b"GET /%zz%00 HTTP/1.1\r\nHost: x" + END], (b"400",)),
            ("a TLS hello on an HTTP port", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
             (b"400", b"")),
        ]

    def held_requests(self):
        return [
            ("a header, a byte each 100 ms", dribble(GET + b"A: " + b"a" * 900), {"pause_s": 0.1}),
            ("a header cut and held", [GET], {}),
            ("a body, a byte each 100 ms",
             [POST + b"Content-Length: 900" + END, *dribble(b"x" * 800)], {"pause_s": 0.1}),
            ("answers that are not read",
             [(b"GET /metrics HTTP/1.1\r\nHost: x" + END) * 3000], {"reads": False}),
        ]

    def closed_all(self, begun, greeted=False):
        for what, name, told in begun:
            told.join()
            self.assertTrue(told.closed, f"{name} never closed: {what}")
            if not greeted:
                self.assertEqual(told.got, b"", f"{name} told something: {what}")

    def test_peers(self):
        with self.cluster("hostile") as self.c, contextlib.ExitStack() as stack:
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            alien = other_authority(folder, self.c.config("signer-0")["cluster_id"])
            stranger = self.credentials(f"coordinator-{STRANGER}")
            self.c.pays("before any attack")
            before = self.facts()
            tls = {name: self.c.port(name, "listen") for name in PROCESSES}
            http = {name: self.c.port(name, "http") for name in PROCESSES}
            slow = [(what, name, attack(tls[name], list(parts), stranger, tls=True, **how))
                    for name in PROCESSES for what, parts, how in self.held_frames()]
            slow_http = [(what, name, attack(http[name], list(parts), **how))
                         for name in PROCESSES for what, parts, how in self.held_requests()]
            for number in range(len(self.wrong_peers(alien))):
                self.every_process(tls, lambda n=number: self.wrong_peers(alien)[n])
            # Each accepts the roles that call it and no other one.
            for name in PROCESSES:
                wrong = "signer-1" if name != "signer-1" else "ledger-1"
                self.closed_all([("a certificate of the wrong role", name, attack(
                    tls[name], [frame(greeting(0))], self.credentials(wrong), tls=True))])
            for number in range(len(self.wrong_frames())):
                what, _ = self.wrong_frames()[number]
                begun = [(what, name, attack(tls[name], self.wrong_frames()[number][1], stranger,
                                             tls=True)) for name in PROCESSES]
                self.c.pays(what, more=1)
                self.closed_all(begun, greeted=True)
            for what, parts, statuses in self.wrong_requests():
                begun = [(name, attack(http[name], parts)) for name in PROCESSES]
                for name, told in begun:
                    told.join()
                    self.assertTrue(told.closed, f"{name} never closed: {what}")
                    got = re.match(rb"HTTP/1\.1 (\d+) ", told.got)
                    self.assertIn(got.group(1) if got else told.got, statuses, f"{name}: {what}")
            self.c.pays("wrong requests")
            self.closed_all(slow, greeted=True)
            for what, name, told in slow_http:
                told.join()
                self.assertTrue(told.closed, f"{name} never closed: {what}")
            for name in PROCESSES:
                for reason, least in (("bad_certificate", 1), ("handshake_timeout", 1),
                                       ("tls_error", 1), ("wrong_role", 1), ("silent", 1),
                                       ("oversized_frame", 1), ("slow_frame", 2)):
                    self.assertGreaterEqual(self.lost(name, reason), least,
                                            f"{name} counts {reason}")
            self.unharmed(before, "all attacks")
            self.c.pays("after all attacks")
            self.c.judge()

    def every_process(self, ports, row):
        begun = []
        for name in PROCESSES:
            what, parts, how = row()
            begun.append((what, name, attack(ports[name], parts, **how)))
        self.c.pays(begun[0][0], more=1)
        self.closed_all(begun)

    # ---- too many ----

    @contextlib.contextmanager
    def flood(self, address, count, word="flood"):
        """Connections from many addresses, opened again as they are closed."""
        child = subprocess.Popen(
            [sys.executable, "-B", hostile_peer.__file__, word, address[0], str(address[1]),
             str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.assertRegex(child.stdout.readline(), "^held ")
            yield
        finally:
            child.stdin.close()
            said = child.stdout.read()
            child.stdout.close()
            self.assertEqual(child.wait(30), 0)
            print(f"flood of {address}: {said.strip()}")
        opened = int(re.match(r"opened (\d+)", said).group(1))
        self.assertGreaterEqual(opened, count)

    def test_floods(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        count = min(FLOOD, hard - 500)
        if count < FLOOD:
            print(f"{count} connections at once instead of {FLOOD}: RLIMIT_NOFILE is {hard}")
        with self.cluster("floods") as self.c:
            self.c.pays("before any flood")
            for name in ("signer-0", "ledger-0", "coordinator-0"):
                before = self.facts()
                with self.flood(self.c.port(name, "listen"), count):
                    self.c.pays(f"{count} connections to {name}")
                    self.restarts_under_flood(name)
                    self.c.pays(f"{name} restarted among {count} connections")
                with self.flood(self.c.port(name, "listen"), count, "flood-of-hellos"):
                    self.c.pays(f"{count} TLS hellos to {name}", more=10)
                    share = self.cpu_share(self.c.pid(name))
                    print(f"{name}: {share:.0%} of a core while it answers hellos")
                    self.restarts_under_flood(name)
                with self.flood(self.c.port(name, "http"), count):
                    self.c.pays(f"{count} HTTP connections to {name}")
                    self.c.wait_ready(name)  # asked over the port that is full
                    self.assertGreater(
                        self.c.metric(name, "roulette_http_connections_crowded_out_total"), 0)
                self.unharmed(before, f"floods of {name}", but=(name,))
            self.c.judge()

    def restarts_under_flood(self, name):
        """Who has no certificate keeps no peer away from a process that starts again."""
        pid = self.c.pid(name)
        self.assertIn(pid, run_tool.children_of(self.c.tool.pid))
        os.kill(pid, signal.SIGKILL)
        run_tool.wait_for(lambda: self.c.pid(name) not in (None, pid), PATIENCE_S, f"{name} again")
        self.c.wait_ready(name)

    def test_descriptors(self):
        """Out of descriptors: no spinning, no end, payments go on; then it serves as before."""
        with self.cluster("descriptors") as self.c:
            self.c.pays("before")
            for name in ("signer-0", "ledger-0", "coordinator-0"):
                before = self.facts()
                pid, descriptors, _ = before[name]
                limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
                resource.prlimit(pid, resource.RLIMIT_NOFILE,
                                 (descriptors + SPARE_DESCRIPTORS, limits[1]))
                with self.flood(self.c.port(name, "listen"), 300), \
                        self.flood(self.c.port(name, "http"), 300):
                    self.c.pays(f"{name} has no descriptor left")
                    self.assertGreaterEqual(self.c.descriptors(pid),
                                            descriptors + SPARE_DESCRIPTORS - 2, "it was full")
                    share = self.cpu_share(pid)
                    self.assertLess(share, MOST_CPU_SHARE, f"{name} spins")
                    print(f"{name}: {share:.0%} of a core without descriptors")
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
                self.unharmed(before, f"{name} was out of descriptors")
                self.c.pays(f"{name} has descriptors again")
            self.c.judge()

    @staticmethod
    def cpu_share(pid):
        def used():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        began, before = time.monotonic(), used()
        time.sleep(1)
        return (used() - before) / (time.monotonic() - began)


if __name__ == "__main__":
    run_tool.main()
