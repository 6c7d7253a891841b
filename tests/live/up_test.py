"""`roulette up`: a client pays while its processes are killed from outside, and the node judges.

Invariant: the client makes and keeps its key before the first attempt and never drops one without
a final answer; money is judged by the node's blocks alone, addresses by the node's own encoder.
"""
import contextlib
import http.client
import json
import os
import secrets
import signal
import threading
import unittest
import urllib.error

import run_tool
from run_tool import NodeRpc, Tool, alive, children_of, fresh_runs

CLIENTS = 2
VICTIMS = ["signer-0", "signer-1", "coordinator-0", "ledger-1", "bitcoind-0"]
PAUSE_S = 1.2  # between kills: more than the delay of a restart
MOST_ATTEMPTS = 600
MOST_PAGES = 500
REVOCATIONS = {("settled", "confirmed"), ("confirmed", "broadcast"), ("settled", "broadcast"),
               ("confirmed", "planned"), ("settled", "planned")}


class Client:
    """Withdrawals one after the other; a lost answer is asked for again at the other coordinator"""

    def __init__(self, up, rpc, number):
        self.up, self.coordinators = up, up["coordinators"]
        self.account = up["accounts"][number % len(up["accounts"])]
        self.rpc, self.number = rpc, number
        self.made, self.answers, self.retries = [], {}, 0
        self.stop, self.error = threading.Event(), None
        self.thread = threading.Thread(target=self.run)

    def request(self, coordinator, path, body=None, key=None):
        return run_tool.api_request(self.up, path, body, key, coordinator, timeout=2)

    def run(self):
        try:
            while not self.stop.is_set():
                self.withdraw()
                self.stop.wait(0.05)
        except Exception as error:  # the test reads it: a thread cannot fail one
            self.error = error

    def withdraw(self):
        count = len(self.made)
        address = ADDRESSES[self.number].pop()
        payment = {"account": self.account, "address": address, "amount_sat": 20_000 + count}
        key = secrets.token_hex(16)
        self.made.append((key, payment))
        coordinator = count % len(self.coordinators)
        for _ in range(MOST_ATTEMPTS):
            try:
                status, answer = self.request(coordinator, "/v1/withdrawals", payment, key)
                assert status == 202, (status, answer)
                self.answers[key] = answer
                return
            except urllib.error.HTTPError as error:
                assert error.code >= 500, (error.code, error.read())
            except (OSError, http.client.HTTPException, ValueError):
                pass  # the answer, if there was one, is lost
            self.retries += 1
            coordinator = (coordinator + 1) % len(self.coordinators)
            self.stop_or_wait()
        raise AssertionError(f"no answer for {key} after {MOST_ATTEMPTS} attempts")

    @staticmethod
    def stop_or_wait():
        threading.Event().wait(0.03)

    def state(self, key):
        """The withdrawal as any coordinator has it now, or None."""
        for coordinator in range(len(self.coordinators)):
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                return self.request(coordinator, f"/v1/withdrawals?idempotency_key={key}")[1]
        return None


ADDRESSES = {}  # client -> fresh addresses, by the node's encoder


