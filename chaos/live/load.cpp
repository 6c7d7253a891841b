// Closed-loop and open-loop clients with their own record: see load.h.
#include "chaos/live/load.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include <fcntl.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "chaos/plan/prng.h"
#include "common/bitcoin/address.h"
#include "common/bitcoin/script.h"
#include "common/crypto/hash.h"
#include "common/crypto/schnorr.h"
#include "common/runtime/http_client.h"

namespace roulette::chaos {
namespace {

using nlohmann::json;

constexpr Duration kFirstRetry = milliseconds(10);  // at the other coordinator
constexpr std::uint32_t kMaxAttempts = 400;
constexpr std::uint32_t kMaxResolveAttempts = 10;
constexpr std::size_t kLatencyWindow = 1000;
constexpr std::size_t kConnectionsPerCoordinator = 96;
constexpr double kPollShare =
    0.05;  // of acknowledged withdrawals: read back at the other coordinator

constexpr int kOpenLoop = -1;
constexpr std::uint64_t kConflictAddresses = std::uint64_t{1} << 40;  // apart from those of keys

struct Withdrawal {
  std::string key;
  int client = kOpenLoop;
  std::string account;
  std::string address;
  std::int64_t amount_sat = 0;
  Instant intended{};
  std::string id;
  bool acknowledged = false;
  bool final_answer = false;  // acknowledged, rejected or refused for good
  std::uint32_t attempts = 0;
  std::size_t in_flight = 0;
  bool polling = false;
  std::string state;
  int status = 0;  // of the last answer to a create
  std::string problem;
  std::size_t coordinator = 0;  // of the last attempt
  std::unique_ptr<runtime::Timer> retry;
};

// An answer's fields as far as the client cares.
struct Answer {
  int status = 0;
  std::string id, state, txid, problem;
};

// The order of DESIGN 7; -1 for none and for `rejected`.
int rank_of(const std::string& state) {
  constexpr std::array<const char*, 6> kOrder{"requested", "planned",   "signed",
                                              "broadcast", "confirmed", "settled"};
  const auto found = std::find(kOrder.begin(), kOrder.end(), state);
  return found == kOrder.end() ? -1 : static_cast<int>(found - kOrder.begin());
}

std::string text_or_empty(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

Answer parse(const runtime::HttpResponse& response) {
  Answer answer;
  answer.status = response.status;
  const json body = json::parse(response.body, nullptr, false);
  if (!body.is_object()) return answer;
  answer.id = text_or_empty(body, "id");
  answer.state = text_or_empty(body, "state");
  answer.txid = text_or_empty(body, "txid");
  answer.problem = text_or_empty(body, "type");
  return answer;
}

}  // namespace

struct Load::State {
  runtime::EventLoop& loop;
  WorkloadPlan plan;
  LoadTarget target;
  Prng prng;
  std::uint64_t seed;
  int history_fd = -1;
  std::string history_path, broken;
  std::vector<std::unique_ptr<runtime::HttpClient>> clients;
  std::deque<Withdrawal> withdrawals;  // stable addresses
  std::vector<std::unique_ptr<runtime::Timer>> client_timers;
  std::unique_ptr<runtime::Timer> open_timer;
  Instant began{};
  std::uint64_t open_sent = 0;
  std::uint64_t next_op = 0;
  std::uint64_t conflicts_sent = 0;
  std::set<std::uint64_t> open_ops;  // sent, without an outcome so far
  bool stopping = false;
  bool closed = false;
  LoadCounts counts;
  std::deque<double> latencies_ms;
  std::deque<std::pair<Instant, bool>> recent;  // answers of the last second; true = error
  std::size_t resolving = 0;
  std::function<void()> resolved;

  State(runtime::EventLoop& l, const WorkloadPlan& p, std::uint64_t s, LoadTarget t)
      : loop(l), plan(p), target(std::move(t)), prng(s ^ 0x6c6f6164ULL), seed(s) {}
  ~State() {
    if (history_fd >= 0) ::close(history_fd);
  }

  // One line, one write(2), before what it tells of is done.
  void record(const json& line) {
    const std::string text = line.dump() + "\n";
    if (history_fd < 0) return;
    errno = 0;
    const ssize_t written = write(history_fd, text.data(), text.size());
    if (written == static_cast<ssize_t>(text.size())) return;
    // A client record with holes would make every later judgement void: nothing is written behind
    // the hole, so the record has no end, and nothing new is asked.
    broken = history_path + " cannot be written: " +
             (written >= 0 ? "the disk took a part of a line" : strerror(errno));
    ::close(std::exchange(history_fd, -1));
    stopping = true;
  }

