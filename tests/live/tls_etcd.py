"""Three etcd members under TLS, as somebody else would run them, and the authority behind them.

Invariant: every member started here is killed and reaped on leaving the block; loopback and probed
ports only. The gateway is spoken to by Python's own TLS, none of ours.
"""
import base64
import contextlib
import json
import pathlib
import signal
import socket
import ssl
import subprocess
import time
import urllib.request

import run_tool

MEMBERS = 3
DAYS = 2
PATIENCE_S = 30


def free_ports(count):
    """So many, probed all at once, so that none comes twice."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class Authority:
    """A certificate authority by openssl(1); certificates of it, each in two files."""

    def __init__(self, folder, name, made=False):
        """`made`: its files are there already."""
        self.folder, self.name = pathlib.Path(folder), name
        self.ca, self.ca_key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        if made:
            return
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-nodes", "-keyout", self.ca_key, "-out", self.ca, "-days", DAYS, "-subj",
                     f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign")

    @staticmethod
    def openssl(*words):
        done = subprocess.run(["openssl", *map(str, words)], text=True, capture_output=True,
                              timeout=30, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr

    def issue(self, name, alternative, usage="serverAuth,clientAuth"):
        """(certificate, key), named by `alternative`: "IP:127.0.0.1", "URI:..."."""
        made = self.folder / f"{self.name}-{name}"
        key, request, certificate, extensions = (made.with_suffix(s)
                                                 for s in (".key", ".csr", ".pem", ".ext"))
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        extensions.write_text("basicConstraints=critical,CA:FALSE\nkeyUsage=digitalSignature\n"
                              f"extendedKeyUsage={usage}\nsubjectAltName={alternative}\n")
        self.openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.ca_key,
                     "-CAcreateserial", "-out", certificate, "-days", DAYS, "-extfile", extensions)
        return certificate, key


def b64(text):
    return base64.b64encode(text.encode()).decode()


class TlsEtcd:
    """Members with --client-cert-auth on both sides; `etcd[i]` is the i-th process."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.authority = Authority(folder, "etcd-ca")
        self.server = self.authority.issue("member", "IP:127.0.0.1")
        self.client = self.authority.issue("client", "DNS:somebody", "clientAuth")
        ports = free_ports(2 * MEMBERS)
        self.ports, self.peer_ports = ports[:MEMBERS], ports[MEMBERS:]
        self.processes = [None] * MEMBERS
        self.context = ssl.create_default_context(cafile=self.authority.ca)
        self.context.load_cert_chain(*self.client)

    @property
    def urls(self):
        return ",".join(f"https://127.0.0.1:{port}" for port in self.ports)

    def flags(self, client=None, ca=None, urls=None):
        """The tool's flags for it."""
        certificate, key = client or self.client
        return ["--etcd", urls or self.urls, "--etcd-ca", ca or self.authority.ca,
                "--etcd-cert", certificate, "--etcd-key", key]

    def __enter__(self):
        for i in range(MEMBERS):
            self.start(i)
        run_tool.wait_for(self.serves, PATIENCE_S, "etcd serves")
        return self

    def __exit__(self, *_):
        for i, process in enumerate(self.processes):
            if process:
                self.kill(i)

    def start(self, i):
        def urls(ports, j):
            return f"https://127.0.0.1:{ports[j]}"
        certificate, key = self.server
        tls = []
        for peer in ("", "peer-"):
            tls += [f"--{peer}cert-file={certificate}", f"--{peer}key-file={key}",
                    f"--{peer}trusted-ca-file={self.authority.ca}", f"--{peer}client-cert-auth"]
        initial = ",".join(f"m{j}={urls(self.peer_ports, j)}" for j in range(MEMBERS))
        with open(self.folder / f"m{i}.log", "a") as log:
            self.processes[i] = subprocess.Popen(
                [*run_tool.program("etcd"), "--name", f"m{i}", "--data-dir", self.folder / f"m{i}",
                 "--listen-client-urls", urls(self.ports, i),
                 "--advertise-client-urls", urls(self.ports, i),
                 "--listen-peer-urls", urls(self.peer_ports, i),
                 "--initial-advertise-peer-urls", urls(self.peer_ports, i),
                 "--initial-cluster", initial, "--heartbeat-interval", "30",
                 "--election-timeout", "300", "--log-level", "error", *tls],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self, i):
        process, self.processes[i] = self.processes[i], None
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL, "it had ended by itself"

    @contextlib.contextmanager
    def paused(self, i):
        self.processes[i].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.processes[i].send_signal(signal.SIGCONT)

    def call(self, path, body, member=None):
        """One call of the JSON gateway, at a member that lives."""
        if member is None:
            member = next(i for i, process in enumerate(self.processes) if process)
        request = urllib.request.Request(f"https://127.0.0.1:{self.ports[member]}/v3/{path}",
                                         json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=5, context=self.context) as response:
            return json.load(response)

    def serves(self):
        for i, process in enumerate(self.processes):
            assert process.poll() is None, (self.folder / f"m{i}.log").read_text()
            with contextlib.suppress(OSError):
                status = self.call("maintenance/status", {}, i)
                if status.get("leader", "0") != "0":
                    continue
            return False
        return True

    def leader(self):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for i, process in enumerate(self.processes):
                if not process:
                    continue
                status = self.call("maintenance/status", {}, i)
                if status["leader"] == status["header"]["member_id"]:
                    return i
        raise AssertionError("nobody leads")

    def put(self, key, value):
        put = self.call("kv/put", {"key": b64(key), "value": b64(value)})
        return int(put["header"]["revision"])

    def get(self, key, revision=0):
        """(value, mod_revision, version, create_revision), now or as of a revision."""
        found = self.call("kv/range", {"key": b64(key), "revision": revision}).get("kvs", [])
        return [(base64.b64decode(kv["value"]).decode(), kv["mod_revision"], kv["version"],
                 kv["create_revision"]) for kv in found]

    def count(self, begin, end, revision=0):
        """Keys of [begin, end)."""
        found = self.call("kv/range", {"key": b64(begin), "range_end": b64(end),
                                       "count_only": True, "revision": revision})
        return int(found.get("count", 0))
