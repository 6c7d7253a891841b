// Starting, funding, mining, stopping and exporting a cluster: see cluster.h.
#include "chaos/live/cluster.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>

#include <nlohmann/json.hpp>

#include "chaos/live/cluster_files.h"
#include "chaos/live/environment.h"
#include "chaos/live/export.h"
#include "chaos/live/node.h"
#include "chaos/live/reconciliation.h"
#include "chaos/live/remote_etcd.h"
#include "chaos/plan/cluster_shape.h"
#include "common/base/limits.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/process.h"
#include "common/runtime/sqlite.h"
#include "common/runtime/traffic.h"

namespace roulette::chaos {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr Duration kProbeInterval = milliseconds(20);
constexpr Duration kProbeDeadline = milliseconds(500);
constexpr Duration kStopGrace = limits::kDrain + seconds(2);
constexpr Duration kEndOfRunLimit = seconds(20);
constexpr Duration kPendingDeadline = seconds(5);
constexpr std::uint32_t kSettleDepth = 3;
constexpr Duration kNodesAgreeLimit = seconds(30);
constexpr int kFinalBlocks = 6;  // beyond settle depth, so that nothing hangs on the last block

}  // namespace

struct Cluster::State {
  ClusterPlan plan;
  std::uint64_t coins;
  runtime::EventLoop& loop;
  runtime::EventLog& log;
  Supervisor& supervisor;
  Binaries binaries;
  ClusterFiles files;
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<std::unique_ptr<runtime::HttpClient>> coordinator_http;
  std::vector<std::unique_ptr<runtime::HttpClient>> etcd_http;
  std::map<ProcessName, std::unique_ptr<runtime::Timer>> probes;
  std::unique_ptr<runtime::Timer> mining;
  std::unique_ptr<Reconciliation> reconciliation;
  std::uint32_t mining_interval_ms = 0;
  std::set<std::size_t> mining_calls;  // the nodes that have yet to answer
  std::size_t next_miner = 0;
  bool cancelled = false;  // nobody wants the start under way any more
  Funding funding;
  bool keep_remote_keys = false;
  std::set<ProcessName> later;
  std::set<ProcessName> end_of_run_applied;
  std::size_t next_coordinator = 0;
  std::vector<std::string> account_names;

  State(const ClusterPlan& p, std::uint64_t c, const Binaries& b, ClusterFiles f,
        runtime::EventLoop& l, runtime::EventLog& g, Supervisor& s)
      : plan(p), coins(c), loop(l), log(g), supervisor(s), binaries(b), files(std::move(f)) {}

  std::vector<ProcessName> of(Role role) const {
    std::vector<ProcessName> out;
    for (const ProcessName& name : supervisor.all()) {
      if (name.role == role) out.push_back(name);
    }
    return out;
  }

  // ---- starting ----

  Status start_process(const ProcessName& name, const std::vector<std::string>& lines) {
    const Status status = supervisor.start(name, lines);
    if (status && (name.role == Role::Etcd || name.role == Role::Bitcoind)) probe_later(name);
    return status;
  }

  Status start_role(Role role,
                    const std::function<std::vector<std::string>(ProcessName)>& control_lines) {
    for (const ProcessName& name : of(role)) {
      if (later.contains(name)) continue;
      if (const Status status = start_process(name, control_lines(name)); !status) return status;
    }
    return {};
  }

  // etcd and the node cannot say that they serve: they are asked.
  void probe_later(const ProcessName& name) {
    auto timer = std::make_unique<runtime::Timer>(loop, [this, name] { probe(name); });
    timer->arm(loop.now() + kProbeInterval);
    probes[name] = std::move(timer);
  }

  void probe(const ProcessName& name) {
    if (supervisor.state(name) != ProcessState::Starting) return;
    const auto answered = [this, name](bool serves) {
      if (supervisor.state(name) != ProcessState::Starting) return;
      if (serves)
        supervisor.mark_ready(name, true, "");
      else
        probe_later(name);
    };
    if (name.role == Role::Bitcoind) {
      probe_node(name.index, answered);
      return;
    }
    runtime::HttpCall call;
    call.target = "/health";
    call.deadline = kProbeDeadline;
    etcd_http[name.index]->call(
        std::move(call), [answered](Result<runtime::HttpResponse> response) {
          const bool healthy = response.ok() && response->status == 200 &&
                               response->body.find(R"("health":"true")") != std::string::npos;
          answered(healthy);
        });
  }

