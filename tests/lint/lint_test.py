#!/usr/bin/env python3
"""Every rule of tools/lint bites: one violation of each is planted in a copy and reported.

Invariant: a rule without a plant here fails this test, and so does a plant that is not reported at
its file. What the real tree violates already does not count. Deliberately says nothing about
whether the real tree is clean: tools/lint itself does.
"""
import importlib.machinery
import importlib.util
import os
import shutil
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def load(name, path):
    loader = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.util.spec_from_loader(name, loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    loader.exec_module(module)
    return module


lint = load("lint", os.path.join(ROOT, "tools", "lint"))
HEADER = "// Planted.\n"
GUARDED = HEADER + "#pragma once\n"


def cpp(*lines):
    return HEADER + "".join(line + "\n" for line in lines)


def cmake(*lines):
    return "".join(line + "\n" for line in lines)


BEAST = cpp("#include <boost/beast/http.hpp>")
# (rule, file that must be reported, {path: content}). Halves are joined so that this file itself
# holds no violation.
PLANTS = [
    ("include-area", "signer/core/planted.cpp",
     {"signer/core/planted.cpp": cpp('#include "ledger/core/ledger.h"')}),
    ("include-area", "chaos/live/planted.cpp",
     {"chaos/live/planted.cpp": cpp('#include "coordinator/core/coordinator.h"')}),
    ("include-area", "chaos/check/planted.cpp",
     {"chaos/check/planted.cpp": cpp('#include "ledger/core/state.h"')}),
    ("include-area", "common/base/planted.cpp",
     {"common/base/planted.cpp": cpp('#include "common/crypto/frost.h"')}),
    ("include-area", "signer/app/planted.cpp",
     {"signer/app/planted.cpp": cpp('#include "chaos/plan/schedule.h"')}),
    ("include-area", "chaos/plan/planted.cpp",
     {"chaos/plan/planted.cpp": cpp('#include "common/runtime/journal.h"')}),
    ("include-foreign", "coordinator/core/planted.cpp",
     {"coordinator/core/planted.cpp": cpp("#include <boost/asio.hpp>")}),
    ("include-foreign", "ledger/core/planted.cpp",
     {"ledger/core/planted.cpp": cpp("#include <sqlite3.h>")}),
    ("include-foreign", "signer/core/planted.cpp",
     {"signer/core/planted.cpp": cpp("#include <nlohmann/json.hpp>")}),
    ("include-foreign", "common/base/planted.cpp",
     {"common/base/planted.cpp": cpp("#include <openssl/sha.h>")}),
    ("include-foreign", "common/crypto/planted.cpp",
     {"common/crypto/planted.cpp": cpp("#include <openssl/ssl.h>")}),
    ("core-impure", "signer/core/planted.cpp",
     {"signer/core/planted.cpp": cpp("#include <chrono>")}),
    ("core-impure", "ledger/core/planted.h",
     {"ledger/core/planted.h": GUARDED + "#include <unordered_map>\n"}),
    ("core-impure", "chaos/plan/planted.cpp",
     {"chaos/plan/planted.cpp": cpp("#include <thread>")}),
    ("core-throws", "coordinator/core/planted.cpp",
     {"coordinator/core/planted.cpp": cpp("void f() { throw 1; }")}),
    ("wire-protobuf", "signer/app/planted.cpp",
     {"signer/app/planted.cpp": cpp('#include "common/wire/roulette.pb.h"')}),
    ("wire-protobuf", "common/wire/planted.h",
     {"common/wire/planted.h": GUARDED + "#include <google/protobuf/message.h>\n"}),
    ("heavy-header", "common/runtime/planted.h",
     {"common/runtime/planted.h": GUARDED + "#include <boost/asio/ssl.hpp>\n"}),
    ("heavy-count", "tests/live/planted_z5.cpp",
     {f"tests/live/planted_z{i}.cpp": BEAST for i in range(1, 6)}),
    ("heavy-count", "tests/live/planted_z3.cpp",
     {f"tests/live/planted_z{i}.cpp": cpp("#include <CLI/CLI.hpp>") for i in range(1, 4)}),
    ("link-area", "signer/planted.cmake",
     {"signer/planted.cmake": cmake("add_library(planted_a STATIC core/a.cpp)",
                                    "add_library(planted_b STATIC ../ledger/core/b.cpp)",
                                    "target_link_libraries(planted_a PUBLIC planted_b)")}),
    ("link-foreign", "ledger/planted.cmake",
     {"ledger/planted.cmake": cmake("add_library(planted_a STATIC core/a.cpp)",
                                    "target_link_libraries(planted_a PRIVATE SQLite::SQLite3)")}),
    ("scheme", "signer/core/planted.cpp",
     {"signer/core/planted.cpp": cpp("class Cheap final : public crypto::KeyShare {};")}),
    ("scheme", "common/crypto/planted.cpp",
     {"common/crypto/planted.cpp": cpp("struct Nonce final : SecretNonce::Body {};")}),
    ("scheme", "signer/app/planted.cpp",
     {"signer/app/planted.cpp": cpp("auto wallet = sim::deal_" + "stand_in(5, 3, entropy);")}),
    ("scheme", "signer/core/planted.cpp",
     {"signer/core/planted.cpp": cpp("auto nonce = SecNonce::from_" + "known(bytes, r1, r2);")}),
    ("daemon-chaos", "common/runtime/planted.cmake",
     {"signer/planted.cmake": cmake("add_executable(planted_daemon app/main.cpp)",
                                    "target_link_libraries(planted_daemon PRIVATE planted_host)"),
      "common/runtime/planted.cmake": cmake(
          "add_library(planted_host STATIC host.cpp)",
          "target_link_libraries(planted_host PRIVATE planted_prng)"),
      "chaos/plan/planted.cmake": cmake("add_library(planted_prng STATIC prng.cpp)")}),
    ("dead-source", "common/base/planted.cpp", {"common/base/planted.cpp": cpp()}),
    ("dead-source", "common/wire/planted.proto", {"common/wire/planted.proto": HEADER}),
    ("dead-header", "common/base/planted.h", {"common/base/planted.h": GUARDED}),
    ("dead-cmake", "tests/unit/planted.cmake", {"tests/unit/planted.cmake": cmake("# nothing")}),
    ("dead-cmake", "tests/planted/CMakeLists.txt",
     {"tests/planted/CMakeLists.txt": cmake("# nothing")}),
    ("file-header", "common/base/planted.cpp", {"common/base/planted.cpp": "int x;\n"}),
    ("file-header", "common/base/planted.h", {"common/base/planted.h": "// a\n" * 11}),
    ("file-header", "tools/planted", {"tools/planted": "#!/bin/sh\nset -eu\n"}),
    ("pragma-once", "common/base/planted.h", {"common/base/planted.h": HEADER}),
    ("line-length", "common/base/planted.cpp", {"common/base/planted.cpp": "// " + "a" * 98}),
    ("open-work", "common/base/planted.cpp", {"common/base/planted.cpp": "// FIX" + "ME later\n"}),
    ("open-work", "docs/planted.md", {"docs/planted.md": "TO" + "DO: write\n"}),
    ("random", "tests/unit/planted.cpp", {"tests/unit/planted.cpp": cpp("std::mt19937 g;")}),
    ("random", "chaos/plan/planted.cpp",
     {"chaos/plan/planted.cpp": cpp("std::uniform_int_distribution<int> d;")}),
    ("random", "signer/app/planted.cpp",
     {"signer/app/planted.cpp": cpp("std::random_device device;")}),
    ("std-assert", "common/base/planted.cpp",
     {"common/base/planted.cpp": cpp("#include <cassert>")}),
    ("std-assert", "signer/app/planted.cpp", {"signer/app/planted.cpp": cpp("#ifdef NDEBUG")}),
    ("file-name", "common/base/string_utils.h", {"common/base/string_utils.h": GUARDED}),
    ("file-name", "chaos/live/process_manager.cpp", {"chaos/live/process_manager.cpp": cpp()}),
    ("cmake-glob", "signer/planted.cmake",
     {"signer/planted.cmake": cmake("file(GLOB sources *.cpp)")}),
    ("cmake-warnings", "signer/planted.cmake",
     {"signer/planted.cmake": cmake("target_compile_options(x PRIVATE -Wno-shadow)")}),
    ("lock-address", "docs/planted/package-lock.json",
     {"docs/planted/package-lock.json": '{"resolved": "https://host.invalid/a.tgz"}\n'}),
    ("machine-path", "docs/planted.md", {"docs/planted.md": "see /work" + "/main/README.md\n"}),
    ("mirror-host", "tools/planted.sh",
     {"tools/planted.sh": "# Planted.\nset -euo pipefail\n"
                          "echo 'deb http" + "://host.invalid/ unstable main'\n"}),
    ("mirror-host", "docs/planted.md", {"docs/planted.md": "https://registry.npm" + "js.org\n"}),
    ("not-text", "docs/planted", {"docs/planted": "\x7fELF\udcff"}),
    ("top-level", "planted.txt", {"planted.txt": "Planted.\n"}),
    ("bash-strict", "tools/planted.sh", {"tools/planted.sh": "# Planted.\nset -e\n"}),
    ("not-executable", "tools/planted",
     {"tools/planted": "#!/usr/bin/env python3\n# Planted.\n"}),
]
# What stands close to a violation and is none: (file, content).
INNOCENT = {
    "signer/core/innocent.h": HEADER + "#pragma once\n#include <map>\n#include <string.h>\n"
                              '#include "common/wire/messages.h"\n// never throws std::shuffle\n',
    "signer/core/innocent.cpp": cpp('#include "signer/core/innocent.h"',
                                    "/* <chrono> in words only: std::random_device */"),
    "chaos/plan/innocent.cpp": cpp('#include "common/runtime/kill_point_table.h"'),
    # A fragment's paths start at the folder of the list that includes it.
    "chaos/innocent/CMakeLists.txt": cmake("include(parts/list.cmake)"),
    "chaos/innocent/parts/part.cpp": cpp(),
    "chaos/innocent/parts/list.cmake": cmake(
        "# file(GLOB x) and -Wno-x only in words",
        "add_library(innocent_part STATIC parts/part.cpp)",
        "add_library(innocent_plan STATIC ../plan/innocent.cpp)",
        "target_link_libraries(innocent_plan PUBLIC roulette_kill_point_table)",
        "add_library(innocent_core STATIC ../../signer/core/innocent.cpp)",
        "target_link_libraries(innocent_core PUBLIC roulette_base)"),
    "tools/innocent.sh": "# Planted.\nset -euo pipefail\nmktemp -d name.XXXXXXXX\n",
    "docs/innocent.md": "runs/<id>/work/ is deleted; " + "a" * 120 + "\n",
}


class LintTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix="lint-")
        for entry in lint.read_tree(ROOT):
            target = os.path.join(cls.root, entry.path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(os.path.join(ROOT, entry.path), target)
        cls.before = set(lint.violations(cls.root))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root)

    def new_violations(self, files):
        for path, content in files.items():
            target = os.path.join(self.root, path)
            self.assertFalse(os.path.exists(target), path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(content)
        found = set(lint.violations(self.root)) - self.before
        for path in files:
            os.remove(os.path.join(self.root, path))
        return found

    def test_each_planted_violation_is_reported_at_its_file(self):
        # All at once, each under names of its own, so that the tree is read once.
        planted, expected = {}, []
        for number, (rule, path, files) in enumerate(PLANTS):
            own = f"planted{number}x"
            expected.append((path.replace("planted", own), rule))
            planted.update({p.replace("planted", own): content.replace("planted", own)
                            for p, content in files.items()})
        reported = {(p, r) for p, _, r, _ in self.new_violations(planted)}
        for violation in expected:
            with self.subTest(violation=violation):
                self.assertIn(violation, reported)

    def test_every_rule_has_a_plant(self):
        self.assertEqual(set(lint.RULES), {rule for rule, _, _ in PLANTS})

    def test_what_only_looks_like_a_violation_is_not_reported(self):
        found = self.new_violations(INNOCENT)
        # Only that nobody above includes the new folder.
        self.assertEqual({(p, r) for p, _, r, _ in found},
                         {("chaos/innocent/CMakeLists.txt", "dead-cmake")})

    def test_the_line_of_a_violation_is_named(self):
        found = self.new_violations(
            {"signer/core/planted.cpp": cpp("#include <string>", "", "#include <thread>")})
        self.assertIn(("signer/core/planted.cpp", 4, "core-impure"), {v[:3] for v in found})


if __name__ == "__main__":
    unittest.main()
