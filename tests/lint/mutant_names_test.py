#!/usr/bin/env python3
"""Planted bugs: table, code and cells name the same ones, and no released program holds a name.

Invariant: the same search must find every name in a program built with planted bugs, so that an
empty answer means absence; and every released program refuses to start when it is asked for a bug.

  mutant_names_test.py ROOT WITH_BUGS TOOL RELEASED...
"""
import re
import subprocess
import sys
from pathlib import Path

USED = re.compile(r'ROULETTE_MUTANT\("([^"]+)"\)')
ROW = re.compile(r'^    \{"([a-z0-9-]+)",', re.MULTILINE)
FIELDS = re.compile(r'"([^"]*)"')
FOLDERS = ("common", "signer", "coordinator", "ledger", "chaos")


def main(root, with_bugs, tool, released):
    table = ROW.findall((root / "common/base/mutants.cpp").read_text())
    listed = (root / "tests/sim/CMakeLists.txt").read_text()
    problems = []
    used = set()
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".cpp", ".h"):
                here = USED.findall(path.read_text())
                used.update(here)
                name = str(path.relative_to(root))
                simulated = "/core/" in name or name.startswith(("chaos/sim/", "common/crypto/"))
                if here and simulated and f"  {name}\n" not in listed:
                    problems.append(f"tests/sim/CMakeLists.txt: test_mutants lacks {name}")
    problems += [f"{name} stands in the table and no code has it" for name in table
                if name not in used]
    problems += [f"{name} is in the code and not in the table" for name in sorted(used)
                 if name not in table]
    problems += [f"{name} stands twice" for name in set(table) if table.count(name) > 1]
    rows = (root / "common/base/mutants.cpp").read_text().split("kMutants[] = {")[1].split("};")[0]
    cells = {path.stem: path for path in (root / "chaos/mutants").glob("*.yaml")}
    fields = [FIELDS.findall(row) for row in re.findall(r"\{([^{}]*)\}", rows)]
    named = {row[4] for row in fields if len(row) > 4 and row[4]}
    if [row[0] for row in fields] != table:
        problems.append("the rows were not read")
    problems += [f"no chaos/mutants/{name}.yaml" for name in sorted(named - set(cells))]
    problems += [f"{cells[name]} is nobody's cell" for name in sorted(set(cells) - named)]
    for path in cells.values():
        drawn = subprocess.run([tool, "run", "--dry-run", path], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, check=False)
        if drawn.returncode != 0:
            problems.append(f"{path}: {drawn.stderr}")
    data = Path(with_bugs).read_bytes()
    problems += [f"{with_bugs} lacks {name}: the search proves nothing" for name in table
                 if name.encode() not in data]
    for program in released:
        data = Path(program).read_bytes()
        problems += [f"{program} contains {name}" for name in table if name.encode() in data]
    said = subprocess.run([tool, "version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    if "mutants: none" not in said.splitlines():
        problems.append(f"{tool} version does not say `mutants: none`")
    for program in released:
        arguments = ["version"] if program == tool else ["--config", "none"]
        asked = subprocess.run([program, *arguments], stderr=subprocess.PIPE,
                               text=True, check=False, env={"ROULETTE_MUTANT": table[0]})
        if asked.returncode != 64 or "no planted bugs" not in asked.stderr:
            problems.append(f"{program} started though asked for a planted bug: {asked}")
    if len(table) < 20:
        problems.append("the table was not read")
    print("\n".join(problems) or f"{len(table)} names, absent from {len(released)} programs")
    return 1 if problems else 0


if __name__ == "__main__":
    if len(sys.argv) < 5:
        print(__doc__)
        sys.exit(64)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[3:]))
