"""A peer that obeys nothing: bytes, frames, certificates and requests that no daemon may believe,
and thousands of connections at once (`hostile_peer.py flood ADDRESS PORT COUNT`).

Invariant: connects to loopback ports that it is given, holds no lock of the cluster, judges
nothing: it tells what came back and whether the other side closed. Every wait has an end.
"""
import contextlib
import os
import resource
import secrets
import select
import socket
import ssl
import struct
import sys
import threading
import time

MAX_FRAME = 1 << 20
GIVE_UP_S = 30  # then the other side did not close
FLOOD_PER_S = 3000  # connections opened again; the cluster shares the machine's cores
MOST_ANSWER = 1 << 16


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7f | 0x80])
        number >>= 7
    return out + bytes([number])


def greeting(index):
    """The Hello of coordinator-<index> as an Envelope (common/wire/roulette.proto)."""
    hello = b"\x08\x01\x10\x04\x18\x02\x20" + varint(index) + b"\x2a\x10" + secrets.token_bytes(16)
    return b"\x0a" + varint(len(hello)) + hello


def frame(payload):
    return struct.pack(">I", len(payload)) + payload


class Told:
    """What one attack came to: `got` until the other side `closed`, or it never did."""

    def __init__(self):
        self.got, self.closed, self.thread = b"", False, None

    def join(self):
        self.thread.join(GIVE_UP_S + 10)
        assert not self.thread.is_alive()
        return self


def connect(address, source="127.0.0.1"):
    return socket.create_connection(address, timeout=GIVE_UP_S, source_address=(source, 0))


def with_tls(raw, credentials=None):
    """Shakes hands without asking who answers; `credentials`: files of certificate and key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if credentials:
        context.load_cert_chain(*credentials)
    return context.wrap_socket(raw)


def speak(s, told, parts, pause_s=0.0, reads=True, then_shut=False):
    """Sends part after part until the other side closes; then waits for that as long as allowed."""
    deadline = time.monotonic() + GIVE_UP_S
    parts = iter(parts)
    s.settimeout(max(pause_s, 0.05))
    left = True
    while time.monotonic() < deadline:
        try:
            if left:
                part = next(parts, None)
                left = part is not None
                if left:
                    s.sendall(part)
                elif then_shut:
                    s.shutdown(socket.SHUT_WR)
            if left and not pause_s:
                continue
            if not reads:
                if hung_up(s):
                    told.closed = True
                    return
                time.sleep(0.05)
                continue
            got = s.recv(4096)
            if not got:
                told.closed = True
                return
            told.got = (told.got + got)[:MOST_ANSWER]
        except TimeoutError:
            continue
        except (ssl.SSLError, OSError):
            told.closed = True
            return


def hung_up(s):
    """The other side closed, whatever lies unread before that."""
    poll = select.poll()
    poll.register(s, select.POLLRDHUP)
    return bool(poll.poll(0))


def attack(address, parts, credentials=None, tls=False, **how):
    """Begins one connection on a thread of its own; join() the answer."""
    told = Told()

    def run():
        try:
            with connect(address) as raw:
                try:
                    s = with_tls(raw, credentials) if tls else raw
                except (ssl.SSLError, OSError):
                    told.closed = True
                    return
                with s:
                    speak(s, told, parts, **how)
        except OSError:
            told.closed = True  # reset while it was being opened
    told.thread = threading.Thread(target=run, daemon=True)
    told.thread.start()
    return told


def client_hello():
    """What a TLS client says first, with a certificate or not: the answer costs a signature."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    return out.read()


class Flood:
    """Connections to one port that say `first` and no more, each closed one opened again; ends with
    its standard input."""

    def __init__(self, address, count, first):
        self.address, self.count, self.first = address, count, first
        self.poll, self.held, self.opened, self.source = select.epoll(), {}, 0, 0

    def open_one(self):
        s = socket.socket()
        s.setblocking(False)
        # From many addresses: whoever counts by address sees few connections of each.
        self.source = self.source % 200 + 1
        with contextlib.suppress(OSError):
            s.bind((f"127.9.{self.source}.{os.getpid() % 250 + 1}", 0))
        code = s.connect_ex(self.address)
        if code not in (0, 115):  # EINPROGRESS
            s.close()
            return False
        self.held[s.fileno()] = s
        speaks = select.EPOLLOUT | select.EPOLLONESHOT if self.first else 0
        self.poll.register(s, speaks or select.EPOLLRDHUP)
        self.opened += 1
        return True

    def closed(self):
        for number, what in self.poll.poll(0.01, 4096):
            if self.first and not what & (select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR):
                with contextlib.suppress(OSError):
                    self.held[number].send(self.first)
                self.poll.modify(number, select.EPOLLRDHUP)
                continue
            self.poll.unregister(number)
            self.held.pop(number).close()

    def run(self):
        stop = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
        for _ in range(self.count):
            if not self.open_one():
                time.sleep(0.01)
        print(f"held {len(self.held)}", flush=True)
        while not stop.is_set():
            began = time.monotonic()
            self.closed()
            for _ in range(min(self.count - len(self.held), FLOOD_PER_S // 50)):
                self.open_one()
            stop.wait(max(0.0, 0.02 - (time.monotonic() - began)))
        print(f"opened {self.opened} held {len(self.held)}", flush=True)


if __name__ == "__main__":
    _, word, host, port, number = sys.argv
    assert word in ("flood", "flood-of-hellos")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    Flood((host, int(port)), int(number), client_hello() if word != "flood" else b"").run()