  // A node serves when it answers and has every block of the other one that serves: one that came
  // back forgot some, and until it has them again the other is their only home.
  void probe_node(std::size_t node, const std::function<void(bool)>& answered) {
    nodes[node]->call("getblockcount", json::array(), [this, node, answered](Result<json> own) {
      if (!own.ok()) return answered(false);
      for (std::size_t other = 0; other < nodes.size(); ++other) {
        if (other == node || !serving(other)) continue;
        const std::int64_t height = own->get<std::int64_t>();
        return nodes[other]->call("getblockcount", json::array(),
                                  [answered, height](Result<json> theirs) {
                                    answered(!theirs.ok() || *theirs <= height);
                                  });
      }
      answered(true);
    });
  }

  bool all_serving(const std::vector<Role>& roles) const {
    for (const ProcessName& name : supervisor.all()) {
      if (std::count(roles.begin(), roles.end(), name.role) > 0 && !later.contains(name) &&
          !supervisor.serving(name))
        return false;
    }
    return true;
  }

  static Error interrupted() {
    return Error{ErrorKind::Preflight, "interrupted before it was ready"};
  }

  // Waits for the roles to serve; a process that ends meanwhile ends the wait, as does cancelling.
  Status await(const std::vector<Role>& roles, Duration limit) {
    const auto ended = [this] { return cancelled || !supervisor.unasked_exits().empty(); };
    if (loop.run_until([&] { return all_serving(roles) || ended(); }, limit) && !ended()) return {};
    if (cancelled) return interrupted();
    std::string missing;
    for (const ProcessName& name : supervisor.all()) {
      if (std::count(roles.begin(), roles.end(), name.role) == 0 || supervisor.serving(name))
        continue;
      const std::string why = supervisor.why_not_ready(name);
      missing += " " + name.text() + (why.empty() ? "" : " (" + why + ")");
    }
    std::string why = ended() ? supervisor.unasked_exits().front() : "not ready in time:" + missing;
    return Error{ErrorKind::Preflight, why + last_words()};
  }

  // The end of the first log that says something: the user should not have to look for it.
  std::string last_words() const {
    for (const std::string& exit : supervisor.unasked_exits()) {
      const std::string name = exit.substr(0, exit.find(' '));
      std::ifstream file(files.work / name / "stderr.log");
      std::string line, last;
      while (std::getline(file, line)) {
        if (!line.empty()) last = line;
      }
      if (!last.empty()) return "; its last words: " + last;
    }
    return "";
  }

  Status await_funds(Duration limit) {
    bool funded = false;
    bool asking = false;
    const Instant deadline = loop.now() + limit;
    while (!funded && !cancelled && loop.now() < deadline && supervisor.unasked_exits().empty()) {
      if (!asking) {
        asking = true;
        balance("wallet", [&](Result<std::int64_t> wallet) {
          asking = false;
          funded = wallet.ok() && *wallet >= funding.total_sat;
        });
      }
      [[maybe_unused]] const bool early = loop.run_until([&] { return funded; }, milliseconds(50));
    }
    [[maybe_unused]] const bool answered =
        loop.run_until([&] { return !asking; }, kPendingDeadline + seconds(1));
    if (cancelled) return interrupted();
    if (funded) return {};
    return Error{ErrorKind::Preflight,
                 "the ledger did not see the wallet's funding in time" + last_words()};
  }

  // ---- asking the books ----

  // The array `field` of what a coordinator answers; the coordinators take turns.
  void ask_coordinator(const std::string& target, const std::string& field,
                       std::function<void(Result<json>)> done) {
    runtime::HttpCall call;
    call.target = target;
    call.headers = {{"authorization", "Bearer " + files.token}};
    call.deadline = kPendingDeadline;
    const std::size_t coordinator = next_coordinator++ % coordinator_http.size();
    coordinator_http[coordinator]->call(
        std::move(call), [field, done = std::move(done)](Result<runtime::HttpResponse> r) {
          if (!r) return done(r.error());
          const json body = json::parse(r->body, nullptr, false);
          if (r->status != 200 || !body.is_object() || !body.contains(field) ||
              !body[field].is_array())
            return done(Error{ErrorKind::Network, field + ": HTTP " + std::to_string(r->status)});
          done(body[field]);
        });
  }

