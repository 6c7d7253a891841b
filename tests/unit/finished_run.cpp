// See finished_run.h.
#include "finished_run.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "chaos/check/run_journal.h"
#include "chaos/evidence/run_identity.h"
#include "common/base/assert.h"
#include "common/crypto/hash.h"

namespace roulette::check::test {
namespace {

constexpr char kFile[] = R"(title: a small run
description: Made by hand.
steady-state-hypothesis:
  title: Withdrawals settle
  probes:
    - {type: probe, name: settle-rate, tolerance: [0.1, 10],
       provider: {type: roulette, metric: settled_per_second}}
method: [{type: action, name: quorum-roulette, provider: {type: roulette}}]
extensions:
  - name: quorum-roulette
    version: 1
    seed: 7
    cluster: {signers: 3, threshold: 2, coordinators: 2, ledgers: 2}
    workload: {duration_s: 10, undisturbed_s: 2}
    faults:
      - target: {role: signer, index: [1]}
        trigger: {point: signer.persist.signing_record.after, process: signer-1}
        signal: SIGKILL
      - target: {role: signer, index: [0, 1]}
        trigger: {at_ms: 4000}
        signal: SIGSTOP
        recover: {how: continue, after_ms: 3000}
        over_budget: true
    floor: {settled: 4, kills: 3, points: 2}
)";

// Unix seconds around the wall times of its events.
constexpr RunSpan kSpan{1'700'001'009, 1'700'001'025};

}  // namespace

evidence::OperatorKey key_of(const std::string& name) {
  return evidence::OperatorKey::from_seed(Secret<32>(crypto::sha256(as_bytes(name)))).value();
}

void put(const std::string& folder, const std::string& name, const std::string& text) {
  std::ofstream(folder + "/" + name, std::ios::binary) << text;
}

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// What the tool writes when a run has ended.
Finished::Finished(Run made) : run(std::move(made)), folder(run.write()) {
  put(folder, "experiment.yaml", kFile);
  put(folder, "environment.json", "{}\n");
  close();
  sign_as_cluster();
}

void Finished::close() const {
  const auto journal = run_journal_json(folder, run.experiment, run.facts, kSpan);
  ROULETTE_ASSERT(journal.ok());
  put(folder, "journal.json", *journal);
  const auto verdict = judge_folder(folder);
  ROULETTE_ASSERT(verdict.ok());
  put(folder, "verdict.json", verdict_json(*verdict));
}

// The wallet of the hand-made run is one key, so that this is a plain BIP 340 signature.
void Finished::sign_as_cluster() const {
  const std::string statement = evidence::identity_statement(text_of(folder + "/journal.json"),
                                                             text_of(folder + "/verdict.json"));
  const std::string message = evidence::identity_message(statement);
  const auto [key, signature] =
      run.sign_as_wallet(crypto::tagged_hash(evidence::kRunIdentityTag, as_bytes(message)));
  put(folder, evidence::kIdentityFile, evidence::identity_envelope(statement, key, signature));
}

Finished::~Finished() {
  std::filesystem::remove_all(folder);
}

}  // namespace roulette::check::test