class Up(unittest.TestCase):
    def kill_from_outside(self, tool, pids):
        """Kills each victim by its number and waits until `up` has started it anew."""
        for name in VICTIMS:
            self.assertIn(pids[name], children_of(tool.pid), name)
            self.assertEqual(len(alive({pids[name]: children_of(tool.pid)[pids[name]]})), 1)
            os.kill(pids[name], signal.SIGKILL)
            if name != "signer-0":  # two signers at once: the quorum is gone for a moment
                threading.Event().wait(PAUSE_S)
        for name in VICTIMS:
            run_tool.wait_for(lambda n=name: f"{n} restarted" in tool.errors(), 10, f"{name} back")

    def test_up(self):
        runs = fresh_runs("up")
        with Tool(runs, "up", "--json", "--signers", 3, "--threshold", 2, "--block-interval-ms",
                  500, "--runs", runs) as tool:
            def ready():
                self.assertFalse(tool.ended(), tool.errors())
                return tool.out_path.read_text().endswith("\n")
            run_tool.wait_for(ready, 60, "one line when ready")
            lines = tool.out_path.read_text().splitlines()
            self.assertEqual(len(lines), 1)
            up = json.loads(lines[0])
            self.assertGreaterEqual(set(up), {"run_dir", "pids", "coordinators", "token_file",
                                              "bitcoind"})
            self.assertEqual(set(up["pids"].values()), set(children_of(tool.pid)))
            self.assertEqual(len(up["pids"]), 3 + 2 + 3 + 3 + 1)
            self.assertEqual(os.stat(up["token_file"]).st_mode & 0o077, 0)
            rpc = NodeRpc(up["bitcoind"]["rpc"], up["bitcoind"]["cookie"])
            for number in range(CLIENTS):
                ADDRESSES[number] = [
                    rpc.call("decodescript", "0014" + secrets.token_hex(20))["address"]
                    for _ in range(200)]
            clients = [Client(up, rpc, number) for number in range(CLIENTS)]
            try:
                for client in clients:
                    client.thread.start()
                run_tool.wait_for(lambda: all(len(c.answers) >= 3 for c in clients), 20, "payments")
                self.kill_from_outside(tool, up["pids"])
                before = [len(c.answers) for c in clients]
                run_tool.wait_for(lambda: all(len(c.answers) >= n + 3
                                              for c, n in zip(clients, before)), 20, "new payments")
            finally:
                for client in clients:
                    client.stop.set()
                for client in (c for c in clients if c.thread.ident):
                    client.thread.join(60)
            self.judge(rpc, clients)
            for coordinator in range(len(up["coordinators"])):
                self.read_lists(clients, coordinator)
            processes = children_of(tool.pid)
            self.assertEqual(len(processes), len(up["pids"]), "all that died came back")
            tool.process.terminate()
            self.assertEqual(tool.wait(30), 0, tool.errors())
            run_tool.wait_gone(processes, "after SIGTERM")

    def judge(self, rpc, clients):
        for client in clients:
            self.assertIsNone(client.error)
            self.assertEqual({key for key, _ in client.made}, set(client.answers))
        self.assertGreater(sum(c.retries for c in clients), 0, "no client noticed a kill")

        def settled():
            return all((c.state(key) or {}).get("state") == "settled"
                       for c in clients for key, _ in c.made)
        run_tool.wait_for(settled, 30, "every withdrawal settles")
        paid, txids, total = rpc.payments(), set(), 0
        for client in clients:
            for key, payment in client.made:
                self.assertEqual(paid.get(payment["address"]), [payment["amount_sat"]], key)
                final = client.state(key)
                self.assertEqual(final["id"], client.answers[key]["id"])
                self.assertIn(client.answers[key]["txid"], (None, final["txid"]))
                txids.add(final["txid"])
                total += 1
            self.assertFalse([a for a in ADDRESSES[client.number] if a in paid], "never asked for")
        self.assertEqual(len(txids), total)
        print(f"{total} payments, {sum(c.retries for c in clients)} retries")

    def pages(self, client, coordinator, path, name, limit=7):
        """Every item of a list, read page by page to its end."""
        items, cursor = [], ""
        for _ in range(MOST_PAGES):
            joined = f"{path}{'&' if '?' in path else '?'}limit={limit}{cursor}"
            page = client.request(coordinator, joined)[1]
            self.assertLessEqual(len(page[name]), limit)
            items += page[name]
            if page["next"] is None:
                return items, page
            cursor = f"&cursor={page['next']}"
        raise AssertionError(f"{path} has no end")

    def read_lists(self, clients, coordinator):
        """What every list says is what the clients asked for, and the sums are the books'."""
        client = clients[0]
        made = {c.answers[key]["id"] for c in clients for key, _ in c.made}
        listed, _ = self.pages(client, coordinator, "/v1/withdrawals", "withdrawals")
        self.assertEqual(sorted(made), sorted(w["id"] for w in listed))
        settled, _ = self.pages(client, coordinator, "/v1/withdrawals?state=settled", "withdrawals")
        self.assertEqual(settled, listed)
        accounts = client.request(coordinator, "/v1/accounts")[1]["accounts"]
        self.assertEqual({a["account"] for a in accounts}, set(client.up["accounts"]))
        deposits, _ = self.pages(client, coordinator, "/v1/deposits", "deposits")
        credited = {(d["txid"], d["vout"]) for d in deposits if d["state"] == "credited"}
        self.assertTrue(credited)
        told = set()
        for account in accounts:
            path = f"/v1/accounts/{account['account']}/entries"
            entries, page = self.pages(client, coordinator, path, "entries")
            self.assertEqual(sum(e["amount_sat"] for e in entries), page["available_sat"])
            self.assertEqual(account["pending_sat"], 0, "everything settled")
            told |= {(e["txid"], e["vout"]) for e in entries if e["kind"] == "deposit"}
        self.assertEqual(told, credited)
        for withdrawal in listed[:3]:
            path = f"/v1/withdrawals/{withdrawal['id']}/events"
            events = client.request(coordinator, path)[1]
            self.assertTrue(events["complete"])
            names = [e["event"] for e in events["events"]]
            # A killed node loses its last blocks: `revoked`, and confirmed and settled again.
            self.assertEqual(names[:2], ["requested", "planned"])
            self.assertIn("confirmed", names)
            self.assertEqual((names[-1], events["state"]), ("settled", "settled"))
            for before, event in zip(events["events"], events["events"][1:]):
                back = (before["state"], event["state"]) in REVOCATIONS
                self.assertEqual(event["event"] == "revoked", back, names)
            indices = [e["index"] for e in events["events"]]
            self.assertEqual(indices, sorted(indices))


if __name__ == "__main__":
    run_tool.main()
