// `roulette init`: an experiment file to begin with. See commands.h.
//
// Invariant: what it writes passes `roulette run --dry-run` as it stands (tests/live), and a file
// that exists is never written over.
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <iostream>

#include "chaos/app/commands.h"

namespace roulette::chaos {
namespace {

constexpr std::string_view kTemplate =
    R"(# An experiment of Quorum Roulette: a cluster, a load, who is killed when, what must hold.
#   roulette run FILE --dry-run      the drawn schedule, without starting anything
#   roulette run FILE                exit 0 pass, 1 fail, 2 inconclusive, 64 this file is wrong
# Keys and values: docs/schemas/experiment.schema.json. Kill points: roulette killpoints.
title: One signer and one coordinator die while payments go out
description: >-
  Say here what you expect, in words that an auditor understands.
tags: [mine]
# The load's own figures, before the first fault and over all of it, must lie in the tolerance.
steady-state-hypothesis:
  title: Withdrawals settle
  probes:
    - type: probe
      name: settle-rate
      tolerance: [3, 1000]
      provider: {type: roulette, metric: settled_per_second}
method: [{type: action, name: quorum-roulette, provider: {type: roulette}}]
rollbacks: []
extensions:
  - name: quorum-roulette
    version: 1
    seed: 1                      # the same seed draws the same victims and moments
    cluster:
      scheme: frost              # frost, frost-tr, musig2, single or hsm
      signers: 5
      threshold: 3               # more than half of the signers
      coordinators: 2
      ledgers: 3                 # replicas of the books
      nodes: 1                   # 2: coordinators fall back to the second Bitcoin node
      block_interval_ms: 1000
    workload:
      clients: 4                 # each sends, waits for the answer, thinks, sends
      rate_per_s: 8              # besides them, at a fixed rate
      duration_s: 30
      undisturbed_s: 8           # no fault before this is over
      duplicate_share: 0.1       # sent to two coordinators at once
      conflict_share: 0.02       # another payload under a used key, which must be refused
    blast_radius: {signers: 2, coordinators: 1}   # so many may be down at once
    faults:
      # Inside a signing round: the record is durable, the share has not left.
      - target: {role: signer}
        trigger: {point: signer.persist.signing_record.after, occurrence: 3}
        signal: SIGKILL          # or SIGTERM, SIGSTOP (with recover: {how: continue, ...})
        recover: {how: restart, after_ms: 300}
      - target: {role: coordinator}
        trigger: {point: coordinator.send.sign_request.after, occurrence: 4}
        signal: SIGKILL
        recover: {how: restart, after_ms: 400}
      # By the clock, again and again.
      - target: {role: signer}
        trigger: {every_ms: 6000, jitter_ms: 1500}
        signal: SIGKILL
        recover: {how: restart, after_ms: 300}
    # Less than this shows nothing: the verdict is inconclusive then.
    floor: {settled: 100, kills: 4, points: 2}
    # `require` names the invariants that must be shown, all of them where it is left out:
    # safe-refusal and orderly-stop-finishes would need faults of their own (docs/INVARIANTS.md).
    require: [no-duplicate-payment, no-lost-withdrawal, no-partial-transaction,
              idempotency-key-respected, no-conflicting-signature, share-has-its-record,
              nonce-never-reused, signing-policy-respected, quorum-continuity,
              ledger-replicas-agree, books-balance, chain-matches-ledger, limits-respected]
    expect: progress
)";

}  // namespace

int init_command(const InitOptions& options) {
  const auto failed = [&](ErrorKind kind, const std::string& what) {
    std::cerr << "roulette init: " << options.file << ": " << what << "\n";
    return exit_code(kind);
  };
  const int fd = ::open(options.file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0 && errno == EEXIST)
    return failed(ErrorKind::Usage, "stands there already; nothing was written");
  if (fd < 0) return failed(ErrorKind::Preflight, ::strerror(errno));
  const ssize_t written = ::write(fd, kTemplate.data(), kTemplate.size());
  const bool whole = written == static_cast<ssize_t>(kTemplate.size()) && ::fsync(fd) == 0;
  const int why = errno;
  if (::close(fd) != 0 || !whole) return failed(ErrorKind::Io, ::strerror(why));
  std::cout << options.file << ": an experiment to begin with; every key is explained there\n"
            << "next: roulette run " << options.file << " --dry-run\n";
  return 0;
}

}  // namespace roulette::chaos
