#!/usr/bin/env python3
"""A bundle's views in other tools' formats, by what these tools document.

  evidence_views_test.py SMALL_BUNDLE

Invariant: each rule of the checkers here is seen to bite (test_..._bites). The OSCAL shapes are
written from the metaschema of 1.1 (assessment layer): required and allowed fields, data types,
UUIDs that are unique, references that lead somewhere; not all of OSCAL, but every field that the
documents have.
"""
import copy
import datetime
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tools"))
import verify_bundle as auditor  # noqa: E402

SMALL_BUNDLE = ""


# ---- the Chaos Toolkit's journal -----------------------------------------------------------------
def moment(text):
    return datetime.datetime.fromisoformat(re.fullmatch(r"(.*)Z", text).group(1))


def activity_defects(one, where, probe):
    due = {"activity", "status", "start", "end", "duration", "output"}
    out = ["%s: %s" % (where, name) for name in due | ({"tolerance_met"} if probe else set())
           if name not in one]
    if out:
        return out
    if not isinstance(one["activity"], dict) or one["activity"].get("type") != (
            "probe" if probe else "action") or "name" not in one["activity"]:
        out.append(where + ": activity")
    if one["status"] not in ("succeeded", "failed"):
        out.append(where + ": status")
    if one["output"] is not None and not isinstance(one["output"], str):
        out.append(where + ": output")
    if probe and not isinstance(one["tolerance_met"], bool):
        out.append(where + ": tolerance_met")
    return out + span_defects(one, where)


def span_defects(one, where):
    try:
        span = (moment(one["end"]) - moment(one["start"])).total_seconds()
    except (ValueError, AttributeError, TypeError):
        return [where + ": start or end"]
    return [] if abs(span - one["duration"]) < 1e-5 and span >= 0 else [where + ": duration"]


def journal_defects(journal):
    """What the reference says a journal must and should have."""
    out = ["journal: " + name for name in ("experiment", "status", "start", "end", "duration",
                                           "steady_states", "run", "rollbacks", "platform", "node",
                                           "chaoslib-version", "deviated") if name not in journal]
    if out:
        return out
    if journal["status"] not in ("completed", "failed", "aborted"):
        out.append("journal: status")
    for name in ("platform", "node", "chaoslib-version"):
        if not isinstance(journal[name], str):
            out.append("journal: " + name)
    for name in ("title", "description", "method"):
        if name not in journal["experiment"]:
            out.append("experiment: " + name)
    out += span_defects(journal, "journal")
    for name, state in journal["steady_states"].items():
        if name not in ("before", "after"):
            out.append("steady_states: " + name)
        if state["steady_state_met"] is not all(p["tolerance_met"] for p in state["probes"]):
            out.append("steady_states: %s: steady_state_met" % name)
        for probe in state["probes"]:
            out += activity_defects(probe, "probe", True)
    for name in ("run", "rollbacks"):
        for one in journal[name]:
            out += activity_defects(one, name, False)
    return out


