// The ReplicatedLog on an etcd cluster, over its JSON gateway.
//
// Invariants: an append compares the head's revision with that of the last entry handed over here,
// so a proposer that has not seen everything writes nothing; an answer that did not come is
// Unknown, never a guess. A member that fails or stands still is left for the next one: every
// request has a deadline. Only own keys (<cluster>/...) are written or removed; global compaction
// is called only where the etcd is this cluster's own, defragmentation never; no process is started
// here.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/time.h"
#include "ledger/log/replicated_log.h"

namespace roulette::runtime {
class EventLoop;
class TlsClientContext;
}

namespace roulette::ledger {

class EtcdLog final : public ReplicatedLog {
 public:
  struct Member {
    std::string address;  // numeric IPv4
    std::uint16_t port = 0;
    std::string host = {};  // as its certificate names it; empty: the address
  };
  struct Options {
    std::string cluster;          // the keys' prefix
    std::vector<Member> members;  // at least one; the first is asked first
    Duration deadline = milliseconds(400);
    Duration page_deadline = seconds(2);
    std::shared_ptr<const runtime::TlsClientContext> tls = {};  // null: plain HTTP
    // The etcd holds nothing else: its history goes behind every trim. What was removed would
    // count against its quota until somebody compacts.
    bool own = false;
    // Which member does not serve and why, for people: when that changes, at most once a second a
    // member. May be empty.
    std::function<void(const std::string&)> on_trouble = {};
  };
  using Counters = LogCounters;

  EtcdLog(runtime::EventLoop& loop, Options options);
  ~EtcdLog() override;

  void subscribe(Callbacks callbacks) override;
  void propose(const std::vector<wire::Command>& batch, ProposeCallback done) override;
  void read_barrier(BarrierCallback done) override;
  void follow(std::uint64_t after) override;
  void store_chunk(std::uint64_t index, std::uint32_t number, ByteSpan bytes,
                   DoneCallback done) override;
  void store_manifest(std::uint64_t index, ByteSpan bytes, DoneCallback done) override;
  void read_snapshot(std::uint64_t at_most, SnapshotCallback done) override;
  void trim(std::uint64_t up_to, std::uint64_t newest, DoneCallback done) override;

  [[nodiscard]] const Counters& counters() const override;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace roulette::ledger
