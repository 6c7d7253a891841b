#!/usr/bin/env python3
"""No daemon contains code of chaos/: neither the seeded generator, nor the simulator and its
stand-ins for a signing scheme and a token, nor anything that injects faults.

Invariant: the same search must find each of CHAOS in the tool: an empty answer then means absence
and not a stripped binary or a renamed namespace. Deliberately looks at binaries, not at link lists:
those are checked by tools/lint.

  daemon_symbols_test.py TOOL DAEMON...
"""
import subprocess
import sys

CHAOS = ("roulette::chaos::", "roulette::sim::", "StandIn")
FOREIGN = CHAOS + ("std::random_device", "std::mersenne_twister")
# ECDSA is a token's business: no daemon can make such a signature itself.
SIGNS = " secp256k1_ecdsa_sign"


def foreign_symbols(path):
    done = subprocess.run(["nm", "--demangle", path], stdout=subprocess.PIPE, text=True, check=True)
    return [line for line in done.stdout.splitlines()
            if any(name in line for name in FOREIGN) or line.endswith(SIGNS)]


def main(tool, daemons):
    found = foreign_symbols(tool)
    for name in CHAOS + (SIGNS,):
        if not any(name in line for line in found):
            print(f"{tool} shows no {name}, so the search for it proves nothing")
            return 1
    status = 0
    for daemon in daemons:
        for line in foreign_symbols(daemon)[:5]:
            print(f"{daemon}: {line}")
            status = 1
    return status


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print(__doc__)
        sys.exit(64)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