  void balance(const std::string& account, std::function<void(Result<std::int64_t>)> done) {
    ask_coordinator("/v1/balances", "balances",
                    [account, done = std::move(done)](Result<json> balances) {
                      if (!balances) return done(balances.error());
                      for (const json& entry : *balances) {
                        if (entry.value("account", "") == account)
                          return done(entry.value("amount_sat", std::int64_t{0}));
                      }
                      done(std::int64_t{0});
                    });
  }

  // Behind a balance of zero, only what lost its block is in one of these.
  void none_in_state(std::size_t which, std::function<void(Result<bool>)> done) {
    static constexpr const char* kUnmined[] = {"signed", "broadcast", "confirmed"};
    if (which == std::size(kUnmined)) return done(true);
    ask_coordinator(
        std::string("/v1/withdrawals?limit=1&state=") + kUnmined[which], "withdrawals",
        [this, which, done = std::move(done)](Result<json> list) {
          if (!list) return done(list.error());
          if (!list->empty()) return done(false);
          none_in_state(which + 1, done);
        });
  }

  // ---- mining ----

  bool serving(std::size_t node) const {
    return supervisor.serving({Role::Bitcoind, static_cast<std::uint16_t>(node)});
  }

  // The first that serves, or the first.
  Node& node() const {
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (serving(i)) return *nodes[i];
    }
    return *nodes[0];
  }

  // By turns: what only one node was told of gets into a block as well.
  void mine_one() {
    mining->arm(loop.now() + milliseconds(mining_interval_ms));
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const std::size_t miner = next_miner++ % nodes.size();
      if (mining_calls.contains(miner) || !serving(miner)) continue;
      mining_calls.insert(miner);
      nodes[miner]->call("generatetoaddress", json::array({1, funding.miner_address}),
                         [this, miner](Result<json>) { mining_calls.erase(miner); });
      return;
    }
  }

  // Until all nodes that serve have one tip.
  Status await_agreement() {
    const Instant deadline = loop.now() + kNodesAgreeLimit;
    std::set<std::string> tips;
    do {
      tips.clear();
      for (std::size_t i = 0; i < nodes.size(); ++i) {
        if (!serving(i)) continue;
        const auto tip = nodes[i]->wait("getbestblockhash", json::array(), seconds(10));
        if (!tip) return tip.error();
        tips.insert(tip->get<std::string>());
      }
      if (tips.size() <= 1) return {};
      [[maybe_unused]] const bool never = loop.run_until([] { return false; }, milliseconds(50));
    } while (loop.now() < deadline);
    return Error{ErrorKind::Network, "the nodes do not agree on a tip in time"};
  }

  // ---- stopping ----

  // SIGTERM to the running ones, SIGKILL to those that stay; a paused one is continued first.
  void stop(const std::vector<ProcessName>& names) {
    for (const ProcessName& name : names) {
      if (supervisor.state(name) == ProcessState::Paused) supervisor.send_signal(name, SIGCONT);
      supervisor.send_signal(name, SIGTERM);
    }
    const auto gone = [&] {
      return std::all_of(names.begin(), names.end(),
                         [this](const ProcessName& n) { return !supervisor.pid(n); });
    };
    if (loop.run_until(gone, kStopGrace)) return;
    for (const ProcessName& name : names) supervisor.send_signal(name, SIGKILL);
    [[maybe_unused]] const bool killed = loop.run_until(gone, kStopGrace);
  }

  Status end_of_run() {
    std::set<ProcessName> wanted;
    for (const ProcessName& name : of(Role::Ledger)) {
      if (!supervisor.serving(name)) continue;
      wanted.insert(name);
      supervisor.write_control(name, "command end_of_run");
    }
    if (wanted.empty())
      return Error{ErrorKind::Network, "no ledger replica was there to take EndOfRun"};
    const auto applied = [&] {
      return std::includes(end_of_run_applied.begin(), end_of_run_applied.end(), wanted.begin(),
                           wanted.end());
    };
    if (loop.run_until(applied, kEndOfRunLimit)) return {};
    return Error{ErrorKind::Network, "not every live replica applied EndOfRun in time"};
  }

  Status settle_chain() {
    if (const Status agreed = await_agreement(); !agreed) return agreed;
    const auto mined = node().wait("generatetoaddress",
                                   json::array({kFinalBlocks, funding.miner_address}), seconds(30));
    if (!mined) return mined.error().with_context("mining to settle depth");
    if (const Status agreed = await_agreement(); !agreed) return agreed;
    if (const Status flushed = node().flush(); !flushed) return flushed;
    return note_end();
  }

  // Frames that signers and coordinators received over all their lives, before work/ goes.
  Status note_traffic() {
    for (const Role role : {Role::Signer, Role::Coordinator}) {
      for (const ProcessName& name : of(role)) {
        const fs::path file = files.work / name.text() / "traffic";
        std::error_code missing;
        if (!fs::exists(file, missing)) continue;  // never started
        const auto counts = runtime::read_traffic(file);
        if (!counts) return counts.error();
        for (const auto& [peer, count] : *counts) {
          runtime::EventFields fields;
          fields.add("name", name.text())
              .add("peer", role_name(peer))
              .add("messages", count.messages)
              .add("bytes", count.bytes);
          log.write("traffic", fields);
        }
      }
    }
    return {};
  }

  // Where the chain ends, told apart from the chain itself: a file that is cut short shows.
  Status note_end() {
    const auto info = node().wait("getblockchaininfo", json::array(), seconds(10));
    if (!info) return info.error().with_context("asking where the chain ends");
    runtime::EventFields fields;
    fields.add("height", info->value("blocks", std::int64_t{-1}))
        .add("hash", info->value("bestblockhash", ""))
        .add("why", "export");
    log.write("node_height", fields);
    return {};
  }
};

