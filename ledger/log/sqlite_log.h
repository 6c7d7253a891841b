// The ReplicatedLog in one SQLite file: one replica, the smallest set-up, and the "no replication"
// side of comparisons. Lose the file and the books are lost.
//
// Invariants: a batch is one transaction with synchronous=FULL, which compares the head with the
// last entry handed over here; what was answered Accepted is on the disk. A write that failed is
// never answered: on_failure is called instead and the process is to end (DESIGN 4.2), for nothing
// it says about its log could be believed. A file of another cluster is refused.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "ledger/log/replicated_log.h"

namespace roulette::runtime {
class EventLoop;
}

namespace roulette::ledger {

class SqliteLog final : public ReplicatedLog {
 public:
  struct Options {
    std::filesystem::path file;
    std::string cluster;
    std::function<void(const Error&)> on_failure;  // called at most once; nothing follows it
  };

  [[nodiscard]] static Result<std::unique_ptr<SqliteLog>> open(runtime::EventLoop& loop,
                                                               Options options);
  ~SqliteLog() override;

  void subscribe(Callbacks callbacks) override;
  void propose(const std::vector<wire::Command>& batch, ProposeCallback done) override;
  void read_barrier(BarrierCallback done) override;
  void follow(std::uint64_t after) override;
  void store_chunk(std::uint64_t index, std::uint32_t number, ByteSpan bytes,
                   DoneCallback done) override;
  void store_manifest(std::uint64_t index, ByteSpan bytes, DoneCallback done) override;
  void read_snapshot(std::uint64_t at_most, SnapshotCallback done) override;
  void trim(std::uint64_t up_to, std::uint64_t newest, DoneCallback done) override;
  [[nodiscard]] const LogCounters& counters() const override;

 private:
  struct State;
  explicit SqliteLog(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace roulette::ledger