  // ---- making withdrawals ----

  // Nobody holds a key to these: the chain only has to show that they were paid, once.
  std::string fresh_address(std::uint64_t number) {
    const std::string text =
        "roulette/address/" + std::to_string(seed) + "/" + std::to_string(number);
    const Hash32 digest = crypto::sha256(as_bytes(text));
    Bytes script;
    if (number % 3 == 0) {
      ByteArray<20> half{};
      std::copy_n(digest.begin(), half.size(), half.begin());
      script = bitcoin::p2wpkh_script(half);
    } else if (crypto::is_xonly_point(digest)) {
      script = bitcoin::p2tr_script(digest);
    } else {  // half of all digests: no key, and stricter wallets than a node refuse its address
      script = bitcoin::p2wsh_script(digest);
    }
    const Result<std::string> address = bitcoin::address_from_script(script);
    ROULETTE_ASSERT(address.ok());
    return *address;
  }

  Withdrawal& make(int client, Instant intended, const Withdrawal* instead_of = nullptr) {
    Withdrawal& w = withdrawals.emplace_back();
    ++counts.requested;
    ++counts.open;
    ByteArray<16> key{};
    for (auto& byte : key) byte = static_cast<std::uint8_t>(prng.below(256));
    w.key = to_hex(key);
    w.client = client;
    w.address = fresh_address(counts.requested);
    w.intended = intended;
    if (instead_of == nullptr) {
      w.account = target.accounts[prng.below(target.accounts.size())];
      w.amount_sat = prng.between(plan.min_amount_sat, plan.max_amount_sat);
    } else {
      w.account = instead_of->account;
      w.amount_sat = instead_of->amount_sat;
      w.attempts = instead_of->attempts;
    }
    json line{{"type", "key"},
              {"t_us", loop.now().us},
              {"key", w.key},
              {"client", client},
              {"account", w.account},
              {"address", w.address},
              {"amount_sat", w.amount_sat}};
    if (instead_of != nullptr) line["replaces"] = instead_of->key;
    record(line);
    return w;
  }

  void start_withdrawal(int client, Instant intended) {
    start_withdrawal(client, intended,
                     client == kOpenLoop ? prng.below(clients.size())
                                         : static_cast<std::size_t>(client) % clients.size());
  }

  void start_withdrawal(int client, Instant intended, std::size_t coordinator) {
    Withdrawal& w = make(client, intended);
    w.coordinator = coordinator;
    const bool duplicate = prng.unit() < plan.duplicate_share;
    send(w, w.coordinator, "new");
    if (!duplicate) return;
    for (std::size_t other = 0; other < clients.size(); ++other) {
      if (other != w.coordinator) send(w, other, "duplicate");
    }
    if (clients.size() == 1) send(w, 0, "duplicate");
  }

  // ---- sending ----

  void send(Withdrawal& w, std::size_t coordinator, const char* intent) {
    ++w.attempts;
    w.coordinator = coordinator;
    post(w, coordinator, intent, {w.account, w.address, w.amount_sat},
         [this, &w](const Result<runtime::HttpResponse>& r) { on_create(w, r); });
  }

  struct Payload {
    std::string account, address;
    std::int64_t amount_sat = 0;
  };

  // Another payload under the same key, differing in one field, each field in its turn: a digest
  // that forgets one of them would let it through.
  Payload conflicting(const Withdrawal& w) {
    Payload other{w.account, w.address, w.amount_sat};
    switch (conflicts_sent++ % 3) {
      case 0:
        other.amount_sat += 1;
        break;
      case 1:
        other.address = fresh_address(kConflictAddresses + conflicts_sent);
        break;
      default:
        for (const std::string& account : target.accounts) {
          if (account != w.account) other.account = account;
        }
        if (other.account == w.account) other.amount_sat += 1;  // a wallet of one customer
    }
    return other;
  }

  using Done = std::function<void(const Result<runtime::HttpResponse>&)>;