Cluster::Cluster(std::unique_ptr<State> state) : state_(std::move(state)) {}
Cluster::~Cluster() = default;

Result<std::unique_ptr<Cluster>> Cluster::prepare(const ClusterPlan& plan, std::uint64_t coins,
                                                  const std::string& run_dir,
                                                  const Binaries& binaries,
                                                  runtime::EventLoop& loop, runtime::EventLog& log,
                                                  Supervisor& supervisor) {
  runtime::KernelEntropy entropy;
  Result<ClusterFiles> files = make_cluster_files(plan, run_dir, binaries, entropy);
  if (!files) return files.error();
  auto state = std::make_unique<State>(plan, coins, binaries, std::move(files).value(), loop, log,
                                       supervisor);
  for (ProcessSpec& spec : state->files.specs) supervisor.define(spec);
  for (const auto& [rpc, cookie] : state->files.nodes)
    state->nodes.push_back(std::make_unique<Node>(loop, rpc, cookie.string()));
  const auto client = [&loop](const Endpoint& endpoint) {
    runtime::HttpClient::Options options;
    options.address = endpoint.host;
    options.port = endpoint.port;
    options.connections = 2;
    return std::make_unique<runtime::HttpClient>(loop, options);
  };
  for (const Endpoint& e : state->files.coordinator_http)
    state->coordinator_http.push_back(client(e));
  for (const Endpoint& e : state->files.etcd_client) state->etcd_http.push_back(client(e));
  return std::unique_ptr<Cluster>(new Cluster(std::move(state)));
}

Status Cluster::start(Duration limit, const std::function<void(const std::string&)>& on_progress,
                      const std::function<std::vector<std::string>(ProcessName)>& control_lines) {
  State& s = *state_;
  on_progress(std::string("starting ") + (s.plan.etcd > 0 ? "etcd and " : "") +
              (s.plan.nodes == 1 ? "the Bitcoin node" : "the Bitcoin nodes"));
  if (const Status status = s.start_role(Role::Etcd, control_lines); !status) return status;
  if (const Status status = s.start_role(Role::Bitcoind, control_lines); !status) return status;
  if (const Status status = s.await({Role::Etcd, Role::Bitcoind}, limit); !status) return status;
  on_progress("starting " + std::to_string(s.plan.signers) + " signers, " +
              std::to_string(s.plan.ledgers) + " ledger replicas, " +
              std::to_string(s.plan.coordinators) + " coordinators");
  for (const Role role : {Role::Ledger, Role::Signer, Role::Coordinator}) {
    if (const Status status = s.start_role(role, control_lines); !status) return status;
  }
  on_progress("funding the wallet with " + std::to_string(s.coins) + " coins");
  runtime::KernelEntropy entropy;
  Result<Funding> funding =
      fund_wallet(s.node(), s.files.wallet_script, s.coins, kSettleDepth, entropy);
  if (!funding) return Error{ErrorKind::Preflight, funding.error().message + s.last_words()};
  s.funding = *funding;
  if (const Status agreed = s.await_agreement(); !agreed)
    return Error{ErrorKind::Preflight, agreed.error().message};
  if (const Status status = s.await({Role::Ledger, Role::Signer, Role::Coordinator}, limit);
      !status)
    return status;
  if (const Status status = s.await_funds(limit); !status) return status;
  on_progress("ready");
  return {};
}

