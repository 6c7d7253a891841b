// What daemons write while a cluster runs: who is in which signing session, how many signers each
// coordinator knows, whether the ledger's log was trimmed.
//
// Invariant: it reads whole lines of event logs, never writes, and tells the past only: what is not
// written yet it does not know. For choosing victims, never for judging.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"

namespace roulette::chaos {

class SessionWatch {
 public:
  SessionWatch(const std::string& run_dir, std::uint16_t coordinators, std::uint16_t ledgers);
  void read();  // what was written since the last call
  // The signers of the latest session that holds this one; empty when there is none.
  [[nodiscard]] std::set<std::uint16_t> session_of(std::uint16_t signer) const;
  [[nodiscard]] std::set<std::uint16_t> latest() const;
  // Every coordinator's last word.
  [[nodiscard]] bool all_know(std::size_t signers) const;
  [[nodiscard]] bool trimmed() const { return trimmed_; }

 private:
  struct Tail {
    std::string path;
    Role role{};
    std::uint64_t offset = 0;
    std::string rest;
    std::size_t known = 0;
  };
  void take(Tail& tail, const std::string& line);
  void follow(const std::string& run_dir, Role role, std::uint16_t count);
  std::vector<Tail> tails_;
  bool trimmed_ = false;
  std::deque<std::set<std::uint16_t>> sessions_;  // the newest last
};

}  // namespace roulette::chaos
