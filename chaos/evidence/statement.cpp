// See statement.h.
#include "chaos/evidence/statement.h"

#include <nlohmann/json.hpp>

#include "common/crypto/hash.h"

namespace roulette::evidence {
namespace {

using nlohmann::json;

std::string sha256_hex(std::string_view bytes) {
  return to_hex(crypto::sha256(as_bytes(bytes)));
}

const char* result_word(check::VerdictKind verdict) {
  switch (verdict) {
    case check::VerdictKind::Pass: return "PASSED";
    case check::VerdictKind::Fail: return "FAILED";
    case check::VerdictKind::Inconclusive: return "WARNED";
  }
  return "FAILED";
}

std::string text(const json& value) {
  return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string manifest_json(const std::string& run, std::int64_t views,
                          const std::vector<ArchivedFile>& files) {
  json listed = json::array();
  for (const ArchivedFile& file : files)
    listed.push_back({{"name", file.name},
                      {"size", file.content.size()},
                      {"sha256", sha256_hex(file.content)}});
  return text({{"format", "roulette-manifest"},
               {"version", kManifestVersion},
               {"run", run},
               {"views", views},
               {"files", std::move(listed)}});
}

std::string statement_json(const std::string& run, const std::string& manifest,
                           std::string_view experiment, const check::Verdict& verdict) {
  json passed = json::array(), warned = json::array(), failed = json::array();
  for (const check::InvariantResult& invariant : verdict.invariants) {
    switch (invariant.status) {
      case check::InvariantStatus::Pass: passed.push_back(invariant.id); break;
      case check::InvariantStatus::Fail: failed.push_back(invariant.id); break;
      case check::InvariantStatus::Inconclusive:
      case check::InvariantStatus::NotExercised: warned.push_back(invariant.id); break;
    }
  }
  return text(
      {{"_type", "https://in-toto.io/Statement/v1"},
       {"subject",
        json::array({{{"name", run + "/manifest.json"},
                      {"digest", {{"sha256", sha256_hex(manifest)}}}}})},
       {"predicateType", "https://in-toto.io/attestation/test-result/v0.1"},
       {"predicate",
        {{"result", result_word(verdict.verdict)},
         {"configuration",
          json::array({{{"name", run + "/experiment.yaml"},
                        {"digest", {{"sha256", sha256_hex(experiment)}}}}})},
         {"passedTests", std::move(passed)},
         {"warnedTests", std::move(warned)},
         {"failedTests", std::move(failed)}}}});
}

}  // namespace roulette::evidence