  void post(Withdrawal& w, std::size_t coordinator, const char* intent, const Payload& payload,
            Done done) {
    const std::uint64_t op = ++next_op;
    json line{{"type", "invoke"},
              {"t_us", loop.now().us},
              {"op", op},
              {"key", w.key},
              {"coordinator", name_of(coordinator)},
              {"attempt", w.attempts},
              {"intent", intent},
              {"intended_us", w.intended.us}};
    line["account"] = payload.account;
    line["address"] = payload.address;
    line["amount_sat"] = payload.amount_sat;
    record(line);
    runtime::HttpCall call;
    call.method = "POST";
    call.target = "/v1/withdrawals";
    call.headers = {{"authorization", "Bearer " + target.token},
                    {"idempotency-key", "\"" + w.key + "\""}};
    if (target.client) {
      const auto script = bitcoin::script_from_address(payload.address);
      ROULETTE_ASSERT(script.ok());  // we made it
      const auto signature =
          target.client->header({w.key, payload.account, *script, payload.amount_sat});
      ROULETTE_ASSERT(signature.ok());
      call.headers.emplace_back(kClientHeader, *signature);
    }
    call.body = json{{"account", payload.account},
                     {"address", payload.address},
                     {"amount_sat", payload.amount_sat}}
                    .dump();
    submit(w, coordinator, op, std::move(call), std::move(done));
  }

  void get(Withdrawal& w, std::size_t coordinator, const char* intent, std::string path,
           Done done) {
    const std::uint64_t op = ++next_op;
    record({{"type", "invoke"},
            {"t_us", loop.now().us},
            {"op", op},
            {"key", w.key},
            {"coordinator", name_of(coordinator)},
            {"attempt", w.attempts},
            {"intent", intent},
            {"intended_us", loop.now().us}});
    runtime::HttpCall call;
    call.target = std::move(path);
    call.headers = {{"authorization", "Bearer " + target.token}};
    submit(w, coordinator, op, std::move(call), std::move(done));
  }

  void submit(Withdrawal& w, std::size_t coordinator, std::uint64_t op, runtime::HttpCall call,
              Done done) {
    call.deadline = target.request_deadline;
    ++w.in_flight;
    open_ops.insert(op);
    clients[coordinator]->call(
        std::move(call), [this, &w, op, done = std::move(done)](Result<runtime::HttpResponse> r) {
          --w.in_flight;
          if (closed) return;
          open_ops.erase(op);
          note_answer(op, r);
          done(r);
        });
  }

  void note_answer(std::uint64_t op, const Result<runtime::HttpResponse>& result) {
    const Instant now = loop.now();
    const bool error = !result.ok() || result->status >= 500;
    recent.emplace_back(now, error);
    if (error) ++counts.errors;
    if (!result.ok()) {
      record(
          {{"type", "no_answer"}, {"t_us", now.us}, {"op", op}, {"error", result.error().message}});
      return;
    }
    ++counts.answers;
    const Answer a = parse(*result);
    record({{"type", "answer"},
            {"t_us", now.us},
            {"op", op},
            {"status", a.status},
            {"id", a.id},
            {"state", a.state},
            {"txid", a.txid},
            {"problem", a.problem}});
  }

  std::string name_of(std::size_t coordinator) const {
    return "coordinator-" + std::to_string(coordinator);
  }
  std::size_t other_than(std::size_t coordinator) const {
    return (coordinator + 1) % clients.size();
  }

  // ---- answers ----

  void on_create(Withdrawal& w, const Result<runtime::HttpResponse>& result) {
    if (w.final_answer) return;  // the duplicate's answer; the record has it
    w.status = result.ok() ? result->status : 0;
    w.problem = result.ok() ? parse(*result).problem : "";
    if (!result.ok() || result->status >= 500) return retry_later(w);
    const Answer answer = parse(*result);
    if (answer.status >= 200 && answer.status < 300) return acknowledged(w, answer);
    w.final_answer = true;  // 4xx: a business refusal, or a bug that the checkers will see
    --counts.open;
    ++counts.rejected;
    next_of_client(w.client);
  }

  void acknowledged(Withdrawal& w, const Answer& answer) {
    w.acknowledged = w.final_answer = true;
    w.id = answer.id;
    w.state = answer.state;
    --counts.open;
    ++counts.acknowledged;
    latencies_ms.push_back(static_cast<double>((loop.now() - w.intended).us) / 1000.0);
    if (latencies_ms.size() > kLatencyWindow) latencies_ms.pop_front();
    if (!stopping && prng.unit() < plan.conflict_share) {
      post(w, other_than(w.coordinator), "conflict", conflicting(w), [](const auto&) {});
    }
    if (!stopping && prng.unit() < kPollShare) {
      get(w, other_than(w.coordinator), "poll", "/v1/withdrawals/" + w.id, [](const auto&) {});
    }
    next_of_client(w.client);
  }

