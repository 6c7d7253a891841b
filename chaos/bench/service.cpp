// From a run folder to a row: see service.h.
#include "chaos/bench/service.h"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "chaos/bench/cpu.h"
#include "chaos/check/history.h"
#include "chaos/check/latency.h"
#include "chaos/check/timelines.h"

namespace roulette::chaos::bench {
namespace {

using nlohmann::json;

constexpr std::uint32_t kCeilingClients = 8;

double ms(std::int64_t us) { return static_cast<double>(us) / 1000.0; }

bool taken(const std::string& outcome) {
  return outcome == "accepted" || outcome == "already-in-mempool" || outcome == "already-confirmed";
}

// Withdrawal -> when the node first had it, of those that the chain holds at settle depth.
std::map<std::string, std::int64_t> paid_at(const check::History& history) {
  std::set<std::string> on_chain;
  for (const check::TransactionRecord& tx : history.transactions) {
    const check::ChainTx* found = history.chain.find(tx.txid);
    if (found != nullptr && history.chain.tip() + 1 - found->height >= history.settle_depth())
      on_chain.insert(tx.withdrawal_id);
  }
  std::map<std::string, std::int64_t> out;
  for (const check::BroadcastResult& e : history.events.broadcast_results) {
    if (!taken(e.outcome) || !on_chain.contains(e.withdrawal_id)) continue;
    const auto [at, first] = out.emplace(e.withdrawal_id, e.t_us);
    if (!first) at->second = std::min(at->second, e.t_us);
  }
  return out;
}

struct Asked {
  std::int64_t intended_us = 0;
  std::optional<std::int64_t> accepted_us;
};

std::map<std::string, Asked> asked(const check::History& history) {
  std::map<std::string, Asked> out;
  for (const check::Operation& op : history.operations) {
    if (op.get()) continue;
    Asked& one = out.emplace(op.key, Asked{op.intended_us, {}}).first->second;
    if (op.ok() && op.state != "rejected")
      one.accepted_us = std::min(one.accepted_us.value_or(check::kForever), op.answered_us);
  }
  return out;
}

// A share leaves behind the commit of its record: what a slow disk cannot but show.
double quickest_share_ms(const check::History& history) {
  std::map<std::string, std::int64_t> opened;
  for (const check::SessionOpened& e : history.events.opened)
    opened.emplace(e.session_digest, e.t_us);
  std::int64_t least = check::kForever;
  for (const check::ShareEvent& e : history.events.released) {
    const auto found = opened.find(e.session_digest);
    if (found != opened.end() && !e.retry) least = std::min(least, e.t_us - found->second);
  }
  return ms(least);
}

void count(const check::History& history, check::Interval window, ServiceRow& row) {
  const auto paid = paid_at(history);
  const auto ids = check::ids_by_key(history);
  std::vector<double> answer, broadcast;
  for (const auto& [key, one] : asked(history)) {
    if (!one.accepted_us) continue;
    const auto id = ids.find(key);
    const auto at = id == ids.end() ? paid.end() : paid.find(id->second);
    const bool inside = window.contains(one.intended_us, one.intended_us);
    row.accepted += window.contains(*one.accepted_us, *one.accepted_us) ? 1 : 0;
    if (inside) answer.push_back(ms(*one.accepted_us - one.intended_us));
    if (at == paid.end()) continue;
    row.paid += window.contains(at->second, at->second) ? 1 : 0;
    row.behind += *one.accepted_us <= window.to && at->second > window.to ? 1 : 0;
    if (inside) broadcast.push_back(ms(at->second - one.intended_us));
  }
  row.answer_ms = check::quantiles(std::move(answer));
  row.broadcast_ms = check::quantiles(std::move(broadcast));
}

}  // namespace

CpuSample sample_cpu(const Supervisor& processes) {
  CpuSample out;
  out.own_us = own_cpu_us();
  for (const ProcessName& name : processes.all()) {
    const auto pid = processes.pid(name);
    const auto used = pid ? cpu_us_of(*pid) : std::nullopt;
    if (used)
      out.role_us[role_name(name.role)] += *used;
    else
      out.unreadable = name.text();
  }
  return out;
}

double ServiceRow::cpu_us() const {
  double sum = 0;
  for (const auto& [role, us] : role_cpu_us) sum += us;
  return sum;
}

std::string service_experiment(const ServiceSetup& setup, std::uint32_t warm_up_s,
                               std::uint32_t seconds) {
  // No amount is above the smallest coin of the funding: nearly every withdrawal has one input.
  const json extension = {
      {"name", "quorum-roulette"},
      {"version", 1},
      {"seed", 5},
      {"cluster",
       {{"signers", setup.signers},
        {"threshold", setup.threshold()},
        {"coordinators", 2},
        {"ledgers", 3}}},
      {"workload",
       {{"clients", setup.clients},
        {"rate_per_s", 0},
        {"duration_s", warm_up_s + seconds},
        {"undisturbed_s", warm_up_s},
        {"duplicate_share", 0},
        {"conflict_share", 0},
        {"max_amount_sat", 400'000},
        {"think_ms", 0}}},
      {"floor", {{"settled", 1}}},
      // All but those that hold an answer's time against the run: a full machine is the point here.
      {"require",
       {"no-duplicate-payment", "no-lost-withdrawal", "no-partial-transaction",
        "idempotency-key-respected", "no-conflicting-signature", "share-has-its-record",
        "nonce-never-reused", "signing-policy-respected", "ledger-replicas-agree", "books-balance",
        "chain-matches-ledger", "limits-respected"}}};
  const json file = {
      {"title", "Service, " + std::to_string(setup.clients) + " clients"},
      {"description", "A closed loop without pauses and without faults."},
      {"method",
       {{{"type", "action"},
         {"name", "quorum-roulette"},
         {"provider", {{"type", "roulette"}}}}}},
      {"extensions", json::array({extension})}};
  return file.dump(2) + "\n";
}

Result<ServiceRow> service_row(const ServiceSetup& setup, const std::string& run_dir,
                               const check::Verdict& verdict, const CpuSample& before,
                               const CpuSample& after) {
  const auto no = [&run_dir](const std::string& why) {
    return Error{ErrorKind::Preflight, "no figure of this run: " + why + " (" + run_dir + ")"};
  };
  if (verdict.verdict != check::VerdictKind::Pass)
    return no(verdict.reasons.empty() ? "it did not pass" : verdict.reasons.front());
  for (const CpuSample* sample : {&before, &after}) {
    if (sample->role_us.empty() || !sample->unreadable.empty())
      return no("the CPU time of its processes could not be read " + sample->unreadable);
  }
  const auto experiment = load_experiment(run_dir + "/experiment.yaml");
  if (!experiment) return no(experiment.error().message);
  const auto history = check::load_history(run_dir, *experiment);
  if (!history) return history.error();
  const check::Phases phases = check::phases_of(history->events);
  if (!phases.disturbed || !phases.drain) return no("its load has no beginning or no end");
  ServiceRow row;
  row.setup = setup;
  const check::Interval window{*phases.disturbed, *phases.drain};
  row.seconds = static_cast<double>(window.to - window.from) / 1e6;
  row.settled = verdict.load_settled;
  count(*history, window, row);
  row.share_min_ms = quickest_share_ms(*history);
  if (row.paid == 0) return no("nothing was paid while it was measured");
  std::size_t inputs = 0;
  for (const check::TransactionRecord& tx : history->transactions) inputs += tx.prevouts.size();
  row.inputs = static_cast<double>(inputs) / static_cast<double>(history->transactions.size());
  const auto paid = static_cast<double>(row.paid);
  for (const auto& [role, us] : after.role_us) {
    const auto was = before.role_us.find(role);
    row.role_cpu_us[role] = (us - (was == before.role_us.end() ? 0 : was->second)) / paid;
  }
  row.load_cpu_us = (after.own_us - before.own_us) / paid;
  return row;
}

std::optional<double> service_ceiling(const std::vector<ServiceRow>& rows, unsigned cores) {
  for (const ServiceRow& row : rows) {
    if (row.setup.clients == kCeilingClients && row.setup.signers == ServiceSetup{}.signers &&
        row.setup.commit_delay_ms == 0)
      return cores * 1e6 / row.cpu_us();
  }
  return std::nullopt;
}

}  // namespace roulette::chaos::bench
