// One experiment as many: the same load and the same blows against clusters that differ in what the
// comparison is about (the scheme, or what its `compare:` section says).
//
// Invariant: all variants of a plan have the file's seed, workload and moments of timed faults;
// each is a complete experiment of its own, checked like any file, so that its run is judged by the
// ordinary checkers from its folder alone. What a variant's shape changes is decided in
// variant_document() and nowhere else. Runs nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chaos/plan/experiment.h"
#include "common/base/bytes.h"

namespace roulette::chaos {

// What variant_document() derives from a shape:
//   scheme    any threshold: signers and threshold as in the file (or 5 and 3 where the file's own
//             scheme has none); all signers: as many as the file has, all of them; one signer: 1.
//   faults    timed ones become the moments that the file's own schedule draws; a victim's number
//             counts modulo the processes that the variant has of its role. Faults at points keep
//             their point; a named victim's number counts likewise. A role without processes has
//             no victim: the fault is left out, and `notes` says so.
//   blast radius  the file's, or what the variant can spare if that is more, at most all of a role:
//             the same blows are struck, and a role that cannot bear them is the result.
//   expect    `refusal` where the schedule takes more signers for good than the variant can spare.
//   floor     `settled` as in the file where the variant can spare at least what the file's own
//             cluster can, else 1; `kills` at most what is left of the faults.
//   require   without nonce-never-reused where the scheme has no nonces.
//   stop, steady-state-hypothesis, compare  left out: a stall is measured, no reason to stop.
struct Variant {
  std::string name;       // the scheme's, or as the file calls it
  std::string scheme;
  std::string shape;      // "3 of 5 signers, 2 coordinators, 3 ledgers on etcd (3)"
  Experiment experiment;  // its text is the variant's own file
  std::vector<std::string> notes;
};
struct ComparePlan {
  Experiment experiment;  // the file
  Hash32 schedule_hash{};  // of the file's own cluster; each variant's run has its own besides
  std::string reference;  // the variant that the others are held against
  std::uint32_t late_ms = 1000;
  std::vector<Variant> variants;
};

struct CompareChoice {
  std::vector<std::string> schemes;  // empty: the file's variants, or every scheme of this build
  std::optional<std::uint64_t> seed;
  std::optional<std::uint32_t> duration_s;
};

// ErrorKind::Usage with file and line. `name` is the file's, for messages.
[[nodiscard]] Result<ComparePlan> plan_compare(const std::string& text, const std::string& name,
                                               const CompareChoice& choice);

}  // namespace roulette::chaos
