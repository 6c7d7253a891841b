// The run as NIST OSCAL documents, an assessment plan and its results: see views.h.
//
// Source: OSCAL 1.1.2, assessment layer. Objectives are the fifteen invariants and nobody's control
// catalog: which controls they are evidence for is said elsewhere. OSCAL knows `satisfied` and
// `not-satisfied`: what was not exercised or is inconclusive is not satisfied, for the reason
// `other`. Identifiers are UUIDs of version 5 (RFC 9562), made from the run.
#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>
#include <openssl/evp.h>

#include "chaos/check/coverage.h"
#include "chaos/evidence/view_times.h"
#include "common/base/assert.h"
#include "common/crypto/hash.h"

namespace roulette::evidence {
namespace {

using check::InvariantStatus;
using nlohmann::json;

constexpr char kOscalVersion[] = "1.1.2";
constexpr char kNamespace[] = "urn:quorum-roulette:oscal";
constexpr std::array<const char*, 6> kComponents{"signer", "coordinator", "ledger",
                                                 "etcd",   "bitcoind",    "tool"};

std::string sha256_hex(std::string_view bytes) {
  return to_hex(crypto::sha256(as_bytes(bytes)));
}

// RFC 9562, 5.5, under a name space of this project's own.
std::string uuid5(const std::string& name) {
  const Bytes space = from_hex("c4f0a1de5b0e4c0d9a6e2f7b31d0c855").value();
  const std::string text = std::string(space.begin(), space.end()) + name;
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
  ROULETTE_ASSERT(EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha1(),
                             nullptr) == 1);
  digest[6] = static_cast<std::uint8_t>((digest[6] & 0x0f) | 0x50);
  digest[8] = static_cast<std::uint8_t>((digest[8] & 0x3f) | 0x80);
  std::string out = to_hex(ByteSpan(digest).first(16));
  for (const std::size_t at : {8, 13, 18, 23}) out.insert(at, "-");
  return out;
}

std::string objective_of(const check::InvariantResult& invariant) {
  return invariant.id + "_objective";
}

class Documents {
 public:
  explicit Documents(const Facts& facts)
      : facts_(facts),
        clock_(facts),
        root_(facts.run + "\n" + sha256_hex(facts.journal) + "\n" +
              sha256_hex(check::verdict_json(facts.verdict)) + "\n") {}

  [[nodiscard]] json plan() const {
    return {{"assessment-plan",
             {{"uuid", id("plan")},
              {"metadata", metadata("Assessment plan of " + facts_.run, clock_.start())},
              {"import-ssp",
               {{"href", "#" + id("plan resource ../environment.json")},
                {"remarks", "There is no system security plan. The system under test is what the "
                            "experiment and the environment's record describe."}}},
              {"local-definitions",
               {{"components", components()},
                {"objectives-and-methods", objectives()},
                {"activities", json::array({activity()})}}},
              {"reviewed-controls", reviewed()},
              {"assessment-subjects",
               json::array({{{"type", "component"}, {"include-subjects", subjects()}}})},
              {"tasks", json::array({task()})},
              {"back-matter", {{"resources", resources("plan")}}}}}};
  }

  [[nodiscard]] json results() const {
    json result{{"uuid", id("result")},
                {"title", "Run " + facts_.run},
                {"description", facts_.history.experiment.title},
                {"start", clock_.start()},
                {"end", clock_.end()},
                {"props", json::array({prop("verdict",
                                            check::verdict_name(facts_.verdict.verdict))})},
                {"reviewed-controls", reviewed()},
                {"observations", observations()},
                {"findings", findings()}};
    return {{"assessment-results",
             {{"uuid", id("results")},
              {"metadata", metadata("Assessment results of " + facts_.run, clock_.end())},
              {"import-ap", {{"href", "assessment-plan.json"}}},
              {"results", json::array({std::move(result)})},
              {"back-matter", {{"resources", resources("results")}}}}}};
  }

 private:
  [[nodiscard]] std::string id(const std::string& what) const { return uuid5(root_ + what); }

  static json prop(const char* name, const std::string& value) {
    return {{"name", name}, {"ns", kNamespace}, {"value", value}};
  }

  static json metadata(const std::string& title, const std::string& modified) {
    return {{"title", title},
            {"last-modified", modified},
            {"version", "1"},
            {"oscal-version", kOscalVersion}};
  }

  [[nodiscard]] json components() const {
    json out = json::array();
    for (const std::string name : kComponents)
      out.push_back({{"uuid", id("component " + name)},
                     {"type", "software"},
                     {"title", name},
                     {"description", "The processes named " + name + "-N in the records."},
                     {"status", {{"state", "operational"}}}});
    return out;
  }

  [[nodiscard]] json subjects() const {
    json out = json::array();
    for (const std::string name : kComponents)
      out.push_back({{"subject-uuid", id("component " + name)}, {"type", "component"}});
    return out;
  }

