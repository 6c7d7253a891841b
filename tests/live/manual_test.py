"""The man page and the shell completion hold every command and flag that --help names.

Invariant: --help is the measure; bash, and groff where there is one, read what was made of the same
commands.
"""
import re
import shutil
import subprocess
import unittest

import run_tool

FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z0-9-]*")


def help_of(*command):
    """(names of subcommands, flags) by --help; flags only from the column of names."""
    text = run_tool.roulette(*command, "--help").stdout
    _, _, below = text.partition("Subcommands:\n")
    names = re.findall(r"^  ([a-z][a-z-]*)", below.partition("\n\n")[0], re.MULTILINE)
    options = text.partition("Options:\n")[2].partition("Subcommands:\n")[0]
    flags = set()
    for line in options.splitlines():
        if line.startswith("  -"):
            flags |= set(FLAG.findall(re.split(r" {2,}| [A-Z]", line.strip())[0]))
    return names, flags


def all_commands():
    """{words: flags}"""
    names, flags = help_of()
    found = {(): flags}
    for name in names:
        inner, found[name,] = help_of(name)
        for word in inner:
            found[name, word] = help_of(name, word)[1]
    return found


class Manual(unittest.TestCase):
    def complete(self, script, *words):
        line = " ".join(f"'{w}'" for w in ("roulette",) + words)
        program = f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; _roulette\n" \
                  'printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(["bash", "-c", program], text=True, capture_output=True, timeout=10)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return set(done.stdout.split())

    def test_manual(self):
        commands = all_commands()
        self.assertGreater(len(commands), 15)
        self.assertIn(("key", "new"), commands)
        self.assertIn("--seed", commands["run",])
        script = run_tool.roulette("completion", "bash").stdout
        page = run_tool.roulette("man").stdout
        if shutil.which("groff"):  # no part of what tools/setup installs
            made = subprocess.run(["groff", "-man", "-Tascii", "-ww"], input=page, text=True,
                                  capture_output=True, timeout=20)
            self.assertEqual((made.returncode, made.stderr), (0, ""))
        for words, flags in commands.items():
            head = r"\n\.SS roulette " + r" ".join(words).replace("-", r"\\-") + r"\n"
            section = re.split(head if words else r"\n\.SH OPTIONS\n", page)
            self.assertEqual(len(section), 2, words)
            section = re.split(r"\n\.S[SH] ", section[1])[0].replace("\\-", "-")
            shown = {flag for line in section.splitlines() if line.startswith(".B -")
                     for flag in FLAG.findall(line)}
            self.assertEqual(shown, flags, words)
            self.assertEqual(self.complete(script, *words, "-"), flags, words)
            inner = {w[-1] for w in commands if w and w[:-1] == words}
            if inner:
                self.assertEqual(self.complete(script, *words, ""), inner)


if __name__ == "__main__":
    run_tool.main()
