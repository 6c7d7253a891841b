// A day of payments through real replicas and a real etcd with a quota, as fast as they go.
//
// One withdrawal a second is 86,400: each has its Withdraw (with a client's signature), its Signed,
// its Broadcast and its place in one of 144 blocks. By default an eighth of that goes against an
// eighth of 256 MB; ROULETTE_DAY_SHARE=1 (tools/day-of-load) makes it the whole. A day's entries
// hold one command each; here kTogether are asked for at once, which makes entries of some
// kCommandsAnEntry, so the interval of snapshots is smaller by that: as many bytes are written a
// withdrawal. Figures are printed and nothing is asserted of the clock.
#include <catch2/catch.hpp>

#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <fstream>

#include "common/base/base64.h"
#include "ledger/core/snapshot.h"
#include "ledger/log/etcd_messages.h"
#include "tests/live/ledger_caller.h"

namespace roulette::ledger::test {
namespace {

using nlohmann::json;

constexpr const char* kCluster = "day";
constexpr std::size_t kDay = 86'400;
constexpr std::uint64_t kQuotaBytes = 256u << 20;
constexpr std::size_t kBlocksADay = 144;
constexpr std::size_t kTogether = 16;
constexpr std::size_t kCommandsAnEntry = 8;
constexpr std::uint64_t kEvery = limits::kSnapshotInterval / kCommandsAnEntry;
constexpr std::uint16_t kReplicas = 3;
constexpr std::size_t kCoins = 2'000;
constexpr int kPatienceTimes = 12;  // a whole day takes longer to load than one wait lasts

std::size_t day_share() {
  const char* text = std::getenv("ROULETTE_DAY_SHARE");
  const int share = text == nullptr ? 8 : std::atoi(text);
  REQUIRE((share >= 1 && share <= 64));
  return static_cast<std::size_t>(share);
}

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::uint64_t memory_kib(pid_t pid, const std::string& field) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(field + ":")) return std::stoull(line.substr(field.size() + 1));
  return 0;
}

std::string hear_patiently(LedgerProcess& ledger, const std::string& beginning) {
  std::string line;
  for (int i = 0; i < kPatienceTimes && line.empty(); ++i) line = ledger.hear(beginning);
  return line;
}

// The largest of what all members' databases were seen to hold.
struct Database {
  std::uint64_t largest = 0, largest_in_use = 0, last = 0, last_in_use = 0;
  void look(const EtcdCluster& etcd, runtime::EventLoop& loop) {
    last = last_in_use = 0;
    for (std::size_t i = 0; i < etcd.size(); ++i) {
      const json status = etcd.call(loop, i, "/v3/maintenance/status", "{}");
      if (!status.is_object()) continue;       // it was busy
      CHECK_FALSE(status.contains("errors"));  // an alarm: no space
      last = std::max<std::uint64_t>(last, std::stoull(status.value("dbSize", "0")));
      last_in_use =
          std::max<std::uint64_t>(last_in_use, std::stoull(status.value("dbSizeInUse", "0")));
    }
    largest = std::max(largest, last);
    largest_in_use = std::max(largest_in_use, last_in_use);
  }
};

class Day {
 public:
  explicit Day(std::size_t share)
      : share_(share),
        quota_(kQuotaBytes / share),
        etcd(3, {"--auto-compaction-mode", "periodic", "--auto-compaction-retention", "5m",
                 "--quota-backend-bytes", std::to_string(quota_)}),
        files(etcd, kReplicas, kCluster) {
    for (std::uint16_t i = 0; i < kReplicas; ++i) {
      files.write_config(i, {{"snapshot_interval", std::to_string(kEvery)}, {"own_etcd", "true"}});
      ledgers.push_back(std::make_unique<LedgerProcess>(files.config(i)));
    }
    for (auto& ledger : ledgers) REQUIRE(ledger->hear("ready") == "ready {}");
    coordinator.emplace(files);
    REQUIRE(coordinator->connect(0));
    caller.emplace(*coordinator);
    fund();
  }

  void pay_all() {
    const std::size_t withdrawals = kDay / share_;
    const double begun = now_s();
    const std::size_t a_block = kDay / kBlocksADay;
    for (std::size_t at = 0; at < withdrawals; at += kTogether) {
      pay_together(at, std::min(kTogether, withdrawals - at));
      if (in_mempool_.size() + kTogether > a_block) mine();
      if (at / kTogether % 32 == 0) database.look(etcd, loop);
      if (at / kTogether % 256 == 0 && std::getenv("ROULETTE_DAY_TALK") != nullptr) tell(at);
    }
    mine();
    database.look(etcd, loop);
    took_s = now_s() - begun;
  }

