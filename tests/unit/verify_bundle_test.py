#!/usr/bin/env python3
"""tools/verify_bundle.py on a small bundle: what it accepts, and what it names.

  verify_bundle_test.py SMALL_BUNDLE    (the program that writes pass.tar and fail.tar)

Invariant: each check of the verifier is seen to bite here by one forgery that only it can notice:
the forger makes every hash, chain, list and signature anew, by a key of his own.
"""
import base64
import contextlib
import hashlib
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tools"))
import verify_bundle as auditor  # noqa: E402

SMALL_BUNDLE = ""
FLIPS = 200


def verified(path, *words):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = auditor.main([str(path), *words])
    return code, out.getvalue()


# ---- a forger ------------------------------------------------------------------------------------
def sign(seed, message):
    """RFC 8032, 5.1.6; also the public key."""
    digest = hashlib.sha512(seed).digest()
    a = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
    key = auditor.ed_encode(auditor.ed_times(a, auditor.ED_BASE))
    r = int.from_bytes(hashlib.sha512(digest[32:] + message).digest(), "little") % auditor.ED_L
    point = auditor.ed_encode(auditor.ed_times(r, auditor.ED_BASE))
    k = int.from_bytes(hashlib.sha512(point + key + message).digest(), "little")
    return key, point + ((r + k * a) % auditor.ED_L).to_bytes(32, "little")


class Forger:
    """The files of a bundle, to be edited; remade() is a bundle that is consistent again."""

    def __init__(self, path):
        with open(path, "rb") as file:
            archive = auditor.Archive(file, auditor.Report(False))
            self.run = archive.run
            self.files = {name: archive.read(name) for name in archive.files}

    def lines(self, name):
        return [json.loads(line) for line in self.files[name].splitlines()]

    def put(self, name, lines):
        self.files[name] = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n"
                                    for line in lines)

    def edit(self, name, change, **wanted):
        """The first line with these fields, changed; a test that finds none is wrong."""
        lines = self.lines(name)
        line = next(line for line in lines
                    if all(line.get(field) == value for field, value in wanted.items()))
        change(line)
        self.put(name, lines)
        return self

    def json(self, name, change):
        value = json.loads(self.files[name])
        change(value)
        self.files[name] = auditor.pretty(value).encode()
        return self

    def tar(self):
        out = b""
        for name in sorted(self.files):
            text = self.files[name]
            out += auditor.header_of(self.run + "/" + name, len(text)) + text
            out += bytes(-len(text) % 512)
        return out + bytes(1024)

    def chains(self):
        tree, heads, events = auditor.MerkleTree(), {}, {}
        for i, line in enumerate(self.files["events.ndjson"].splitlines()):
            tree.add(line)
            name = json.loads(line).get("process")
            if i > 0:
                start = hashlib.sha256(b"roulette-chain" + name.encode()).digest()
                heads[name] = hashlib.sha256(heads.get(name, start) + line).digest()
                events[name] = events.get(name, 0) + 1
        return {"format": "roulette-chains", "version": 1, "file": "events.ndjson",
                "lines": tree.leaves, "merkle_root": tree.root().hex(), "processes": {
                    name: {"events": events[name], "head": heads[name].hex()} for name in heads}}

    def remade(self, statement=None, identity=False, views=1):
        """`statement` changes what is stated, before it is signed. The cluster's signature is left
        out unless `identity`: no forger makes another."""
        files = self.files
        if not identity:
            files.pop(auditor.IDENTITY, None)

        def digest(name):
            return hashlib.sha256(files[name]).hexdigest()
        self.json("journal.json", lambda journal: journal["records"].update(
            {name: digest(name) for name in journal["records"] if name in files}))
        files["chains.json"] = auditor.pretty(self.chains()).encode()
        key, _ = sign(b"the forger's own seed, 32 bytes.", b"")
        files["operator.pub.pem"] = (auditor.PEM_START + base64.b64encode(
            auditor.ED25519_INFO + key).decode() + auditor.PEM_END).encode()
        listed = sorted(set(files) - {auditor.MANIFEST, auditor.ENVELOPE})
        files[auditor.MANIFEST] = auditor.pretty({
            "format": "roulette-manifest", "version": 2, "run": self.run, "views": views,
            "files": [{"name": name, "size": len(files[name]), "sha256": digest(name)}
                      for name in listed]}).encode()
        verdict = json.loads(files["verdict.json"])
        if verdict["verdict"] not in ("pass", "fail", "inconclusive"):
            verdict["verdict"] = "pass"  # there is no word for it
        due = auditor.statement_of(self, verdict)
        if statement:
            statement(due)
        self.seal(auditor.pretty(due).encode())
        return self

    def sha256(self, name):  # as auditor.Archive has it
        return hashlib.sha256(self.files[name]).hexdigest()

    def seal(self, payload):
        message = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload)
        key, signature = sign(b"the forger's own seed, 32 bytes.", message)
        self.files[auditor.ENVELOPE] = (json.dumps({
            "payload": base64.b64encode(payload).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"keyid": auditor.fingerprint(key),
                            "sig": base64.b64encode(signature).decode()}]},
            separators=(",", ":")) + "\n").encode()