  [[nodiscard]] json objectives() const {
    json out = json::array();
    for (const auto& one : facts_.verdict.invariants) {
      const json part{{"id", objective_of(one)},
                      {"name", "objective"},
                      {"prose", "Invariant " + one.id + " as docs/INVARIANTS.md words it."}};
      out.push_back({{"control-id", one.id}, {"parts", json::array({part})}});
    }
    return out;
  }

  [[nodiscard]] json reviewed() const {
    json controls = json::array(), wanted = json::array();
    for (const auto& one : facts_.verdict.invariants) {
      controls.push_back({{"control-id", one.id}});
      wanted.push_back({{"objective-id", objective_of(one)}});
    }
    return {{"control-selections", json::array({{{"include-controls", std::move(controls)}}})},
            {"control-objective-selections",
             json::array({{{"include-objectives", std::move(wanted)}}})}};
  }

  [[nodiscard]] json activity() const {
    return {{"uuid", id("activity")},
            {"title", "Kill processes under load"},
            {"description", "The experiment's faults are sent while clients ask for payments; the "
                            "verdict is derived from the records that are left."},
            {"props", json::array({prop("method", "TEST")})}};
  }

  [[nodiscard]] json task() const {
    const json done{{"activity-uuid", id("activity")},
                    {"subjects", json::array({{{"type", "component"},
                                               {"include-all", json::object()}}})}};
    return {{"uuid", id("task")},
            {"type", "action"},
            {"title", facts_.history.experiment.title},
            {"timing",
             {{"within-date-range", {{"start", clock_.start()}, {"end", clock_.end()}}}}},
            {"associated-activities", json::array({done})}};
  }

  // Files of the bundle; their SHA-256 stand in its manifest.
  [[nodiscard]] json resources(const std::string& document) const {
    json out = json::array();
    for (const std::string file : {"../experiment.yaml", "../environment.json", "../verdict.json",
                                   "../faults.ndjson", "../manifest.json"})
      out.push_back({{"uuid", id(document + " resource " + file)},
                     {"title", file.substr(3)},
                     {"rlinks", json::array({{{"href", file}}})}});
    return out;
  }

  [[nodiscard]] json observation(const std::string& name, const std::string& title,
                                 const std::string& description, const std::string& file) const {
    const json evidence{{"href", "#" + id("results resource ../" + file)},
                        {"description", file + " of this bundle"}};
    return {{"uuid", id("observation " + name)},
            {"title", title},
            {"description", description},
            {"methods", json::array({"TEST"})},
            {"collected", clock_.end()},
            {"relevant-evidence", json::array({evidence})}};
  }

  [[nodiscard]] json observations() const {
    json out = json::array();
    for (const auto& one : facts_.verdict.invariants) {
      std::string text = std::string(check::status_name(one.status)) + ": " +
                         std::to_string(one.checked) + " compared";
      if (!one.note.empty()) text += "; " + one.note;
      for (const std::string& violation : one.violations) text += "\n" + violation;
      out.push_back(observation(one.id, one.id, text, "verdict.json"));
    }
    for (const check::FaultRecord& fault : facts_.history.faults) out.push_back(of_fault(fault));
    return out;
  }

  [[nodiscard]] json of_fault(const check::FaultRecord& fault) const {
    const std::string defect =
        fault.fired ? check::proof_defect(fault) : "did not fire: " + fault.why_not;
    const std::string name = "fault " + std::to_string(fault.fault_id) + " " + fault.victim;
    json out = observation(name, name,
                           fault.signal + " to " + fault.victim + " at " + fault.point + ": " +
                               (defect.empty() ? "proven" : "not proven: " + defect),
                           "faults.ndjson");
    const bool known = std::find(kComponents.begin(), kComponents.end(), fault.role) !=
                       kComponents.end();
    if (known)
      out["subjects"] = json::array(
          {{{"subject-uuid", id("component " + fault.role)}, {"type", "component"}}});
    return out;
  }

  [[nodiscard]] json findings() const {
    json out = json::array();
    for (const auto& one : facts_.verdict.invariants) {
      const bool pass = one.status == InvariantStatus::Pass;
      const char* reason = pass                                    ? "pass"
                           : one.status == InvariantStatus::Fail ? "fail"
                                                                   : "other";
      out.push_back(
          {{"uuid", id("finding " + one.id)},
           {"title", one.id},
           {"description", std::string("The invariant's status is ") +
                               check::status_name(one.status) + "."},
           {"target",
            {{"type", "objective-id"},
             {"target-id", objective_of(one)},
             {"status", {{"state", pass ? "satisfied" : "not-satisfied"}, {"reason", reason}}}}},
           {"related-observations",
            json::array({{{"observation-uuid", id("observation " + one.id)}}})}});
    }
    return out;
  }

  const Facts& facts_;
  RunClock clock_;
  std::string root_;
};

}  // namespace

std::string oscal_plan(const Facts& facts) {
  return view_text(Documents(facts).plan());
}

std::string oscal_results(const Facts& facts) {
  return view_text(Documents(facts).results());
}

}  // namespace roulette::evidence
