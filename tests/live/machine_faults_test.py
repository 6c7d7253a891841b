"""The machine below one daemon fails while a cluster pays: its disk is full, its folder read-only,
its port taken, its wall clock wrong.

Shows: a daemon that keeps a record ends with 70 and names the file, and what it had not written
never left; one that cannot start says why and ends with 2 or 70, again and again, until it can; the
others go on paying. Disks are small tmpfs in a mount namespace of this test's own (root); without
that a limit of file sizes stands in, which the output says.
Invariant: judged by exit codes, by what stands on stderr, by the journals and by the chain.
"""
import contextlib
import errno
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
import unittest

import run_tool
from paying_cluster import PATIENCE_S, PayingCluster
from run_tool import records

HERE = pathlib.Path(__file__).resolve().parent
DISK = "16m"
NAMESPACE = "ROULETTE_TEST_NAMESPACE"
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 24 * 3600
FAILED, UNFIT = 70, 2


class MachineFaults(unittest.TestCase):
    def stop_and(self, name, doing):
        """Kills `name` after `doing` was done to its folder, while it stands still; waits for the
        tool's new start of it. The new process's number, which may be gone again."""
        pid = self.c.pid(name)
        self.assertIn(pid, run_tool.children_of(self.c.tool.pid))
        os.kill(pid, signal.SIGSTOP)
        try:
            doing()
        finally:
            os.kill(pid, signal.SIGKILL)
        return run_tool.wait_for(lambda: self.c.pid(name) not in (None, pid) and self.c.pid(name),
                                 PATIENCE_S, f"{name} is started again")

    def own_disk(self, name):
        """Puts the folder of `name` on a tmpfs of its own; its stderr stays where it is."""
        folder = self.c.run / "work" / name
        stderr = self.c.run / f"work/{name}.stderr"

        def move():
            copy = folder.with_suffix(".copy")
            shutil.copytree(folder, copy, symlinks=True)
            shutil.copyfile(folder / "stderr.log", stderr)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "none", folder],
                           check=True, timeout=20)
            shutil.copytree(copy, folder, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("stderr.log", "*-shm"))
            shutil.rmtree(copy)
            (folder / "stderr.log").symlink_to(stderr)
        self.stop_and(name, move)
        self.c.wait_ready(name)
        return folder

    @staticmethod
    def fill(folder):
        """Not a byte is left. The file to delete."""
        ballast = folder / "ballast"
        with open(ballast, "wb", buffering=0) as out:
            for size in (1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while out.write(bytes(size)):
                        pass
        return ballast

    @staticmethod
    def use_up_free_pages(journal):
        """A journal has a MiB of room in its own file: taken away, so that the end comes soon. What
        is left is its write-ahead log's."""
        with contextlib.closing(sqlite3.connect(journal, timeout=20)) as database, database:
            free = database.execute("PRAGMA freelist_count").fetchone()[0]
            page = database.execute("PRAGMA page_size").fetchone()[0]
            database.execute("CREATE TABLE IF NOT EXISTS test_ballast(b BLOB)")
            database.execute("INSERT INTO test_ballast VALUES(zeroblob(?))", (free * page,))

    @contextlib.contextmanager
    def full(self, name):
        """No file in the folder of `name` grows, by whatever means there are here."""
        folder = self.c.run / "work" / name
        if os.environ.get(NAMESPACE):
            self.own_disk(name)
        for journal in folder.glob("journal.sqlite"):
            self.use_up_free_pages(journal)
        if os.environ.get(NAMESPACE):
            ballast = self.fill(folder)
            try:
                yield
            finally:
                ballast.unlink()
            return
        print("NO MOUNT HERE: a limit of the process's file sizes (RLIMIT_FSIZE) stands in for "
              "the full disk; its next start has no such limit")
        pid = self.c.pid(name)
        largest = max(f.stat().st_size for f in folder.iterdir())  # and so stderr has room
        hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest, hard))
        yield

    def ends(self, name, code, before, reason):
        """The next end of `name` has this code, and a reason that names the file."""
        run_tool.wait_for(lambda: len(self.c.exits(name)) > before, PATIENCE_S, f"{name} ends")
        self.assertEqual(self.c.exits(name)[before], (code, 0), self.c.stderr(name))
        self.assertRegex(self.c.stderr(name), reason)

    def shares_have_records(self, name):
        """Every share of this signer that a coordinator logged is in the signer's journal."""
        signer = pathlib.Path(run_tool.TOOL).parent / "roulette-signer"
        config = self.c.run / f"work/{name}/config.json"
        journal = subprocess.run([signer, "export", "--config", config], capture_output=True,
                                 text=True, timeout=30, check=True).stdout
        received = [e for i in range(2)
                    for e in records(self.c.run / f"work/coordinator-{i}/events.ndjson")
                    if e["event"] == "share_received" and e["signer"] == name]
        self.assertGreater(len(received), 0)
        for event in received:
            self.assertIn(event["session_digest"], journal, f"{name}: a share without its record")
        print(f"{name}: {len(received)} shares, each with its record")

    def test_full_disks(self):
        with PayingCluster(self, "full-disks") as self.c:
            self.c.pays("before")
            for name, code, reason in (
                    ("signer-0", FAILED, r"the journal cannot be written: .*journal\.sqlite.*full"),
                    ("ledger-0", FAILED, r"the tables cannot be written: .*tables\.sqlite.*full")):
                if not os.environ.get(NAMESPACE):
                    reason = reason.replace(".*full", "")
                with self.full(name):
                    before = len(self.c.exits(name))
                    self.ends(name, code, before, reason)
                    self.c.pays(f"{name} has no room")
                    if os.environ.get(NAMESPACE):  # and so it is with every new start
                        run_tool.wait_for(lambda n=name, b=before: len(self.c.exits(n)) > b + 2,
                                          PATIENCE_S, f"{name} tries again")
                        for ended in self.c.exits(name)[before:]:
                            self.assertIn(ended, ((FAILED, 0), (UNFIT, 0)), self.c.stderr(name))
                self.c.wait_ready(name)
                self.c.pays(f"{name} has room again")
            self.shares_have_records("signer-0")
            self.coordinator_goes_on()
            self.c.judge()

    def coordinator_goes_on(self):
        """It keeps nothing but its log of events: it says that it lost some, and pays."""
        with self.full("coordinator-0"):
            pid = self.c.pid("coordinator-0")
            run_tool.wait_for(lambda: "event lost" in self.c.stderr("coordinator-0"), PATIENCE_S,
                              "it says that an event was lost")
            self.assertRegex(self.c.stderr("coordinator-0"),
                             r"coordinator-0/events\.ndjson: event lost: (No space|File too large)")
            self.c.pays("coordinator-0 has no room")
            self.assertTrue(self.c.ready("coordinator-0"))
            self.assertEqual(self.c.pid("coordinator-0"), pid)

    def test_unfit_starts(self):
        """A folder that is read-only, a port that somebody else has: said at the start."""
        with PayingCluster(self, "unfit-starts") as self.c:
            self.c.pays("before")
            for name in ("signer-0", "ledger-0", "coordinator-0"):
                self.port_taken(name)
                self.read_only(name)
            self.c.judge()

    def port_taken(self, name):
        pid, before = self.c.pid(name), len(self.c.exits(name))
        with socket.socket() as taker:
            taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            os.kill(pid, signal.SIGKILL)

            def taken():
                try:
                    taker.bind(self.c.port(name, "listen"))
                except OSError as error:
                    self.assertEqual(error.errno, errno.EADDRINUSE)
                    return False
                taker.listen(1)
                return True
            run_tool.wait_for(taken, PATIENCE_S, "the port is free")
            self.ends(name, UNFIT, before + 1,
                      r"cannot listen on 127\.0\.0\.1:\d+: Address already")
            self.c.pays(f"{name} has no port")
        self.c.wait_ready(name)

    def read_only(self, name):
        if not os.environ.get(NAMESPACE):
            print(f"NO MOUNT HERE: {name} with a read-only folder is not tried")
            return
        folder = self.own_disk(name)
        before = len(self.c.exits(name))
        os.kill(self.c.pid(name), signal.SIGKILL)
        run_tool.wait_for(lambda: len(self.c.exits(name)) > before, PATIENCE_S, f"{name} is gone")

        def remount(how):
            return subprocess.run(["mount", "-o", f"remount,{how}", folder], timeout=20).returncode
        run_tool.wait_for(lambda: remount("ro") == 0, PATIENCE_S, "nobody writes there")
        try:
            run_tool.wait_for(lambda: (UNFIT, 0) in self.c.exits(name)[before + 1:] or
                              (FAILED, 0) in self.c.exits(name)[before + 1:], PATIENCE_S,
                              f"{name} refuses to start")
            self.assertRegex(self.c.stderr(name), re.escape(str(folder)) + r"\S*: .*[Rr]ead-?only")
            self.c.pays(f"{name} has a read-only folder")
        finally:
            self.assertEqual(remount("rw"), 0)
        self.c.wait_ready(name)

    # ---- the wall clock ----

    def clocked_tool(self, folder):
        """A copy of the tool whose daemons run under wall_clock.c; the clock's files by process."""
        bin_folder = folder / "bin"
        shutil.rmtree(folder, ignore_errors=True)
        bin_folder.mkdir(parents=True)
        shim = bin_folder / "wall_clock.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", shim, HERE / "wall_clock.c"],
                       check=True, timeout=60)
        tool = pathlib.Path(run_tool.TOOL)
        shutil.copy2(tool, bin_folder / "roulette")
        for daemon in ("roulette-signer", "roulette-ledger", "roulette-coordinator"):
            wrapper = bin_folder / daemon
            wrapper.write_text(
                "#!/bin/sh\n"
                "# $2 is the configuration: work/NAME/config.json\n"
                f'clock="{folder}/$(basename "$(dirname "$2")").clock"\n'
                '[ "$1" = --config ] && [ -e "$clock" ] || { [ "$1" = --config ] && '
                'head -c 8 /dev/zero >"$clock"; }\n'
                '[ "$1" = --config ] || exec ' + f'"{tool.parent / daemon}" "$@"\n'
                f'export ROULETTE_CLOCK="$clock" LD_PRELOAD="{shim}"\n'
                f'exec "{tool.parent / daemon}" "$@"\n')
            wrapper.chmod(0o755)
        return bin_folder / "roulette"

    def set_clock(self, folder, name, seconds):
        file = folder / f"{name}.clock"
        self.assertEqual(file.stat().st_size, 8)
        with open(file, "r+b", buffering=0) as out:
            out.write(struct.pack("=q", seconds))

    def wall_of(self, name):
        """How far the last events of `name` are from this test's clock, in seconds."""
        last = records(self.c.run / f"work/{name}/events.ndjson")[-1]
        return last["wall_us"] / 1e6 - time.time()

    def test_clock_set_back(self):
        folder = run_tool.RUNS / "clock-set-back-bin"
        tool = self.clocked_tool(folder)
        with PayingCluster(self, "clock-set-back", tool=tool) as self.c:
            self.c.pays("before")
            for name in ("signer-0", "ledger-0", "coordinator-0"):
                pid = self.c.pid(name)
                self.set_clock(folder, name, -HOUR_S)
                run_tool.wait_for(lambda n=name: self.wall_of(n) < -HOUR_S + MINUTE_S, PATIENCE_S,
                                  f"{name} writes an hour ago")
                self.c.pays(f"{name} lives an hour ago")
                self.assertEqual(self.c.pid(name), pid)
                self.assertTrue(self.c.ready(name))
                # New connections, both ways: certificates are judged by this clock.
                os.kill(pid, signal.SIGKILL)
                run_tool.wait_for(lambda n=name, p=pid: self.c.pid(n) not in (None, p), PATIENCE_S,
                                  f"{name} again")
                self.c.wait_ready(name)
                self.c.pays(f"{name} started an hour ago")
                self.assertLess(self.wall_of(name), -HOUR_S + MINUTE_S)
                self.set_clock(folder, name, 0)
            self.certificates_expire(folder)
            self.c.judge()

    def certificates_expire(self, folder):
        """By the clock of one signer all certificates are of the past: it trusts nobody, the others
        pay; and when its clock is right again, so is everything."""
        name = "signer-1"
        self.set_clock(folder, name, 31 * DAY_S)
        os.kill(self.c.pid(name), signal.SIGKILL)
        run_tool.wait_for(lambda: self.refusals(name) > 0, PATIENCE_S, f"{name} refuses peers")
        self.assertFalse(self.c.ready(name))
        self.c.pays(f"to {name} every certificate has expired")
        self.set_clock(folder, name, 0)
        self.c.wait_ready(name)

    def refusals(self, name):
        try:
            return self.c.metric(name,
                                 'roulette_connections_lost_total{reason="bad_certificate"}')
        except OSError:
            return 0


def in_own_namespace():
    """Runs this file again where mounts are this process's own; goes on here where it cannot."""
    if os.environ.get(NAMESPACE) or os.geteuid() != 0:
        return
    probe = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             "d=$(mktemp -d) && mount -t tmpfs none $d && umount $d; rmdir $d"]
    if subprocess.run(probe, capture_output=True, timeout=20).returncode != 0:
        return
    os.environ[NAMESPACE] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, "-B",
                          *sys.argv])


if __name__ == "__main__":
    in_own_namespace()
    run_tool.main()