# ---- OSCAL ---------------------------------------------------------------------------------------
TOKEN = re.compile(r"[^\W\d][\w.-]*\Z")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[45][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")
TEXT = re.compile(r"\S(.|\n)*\Z")
URI = re.compile(r"\S+\Z")


def one_of(*words):
    return re.compile("(%s)\\Z" % "|".join(words))


# name -> {field: (required, type)}; a type is a pattern, a name, or [name] for an array of at
# least one.
SHAPES = {
    "assessment-plan": {
        "uuid": (1, UUID), "metadata": (1, "metadata"), "import-ssp": (1, "import"),
        "local-definitions": (0, "local-definitions"), "terms-and-conditions": (0, "any"),
        "reviewed-controls": (1, "reviewed-controls"), "assessment-assets": (0, "any"),
        "assessment-subjects": (0, ["subject-set"]), "tasks": (0, ["task"]),
        "back-matter": (0, "back-matter")},
    "assessment-results": {
        "uuid": (1, UUID), "metadata": (1, "metadata"), "import-ap": (1, "import"),
        "local-definitions": (0, "local-definitions"), "results": (1, ["result"]),
        "back-matter": (0, "back-matter")},
    "metadata": {"title": (1, TEXT), "last-modified": (1, INSTANT), "version": (1, TEXT),
                 "oscal-version": (1, one_of(r"1\.1\.\d+")), "published": (0, INSTANT),
                 "props": (0, ["prop"]), "remarks": (0, TEXT)},
    "import": {"href": (1, URI), "remarks": (0, TEXT)},
    "prop": {"name": (1, TOKEN), "value": (1, TEXT), "ns": (0, URI), "uuid": (0, UUID),
             "class": (0, TOKEN), "remarks": (0, TEXT)},
    "local-definitions": {"components": (0, ["component"]), "inventory-items": (0, "any"),
                          "users": (0, "any"), "objectives-and-methods": (0, ["objective"]),
                          "activities": (0, ["activity"]), "remarks": (0, TEXT)},
    "component": {"uuid": (1, UUID), "type": (1, TEXT), "title": (1, TEXT),
                  "description": (1, TEXT), "purpose": (0, TEXT), "props": (0, ["prop"]),
                  "status": (1, "component-status"), "remarks": (0, TEXT)},
    "component-status": {"state": (1, one_of("under-development", "operational", "disposition",
                                             "other")), "remarks": (0, TEXT)},
    "objective": {"control-id": (1, TOKEN), "description": (0, TEXT), "parts": (1, ["part"]),
                  "remarks": (0, TEXT)},
    "part": {"id": (0, TOKEN), "name": (1, TOKEN), "ns": (0, URI), "title": (0, TEXT),
             "prose": (0, TEXT)},
    "activity": {"uuid": (1, UUID), "title": (0, TEXT), "description": (1, TEXT),
                 "props": (0, ["prop"]), "steps": (0, "any"), "related-controls": (0, "any"),
                 "remarks": (0, TEXT)},
    "reviewed-controls": {"description": (0, TEXT), "control-selections": (1, ["controls"]),
                          "control-objective-selections": (0, ["objectives"]),
                          "remarks": (0, TEXT)},
    "controls": {"include-controls": (1, ["control"]), "description": (0, TEXT)},
    "control": {"control-id": (1, TOKEN), "statement-ids": (0, "any")},
    "objectives": {"include-objectives": (1, ["objective-selected"]), "description": (0, TEXT)},
    "objective-selected": {"objective-id": (1, TOKEN)},
    "subject-set": {"type": (1, one_of("component", "inventory-item", "location", "party", "user")),
                    "include-all": (0, "nothing"), "include-subjects": (0, ["subject"]),
                    "description": (0, TEXT)},
    "subject": {"subject-uuid": (1, UUID), "type": (1, TOKEN), "remarks": (0, TEXT)},
    "nothing": {},
    "task": {"uuid": (1, UUID), "type": (1, one_of("milestone", "action")), "title": (1, TEXT),
             "description": (0, TEXT), "timing": (0, "timing"),
             "associated-activities": (0, ["associated"]), "remarks": (0, TEXT)},
    "timing": {"within-date-range": (1, "range")},
    "range": {"start": (1, INSTANT), "end": (1, INSTANT)},
    "associated": {"activity-uuid": (1, UUID), "subjects": (1, ["subject-set"])},
    "result": {"uuid": (1, UUID), "title": (1, TEXT), "description": (1, TEXT),
               "start": (1, INSTANT), "end": (0, INSTANT), "props": (0, ["prop"]),
               "local-definitions": (0, "any"), "reviewed-controls": (1, "reviewed-controls"),
               "observations": (0, ["observation"]), "findings": (0, ["finding"]),
               "remarks": (0, TEXT)},
    "observation": {"uuid": (1, UUID), "title": (0, TEXT), "description": (1, TEXT),
                    "methods": (1, [one_of("EXAMINE", "INTERVIEW", "TEST", "UNKNOWN")]),
                    "types": (0, [TOKEN]), "subjects": (0, ["subject"]), "collected": (1, INSTANT),
                    "relevant-evidence": (0, ["evidence"]), "remarks": (0, TEXT)},
    "evidence": {"href": (0, URI), "description": (1, TEXT), "remarks": (0, TEXT)},
    "finding": {"uuid": (1, UUID), "title": (1, TEXT), "description": (1, TEXT),
                "target": (1, "target"), "related-observations": (0, ["related"]),
                "remarks": (0, TEXT)},
    "related": {"observation-uuid": (1, UUID)},
    "target": {"type": (1, one_of("statement-id", "objective-id")), "target-id": (1, TOKEN),
               "title": (0, TEXT), "status": (1, "objective-status")},
    "objective-status": {"state": (1, one_of("satisfied", "not-satisfied")),
                         "reason": (0, one_of("pass", "fail", "other")), "remarks": (0, TEXT)},
    "back-matter": {"resources": (0, ["resource"])},
    "resource": {"uuid": (1, UUID), "title": (0, TEXT), "description": (0, TEXT),
                 "rlinks": (0, ["rlink"]), "remarks": (0, TEXT)},
    "rlink": {"href": (1, URI), "media-type": (0, TEXT), "hashes": (0, "any")},
}


def shape_defects(value, shape, where):
    if isinstance(shape, list):
        if not isinstance(value, list) or not value:
            return [where + ": no array of at least one"]
        return sum((shape_defects(one, shape[0], where) for one in value), [])
    if isinstance(shape, re.Pattern):
        right = isinstance(value, str) and shape.match(value)
        return [] if right else [where + ": not of its type"]
    if shape == "any":
        return []
    if not isinstance(value, dict):
        return [where + ": no object"]
    fields = SHAPES[shape]
    out = ["%s: %s is missing" % (where, name) for name, (required, _) in fields.items()
           if required and name not in value]
    for name, one in value.items():
        if name not in fields:
            out.append("%s: %s may not stand here" % (where, name))
        else:
            out += shape_defects(one, fields[name][1], "%s/%s" % (where, name))
    return out


def walk(value):
    """(field, value) of everything in a document."""
    for name, one in value.items() if isinstance(value, dict) else enumerate(value):
        yield name, one
        if isinstance(one, (dict, list)):
            yield from walk(one)


def oscal_defects(plan, results, files):
    out = shape_defects(plan["assessment-plan"], "assessment-plan", "plan")
    out += shape_defects(results["assessment-results"], "assessment-results", "results")
    if out:
        return out
    everything = list(walk(plan)) + list(walk(results))
    made = [value for name, value in everything if name == "uuid"]
    out += ["%s stands twice" % value for value in sorted(set(made)) if made.count(value) > 1]
    objectives = {part["id"] for one in
                  plan["assessment-plan"]["local-definitions"]["objectives-and-methods"]
                  for part in one["parts"]}
    for name, value in everything:
        if str(name).endswith("-uuid") and value not in made:
            out.append("%s %s leads nowhere" % (name, value))
        if name in ("objective-id", "target-id") and value not in objectives:
            out.append("%s %s leads nowhere" % (name, value))
        if name == "href" and value.startswith("#") and value[1:] not in made:
            out.append("href %s leads nowhere" % value)
        if name == "href" and not value.startswith("#"):
            file = value[3:] if value.startswith("../") else "oscal/" + value
            if file not in files:
                out.append("href %s is no file of the bundle" % value)
    return out


class Views(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bundles = {}
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([SMALL_BUNDLE, folder], check=True, timeout=60, capture_output=True)
            for name in ("pass", "fail"):
                with open("%s/%s.tar" % (folder, name), "rb") as file:
                    archive = auditor.Archive(file, auditor.Report(False))
                    cls.bundles[name] = {one: archive.read(one) for one in archive.files}

    def json(self, bundle, name):
        return json.loads(self.bundles[bundle][name])

    def journal(self, bundle="pass"):
        return self.json(bundle, "chaos-toolkit/journal.json")

    def oscal(self, bundle="pass"):
        return (self.json(bundle, "oscal/assessment-plan.json"),
                self.json(bundle, "oscal/assessment-results.json"))

    def test_the_journal_is_one_of_the_chaos_toolkit(self):
        for bundle in self.bundles:
            journal = self.journal(bundle)
            self.assertEqual(journal_defects(journal), [])
            self.assertEqual(journal["deviated"], bundle == "fail")
            faults = self.bundles[bundle]["faults.ndjson"].splitlines()[1:]
            self.assertEqual(len(journal["run"]), 1 + len(faults))
            self.assertEqual(journal["experiment"]["extensions"][0]["seed"], 7)
            self.assertTrue(journal["steady_states"]["before"]["steady_state_met"])
            self.assertEqual(json.loads(journal["run"][0]["output"])["verdict"], bundle)

    def test_each_rule_of_the_journal_bites(self):
        for path, value, said in (
                (["status"], "done", "journal: status"), (["end"], "now", "journal: start or end"),
                (["duration"], 7.5, "journal: duration"), (["platform"], None, "journal: platform"),
                (["run", 1, "status"], "ok", "run: status"),
                (["run", 0, "output"], {}, "run: output"),
                (["run", 0, "activity"], [], "run: activity"), (["run", 0], {}, "run: "),
                (["steady_states", "during"], dict(steady_state_met=True, probes=[]), "during"),
                (["steady_states", "after", "steady_state_met"], False, "steady_state_met"),
                (["steady_states", "after", "probes", 0, "tolerance_met"], 1, "tolerance_met"),
                (["experiment"], {}, "experiment: method")):
            journal = self.journal()
            at = journal
            for name in path[:-1]:
                at = at[name]
            at[path[-1]] = value
            found = journal_defects(journal)
            self.assertTrue(any(said in one for one in found), "%s: %s" % (path, found))
        for name in list(self.journal()):
            journal = self.journal()
            del journal[name]
            self.assertEqual(journal_defects(journal), ["journal: " + name])

    def test_the_oscal_documents_are_whole(self):
        for bundle, files in self.bundles.items():
            plan, results = self.oscal(bundle)
            self.assertEqual(oscal_defects(plan, results, files), [])
            result = results["assessment-results"]["results"][0]
            stated = {one["id"]: one["status"]
                      for one in self.json(bundle, "verdict.json")["invariants"]}
            self.assertEqual(len(result["findings"]), 15)
            for finding in result["findings"]:
                status = finding["target"]["status"]
                due = {"pass": ("satisfied", "pass"), "fail": ("not-satisfied", "fail")}.get(
                    stated[finding["title"]], ("not-satisfied", "other"))
                self.assertEqual((status["state"], status["reason"]), due, finding["title"])
            self.assertEqual(result["props"][0]["value"], bundle)
        self.assertNotEqual(self.oscal("pass")[0]["assessment-plan"]["uuid"],
                            self.oscal("fail")[0]["assessment-plan"]["uuid"])

    def test_each_rule_of_oscal_bites(self):
        """Every field that stands in the documents is taken out, misspelt and made untrue."""
        plan, results = self.oscal()
        files = self.bundles["pass"]

        def bites(change):
            documents = copy.deepcopy((plan, results))
            change(documents)
            return oscal_defects(*documents, files)
        tried = 0
        for paths in self.paths(plan, [0]), self.paths(results, [1]):
            for path in paths:
                def at(documents, path=path):
                    for name in path[:-1]:
                        documents = documents[name]
                    return documents
                tried += 1
                if isinstance(path[-1], str) and len(path) > 2:
                    self.assertTrue(bites(lambda d: at(d).update({path[-1] + "x": at(d).pop(
                        path[-1])})), path)
                self.assertTrue(bites(lambda d: at(d).__setitem__(path[-1], None)), path)
        self.assertGreater(tried, 100)
        result = results["assessment-results"]["results"][0]
        other = result["uuid"]
        for change, said in (
                (lambda d: d[0]["assessment-plan"].update(uuid=other), "stands twice"),
                (lambda d: d[0]["assessment-plan"]["import-ssp"].update(href="#x"), "href #x"),
                (lambda d: d[1]["assessment-results"]["import-ap"].update(href="x"), "no file"),
                (lambda d: d[1]["assessment-results"]["results"][0]["findings"][0]["target"].update(
                    {"target-id": "x"}), "target-id x leads nowhere"),
                (lambda d: d[1]["assessment-results"]["results"][0]["findings"][0].update(
                    {"related-observations": [{"observation-uuid": "0" * 8 + other[8:]}]}),
                 "leads nowhere")):
            self.assertTrue(any(said in one for one in bites(change)), said)

    def paths(self, value, start):
        """One path to each kind of place: of arrays their first element only."""
        for name in value if isinstance(value, dict) else range(min(1, len(value))):
            yield start + [name]
            if isinstance(value[name], (dict, list)):
                yield from self.paths(value[name], start + [name])


if __name__ == "__main__":
    SMALL_BUNDLE = sys.argv.pop(1)
    unittest.main()
