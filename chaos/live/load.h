// The clients of a run: make keys, send withdrawals, retry at the other coordinator, and keep their
// own record.
//
// Invariants: a key is in the record before its first request leaves; the same key always carries
// the same payload (but for declared `conflict` requests); every withdrawal pays a fresh address,
// so that the chain is the judge; latency counts from the intended start. It never reads what
// coordinators or ledgers keep.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "chaos/live/cluster.h"
#include "chaos/plan/experiment.h"
#include "common/runtime/event_loop.h"

namespace roulette::chaos {

struct LoadTarget {
  std::vector<Endpoint> coordinators;
  std::string token;
  std::shared_ptr<const RequestSigner> client;  // null where clients need not sign
  std::vector<std::string> accounts;
  Duration request_deadline = seconds(2);  // a paused coordinator answers nobody
  Duration longest_retry = seconds(1);
};

// What a client knows of one withdrawal.
struct WithdrawalSeen {
  std::string key;
  bool acknowledged = false;
  bool rejected = false;  // 4xx, or a business refusal: final
  std::string state;      // the latest one answered
  int status = 0;         // of the last answer to a create
  std::string problem;
  Instant sent{};
  [[nodiscard]] bool is_signed() const;     // signed or later
  [[nodiscard]] bool is_broadcast() const;  // broadcast or later
};

struct LoadCounts {
  std::uint64_t requested = 0;     // withdrawals made (keys)
  std::uint64_t acknowledged = 0;  // 2xx seen for the key
  std::uint64_t rejected = 0;      // recorded business refusals
  std::uint64_t open = 0;          // neither yet
  std::uint64_t answers = 0;       // requests that got any HTTP answer
  std::uint64_t errors = 0;        // no answer or 5xx
  double p99_ms = 0;               // of the last acknowledgements, from the intended start
};

class Load {
 public:
  // `history_path` is history.ndjson (docs/RECORDS.md, section 2).
  [[nodiscard]] static Result<std::unique_ptr<Load>> create(runtime::EventLoop& loop,
                                                            const WorkloadPlan& plan,
                                                            std::uint64_t seed, LoadTarget target,
                                                            const std::string& history_path);
  ~Load();

  void begin(Instant began);
  // No new withdrawals; open ones are retried until answered or drained.
  void stop();
  // Why the client's record could not be written any more; empty while it is whole. Nothing is
  // asked after that, and no verdict can rest on it.
  [[nodiscard]] const std::string& broken() const;
  // Every key has a final answer.
  [[nodiscard]] bool drained() const;
  // Gives up on what is still open (it stays indeterminate) and closes the record.
  void close();
  // Asks for every key that never got an answer, by key, at any coordinator (`resolve`); `done` is
  // called once.
  void resolve(std::function<void()> done);

  // One withdrawal now, by hand, at this coordinator first; repeated like any other. Its number.
  std::size_t request(std::size_t coordinator);
  // Asks this coordinator for its state (`poll`), unless a question is still open. seen() follows.
  void poll(std::size_t number, std::size_t coordinator);
  [[nodiscard]] WithdrawalSeen seen(std::size_t number) const;

  [[nodiscard]] LoadCounts counts() const;
  // Errors / requests of the last second, for stop conditions.
  [[nodiscard]] double error_rate() const;

 private:
  struct State;
  explicit Load(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace roulette::chaos
