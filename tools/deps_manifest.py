#!/usr/bin/env python3
"""The manifest of .deps/: what was unpacked, from which packages, and how each program is started.

Invariant: `check` succeeds only when every file of the folder is listed with the SHA-256 it has
now. Paths in the manifest are relative to .deps/, so that the folder may be moved. Deliberately
fetches nothing: tools/setup does.

  deps_manifest.py write DIR PACKAGES ARCHITECTURE   run the programs, write DIR/manifest.json
  deps_manifest.py check DIR                         exit 1 when DIR must be fetched again
  deps_manifest.py show DIR                          one line a program
"""
import hashlib
import json
import os
import re
import subprocess
import sys

FORMAT = "roulette-deps"
VERSION = 1
DIRECT = {"etcd": "usr/bin/etcd", "etcdctl": "usr/bin/etcdctl"}
LOADED = {"bitcoind": "bitcoin/usr/bin/bitcoind", "bitcoin-cli": "bitcoin/usr/bin/bitcoin-cli"}
VERSION_FLAG = {"etcd": "--version", "etcdctl": "version", "bitcoind": "--version",
                "bitcoin-cli": "--version"}


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def files_below(root):
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, root)
            if relative != "manifest.json":
                yield relative, path


def listed(root):
    """Path -> SHA-256, or `-> target` for a symbolic link."""
    return {relative: "-> " + os.readlink(path) if os.path.islink(path) else sha256(path)
            for relative, path in sorted(files_below(root))}


def command(root, program):
    """The argument list that starts a program, as the launcher builds it."""
    path = os.path.join(root, program["path"])
    if "loader" not in program:
        return [path]
    return [os.path.join(root, program["loader"]), "--library-path",
            os.path.join(root, program["library_path"]), path]


def first_of(root, folder, pattern):
    found = sorted(r for r, _ in files_below(root) if r.startswith(folder) and re.search(pattern,
                                                                                         r))
    if not found:
        sys.exit(f"setup: nothing matches {pattern} in {folder}")
    return found[0]


def version_line(root, name, program):
    try:
        done = subprocess.run(command(root, program) + [VERSION_FLAG[name]],
                              stdin=subprocess.DEVNULL, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.exit(f"setup: {name} does not run on this machine: {error}")
    if done.returncode != 0:
        sys.exit(f"setup: {name} does not run on this machine: {done.stdout.strip()[:300]}")
    return done.stdout.splitlines()[0].strip()


def write(root, packages_file, architecture):
    loader = first_of(root, "bitcoin/", r"/ld-linux[^/]*\.so[^/]*$")
    programs = {name: {"path": path} for name, path in DIRECT.items()}
    for name, path in LOADED.items():
        programs[name] = {"path": path, "loader": loader, "library_path": os.path.dirname(loader)}
    for name, program in programs.items():
        program["version"] = version_line(root, name, program)
        program["sha256"] = sha256(os.path.join(root, program["path"]))
    library = first_of(root, "usr/lib/", r"/libsecp256k1\.so$")
    with open(packages_file, encoding="utf-8") as file:
        packages = [dict(zip(("name", "version", "sha256"), line.split())) for line in file]
    secp_versions = [p["version"] for p in packages if p["name"] == "libsecp256k1-dev"]
    manifest = {
        "format": FORMAT, "version": VERSION, "suite": "unstable", "architecture": architecture,
        "programs": programs,
        "libraries": {"libsecp256k1": {"path": library, "version": secp_versions[0],
                                       "sha256": sha256(os.path.join(root, library))}},
        "packages": packages,
        "files": listed(root),
    }
    with open(os.path.join(root, "manifest.json"), "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1)
        file.write("\n")


def load(root):
    with open(os.path.join(root, "manifest.json"), encoding="utf-8") as file:
        return json.load(file)


def check(root):
    try:
        manifest = load(root)
    except (OSError, ValueError):
        if os.path.isdir(root):
            print(f"setup: {root} has no readable manifest: fetched again", file=sys.stderr)
        return 1
    if (manifest.get("format"), manifest.get("version")) != (FORMAT, VERSION):
        print(f"setup: {root} is of another version: fetched again", file=sys.stderr)
        return 1
    now = listed(root)
    wrong = [path for path in sorted(set(now) | set(manifest["files"]))
             if now.get(path) != manifest["files"].get(path)]
    if wrong:
        print(f"setup: {root} differs from its manifest ({wrong[0]}): fetched again",
              file=sys.stderr)
        return 1
    return 0


def show(root):
    manifest = load(root)
    for name, program in manifest["programs"].items():
        print(f"setup: {name}: {program['version']}")
    print(f"setup: libsecp256k1: {manifest['libraries']['libsecp256k1']['version']}")
    return 0


def main(arguments):
    actions = {("write", 4): write, ("check", 2): check, ("show", 2): show}
    action = actions.get((arguments[0] if arguments else "", len(arguments)))
    if action is None:
        print(__doc__, file=sys.stderr)
        return 64
    return action(*arguments[1:]) or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