class Bundles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        made = subprocess.run([SMALL_BUNDLE, cls.folder.name], capture_output=True, text=True,
                              timeout=60, check=True)
        cls.trusted = made.stdout.strip()
        cls.whole = pathlib.Path(cls.folder.name) / "pass.tar"
        cls.failed = pathlib.Path(cls.folder.name) / "fail.tar"

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def forger(self):
        return Forger(self.whole)

    def judged(self, archive, *words):
        path = pathlib.Path(self.folder.name) / "other.tar"
        path.write_bytes(archive)
        return verified(path, *words)

    def found(self, archive, *said, words=()):
        code, out = self.judged(archive, *words)
        self.assertEqual(code, 1, out)
        findings = [line for line in out.splitlines() if line.startswith("NOT AUTHENTIC  ")]
        for text in said:
            self.assertTrue(any(text in line for line in findings), text + " in\n" + out)


class Accepts(Bundles):
    def test_a_bundle_of_a_passed_run(self):
        code, out = verified(self.whole)
        self.assertEqual(code, 0, out)
        self.assertIn("consistent, signer not pinned: " + self.trusted + "\n", out)
        self.assertTrue(out.endswith("verdict stated: pass; money rules violated: 0\n"), out)
        for name in ("no-duplicate-payment", "books-balance", "signing-policy-respected"):
            self.assertRegex(out, "checked: %s: [1-9]" % name)
        self.assertIn("not checked here: quorum-continuity\n", out)
        self.assertIn("checked: signature of the cluster's own key over", out)

    def test_the_trusted_key_by_fingerprint_and_by_file(self):
        pem = pathlib.Path(self.folder.name) / "operator.pem"
        pem.write_bytes(self.forger().files["operator.pub.pem"])
        for trust in (self.trusted, str(pem)):
            code, out = verified(self.whole, "--trust", trust)
            self.assertEqual(code, 0, out)
            self.assertIn("signed by the trusted key\n", out)

    def test_a_bundle_of_a_failed_run_and_names_what_failed_it(self):
        code, out = verified(self.failed)
        self.assertEqual(code, 0, out)
        self.assertIn("VIOLATION  no-duplicate-payment: state/chain.ndjson:10: key key-0 is paid "
                      "again", out)
        self.assertIn("verdict stated: fail", out)

    def test_what_the_forger_makes_anew_without_a_change(self):
        code, out = self.judged(self.forger().remade(identity=True).tar())
        self.assertEqual(code, 0, out)

    def test_exit_codes(self):
        self.assertEqual(verified(self.folder.name + "/none.tar")[0], 2)
        self.assertEqual(verified(self.whole, "--trust", self.folder.name + "/none")[0], 64)
        self.assertEqual(verified(self.whole, "--trust", str(self.whole))[0], 64)
        self.assertEqual(verified(self.whole, "--what")[0], 64)
        self.assertEqual(verified(self.whole, "more")[0], 64)


