// What tests of ledger processes say to them as a coordinator, and how they read an export.
//
// Invariant: one command at a time, so that each is an entry of its own; every wait has a limit.
#pragma once

#include <catch2/catch.hpp>

#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/live/ledger_processes.h"
#include "tests/unit/ledger_story.h"

namespace roulette::ledger::test {

inline wire::Withdraw withdraw_of(const std::string& key, std::uint8_t id = 0) {
  wire::Withdraw withdraw;
  const Hash32 hash = hash_of(key);
  ByteArray<16> bytes{};
  std::copy_n(hash.begin(), 15, bytes.begin());
  bytes[15] = id;
  withdraw.id = WithdrawalId(bytes);
  withdraw.key = key;
  withdraw.account = "alice";
  withdraw.script = bitcoin::p2tr_script(hash_of("address of " + key));
  withdraw.amount_sat = 50'000;
  withdraw.payload_digest = wire::payload_digest("alice", withdraw.script, 50'000);
  return withdraw;
}

class Caller {
 public:
  explicit Caller(TestCoordinator& coordinator) : coordinator_(coordinator) {}
  std::uint64_t submit(std::uint16_t ledger, wire::CommandBody body) {
    wire::Command command{{{Role::Coordinator, 0}, boot_, ++counter_},
                          std::move(body)};
    coordinator_.send(ledger, wire::LedgerSubmit{counter_, std::move(command)});
    return counter_;
  }
  std::optional<wire::LedgerApplied> give(std::uint16_t ledger, wire::CommandBody body) {
    (void)submit(ledger, std::move(body));
    return coordinator_.receive<wire::LedgerApplied>(ledger);
  }
  std::optional<wire::LedgerAnswer> ask(std::uint16_t ledger, wire::Query query) {
    coordinator_.send(ledger, wire::LedgerQuery{++counter_, std::move(query)});
    return coordinator_.receive<wire::LedgerAnswer>(ledger);
  }
  void fund(std::uint16_t ledger) {
    Hash32 prev = test_genesis().anchor_block;
    for (std::uint32_t height = 1; height <= 3; ++height) {
      wire::BlockConnected block{hash_of("b" + std::to_string(height)), prev, height, {}, {}};
      prev = block.hash;
      if (height == 1) {
        block.txids = {hash_of("funding")};
        for (std::uint32_t i = 0; i < 20; ++i) {
          block.wallet_outputs.push_back({{hash_of("funding"), 2 * i}, 1'000'000, false});
        }
      }
      const auto applied = give(ledger, block);
      REQUIRE(applied.has_value());
      CHECK(applied->outcome.kind == wire::OutcomeKind::Applied);
    }
  }

 private:
  TestCoordinator& coordinator_;
  // As a coordinator's start: no two callers' commands have one id.
  static BootId next_boot() {
    static std::uint8_t callers = 0;
    return BootId(ByteArray<16>{5, ++callers, static_cast<std::uint8_t>(::getpid()),
                                static_cast<std::uint8_t>(::getpid() >> 8)});
  }
  BootId boot_ = next_boot();
  std::uint64_t counter_ = 0;
};

inline std::vector<nlohmann::json> lines_of(const std::string& text) {
  std::vector<nlohmann::json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    INFO(line);
    lines.push_back(nlohmann::json::parse(line, nullptr, false));
    REQUIRE(lines.back().is_object());
  }
  return lines;
}

inline nlohmann::json line_of(const std::vector<nlohmann::json>& lines, const std::string& type) {
  for (const nlohmann::json& line : lines) {
    if (line.value("type", "") == type) return line;
  }
  FAIL("no line of type " << type);
  return {};
}

}  // namespace roulette::ledger::test