Status Cluster::start_signers() {
  return state_->start_role(Role::Signer, [](ProcessName) { return std::vector<std::string>{}; });
}

void Cluster::start_later(std::set<ProcessName> names) {
  state_->later = std::move(names);
}

ProcessName Cluster::stranger() const {
  return {Role::Coordinator, state_->plan.coordinators};
}

const std::string& Cluster::cluster_id() const {
  return state_->files.cluster_id;
}

const std::vector<Endpoint>& Cluster::signers() const {
  return state_->files.signer_tls;
}

const std::vector<Endpoint>& Cluster::ledgers() const {
  return state_->files.ledger_tls;
}

Node& Cluster::node() {
  return state_->node();
}

const std::string& Cluster::miner_address() const {
  return state_->funding.miner_address;
}

// Every member is asked for its own id and the leader's (etcd's v3 maintenance API).
std::optional<ProcessName> Cluster::etcd_leader() {
  State& s = *state_;
  struct Answers {
    std::size_t open = 0;
    std::optional<ProcessName> leader;
  };
  const auto answers = std::make_shared<Answers>();
  for (std::uint16_t i = 0; i < s.etcd_http.size(); ++i) {
    if (!s.supervisor.serving({Role::Etcd, i})) continue;
    runtime::HttpCall call;
    call.method = "POST";
    call.target = "/v3/maintenance/status";
    call.body = "{}";
    call.deadline = kProbeDeadline;
    ++answers->open;
    s.etcd_http[i]->call(std::move(call), [answers, i](Result<runtime::HttpResponse> r) {
      --answers->open;
      if (!r) return;
      const json body = json::parse(r->body, nullptr, false);
      if (!body.is_object() || !body.contains("header") || !body.contains("leader")) return;
      if (body["header"].value("member_id", "") == body.value("leader", "-"))
        answers->leader = ProcessName{Role::Etcd, i};
    });
  }
  [[maybe_unused]] const bool all =
      s.loop.run_until([&] { return answers->open == 0 || answers->leader; }, seconds(1));
  return answers->leader;
}

void Cluster::cancel_start() {
  state_->cancelled = true;
}

Status Cluster::restart(ProcessName name, const std::vector<std::string>& control_lines) {
  return state_->start_process(name, control_lines);
}

namespace {

// A database with whatever SQLite left beside it.
Status remove_database(const fs::path& file) {
  std::error_code failed;
  for (const char* suffix : {"", "-wal", "-shm"}) {
    fs::remove(file.string() + suffix, failed);
    if (failed) return Error{ErrorKind::Io, file.string() + suffix + ": " + failed.message()};
  }
  return runtime::sync_folder(file.parent_path());
}

// The one number that this query gives.
Result<std::int64_t> number_in(const fs::path& file, const char* sql) {
  auto database = runtime::Database::open(file);
  if (!database) return database.error();
  auto query = database->prepare(sql);
  if (!query) return query.error();
  const auto row = query->step();
  if (!row) return row.error();
  return *row ? query->integer(0) : 0;
}

// What is put back must have gone on since, or nothing is taken and the fault proves nothing.
Status put_tables_back(const fs::path& tables) {
  constexpr const char* kLastEntry = "SELECT coalesce(max(idx), 0) FROM entries";
  const fs::path kept = tables.string() + ".kept";
  const auto now = number_in(tables, kLastEntry);
  if (!now) return now.error();
  const auto then = number_in(kept, kLastEntry);
  if (!then) return then.error();
  if (*now <= *then)
    return Error{ErrorKind::Refused, tables.string() + ": nothing was written since it was kept"};
  if (const Status removed = remove_database(tables); !removed) return removed;
  std::error_code failed;
  fs::copy_file(kept, tables, failed);
  if (failed) return Error{ErrorKind::Io, kept.string() + ": " + failed.message()};
  return {};
}

Status take_newer_half(const fs::path& journal) {
  const auto records = number_in(journal, "SELECT count(*) FROM records");
  if (!records) return records.error();
  if (*records < 2)
    return Error{ErrorKind::Refused, journal.string() + ": there is no newer half of one record"};
  auto database = runtime::Database::open(journal);
  if (!database) return database.error();
  return database->execute(
      "DELETE FROM records WHERE sequence > (SELECT (max(sequence) + 1) / 2 FROM records)");
}

fs::path tables_of(const ClusterFiles& files, ProcessName name) {
  return files.work / name.text() / "tables.sqlite";
}

}  // namespace