  void tell(std::size_t paid_now) const {
    std::printf("%zu withdrawals: %llu KiB, in use %llu\n", paid_now,
                static_cast<unsigned long long>(database.last >> 10),
                static_cast<unsigned long long>(database.last_in_use >> 10));
    std::fflush(stdout);
  }
  [[nodiscard]] std::filesystem::path folder(std::uint16_t i) const {
    return files / ("ledger-" + std::to_string(i));
  }
  std::vector<json> events(std::uint16_t i, const std::string& name) const {
    std::ifstream in(folder(i) / "events.ndjson");
    std::vector<json> found;
    for (std::string line; std::getline(in, line);) {
      if (line.find('"' + name + '"') == std::string::npos) continue;
      json event = json::parse(line, nullptr, false);
      if (event.is_object() && event.value("event", "") == name) found.push_back(std::move(event));
    }
    return found;
  }
  Manifest newest_manifest() {
    const json found =
        etcd.call(loop, 0, "/v3/kv/range", etcd::snapshots_request(kCluster, ~std::uint64_t{0}));
    const auto index = etcd::parse_newest_snapshot(found.dump(), kCluster);
    REQUIRE(index.ok());
    const std::string key = encode_base64(as_bytes(etcd::manifest_key(kCluster, *index)));
    const json stored = etcd.call(loop, 0, "/v3/kv/range", R"({"key":")" + key + "\"}");
    const auto bytes = decode_base64(stored.at("kvs").at(0).at("value").get<std::string>());
    REQUIRE(bytes.has_value());
    auto manifest = decode_manifest(*bytes);
    REQUIRE(manifest.ok());
    return *manifest;
  }
  std::uint64_t first_entry() {
    const json answer = etcd.call(loop, 0, "/v3/kv/range", etcd::first_entry_request(kCluster));
    const auto first = etcd::parse_first_entry(answer.dump(), kCluster);
    REQUIRE(first.ok());
    return *first;
  }

 private:
  std::size_t share_;
  std::uint64_t quota_;

 public:
  const EtcdCluster etcd;
  const LedgerFiles files;
  std::vector<std::unique_ptr<LedgerProcess>> ledgers;
  std::optional<TestCoordinator> coordinator;
  std::optional<Caller> caller;
  runtime::EventLoop loop;
  Database database;
  std::vector<double> answers_s;  // of each group, from its first request to its last answer
  double took_s = 0;
  std::uint64_t entries = 0;
  std::size_t paid = 0;

 private:
  // Sends all and takes all answers, which come in order.
  std::vector<wire::LedgerApplied> give_all(std::vector<wire::CommandBody> bodies) {
    const double begun = now_s();
    std::vector<wire::LedgerApplied> applied;
    for (wire::CommandBody& body : bodies) (void)caller->submit(0, std::move(body));
    for (std::size_t i = 0; i < bodies.size(); ++i) {
      auto answer = coordinator->receive<wire::LedgerApplied>(0);
      REQUIRE(answer.has_value());
      INFO(answer->outcome.detail);
      REQUIRE(answer->outcome.kind == wire::OutcomeKind::Applied);
      entries = answer->index;
      applied.push_back(std::move(*answer));
    }
    answers_s.push_back(now_s() - begun);
    return applied;
  }

  static wire::Withdraw request(std::size_t number) {
    wire::Withdraw withdraw = withdraw_of(to_hex(hash_of(std::to_string(number))).substr(0, 32));
    withdraw.requested_at_us =
        1'700'000'000'000'000 + static_cast<std::int64_t>(number) * 1'000'000;
    wire::ClientSignature client{"client", {}};
    const Hash32 noise = hash_of("client " + withdraw.key);
    for (std::size_t i = 0; i < client.signature.size(); ++i)
      client.signature[i] = static_cast<std::uint8_t>(noise[i % 32] + i);
    withdraw.client = client;
    return withdraw;
  }

  wire::Signed sign(const wire::WithdrawalView& view, std::size_t number) const {
    REQUIRE(view.planned.has_value());
    const auto tx = bitcoin::parse_transaction(view.planned->unsigned_tx);
    REQUIRE(tx.ok());
    wire::Signed command;
    command.withdrawal_id = view.id;
    command.txid = view.planned->txid;
    const auto hashes =
        bitcoin::sighashes(crypto::SignatureForm::Bip340, *tx, view.planned->prevouts);
    for (const Hash32& hash : *hashes) command.signatures.push_back(wallet_.sign(hash));
    for (std::uint16_t signer = 1; signer <= 3; ++signer)
      command.journals.push_back(
          {SignerId(signer), number + 1, hash_of("head " + std::to_string(number)), 1});
    return command;
  }

  void pay_together(std::size_t first, std::size_t count) {
    std::vector<wire::CommandBody> bodies;
    for (std::size_t i = 0; i < count; ++i) bodies.emplace_back(request(first + i));
    const auto planned = give_all(std::exchange(bodies, {}));
    for (std::size_t i = 0; i < count; ++i) {
      REQUIRE(planned[i].view.has_value());
      bodies.emplace_back(sign(*planned[i].view, first + i));
    }
    (void)give_all(std::exchange(bodies, {}));
    for (const auto& one : planned) {
      bodies.emplace_back(wire::Broadcast{one.view->id, one.view->planned->txid});
      in_mempool_.push_back(one.view->planned->txid);
    }
    (void)give_all(std::move(bodies));
    paid += count;
  }

  void connect(std::vector<Hash32> txids, std::vector<wire::WalletOutput> outputs) {
    ++height_;
    const Hash32 hash = hash_of("block " + std::to_string(height_));
    (void)give_all(
        {wire::BlockConnected{hash, tip_, height_, std::move(txids), std::move(outputs)}});
    tip_ = hash;
  }
  void mine() { connect(std::exchange(in_mempool_, {}), {}); }

  void fund() {
    std::vector<wire::WalletOutput> outputs;
    const Hash32 txid = hash_of("funding");
    for (std::uint32_t i = 0; i < kCoins; ++i)
      outputs.push_back({{txid, 2 * i}, 1'000'000'000, false});
    connect({txid}, std::move(outputs));
    connect({}, {});
    connect({}, {});
  }

  WalletKey wallet_;
  std::vector<Hash32> in_mempool_;
  Hash32 tip_ = test_genesis().anchor_block;
  std::uint32_t height_ = 0;
};

TEST_CASE("a day's payments fit into an etcd of 256 MB, and a wiped replica has them again") {
  const std::size_t share = day_share();
  Day day(share);
  day.pay_all();
  const Manifest manifest = day.newest_manifest();
  const auto stored = day.events(0, "snapshot_stored");
  const auto trimmed = day.events(0, "log_trimmed");
  std::sort(day.answers_s.begin(), day.answers_s.end());
  const auto answer_ms = [&](double part) {
    const double at = part * static_cast<double>(day.answers_s.size() - 1);
    return 1e3 * day.answers_s[static_cast<std::size_t>(at)];
  };
  std::printf(
      "1/%zu of a day: %zu withdrawals in %.0f s, %llu entries, quota %llu MB; etcd's database at "
      "most %.1f MB, %.1f in use; %zu snapshots, %zu trims, the last %.2f MB (%.0f bytes a "
      "withdrawal); 16 answers p50 %.1f, p99 %.1f, p999 %.1f, longest %.0f ms\n",
      share, day.paid, day.took_s, static_cast<unsigned long long>(day.entries),
      static_cast<unsigned long long>(kQuotaBytes / share >> 20),
      static_cast<double>(day.database.largest) / 1e6,
      static_cast<double>(day.database.largest_in_use) / 1e6, stored.size(), trimmed.size(),
      static_cast<double>(manifest.bytes) / 1e6,
      static_cast<double>(manifest.bytes) / static_cast<double>(day.paid), answer_ms(0.5),
      answer_ms(0.99), answer_ms(0.999), answer_ms(1));
  std::fflush(stdout);
  CHECK(day.database.largest > manifest.bytes);  // it was looked at
  CHECK(day.database.largest < kQuotaBytes / share);
  CHECK(stored.size() > 2);
  REQUIRE_FALSE(trimmed.empty());
  CHECK(day.first_entry() == trimmed.back()["up_to"].get<std::uint64_t>() + 1);
  for (std::uint16_t i = 0; i < kReplicas; ++i)
    std::printf("ledger-%d: %llu MiB, at most %llu\n", i,
                static_cast<unsigned long long>(memory_kib(day.ledgers[i]->pid(), "VmRSS") >> 10),
                static_cast<unsigned long long>(memory_kib(day.ledgers[i]->pid(), "VmHWM") >> 10));

  for (const bool wiped : {false, true}) {
    day.ledgers[2]->kill();
    if (wiped) std::filesystem::remove_all(day.folder(2));
    const double begun = now_s();
    day.ledgers[2] = std::make_unique<LedgerProcess>(day.files.config(2));
    REQUIRE(hear_patiently(*day.ledgers[2], "ready") == "ready {}");
    std::printf("started %s after %.1f s\n", wiped ? "wiped" : "with its tables", now_s() - begun);
  }
  REQUIRE(day.events(2, "snapshot_loaded").size() == 1);
  CHECK(day.events(2, "snapshot_loaded")[0]["index"] >= manifest.index);
  // One digest of the last state in all three.
  day.ledgers[0]->tell("command end_of_run");
  const std::string last = hear_patiently(*day.ledgers[0], "event end_of_run_applied");
  CHECK(last.size() > 64);
  for (std::uint16_t i = 1; i < kReplicas; ++i)
    CHECK(hear_patiently(*day.ledgers[i], "event end_of_run_applied") == last);
}

}  // namespace
}  // namespace roulette::ledger::test
