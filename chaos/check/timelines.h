// Who was up when, by the tool's own record; and when each withdrawal was provably signed.
//
// Invariant: a process counts as up from its `ready` until the tool kills, pauses or stands it
// still or sees it exit: what it says about itself meanwhile (not_ready) does not shorten that, so
// a daemon cannot excuse itself.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "chaos/check/history.h"

namespace roulette::check {

struct Interval {
  std::int64_t from = 0, to = 0;  // us, half open
  [[nodiscard]] bool contains(std::int64_t a, std::int64_t b) const { return from <= a && b <= to; }
};

class Timelines {
 public:
  explicit Timelines(const History& history);

  // `name` was up throughout [from, to].
  [[nodiscard]] bool up_throughout(const std::string& name, std::int64_t from,
                                   std::int64_t to) const;
  // How many processes of a role ("signer") were each up throughout.
  [[nodiscard]] std::size_t steady(const std::string& role, std::int64_t from,
                                   std::int64_t to) const;
  // Maximal intervals inside [from, to) with t signers, a coordinator, a replica and an etcd
  // majority up at every moment; of those, the ones with a node.
  [[nodiscard]] std::vector<Interval> quorate(const chaos::ClusterPlan& plan,
                                              Interval within) const;
  [[nodiscard]] std::vector<Interval> quorate_with_node(const chaos::ClusterPlan& plan,
                                                        Interval within) const;
  // Maximal intervals inside [from, to) in which so many signers were provably dead, stopped or
  // without their key that fewer than t remained.
  [[nodiscard]] std::vector<Interval> quorum_lost(const chaos::ClusterPlan& plan,
                                                  Interval within) const;
  // Moments at which an etcd member went down.
  [[nodiscard]] const std::vector<std::int64_t>& etcd_losses() const { return etcd_losses_; }

 private:
  void build_up(const History& history);
  void build_gone(const History& history);
  std::map<std::string, std::vector<Interval>> up_;  // by process
  std::map<std::string, std::vector<Interval>>
      gone_;  // signers that cannot act: exited, or seen stopped
  std::vector<std::int64_t> etcd_losses_;
};

// The load's phases: [start of `undisturbed`, start of `settle`) and the boundary between
// undisturbed and disturbed.
struct Phases {
  std::optional<std::int64_t> undisturbed, disturbed, drain, settle;
  [[nodiscard]] std::optional<Interval> load_and_drain()
      const;  // nothing when the tool never said so
};
[[nodiscard]] Phases phases_of(const Events& events);

// Withdrawal id -> the first moment at which some record shows that the ledger held its signature.
[[nodiscard]] std::map<std::string, std::int64_t> first_signed(const History& history);
// Key -> withdrawal id, by the ledger or an answer.
[[nodiscard]] std::map<std::string, std::string> ids_by_key(const History& history);

inline constexpr std::int64_t kForever = INT64_MAX;

}  // namespace roulette::check