Status Cluster::keep_records(ProcessName name) {
  const fs::path tables = tables_of(state_->files, name);
  auto database = runtime::Database::open(tables);
  if (!database) return database.error();
  auto copy = database->prepare("VACUUM INTO ?");
  if (!copy) return copy.error();
  return copy->bind(1, tables.string() + ".kept").run();
}

Status Cluster::take_records(ProcessName name, RecoverHow how, std::uint64_t fault_id) {
  const ClusterFiles& files = state_->files;
  if (name.role == Role::Ledger) {
    const fs::path tables = tables_of(files, name);
    return how == RecoverHow::Wiped ? remove_database(tables) : put_tables_back(tables);
  }
  const std::string copy = name.text() + ".before-" + std::to_string(fault_id) + ".ndjson";
  if (const Status kept = export_process(files, name, files.state / copy); !kept) return kept;
  const fs::path journal = files.work / name.text() / "journal.sqlite";
  return how == RecoverHow::Wiped ? remove_database(journal) : take_newer_half(journal);
}

// Each line is what the module's control file says (chaos/token/faulty_token.cpp).
Status Cluster::set_token(ProcessName signer, std::optional<Signal> how) {
  if (!state_->files.faulty_tokens)
    return Error{ErrorKind::Internal, "this cluster's tokens cannot fail"};
  std::string line;
  if (how) {
    const bool all = *how == Signal::TokenRemoved || *how == Signal::TokenHangs;
    line = all ? "all " : "sign ";
    line += token_answer(*how);
    if (*how == Signal::TokenSlow) line += " " + std::to_string(kTokenSlowMs);
  }
  return runtime::write_file_durably(token_control(state_->files, signer), as_bytes(line + "\n"));
}

std::uint64_t Cluster::token_calls(ProcessName signer, Signal how, Instant from,
                                   Instant to) const {
  std::ifstream record(token_control(state_->files, signer).string() + ".faults");
  std::uint64_t calls = 0;
  for (std::string line; std::getline(record, line);) {
    const auto call = nlohmann::json::parse(line, nullptr, false);
    const std::int64_t at = call.is_object() ? call.value("t_us", std::int64_t{-1}) : -1;
    if (at < from.us || at > to.us) continue;
    calls += call.value("answer", "") == token_answer(how) ? 1 : 0;
  }
  return calls;
}

void Cluster::on_event(ProcessName name, const std::string& event, const std::string&) {
  if (event == "end_of_run_applied") state_->end_of_run_applied.insert(name);
}

void Cluster::start_mining(std::uint32_t interval_ms) {
  State& s = *state_;
  s.mining_interval_ms = interval_ms;
  s.mining = std::make_unique<runtime::Timer>(s.loop, [&s] { s.mine_one(); });
  s.mining->arm(s.loop.now() + milliseconds(interval_ms));
}

void Cluster::stop_mining() {
  state_->mining.reset();
}

void Cluster::note_node_height(ProcessName node, const std::string& why) {
  State& s = *state_;
  s.nodes.at(node.index)->call("getblockchaininfo", json::array(), [&s, node,
                                                                    why](Result<json> info) {
    if (!info.ok()) return;
    runtime::EventFields fields;
    fields.add("name", node.text())
        .add("height", info->value("blocks", std::int64_t{-1}))
        .add("hash", info->value("bestblockhash", ""))
        .add("why", why);
    s.log.write("node_height", fields);
  });
}

void Cluster::ask_settled(std::function<void(Result<bool>)> done) {
  state_->balance("pending", [s = state_.get(), done = std::move(done)](
                                 Result<std::int64_t> pending) {
    if (!pending) return done(pending.error());
    if (*pending != 0) return done(false);
    s->none_in_state(0, done);
  });
}

const std::vector<std::pair<ProcessName, Endpoint>>& Cluster::monitored() const {
  return state_->files.monitored;
}

