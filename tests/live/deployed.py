"""A cluster as `roulette deploy` writes it, started process by process as by its units, and paid.

Invariant: every process is a child of whoever runs this, dies with it, and is signalled by the pid
under which it was started here. Which network a host has is the caller's business: `enter(host)`
gives the words before a command there. Money is judged by the nodes' chains, the replicas' exports
and the signers' journals.
"""
import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import run_tool
from tls_etcd import Authority

BIN = pathlib.Path(run_tool.TOOL).resolve().parent
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
SIGNERS, THRESHOLD, CLIENTS = 5, 3, 3
FUNDING_BLOCKS, MATURITY = 80, 101
BLOCK_S = 0.5
ANYBODY = "raw(51)"
PATIENCE_S = 60
MOST_ATTEMPTS = 2000
ORDER = ("ledger", "signer", "coordinator")  # as they are upgraded


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One process of a host, started as its unit would start it."""

    def __init__(self, enter, folder, log):
        self.enter, self.host, self.folder = enter, folder.parent.name, folder
        self.name, self.role = folder.name, folder.name.rsplit("-", 1)[0]
        self.log, self.child = log / f"{folder.name}.log", None
        if self.role in ("etcd", "bitcoind"):
            self.argv = [str(folder / "command")]
        else:
            self.argv = [str(BIN / f"roulette-{self.role}"), "--config",
                         str(folder / "config.json")]

    def config(self):
        return json.loads((self.folder / "config.json").read_text())

    def reconfigure(self, **changes):
        """Read at the next start."""
        (self.folder / "config.json").write_text(json.dumps({**self.config(), **changes}))

    def running(self):
        return self.child is not None and self.child.poll() is None

    def start(self):
        environment = dict(os.environ, ETCD=run_tool.program("etcd")[0],
                           BITCOIND=" ".join(run_tool.program("bitcoind")))
        with open(self.log, "a") as log:
            self.child = subprocess.Popen([*self.enter(self.host), *self.argv], stdout=log,
                                          stderr=log, stdin=subprocess.DEVNULL, env=environment,
                                          preexec_fn=die_with_parent)

    def ready(self):
        assert self.child.poll() is None, f"{self.name} ended: {self.log.read_text()[-600:]}"
        with contextlib.suppress(OSError, http.client.HTTPException):
            with urllib.request.urlopen(f"http://{self.config()['http']}/readyz",
                                        timeout=1) as answer:
                return answer.status == 200
        return False

    def stop(self):
        """SIGTERM; the exit code, etcd's being its signal."""
        self.child.send_signal(signal.SIGTERM)
        code = self.child.wait(30)
        good = (0, -signal.SIGTERM) if self.role == "etcd" else (0,)
        assert code in good, f"{self.name} ended with {code}: {self.log.read_text()[-600:]}"

    def kill(self):
        self.child.kill()
        self.child.wait()

    def export(self):
        done = subprocess.run([*self.argv[:1], "export", *self.argv[1:]], capture_output=True,
                              text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"export of {self.name}: {done.stderr}"
        return [json.loads(line) for line in done.stdout.splitlines()[1:]]


class Client:
    """Payments one after the other; without an answer the next coordinator is asked, same key."""

    def __init__(self, up, node, number):
        self.up, self.number = up, number
        self.addresses = [node.call("decodescript", "0014" + secrets.token_hex(20))["address"]
                          for _ in range(4000)]
        self.made, self.answers, self.times, self.retries = [], {}, [], 0
        self.stop, self.error = threading.Event(), None
        self.coordinator = number
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            while not self.stop.is_set():
                self.pay()
                self.stop.wait(0.1)
        except Exception as error:  # read by who judges
            self.error = error

    def pay(self):
        payment = {"account": self.up["accounts"][0], "address": self.addresses.pop(),
                   "amount_sat": 20_000 + len(self.made)}
        key = secrets.token_hex(16)
        self.made.append((key, payment))
        for _ in range(MOST_ATTEMPTS):
            try:
                status, answer = run_tool.api_request(self.up, "/v1/withdrawals", payment, key,
                                                      self.coordinator, timeout=2)
                assert status == 202, (status, answer)
                self.answers[key] = answer
                self.times.append(time.monotonic())
                return
            except urllib.error.HTTPError as error:
                assert error.code >= 500, (error.code, error.read())
            except (OSError, http.client.HTTPException, ValueError):
                pass  # unknown: the same key again
            self.retries += 1
            self.coordinator = (self.coordinator + 1) % len(self.up["coordinators"])
            time.sleep(0.05)
        raise AssertionError(f"no answer for {key}")


class Cluster:
    """`hosts`: numeric addresses; `work`: an empty folder for everything; `say` gets what is seen.
    """

    def __init__(self, hosts, work, enter=lambda host: [], say=print, flags=()):
        self.work, self.enter, self.say = work, enter, say
        self.deploy = work / "deploy"
        (work / "logs").mkdir()
        done = run_tool.roulette("deploy", self.deploy, "--hosts", ",".join(hosts), "--signers",
                                 SIGNERS, "--threshold", THRESHOLD, "--state-dir", work / "state",
                                 *flags)
        assert done.returncode == 0, done.stderr
        self.up = json.loads((self.deploy / "client/client.json").read_text())
        self.nodes = [run_tool.NodeRpc(n["rpc"], n["cookie"]) for n in self.up["nodes"]]
        self.processes = {}
        for folder in sorted((self.deploy / "hosts").glob("*/*")):
            self.add(folder)
        self.clients, self.miner, self.mine = [], None, threading.Event()
        self.mining_node = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.mine.set()
        for client in self.clients:
            client.stop.set()
        for process in self.processes.values():
            if process.running():
                process.kill()

    def add(self, folder):
        self.processes[folder.name] = Process(self.enter, folder, self.work / "logs")
        return self.processes[folder.name]

    def new_member(self, name, **changes):
        """One more of a role, on the first host: certificates of the authorities, a configuration
        like that of number 0 but for `changes`."""
        role, index = name.rsplit("-", 1)
        like = self.processes[f"{role}-0"]
        folder = like.folder.parent / name
        shutil.copytree(like.folder, folder)
        cluster = self.up["client"]["cluster_id"]
        for where, suffix, kind in (("", "", cluster), ("etcd", "etcd-", f"{cluster}-etcd")):
            if suffix and role != "ledger":
                continue
            authority = Authority(self.deploy / "authority" / where, "ca", made=True)
            made = authority.issue(name, f"URI:roulette://{kind}/{role}/{index}")
            for source, file in zip(made, ("cert.pem", "key.pem")):
                shutil.copyfile(source, folder / (suffix + file))
        member = self.add(folder)
        state = pathlib.Path(like.config()["folder"]).parent / name
        member.reconfigure(name=name, folder=str(state), **changes)
        return member

    def of(self, *roles, host=None):
        return [p for role in roles for name, p in sorted(self.processes.items())
                if p.role == role and host in (None, p.host)]

    def others_ready(self, host=""):
        return [p.name for p in self.of(*ORDER) if p.host != host and not p.ready()]

    def start(self):
        for process in self.of("etcd", "bitcoind"):
            (self.work / "state" / process.name / "data").mkdir(parents=True)
            process.start()

        def both_answer():
            with contextlib.suppress(OSError):
                return [node.call("getblockcount") for node in self.nodes] == [0, 0]
        run_tool.wait_for(both_answer, PATIENCE_S, "both nodes answer")
        self.nodes[0].call("generatetodescriptor", FUNDING_BLOCKS,
                           f"raw({self.up['wallet_script']})")
        for _ in range(0, MATURITY, 50):
            self.nodes[0].call("generatetodescriptor", 50, ANYBODY)
        self.wait_one_tip()
        for process in self.of(*ORDER):
            process.start()
        self.wait_ready()

    def wait_one_tip(self):
        run_tool.wait_for(lambda: len({n.call("getbestblockhash") for n in self.nodes}) == 1,
                          PATIENCE_S, "both nodes have one tip")

    def wait_ready(self):
        run_tool.wait_for(lambda: all(p.ready() for p in self.of(*ORDER)), PATIENCE_S,
                          "everything is ready")

    def begin_load(self):
        self.miner = threading.Thread(target=self.mine_on, daemon=True)
        self.miner.start()
        self.clients = [Client(self.up, self.nodes[0], i) for i in range(CLIENTS)]
        for client in self.clients:
            client.thread.start()

    def mine_on(self):
        while not self.mine.wait(BLOCK_S):
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                self.nodes[self.mining_node].call("generatetodescriptor", 1, ANYBODY)

    def answered(self, since=0.0):
        return sorted(t for c in self.clients for t in c.times if t >= since)

    def wait_paid(self, more):
        before = len(self.answered())

        def enough():
            for client in self.clients:
                assert client.error is None, client.error
            return len(self.answered()) >= before + more
        run_tool.wait_for(enough, PATIENCE_S, "payments go on")

    def rolling(self, what, roles=ORDER):
        """SIGTERM, start, ready: one process after the other, all roles."""
        began, before = time.monotonic(), sum(c.retries for c in self.clients)
        for process in self.of(*roles):
            process.stop()
            process.start()
            run_tool.wait_for(process.ready, PATIENCE_S, f"{process.name} is ready again")
            self.wait_ready()
        self.wait_paid(5)
        said = self.answered(began)
        gap = max(b - a for a, b in zip([began, *said], said))
        retries = sum(c.retries for c in self.clients) - before
        self.say(f"  {what}: {len(self.of(*roles))} processes restarted, {len(said)} payments "
                 f"accepted, longest gap {gap:.2f} s, {retries} retries")

    def rotate(self):
        """docs/DEPLOY.md, "Certificates": trust both, present the new, trust the new alone."""
        self.say("rotation of the authority and of every certificate:")
        folder = self.work / "new-authority"
        folder.mkdir()
        new = Authority(folder, "new-ca")
        cluster = self.up["client"]["cluster_id"]
        old_ca = (self.deploy / "authority/ca.pem").read_text()
        daemons = self.of(*ORDER)
        for process in daemons:
            (process.folder / "ca.pem").write_text(old_ca + new.ca.read_text())
        self.rolling("both authorities are trusted")
        for process in daemons:
            role, index = process.name.rsplit("-", 1)
            made = new.issue(process.name, f"URI:roulette://{cluster}/{role}/{index}")
            for source, name in zip(made, ("cert.pem", "key.pem")):
                shutil.copyfile(source, process.folder / name)
        self.rolling("new certificates are presented")
        for process in daemons:
            (process.folder / "ca.pem").write_text(new.ca.read_text())
        self.rolling("the old authority is trusted no more")

    def end_load(self):
        for client in self.clients:
            client.stop.set()
        for client in self.clients:
            client.thread.join(PATIENCE_S)
            assert client.error is None, client.error
            assert {key for key, _ in client.made} == set(client.answers)
        states = {}

        def all_settled():
            for client in self.clients:
                for key, _ in client.made:
                    if states.get(key, {}).get("state") != "settled":
                        states[key] = run_tool.api_request(
                            self.up, f"/v1/withdrawals?idempotency_key={key}",
                            coordinator=len(states) % 3)[1]
            return all(s["state"] == "settled" for s in states.values())
        run_tool.wait_for(all_settled, PATIENCE_S, "everything settles")
        self.mine.set()
        self.miner.join(PATIENCE_S)
        self.wait_one_tip()
        return states

    def stop(self):
        for process in self.of("coordinator", "signer", "ledger"):
            process.stop()

    def judge(self, states):
        made = [(key, payment) for client in self.clients for key, payment in client.made]
        for number, node in enumerate(self.nodes):
            paid = node.payments()
            wrong = [key for key, payment in made
                     if paid.get(payment["address"]) != [payment["amount_sat"]]]
            assert not wrong, f"node {number}: {len(wrong)} payments missing, twice or other"
            unasked = [a for client in self.clients for a in client.addresses if a in paid]
            assert not unasked, f"node {number}: paid without being asked: {unasked}"
        self.say(f"chain, on both nodes: {len(made)} payments, each once with its amount")
        self.stop()
        exports = {p.name: p.export() for p in self.of("ledger")}
        first, *rest = exports.values()
        kinds = {row["type"] for row in first}
        assert {"withdrawal", "posting", "balance", "reservation", "state"} <= kinds, kinds

        begin = 0

        def rows(export, kind):
            return [row for row in export if row["type"] == kind and
                    (kind not in ("entry", "posting") or row["index"] > begin)]
        # One that was away while the log was trimmed begins at a snapshot, its `base`.
        begin = max((row["index"] for export in exports.values() for row in rows(export, "base")),
                    default=0)
        kinds -= {"state", "tables", "base"}
        assert rows(first, "entry"), "no entry is in all exports"
        for other in rest:
            for kind in sorted(kinds):
                assert rows(first, kind) == rows(other, kind), f"the replicas differ in {kind}"
        self.judge_balances({row["account"]: row["amount_sat"] for row in rows(first, "balance")})
        books = {row["key"]: row for row in rows(first, "withdrawal")}
        assert set(books) == {key for key, _ in made}, "books and clients know other payments"
        for key, row in books.items():
            assert (row["state"], row["txid"]) == ("settled", states[key]["txid"]), (
                f"{key}: {row['state']} {row['txid']}")
        self.say(f"exports of {len(exports)} replicas: equal in {', '.join(sorted(kinds))}")
        self.judge_journals({row["txid"] for row in books.values()})

    def judge_balances(self, balances):
        owed = sum(sat for account, sat in balances.items() if account not in ("wallet", "outside"))
        assert owed == balances["wallet"] + balances["outside"], f"not balanced: {balances}"
        for number, node in enumerate(self.nodes):
            held = node.call("scantxoutset", "start", [f"raw({self.up['wallet_script']})"])
            held = round(held["total_amount"] * 10**8)
            assert held == balances["wallet"], f"node {number} holds {held} sat: {balances}"
        self.say(f"books: {balances['wallet']} sat, as both nodes' unspent outputs")

    def judge_journals(self, txids):
        spends, signers = {}, {}
        for process in self.of("signer"):
            for record in process.export():
                if record["kind"] != "signing_record":
                    continue
                signers.setdefault(record["txid"], set()).add(process.name)
                for spent in record["inputs"]:
                    spends.setdefault(json.dumps(spent["outpoint"]), set()).add(record["txid"])
        assert all(len(found) == 1 for found in spends.values()), "two transactions on an outpoint"
        few = [txid for txid in txids if len(signers.get(txid, ())) < THRESHOLD]
        assert not few, f"paid with fewer than {THRESHOLD} journals: {few}"
        self.say(f"journals of {SIGNERS} signers: {len(spends)} outpoints, each for one "
                 f"transaction; every payment is in {THRESHOLD} of them or more")
