// A run as one file that an auditor can check without trusting who made it.
//
// Invariant: verify_bundle() finds every deviation from what make_bundle() would have written for
// the same records, down to a byte, and never says that a bundle holds when it could not look. It
// derives the verdict again from the raw records by the checkers themselves. Without a key to trust
// it shows consistency only: whoever has all records can write a consistent bundle of others.

//   RUN/experiment.yaml ...   the run's records as docs/RECORDS.md has them; never secrets or logs
//   RUN/chains.json           the event log's hash chains and Merkle root (event_chain.h)
//   RUN/...                   views.h: the same facts in other tools' formats
//   RUN/operator.pub.pem      the key that signed, for the signature; to trust it is another matter
//   RUN/manifest.json         size and SHA-256 of all of these
//   RUN/statement.dsse.json   the in-toto statement over the manifest, signed by the operator
//   RUN/statement.tsr         an RFC 3161 token over that envelope, where one was given
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chaos/check/verdict.h"
#include "chaos/evidence/dsse.h"
#include "chaos/evidence/time_stamp.h"

namespace roulette::evidence {

struct Bundle {
  std::string run;
  std::string archive;
  std::size_t files = 0;
  check::Verdict verdict;  // as derived from the records now
};

// Of a finished run's folder. Preflight when the records do not give the verdict that the folder
// holds: what was changed after the run is not bundled.
// `time_stamp`: an RFC 3161 response for this bundle's envelope, or empty. The envelope is the same
// whenever the same run is bundled with the same key.
[[nodiscard]] Result<Bundle> make_bundle(const std::string& run_dir, const OperatorKey& key,
                                         const std::string& time_stamp = {});

struct Verification {
  std::string run;
  std::size_t files = 0;
  std::uint64_t bytes = 0;
  std::string signer;        // fingerprint of the key in the bundle, once its signature holds
  bool pinned = false;       // it is the one that is trusted
  std::optional<TimeStamp> time_stamp;
  std::string identity;      // the cluster's key that signed the records, hex; empty: none did
  std::optional<check::Verdict> verdict;  // derived again from the records
  bool report_page = false;               // there is one; how it presents figures nobody checks
  std::vector<std::string> findings;      // each names a file, a record or a process
  std::int64_t views = 0;                 // as the manifest numbers them
  std::vector<std::string> unchecked;     // views of another number: files known by hash only
  // What could be checked holds; whole() says that there was nothing else.
  [[nodiscard]] bool consistent() const { return findings.empty(); }
  [[nodiscard]] bool whole() const { return unchecked.empty(); }
};

// `trusted`: a fingerprint, or empty. `authority`: a time stamp authority's certificate in PEM, or
// empty; with one a bundle without a token of it is not consistent. An archive that cannot be read
// as one has a single finding.
// An Error only when this machine cannot look (no room for the records).
[[nodiscard]] Result<Verification> verify_bundle(std::string_view archive,
                                                 const std::string& trusted,
                                                 const std::string& authority = {});

}  // namespace roulette::evidence