void Cluster::start_reconciling() {
  State& s = *state_;
  const auto replica =
      std::find_if(s.files.monitored.begin(), s.files.monitored.end(),
                   [](const auto& entry) { return entry.first.role == Role::Ledger; });
  if (replica == s.files.monitored.end() || s.nodes.empty()) return;
  s.reconciliation =
      std::make_unique<Reconciliation>(s.loop, *s.nodes.front(), replica->second,
                                       to_hex(s.files.wallet_script),
                                       s.supervisor.metrics().registry());
}

const std::vector<Endpoint>& Cluster::coordinators() const {
  return state_->files.coordinator_http;
}
const std::shared_ptr<const RequestSigner>& Cluster::client() const {
  return state_->files.client;
}
const std::string& Cluster::token() const {
  return state_->files.token;
}
const std::vector<std::string>& Cluster::accounts() const {
  return state_->files.accounts;
}
const RunIdentity* Cluster::identity() const {
  return state_->files.identity.get();
}
const std::string& Cluster::run_dir() const {
  return state_->files.run_dir;
}

std::string Cluster::up_json() const {
  const State& s = *state_;
  json pids = json::object();
  for (const ProcessName& name : s.supervisor.all()) {
    if (const auto pid = s.supervisor.pid(name)) pids[name.text()] = *pid;
  }
  json coordinators = json::array();
  for (const Endpoint& e : s.files.coordinator_http)
    coordinators.push_back("http://" + e.host + ":" + std::to_string(e.port));
  json nodes = json::array();
  for (const auto& [rpc, cookie] : s.files.nodes)
    nodes.push_back({{"rpc", "http://" + rpc.host + ":" + std::to_string(rpc.port)},
                     {"cookie", cookie.string()}});
  json client;
  if (s.files.client)
    client = {{"name", s.files.client->client()},
              {"key_file", s.files.client->key_file()},
              {"cluster_id", s.files.client->cluster_id()}};
  json up{{"run_dir", s.files.run_dir},
              {"pids", pids},
              {"coordinators", coordinators},
              {"token_file", s.files.token_file.string()},
              {"client", client},
              {"accounts", s.files.accounts},
              {"prometheus_targets", (s.files.work / "prometheus-targets.json").string()},
              {"bitcoind", nodes[0]}};
  if (nodes.size() > 1) up["fallback_bitcoind"] = nodes[1];
  return up.dump();
}

std::string Cluster::environment_json() const {
  return describe_environment(state_->binaries, state_->files.run_dir,
                              std::string(facts_of(state_->plan).version));
}

Status Cluster::finish(const std::function<Status()>& after_end_of_run,
                       const std::function<void(const std::string&)>& on_progress) {
  State& s = *state_;
  on_progress("EndOfRun: the books close on every replica");
  const Status closed = s.end_of_run();
  const Status resolved = after_end_of_run();
  stop_mining();
  s.stop(s.of(Role::Coordinator));
  on_progress("mining to settle depth, exporting the records");
  Status settled = s.settle_chain();
  Status exported = export_chain(s.node(), s.files);
  std::vector<ProcessName> rest = s.of(Role::Signer);
  for (const ProcessName& name : s.of(Role::Ledger)) rest.push_back(name);
  s.stop(rest);
  const Status traffic = s.note_traffic();
  const Status records = export_records(s.files);
  stop_all();
  for (const Status& status : {closed, resolved, settled, exported, traffic, records}) {
    if (!status) return status;
  }
  return {};
}

void Cluster::stop_all() {
  State& s = *state_;
  s.reconciliation.reset();
  stop_mining();
  for (const Role role : {Role::Coordinator, Role::Signer, Role::Ledger}) s.stop(s.of(role));
  // The leader last: told to stop it hands over first, and to members that were told as well it
  // does so until it is killed.
  const auto leader = etcd_leader();
  std::vector<ProcessName> followers = s.of(Role::Etcd);
  std::erase_if(followers, [&](const ProcessName& name) { return name == leader; });
  s.stop(followers);
  s.stop(s.of(Role::Etcd));
  s.stop(s.of(Role::Bitcoind));
  if (s.binaries.remote_etcd.members.empty() || s.keep_remote_keys) return;
  const Status removed = remove_keys(s.binaries.remote_etcd, s.files.cluster_id);
  s.keep_remote_keys = removed.ok();  // once
  if (!removed)
    std::fprintf(stderr, "the keys %s/ stay in etcd: %s\n", s.files.cluster_id.c_str(),
                 removed.error().message.c_str());
}

void Cluster::keep_remote_keys() {
  state_->keep_remote_keys = true;
}

}  // namespace roulette::chaos