class FlippedBytes(Bundles):
    def test_each_is_found(self):
        archive = self.whole.read_bytes()
        step = len(archive) // FLIPS
        for i in range(FLIPS):
            flipped = bytearray(archive)
            flipped[step // 2 + i * step] ^= 1 << i % 8
            code, out = self.judged(bytes(flipped), "--first")
            self.assertEqual(code, 1, "byte %d: %s" % (step // 2 + i * step, out))


class Archives(Bundles):
    """What is in no file's bytes."""

    def test_a_file_more_is_named(self):
        forger = self.forger()
        forger.files["zz.txt"] = b"more"
        self.found(forger.tar(), "zz.txt is not in the manifest")

    def test_a_missing_file_is_named(self):
        forger = self.forger()
        del forger.files["state/signer-1.ndjson"]
        self.found(forger.tar(), "state/signer-1.ndjson is in the manifest and missing")
        self.found(forger.remade().tar(), "journal.json: it lists state/signer-1.ndjson")

    def test_another_order_and_another_folder(self):
        archive = self.whole.read_bytes()
        size = int(archive[124:135], 8)
        first = 512 + -(-size // 512) * 512
        self.found(archive[first:-1024] + archive[:first] + bytes(1024), "does not come after")
        other = auditor.header_of("zz/file", 0)
        self.found(archive[:-1024] + other + bytes(1024), "zz/file: a bundle holds one folder")
        self.found(archive[:-512], "the end is not two blocks of zeros")
        self.found(bytes(1024), "the archive is empty")

    def test_headers_and_paddings(self):
        archive, run = self.whole.read_bytes(), self.forger().run
        self.found(auditor.header_of("../x", 0) + archive, "byte 0: a name that may not stand here")
        self.found(archive[:134] + b"x" + archive[135:], "chains.json: the header's size")
        self.found(archive[:-1024] + auditor.header_of(run + "/zz", 4096) + bytes(1024),
                   "zz: the archive ends within it")
        size = int(archive[124:135], 8)
        self.assertGreater(-size % 512, 0)
        self.found(archive[:512 + size] + b"x" + archive[513 + size:], "what follows its last byte")

    def test_files_that_every_bundle_has(self):
        for name, said in ((auditor.MANIFEST, "manifest.json is missing"),
                           ("chains.json", "chains.json is missing"),
                           ("verdict.json", "verdict.json is missing"),
                           ("state/transactions.ndjson", "state/transactions.ndjson is in the")):
            forger = self.forger()
            del forger.files[name]
            self.found(forger.tar(), said)

    def test_files_that_cannot_be_read(self):
        for name, text, said in (
                (auditor.MANIFEST, b"[]", "manifest.json cannot be read"),
                (auditor.ENVELOPE, b"{}", "not a DSSE envelope"),
                (auditor.PUBLIC_KEY, b"key\n", "no Ed25519 public key as OpenSSL writes it"),
                ("chains.json", b"{}", "chains.json cannot be read"),
                ("verdict.json", b"x", "verdict.json: Expecting value"),
                ("events.ndjson", b"{}\n[]\n", "events.ndjson:2: not an object with a process"),
                ("events.ndjson", b"{}", "events.ndjson:1: does not end with a line feed")):
            forger = self.forger()
            forger.files[name] = text
            self.found(forger.tar(), said)
        forger = self.forger()
        forger.files[auditor.PUBLIC_KEY] += b"\n"
        self.found(forger.tar(), "no Ed25519 public key as OpenSSL writes it")

    def test_processes_that_are_in_the_events_or_the_chains_alone(self):
        forger = self.forger()
        lines = forger.lines("events.ndjson")
        forger.put("events.ndjson", [one for one in lines if one.get("process") != "ledger-1"])
        self.found(forger.tar(), "events.ndjson: the events of ledger-1 are missing")
        forger.put("events.ndjson", lines + [{"process": "ledger-7"}])
        self.found(forger.tar(), "events.ndjson: events of ledger-7 that no chain has")
        forger = self.forger()
        forger.files["chains.json"] += b"\n"
        self.found(forger.tar(), "chains.json is not what the events give")

    def test_a_statement_in_another_spelling(self):
        forger = self.forger().remade()
        statement = auditor.statement_of(forger, json.loads(forger.files["verdict.json"]))
        forger.seal(json.dumps(statement).encode())
        self.found(forger.tar(), "its statement is not written as the tool writes it")
        forger.seal(b"[]")
        self.found(forger.tar(), "its statement cannot be read, or verdict.json")

    def test_a_manifest_or_envelope_in_another_spelling(self):
        forger = self.forger()
        forger.files[auditor.MANIFEST] = forger.files[auditor.MANIFEST].replace(b"  ", b" ")
        self.found(forger.tar(), "manifest.json is not written as the tool writes it")
        forger = self.forger()
        forger.files[auditor.ENVELOPE] = forger.files[auditor.ENVELOPE].replace(b",", b", ")
        self.found(forger.tar(), "not the one spelling of a DSSE envelope")


class EditedFiles(Bundles):
    """By somebody who changes one file and nothing else."""

    def test_a_deleted_event(self):
        forger = self.forger()
        lines = forger.lines("events.ndjson")
        name = lines.pop(9)["process"]
        forger.put("events.ndjson", lines)
        self.found(forger.tar(), "events.ndjson is not the file that the manifest lists",
                   "the events of %s are not those of its chain" % name)

    def test_a_deleted_event_alone_changes_one_chain(self):
        forger = self.forger()
        lines = forger.files["events.ndjson"].splitlines(keepends=True)
        names = sorted({json.loads(line)["process"] for line in lines[1:]})
        name = json.loads(lines[9])["process"]
        forger.files["events.ndjson"] = b"".join(lines[:9] + lines[10:])
        out = self.judged(forger.tar())[1]
        for other in names:
            self.assertEqual(other == name,
                             "the events of %s are not those of its chain" % other in out)

    def test_two_events_in_another_order(self):
        forger = self.forger()
        lines = forger.files["events.ndjson"].splitlines(keepends=True)
        lines[4], lines[5] = lines[5], lines[4]
        forger.files["events.ndjson"] = b"".join(lines)
        self.found(forger.tar(), "its lines do not give the Merkle root")

    def test_a_shortened_log(self):
        forger = self.forger()
        lines = forger.files["events.ndjson"].splitlines(keepends=True)
        forger.files["events.ndjson"] = b"".join(lines[:-1])
        self.found(forger.tar(), "events.ndjson is not the file", "are not those of its chain")

    def test_a_proof_that_was_removed(self):
        forger = self.forger().edit("faults.ndjson", lambda fault: fault.update(proof=None),
                                    fault_id=1)
        self.found(forger.tar(), "faults.ndjson is not the file",
                   "faults.ndjson:2: fault 1 (SIGKILL to signer-1): it has no proof")

    def test_an_edited_verdict(self):
        forger = self.forger().json("verdict.json", lambda verdict: verdict.update(verdict="fail"))
        self.found(forger.tar(), "verdict.json is not the file",
                   "it states other results than verdict.json",
                   "verdict.json: fail without a reason")

    def test_an_edited_view(self):
        forger = self.forger()
        forger.files["junit.xml"] += b"\n"
        self.found(forger.tar(), "junit.xml is not the file that the manifest lists")


class Forgeries(Bundles):
    """By somebody who has all records and makes everything anew but the operator's signature."""

    def test_signed_with_another_key(self):
        forged = self.forger().remade(identity=True).tar()
        self.assertEqual(self.judged(forged)[0], 0)
        self.found(forged, "statement.dsse.json: signed by SHA256:",
                   words=("--trust", self.trusted))

    def test_the_operators_key_left_in_it(self):
        forger, key = self.forger(), self.forger().files["operator.pub.pem"]
        forger.files["operator.pub.pem"] = key
        self.assertEqual(forger.remade().files["operator.pub.pem"] == key, False)
        forger.files["operator.pub.pem"] = key
        self.found(forger.tar(), "no signature of it by operator.pub.pem",
                   words=("--trust", self.trusted))

    def test_an_edited_amount(self):
        forger = self.forger().edit("history.ndjson", lambda key: key.update(amount_sat=1),
                                    type="key", key="key-1").remade()
        self.found(forger.tar(), "no-duplicate-payment: state/chain.ndjson:7: key key-1 is paid",
                   "but asked for 1 (history.ndjson:", "yet verdict.json says pass")
        self.found(forger.tar(), "signed by", words=("--trust", self.trusted))

    def test_a_deleted_event_and_a_swapped_order(self):
        for change in (lambda lines: lines.pop(9), lambda lines: lines.insert(20, lines.pop(60))):
            forger = self.forger()
            lines = forger.lines("events.ndjson")
            change(lines)
            forger.put("events.ndjson", lines)
            self.found(forger.remade().tar(), "verdict.json says pass, but it cannot be judged: ")

    def test_a_shortened_log(self):
        forger = self.forger()
        lines = forger.lines("events.ndjson")
        forger.put("events.ndjson", lines[:-1])  # on what was told last no rule here rests
        self.found(forger.remade().tar(), "signed by SHA256:", words=("--trust", self.trusted))
        forger.put("events.ndjson", lines[:-100])
        self.found(forger.remade().tar(), "it does not end with the tip that the tool saw")

    def test_a_share_event_deleted_and_all_renumbered(self):
        forger = self.forger()
        lines = forger.lines("events.ndjson")
        at = next(i for i, line in enumerate(lines) if line.get("event") == "share_received")
        gone = lines.pop(at)
        for line in lines[at:]:
            if (line["process"], line["boot"]) == (gone["process"], gone["boot"]):
                line["seq"] -= 1
        forger.put("events.ndjson", lines)
        self.found(forger.remade().tar(), "share-has-its-record: events.ndjson:",
                   "1 shares were told and 2 journals know")

    def test_a_proof_that_was_removed_or_its_moment(self):
        forger = self.forger().edit("faults.ndjson", lambda fault: fault.update(proof=None),
                                    fault_id=1)
        self.found(forger.remade().tar(), "fault 1 (SIGKILL to signer-1): it has no proof",
                   "it counts 3 of 3 faults as proven, the records prove 2 of 3")
        forger = self.forger().edit("faults.ndjson", lambda fault: fault["proof"].update(
            wtermsig=15), fault_id=1)
        self.found(forger.remade().tar(), "it does not prove SIGKILL")
        forger = self.forger().edit("faults.ndjson", lambda fault: fault["proof"].update(
            sent_us=fault["proof"]["sent_us"] + 10**6), fault_id=1)
        self.found(forger.remade().tar(), "the tool's log tells no signal at that time")

    def test_an_edited_verdict(self):
        def failed(verdict):
            verdict["invariants"][0]["status"] = "fail"
            verdict.update(verdict="fail", reasons=["no-duplicate-payment: because"])
        self.found(self.forger().json("verdict.json", failed).remade().tar(),
                   "no-duplicate-payment: verdict.json says fail, but no record violates it")
        forger = Forger(self.failed).json("verdict.json", lambda verdict: (
            verdict.update(verdict="pass", reasons=[]),
            [one.update(status="pass") for one in verdict["invariants"]]))
        self.found(forger.remade().tar(), "is paid again by", "yet verdict.json says pass")
        self.found(self.forger().json("verdict.json", lambda verdict: verdict["load"].update(
            settled=5)).remade().tar(), "it counts 5 withdrawals settled of 4, the records 4 of 4")

    def test_a_verdict_that_says_less_than_it_must(self):
        def without(verdict):
            del verdict["invariants"][0]
        for change, said in (
                (without, "its invariants are not the fifteen"),
                (lambda verdict: verdict["invariants"][0].update(status="good"), "has no status"),
                (lambda verdict: verdict.update(verdict="good"), "no verdict: 'good'")):
            self.found(self.forger().json("verdict.json", change).remade(
                lambda due: due["predicate"].update(result="PASSED")).tar(), said)
        forger = Forger(self.failed).json("verdict.json", lambda verdict: (
            verdict.update(verdict="pass", reasons=[]),
            [one.update(status="inconclusive") for one in verdict["invariants"]]))
        self.found(forger.remade().tar(), "is paid again by", "yet verdict.json says inconclusive")
        for reasons, word, said in ((["because"], "pass", "pass, with reasons against it"),
                                    ([], "inconclusive", "inconclusive without a reason")):
            self.found(self.forger().json("verdict.json", lambda verdict: verdict.update(
                verdict=word, reasons=reasons)).remade().tar(), said)
        self.found(Forger(self.failed).json("verdict.json", lambda verdict: verdict.update(
            verdict="inconclusive")).remade().tar(), "inconclusive, though no-duplicate-payment")

    def test_a_statement_of_something_else(self):
        for change, said in (
                (lambda s: s["subject"][0]["digest"].update(sha256="0" * 64), "another manifest"),
                (lambda s: s["predicate"]["configuration"][0].update(name="x"), "another experim"),
                (lambda s: s["predicate"].update(result="WARNED"), "other results than verdict")):
            self.found(self.forger().remade(change).tar(), "it states " + said)

    def test_the_clusters_own_signature(self):
        forger = self.forger().remade(identity=True)
        self.assertEqual(self.judged(forger.tar())[0], 0)
        honest = forger.files[auditor.IDENTITY]
        other = self.forger().json("verdict.json", lambda verdict: verdict.update(
            availability=0.5)).remade(identity=True)
        self.found(other.tar(), "it was made for another journal.json or verdict.json")
        forger.json("journal.json", lambda journal: journal.update(start=1))
        self.found(forger.remade(identity=True).tar(), "it was made for another journal.json")
        for change in (lambda text: text.replace(b"BIP340:", b"BIP340:00"),
                       lambda text: text.replace(b'"sig":"', b'"sig":"AAAA', 1).replace(
                           text[text.index(b'"sig":"') + 7:][:4], b"", 1)):
            forger = self.forger()
            forger.files[auditor.IDENTITY] = change(honest)
            self.found(forger.remade(identity=True).tar(), "identity.dsse.json: not the signature "
                       "of the key that the coins were spent with")
        forger.files[auditor.IDENTITY] = b"{}"
        self.found(forger.remade(identity=True).tar(), "identity.dsse.json: not a DSSE envelope")

    def test_the_tools_own_record_of_the_end(self):
        for change, said in ((dict(interrupted=True), "was interrupted"),
                             (dict(unasked_exits=["signer-0"]), "has an exit that nobody asked"),
                             (dict(problems=["no export"]), "has a step of its end that failed")):
            forger = self.forger().json("journal.json", lambda journal: journal.update(change))
            self.found(forger.remade().tar(), "verdict.json: pass, but the run " + said)


class MoneyRules(Bundles):
    """One record that lies, for each rule; all hashes, the chains and the signature fit it."""
    ledgers = ("state/ledger-0.ndjson", "state/ledger-1.ndjson")

    def each_ledger(self, change, **wanted):
        forger = self.forger()
        for name in self.ledgers:
            forger.edit(name, change, **wanted)
        return forger

    def names(self, forger, *said):
        self.found(forger.remade().tar(), *said)

    def test_no_lost_withdrawal(self):
        self.names(self.each_ledger(lambda row: row.update(state="rejected"), type="withdrawal",
                                    key="key-2"),
                   "no-lost-withdrawal: history.ndjson:", "acknowledged, but the ledger rejected")

    def test_no_partial_transaction(self):
        def other_witness(record):
            record["hex"] = record["hex"][:-20] + "00" + record["hex"][-18:]
        self.names(self.forger().edit("state/transactions.ndjson", other_witness,
                                      idempotency_key="key-2"),
                   "no-partial-transaction: state/transactions.ndjson:4: transactions.ndjson: "
                   "other bytes of", "signing-policy-respected: state/transactions.ndjson:4: the "
                   "signature of input 0 of")

    def test_idempotency(self):
        self.names(self.forger().edit("history.ndjson", lambda answer: answer.update(id="ab" * 16),
                                      type="answer", op=2),
                   "idempotency-key-respected: history.ndjson:", "told no such answer")

    def test_no_conflicting_signature(self):
        self.names(self.forger().edit("events.ndjson", lambda event: event.update(txid="ab" * 32),
                                      event="session_opened"),
                   "no-conflicting-signature: events.ndjson:", "which the ledger did not plan")

    def test_share_has_its_record_and_nonces(self):
        self.names(self.forger().edit("events.ndjson", lambda event: event.update(
            nonces=["02" + "ab" * 65]), event="share_released"),
            "share-has-its-record: events.ndjson:", "of which its journal has no record")
        self.names(self.forger().edit("events.ndjson", lambda event: event.update(
            shares=["ab" * 32]), event="share_released"),
            "nonce-never-reused: events.ndjson:", "has another share than at")

    def test_books(self):
        self.names(self.each_ledger(lambda posting: posting.update(amount_sat=1), type="posting",
                                    reason="hold"),
                   "books-balance: state/ledger-0.ndjson:", "is not held for exactly once",
                   "its postings make")

    def test_chain_and_ledger(self):
        self.names(self.each_ledger(lambda row: row.update(height=row["height"] + 1),
                                    type="withdrawal", key="key-1"),
                   "chain-matches-ledger: state/ledger-0.ndjson:", "its transaction at 5")

    def test_a_journal_whose_chain_was_broken(self):
        self.names(self.forger().edit("state/signer-0.ndjson", lambda record: record.update(
            payload_digest="ab" * 32), kind="signing_record"),
            "state/signer-0.ndjson:3: ValueError('head is not what the records up to here")

    def test_blocks(self):
        def block(change):
            def edit(line):
                raw = bytearray.fromhex(line["hex"])
                change(raw)
                line.update(hex=raw.hex(), hash=auditor.sha256d(raw[:80])[::-1].hex())
            return self.forger().edit("state/chain.ndjson", edit, height=12)

        def witness(forger):
            lines = forger.lines("state/chain.ndjson")
            line = next(line for line in lines if line.get("height") == 4)
            at = line["hex"].rindex("0140") + 20  # in the last transaction's only signature
            line["hex"] = line["hex"][:at] + "%x" % (int(line["hex"][at], 16) ^ 1) + \
                line["hex"][at + 1:]
            forger.put("state/chain.ndjson", lines)
            return forger
        self.names(block(lambda raw: raw.__setitem__(5, raw[5] ^ 1)), "does not continue the block")
        self.names(block(lambda raw: raw.__setitem__(-1, raw[-1] ^ 1)),
                   "transactions that its header's Merkle root does not commit to")
        self.names(witness(self.forger()), "witnesses that its coinbase does not commit to")
        forger = self.forger()
        lines = forger.lines("state/chain.ndjson")
        forger.put("state/chain.ndjson", lines[:-1])
        self.names(forger, "it does not end with the tip that the tool saw")
        forger.put("state/chain.ndjson", lines[:1] + [dict(lines[2], height=0)])
        self.names(forger, "does not continue the block before it")


class Records(Bundles):
    """Records that say what none can: what rests on them cannot be judged, so it is no pass."""

    def test_each_is_named(self):
        def line(**fields):
            return lambda lines: lines.append(fields)

        def first(change, **wanted):
            def edit(lines):
                change(next(one for one in lines if all(
                    one.get(name) == value for name, value in wanted.items())))
            return edit
        history, ledger, chain = "history.ndjson", "state/ledger-0.ndjson", "state/chain.ndjson"
        signer, events = "state/signer-0.ndjson", "events.ndjson"
        for name, change, said in (
                (history, line(type="key"), "a line behind the end of the record"),
                (history, lambda lines: lines.pop(), "its end does not count what stands in it"),
                (history, first(lambda one: one.update(type="x"), type="answer"), "unknown type x"),
                (history, first(lambda one: one.update(intent="x"), type="invoke"),
                 "unknown intent x"),
                (history, first(lambda one: one.update(amount_sat="1"), type="key"),
                 "amount_sat is no integer"),
                (history, first(lambda one: one.update(account=1), type="key"),
                 "account is no text"),
                (history, first(lambda one: one.update(op=1), type="answer", op=2),
                 "op 1 was answered before"),
                (history, first(lambda one: one.update(key="none"), type="invoke"), "op 1"),
                (history, first(lambda one: one.update(key="key-0"), key="key-1", type="key"),
                 "a key or address that was used before"),
                (history, lambda lines: lines[0].update(version=9), "not roulette-history of ver"),
                (ledger, line(type="base", index=4), "a `base` that is not the first line"),
                (ledger, line(type="state", closed=True), "a second `state`"),
                (ledger, lambda lines: lines.remove(next(
                    one for one in lines if one.get("type") == "state")), "it has no `state` line"),
                (ledger, lambda lines: lines.remove(next(
                    one for one in lines if one.get("index") == 5)), "index 6"),
                (ledger, lambda lines: lines.insert(1, dict(type="base", index=0.5)), "no integer"),
                (signer, first(lambda one: one.update(sequence=7), sequence=2), "sequence 7"),
                (signer, first(lambda one: one.update(kind="x"), sequence=2), "unknown kind x"),
                (signer, first(lambda one: one.update(signer="signer-1"), sequence=1),
                 "this is the journal of signer-1"),
                (chain, first(lambda one: one.update(height=9), height=3), "height 9 where 3 was"),
                (chain, first(lambda one: one.update(hash="00" * 32), height=3), "do not hash to"),
                (events, first(lambda one: one.update(event="x"), event="limits"),
                 "unknown event x"),
                (events, lambda lines: lines.append(dict(lines[-1], seq=lines[-1]["seq"] + 1,
                                                         t_us=1)), "not in the order of time"),
                (events, line(process="signer-7", boot="ab", seq=1, t_us=10**16, event="ready"),
                 "signer-7 wrote events, but never `started`"),
                (events, line(process="tool-0", boot="ab", seq=1, t_us=10**16, event="spawned",
                              name="signer-3"), "state/signer-3.ndjson is missing"),
                (events, line(process="tool-0", boot="ab", seq=1, t_us=10**16, event="spawned",
                              name="ledger-2"), "state/ledger-2.ndjson is missing"),
                (history, lambda lines: lines.append([]), "not an object")):
            forger = self.forger()
            lines = forger.lines(name)
            change(lines)
            forger.put(name, lines)
            code, out = self.judged(forger.remade().tar())
            self.assertEqual(code, 1, said)
            self.assertTrue(any(said in one and "verdict.json says pass, but it cannot be judged"
                                in one for one in out.splitlines()), said + " in\n" + out)

    def test_an_environment_that_was_edited_and_signed_by_another_operator(self):
        def larger(forger):
            return forger.json("environment.json", lambda one: one.update(cores=64))
        # Everything anew, the journal too: the cluster's own signature is of another journal.
        self.found(larger(self.forger()).remade(identity=True).tar(),
                   "identity.dsse.json: it was made for another journal.json")
        # The journal as it was.
        forger = larger(self.forger())
        kept = forger.files["journal.json"]
        forger.remade()
        forger.files["journal.json"] = kept
        self.found(forger.tar(), "journal.json: environment.json was changed after the run, yet")
        # Taken out of the journal.
        forger = larger(self.forger()).json("journal.json",
                                            lambda one: one["records"].pop("environment.json"))
        self.found(forger.remade().tar(), "journal.json: environment.json was added after the run")
        # A journal that says it is of the version that had none.
        forger = self.forger().json("journal.json", lambda one: one.update(version=1))
        self.found(forger.remade().tar(), "journal.json: not roulette-run of version 2")

    def test_a_file_that_no_bundle_has(self):
        forger = self.forger()
        forger.files["README-verified.html"] = b"<p>verified</p>"
        self.found(forger.remade(identity=True).tar(),
                   "README-verified.html is no file of a bundle")

    def test_what_is_no_json(self):
        for word in (b"NaN", b"-Infinity", b"1e400"):
            forger = self.forger()
            forger.files["history.ndjson"] = forger.files["history.ndjson"].replace(
                b'"t_us":', b'"odd":' + word + b',"t_us":', 1)
            self.assertIn(word, forger.files["history.ndjson"])
            self.found(forger.remade().tar(), "history.ndjson")

    def test_another_schedule(self):
        forger = self.forger().json("verdict.json",
                                    lambda one: one.update(schedule_hash="00" * 32))
        self.found(forger.remade().tar(), "verdict.json: its schedule_hash is not the one of")

    def test_the_clusters_signature_taken_away(self):
        self.found(self.forger().remade().tar(), "identity.dsse.json: missing")

    def test_a_time_stamp_of_something_else(self):
        forger = self.forger().remade(identity=True)
        imprint = hashlib.sha256(forger.files[auditor.ENVELOPE]).digest()
        forger.files[auditor.TIME_STAMP] = b"0 or more fields \x04\x20" + imprint
        code, out = self.judged(forger.tar())
        self.assertEqual(code, 0, out)
        self.assertIn("not checked here: statement.tsr", out)
        forger.files[auditor.TIME_STAMP] = b"any text"
        self.found(forger.tar(), "statement.tsr: no time stamp of statement.dsse.json")

    def test_views_are_known_by_number_only(self):
        code, out = self.judged(self.forger().remade(identity=True, views=7).tar())
        self.assertEqual(code, 2, out)
        self.assertTrue(out.splitlines()[-1].startswith("CHECKED IN PART: "), out)
        self.assertIn("not checked here: what these files say (views of number 7): ", out)
        for views in (0, "1", None, True, 2**63):
            self.found(self.forger().remade(views=views).tar(), "with the number of its views")

    def test_the_genesis_block(self):
        def other(line):
            raw = bytearray.fromhex(line["hex"])
            while True:  # work: every second nonce will do
                raw[76] = (raw[76] + 1) % 256
                hash_ = auditor.sha256d(raw[:80])[::-1]
                if hash_[0] < 0x7f:
                    break
            line.update(hex=raw.hex(), hash=hash_.hex())
        forger = self.forger().edit("state/chain.ndjson", other, height=0)
        self.found(forger.remade().tar(), "block 0 is not the genesis block of regtest")

    def test_a_block_without_work_and_one_with_a_transaction_twice(self):
        raw = bytearray.fromhex(self.forger().lines("state/chain.ndjson")[5]["hex"])
        self.assertEqual(auditor.Block(bytes(raw)).defect(), "")
        while auditor.sha256d(raw[:80])[-1] < 0x80:
            raw[76] += 1
        self.assertEqual(auditor.Block(bytes(raw)).defect(), "has a hash above its target")
        block = auditor.Block(bytes(raw))
        block.transactions.append(block.transactions[-1])
        self.assertEqual(block.defect(), "holds a transaction twice")
        with self.assertRaisesRegex(ValueError, "not a block of transactions and nothing else"):
            auditor.Block(bytes(raw) + b"x")

    def test_transactions_in_another_spelling(self):
        hex_ = self.forger().lines("state/transactions.ndjson")[1]["hex"]
        self.assertEqual(auditor.parse_transaction(hex_).raw.hex(), hex_)
        for other, said in ((hex_ + "00", "bytes behind the transaction"),
                            (hex_[:-2], "bytes end too early"),
                            (hex_[:8] + "0002" + hex_[12:], "unknown transaction flag"),
                            (hex_[:12] + "fd0100" + hex_[14:], "not written in the shortest way"),
                            (hex_[:12] + "00" + "00" + "00000000", "marker without a witness")):
            with self.assertRaisesRegex(ValueError, said):
                auditor.parse_transaction(other)


# ---- the arithmetic, by other people's vectors ---------------------------------------------------
class Arithmetic(unittest.TestCase):
    def test_ed25519_rfc_8032(self):
        for key, message, signature in (
                ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                 "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                 "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
                ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
                 "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
                 "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a")):
            key, message = bytes.fromhex(key), bytes.fromhex(message)
            signature = bytes.fromhex(signature)
            self.assertTrue(auditor.ed25519_verify(key, message, signature))
            self.assertFalse(auditor.ed25519_verify(key, message + b"\0", signature))
            # The same point with S + L: malleable, refused (5.1.7).
            s = int.from_bytes(signature[32:], "little") + auditor.ED_L
            self.assertFalse(auditor.ed25519_verify(key, message,
                                                    signature[:32] + s.to_bytes(32, "little")))

    def test_bip_340(self):
        message = "243F6A8885A308D313198A2E03707344A4093822299F31D0082EFA98EC4E6C89"
        key = "DFF1D77F2A671C5F36183726DB2341BE58FEAE1DA2DECED843240F7B502BA659"
        curve = auditor.Curve(auditor.lift_x(int(key, 16)))
        for signature, right in (
                ("6896BD60EEAE296DB48A229FF71DFE071BDE413E6D43F917DC8DCF8C78DE33418906D11AC976ABCC"
                 "B20B091292BFF4EA897EFCB639EA871CFA95F6DE339E4B0A", True),   # vector 1
                ("FFF97BD5755EEEA420453A14355235D382F6472F8568A18B2F057A14602975563CC27944640AC607"
                 "CD107AE10923D9EF7A73C643E166BE5EBEAFA34B1AC553E2", False),  # 6: R's y is odd
                ("1FA62E331EDBC21C394792D2AB1100A7B432B013DF3F6FF4F99FCB33E0E1515F28890B3EDB6E7189"
                 "B630448B515CE4F8622A954CFE545735AAEA5134FCCDB2BD", False),  # 7: negated message
                ("6CFF5C3BA86C69EA4B7376F31A9BCB4F74C1976089B2D9963DA2E5543E177769961764B3AA9B2FFC"
                 "B6EF947B6887A226E8D7C93E00C5ED0C1834FF0D0C2E6DA6", False),  # 8: negated s
                ("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC2F69E89B4C5564D003"
                 "49106B8497785DD7D1D713A8AE82B32FA79D5F7FC407D39B", False),  # 13: r is p
                ("6CFF5C3BA86C69EA4B7376F31A9BCB4F74C1976089B2D9963DA2E5543E177769FFFFFFFFFFFFFFFF"
                 "FFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141", False)):  # 14: s is n
            self.assertEqual(curve.bip340(bytes.fromhex(message), bytes.fromhex(signature)), right)
        self.assertIsNone(auditor.lift_x(0xEEFDEA4CDB677750A420FEE807EACF21EB9898AE79B9768766E4FAA0
                                         << 64 | 0x4A2D4A34))  # no point has this x

    def test_bip_143_native_p2wpkh(self):
        """The second input of the BIP's first example, its signature and the same with a high S."""
        tx = auditor.parse_transaction(
            "0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000ee"
            "ffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffff"
            "ff02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000"
            "001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac11000000")
        key = bytes.fromhex("025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee6357")
        script = bytes.fromhex("00141d0f172a0ecb48aee1be1f2687d2963ae33f71a1")
        self.assertEqual(script[2:], auditor.hash160(key))
        digest = tx.segwit_sighashes([(0, script), (600_000_000, script)])[1]
        self.assertEqual(digest.hex(),
                         "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670")
        r = "3609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a"
        s = 0x573a954c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee
        curve = auditor.Curve(auditor.decompress(key))

        def der(value):
            body = value.to_bytes(33, "big")
            body = body[1:] if body[1] < 128 else body
            body = b"\x02\x20" + bytes.fromhex(r) + b"\x02" + bytes([len(body)]) + body
            return b"\x30" + bytes([len(body)]) + body
        self.assertTrue(curve.ecdsa(digest, der(s)))
        self.assertFalse(curve.ecdsa(digest, der(auditor.N - s)))  # valid, and malleable
        self.assertFalse(curve.ecdsa(digest[::-1], der(s)))
        self.assertFalse(curve.ecdsa(digest, der(s) + b"\0"))
        self.assertFalse(curve.ecdsa(digest, b"\x30\x45\x02\x21\0" + der(s)[4:]))  # padded r

    def test_addresses_and_hashes(self):
        for address, script in (
                ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
                 "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
                ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
                 "76a914243f1394f44554f4ce3fd68649c19adc483ce92488ac"),
                ("2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc",
                 "a9144e9f39ca4688ff102128ea4ccda34105324305b087")):
            self.assertEqual(auditor.script_of_address(address).hex(), script)
        for address in ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt08q",  # a checksum
                        "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfo",            # a checksum
                        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",            # another network's
                        "bcrt1pw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"):  # another version
            with self.assertRaisesRegex(ValueError, "address " + address):
                auditor.script_of_address(address)
        for key in (b"\x04" + bytes(32), b"\x02" + bytes(31), b"\x02" + b"\xff" * 32):
            with self.assertRaisesRegex(ValueError, "no compressed key"):
                auditor.decompress(key)
        for text, digest in (("", "9c1185a5c5e9fc54612808977ee8f548b2258d31"),
                             ("message digest", "5d0689ef49d2fae572b881b123a85ffa21595f36"),
                             ("1234567890" * 8, "9b752e45573d4b39f4dbd3323cab82bf63326bfb")):
            self.assertEqual(auditor.ripemd160(text.encode()).hex(), digest)

    def test_the_merkle_tree_of_rfc_6962(self):
        """Made here by the definition itself, which splits at the largest power of two."""
        def root(leaves):
            if len(leaves) < 2:
                return hashlib.sha256(b"\0" + leaves[0] if leaves else b"").digest()
            k = 1
            while 2 * k < len(leaves):
                k *= 2
            return hashlib.sha256(b"\1" + root(leaves[:k]) + root(leaves[k:])).digest()
        tree, leaves = auditor.MerkleTree(), []
        for i in range(70):
            self.assertEqual(tree.root(), root(leaves))
            leaves.append(b"leaf %d" % i)
            tree.add(leaves[-1])


if __name__ == "__main__":
    SMALL_BUNDLE = sys.argv.pop(1)
    unittest.main()