  void retry_later(Withdrawal& w) {
    if (w.in_flight > 0 || closed) return;   // its duplicate may still be answered
    if (w.attempts >= kMaxAttempts) return;  // stays open, so it stays indeterminate
    Duration delay = kFirstRetry;
    for (std::uint32_t i = 1; i < w.attempts && delay < target.longest_retry; ++i)
      delay = delay * 2;
    delay = std::min(delay, target.longest_retry);
    w.retry = std::make_unique<runtime::Timer>(loop, [this, &w] {
      if (closed || w.final_answer) return;
      if (plan.idempotency) return send(w, other_than(w.coordinator), "retry");
      ask_anew(w);
    });
    w.retry->arm(loop.now() + delay);
  }

  // The same order under a new key: whether the old one is paid, its client never learns.
  void ask_anew(Withdrawal& old) {
    old.final_answer = true;
    --counts.open;
    Withdrawal& w = make(old.client, old.intended, &old);
    send(w, other_than(old.coordinator), "new");
  }

  // ---- loops ----

  void next_of_client(int client) {
    if (client == kOpenLoop || stopping) return;
    const std::int64_t think_us = std::int64_t{plan.think_ms} * 1000;
    const Instant intended =
        loop.now() + microseconds(prng.between(think_us / 2, think_us * 3 / 2));
    arm_client(client, intended);
  }

  void arm_client(int client, Instant intended) {
    auto& timer = client_timers[static_cast<std::size_t>(client)];
    timer = std::make_unique<runtime::Timer>(loop, [this, client, intended] {
      if (!stopping) start_withdrawal(client, intended);
    });
    timer->arm(intended);
  }

  Instant open_instant(std::uint64_t number) const {
    return began + microseconds(static_cast<std::int64_t>(static_cast<double>(number) * 1e6 /
                                                          plan.rate_per_s));
  }

  void open_tick() {
    while (!stopping && open_instant(open_sent) <= loop.now())
      start_withdrawal(kOpenLoop, open_instant(open_sent++));
    if (!stopping) open_timer->arm(open_instant(open_sent));
  }

  // ---- resolving ----

  void resolve_one(Withdrawal& w, std::uint32_t attempt) {
    const std::size_t coordinator = attempt % clients.size();
    get(w, coordinator, "resolve", "/v1/withdrawals?idempotency_key=" + w.key,
        [this, &w, attempt](const Result<runtime::HttpResponse>& result) {
          const bool answered = result.ok() && result->status < 500;
          if (answered || attempt + 1 >= kMaxResolveAttempts) return resolved_one();
          w.retry = std::make_unique<runtime::Timer>(
              loop, [this, &w, attempt] { resolve_one(w, attempt + 1); });
          w.retry->arm(loop.now() + milliseconds(200));
        });
  }

  void resolved_one() {
    if (--resolving == 0 && resolved) resolved();
  }
};

Load::Load(std::unique_ptr<State> state) : state_(std::move(state)) {}
Load::~Load() = default;

Result<std::unique_ptr<Load>> Load::create(runtime::EventLoop& loop, const WorkloadPlan& plan,
                                           std::uint64_t seed, LoadTarget target,
                                           const std::string& history_path) {
  auto state = std::make_unique<State>(loop, plan, seed, std::move(target));
  state->history_path = history_path;
  state->history_fd =
      open(history_path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
  if (state->history_fd < 0) {
    return Error{ErrorKind::Io, history_path + ": " + strerror(errno)};
  }
  state->record({{"format", "roulette-history"}, {"version", 2}});
  if (const RequestSigner* client = state->target.client.get())
    state->record({{"type", "client"},
                   {"name", client->client()},
                   {"cluster_id", client->cluster_id()},
                   {"public_key", to_hex(client->public_key())}});
  for (const Endpoint& endpoint : state->target.coordinators) {
    runtime::HttpClient::Options options;
    options.address = endpoint.host;
    options.port = endpoint.port;
    options.connections = kConnectionsPerCoordinator;
    state->clients.push_back(std::make_unique<runtime::HttpClient>(loop, options));
  }
  return std::unique_ptr<Load>(new Load(std::move(state)));
}

void Load::begin(Instant began) {
  State& s = *state_;
  s.began = began;
  s.client_timers.resize(s.plan.clients);
  for (std::uint32_t i = 0; i < s.plan.clients; ++i) {
    const std::int64_t spread_us =
        std::int64_t{s.plan.think_ms} * 1000 * i / std::max(1u, s.plan.clients);
    s.arm_client(static_cast<int>(i), began + microseconds(spread_us));
  }
  if (s.plan.rate_per_s > 0) {
    s.open_timer = std::make_unique<runtime::Timer>(s.loop, [&s] { s.open_tick(); });
    s.open_timer->arm(began);
  }
}

void Load::stop() {
  state_->stopping = true;
  state_->open_timer.reset();
}

bool Load::drained() const {
  return std::all_of(state_->withdrawals.begin(), state_->withdrawals.end(),
                     [](const Withdrawal& w) { return w.final_answer && w.in_flight == 0; });
}

void Load::close() {
  State& s = *state_;
  if (s.closed) return;
  s.closed = true;
  for (Withdrawal& w : s.withdrawals) w.retry.reset();
  for (const std::uint64_t op : s.open_ops) {
    s.record({{"type", "no_answer"},
              {"t_us", s.loop.now().us},
              {"op", op},
              {"error", "the run ended before an answer came"}});
  }
  s.open_ops.clear();
  s.record({{"type", "end"},
            {"t_us", s.loop.now().us},
            {"keys", s.withdrawals.size()},
            {"ops", s.next_op}});
}

std::size_t Load::request(std::size_t coordinator) {
  State& s = *state_;
  const std::size_t number = s.withdrawals.size();
  s.start_withdrawal(kOpenLoop, s.loop.now(), coordinator);
  return number;
}

void Load::poll(std::size_t number, std::size_t coordinator) {
  State& s = *state_;
  Withdrawal& w = s.withdrawals.at(number);
  if (!w.acknowledged || w.polling || s.closed) return;
  w.polling = true;
  s.get(w, coordinator, "poll", "/v1/withdrawals/" + w.id,
        [&w](const Result<runtime::HttpResponse>& result) {
          w.polling = false;
          if (!result.ok() || result->status != 200) return;
          const Answer answer = parse(*result);
          if (rank_of(answer.state) > rank_of(w.state)) w.state = answer.state;
        });
}

WithdrawalSeen Load::seen(std::size_t number) const {
  const Withdrawal& w = state_->withdrawals.at(number);
  WithdrawalSeen out;
  out.key = w.key;
  out.acknowledged = w.acknowledged;
  out.rejected = (w.final_answer && !w.acknowledged) || w.state == "rejected";
  out.state = w.state;
  out.status = w.status;
  out.problem = w.problem;
  out.sent = w.intended;
  return out;
}

bool WithdrawalSeen::is_signed() const {
  return rank_of(state) >= rank_of("signed");
}
bool WithdrawalSeen::is_broadcast() const {
  return rank_of(state) >= rank_of("broadcast");
}

void Load::resolve(std::function<void()> done) {
  State& s = *state_;
  s.resolved = std::move(done);
  std::vector<Withdrawal*> open;
  for (Withdrawal& w : s.withdrawals) {
    if (!w.final_answer) open.push_back(&w);
  }
  s.resolving = open.size();
  if (open.empty()) return s.loop.post(s.resolved);
  for (Withdrawal* w : open) s.resolve_one(*w, 0);
}

const std::string& Load::broken() const {
  return state_->broken;
}

LoadCounts Load::counts() const {
  LoadCounts out = state_->counts;
  std::vector<double> sorted(state_->latencies_ms.begin(), state_->latencies_ms.end());
  std::sort(sorted.begin(), sorted.end());
  if (!sorted.empty()) out.p99_ms = sorted[std::min(sorted.size() - 1, sorted.size() * 99 / 100)];
  return out;
}

double Load::error_rate() const {
  auto& recent = state_->recent;
  const Instant from = state_->loop.now() - seconds(1);
  while (!recent.empty() && recent.front().first < from) recent.pop_front();
  if (recent.empty()) return 0;
  const auto errors =
      std::count_if(recent.begin(), recent.end(), [](const auto& r) { return r.second; });
  return static_cast<double>(errors) / static_cast<double>(recent.size());
}

}  // namespace roulette::chaos
