// The live host's wiring: see live_ledger.h. Order of a batch:
//   frames, log entries and outcomes are stepped -> sends, proposals and barriers leave ->
//   the timer is set. Entries go into the tables kTablesDelay later, all that were applied until
// then in one transaction. Answers do not wait for the tables: what they say is durable in the log.
#include "ledger/app/live_ledger.h"

#include <unistd.h>

#include <cstdio>
#include <optional>
#include <set>
#include <utility>

#include "common/base/limits.h"
#include "common/runtime/clients_file.h"
#include "common/runtime/tls_client.h"
#include "common/wire/codec.h"
#include "ledger/log/etcd_log.h"
#include "ledger/log/sqlite_log.h"

namespace roulette::ledger {
namespace {

using runtime::EventFields;
using runtime::PointEffect;
using runtime::PointWhen;

constexpr Duration kTick = seconds(1);              // `limits` events (docs/RECORDS.md)
// A withdrawal's row is written once for all its states within this time.
constexpr Duration kTablesDelay = milliseconds(100);
constexpr std::size_t kMostUnwritten = 256;  // entries
constexpr Duration kFlushPoll = microseconds(500);  // while draining: has the kernel taken it all?
constexpr int kFailedExitCode = 70;                 // disk or divergence
constexpr std::string_view kBatch = "command_batch";

runtime::HttpResponse json_response(int status, std::string body) {
  return {.status = status, .content_type = "application/json", .body = std::move(body)};
}

// The kill points' subject of a message; none for what is sent all the time without a consequence.
std::string_view subject_of(const wire::Message& message) {
  if (std::holds_alternative<wire::LedgerHeartbeat>(message)) return {};
  return wire::message_name(message);
}

}  // namespace

LiveLedger::LiveLedger(Environment environment, Settings settings)
    : env_(environment),
      settings_(std::move(settings)),
      deadline_timer_(env_.loop, [this] { step(DeadlineReached{}); }),
      drain_timer_(env_.loop, [this] { stop(0, false); }),
      tick_timer_(env_.loop, [this] { tick(); }),
      flush_timer_(env_.loop, [this] { finish_when_sent(); }),
      tables_timer_(env_.loop, [this] { write_tables(false); }) {}

LiveLedger::~LiveLedger() {
  env_.loop.set_batch_hook({});
}

// ---- start ----

Status LiveLedger::start() {
  env_.points.announce(PointEffect::Restore, "log_opened", PointWhen::Before);
  if (auto opened = open_tables(); !opened) return opened;
  if (auto opened = open_transport(); !opened) return opened;
  if (auto opened = open_http(); !opened) return opened;
  env_.loop.set_batch_hook([this] { end_of_batch(); });
  env_.points.on_command([this](std::string_view word) {
    if (word != "end_of_run") return false;
    env_.loop.post([this] { step(EndOfRunRequested{}); });
    return true;
  });
  tick_timer_.arm(env_.loop.now() + kTick);
  return open_log();
}

Status LiveLedger::open_tables() {
  auto opened = Tables::open(settings_.tables_file(), settings_.cluster_id);
  if (!opened) return opened.error();
  tables_ = std::make_unique<Tables>(std::move(opened).value());
  tables_->delay_commits(settings_.commit_delay);
  const auto digest = tables_->last_digest();
  if (!digest) return digest.error();
  LedgerConfig config;
  config.id = LedgerId(settings_.name.index);
  config.replicas = settings_.replicas;
  config.boot = env_.boot;
  config.genesis = settings_.genesis;
  config.checkpoint_interval = limits::kCheckpointInterval;
  config.snapshot_interval = settings_.snapshot_interval;
  auto clients = runtime::configured_clients(settings_.clients, settings_.cluster_id);
  if (!clients) return clients.error();
  runtime::show_listed_clients(metrics_.registry(), *clients);
  config.clients = std::move(clients).value();
  machine_ = std::make_unique<Ledger>(std::move(config));
  Started started;
  if (digest.value()) {
    auto earlier = tables_->digests();
    if (!earlier) return earlier.error();
    started.tables = LoadedTables{digest.value()->index, digest.value()->digest,
                                  std::move(earlier).value(), tables_->index()};
  }
  env_.loop.post([this, started] { step(started); });
  return {};
}

Status LiveLedger::open_transport() {
  runtime::TlsTransport::Options options;
  options.identity = {settings_.cluster_id, settings_.name, settings_.ca, settings_.certificate,
                      settings_.key};
  options.accepts = [this](ProcessName peer) {
    return peer.role == Role::Coordinator ||
           (peer.role == Role::Ledger && peer.index != settings_.name.index);
  };
  options.callbacks.on_connected = [this](ConnectionId id, ProcessName name) {
    on_connected(id, name);
  };
  options.callbacks.on_frame = [this](ConnectionId id, ByteSpan payload) { on_frame(id, payload); };
  options.callbacks.on_lost = [this](ConnectionId id, ProcessName, const std::string&) {
    on_lost(id);
  };
  options.points = &env_.points;
  options.metrics = &metrics_.registry();
  auto transport = runtime::TlsTransport::create(env_.loop, std::move(options));
  if (!transport) return transport.error();
  transport_ = std::move(transport).value();
  const auto port = transport_->listen(settings_.listen.host, settings_.listen.port);
  if (!port) return port.error();
  env_.points.event("listening", "tls " + std::to_string(*port));
  for (const auto& [name, address] : settings_.peers) {
    // One connection a pair: the higher number calls.
    if (name.index < settings_.name.index) transport_->connect(name, address.host, address.port);
  }
  return {};
}

Status LiveLedger::open_http() {
  http_ = std::make_unique<runtime::HttpServer>(
      env_.loop,
      runtime::HttpServer::Options{
          .handler = [this](runtime::HttpRequest request,
                            runtime::HttpResponder respond) { answer_http(request, respond); },
          .metrics = &metrics_.registry()});
  const auto port = http_->listen(settings_.http.host, settings_.http.port);
  if (!port) return port.error();
  env_.points.event("listening", "http " + std::to_string(*port));
  return {};
}

Result<std::unique_ptr<ReplicatedLog>> LiveLedger::make_log() {
  if (settings_.sqlite_log) {
    auto log = SqliteLog::open(
        env_.loop, {settings_.log_file(), settings_.cluster_id,
                    [this](const Error& error) { log_failed(error); }});
    if (!log) return log.error();
    return std::unique_ptr<ReplicatedLog>(std::move(log).value());
  }
  return make_etcd_log();
}

Result<std::unique_ptr<ReplicatedLog>> LiveLedger::make_etcd_log() {
  EtcdLog::Options options;
  options.cluster = settings_.cluster_id;
  const std::size_t members = settings_.etcd.size();
  for (std::size_t i = 0; i < members; ++i) {
    // Each replica begins with another member, so that one dead member does not stop all at once.
    const runtime::HttpUrl& url = settings_.etcd[(settings_.name.index + i) % members];
    const auto address = runtime::resolve_ipv4(url.host);
    if (!address) return address.error().with_context("etcd " + url.text());
    options.members.push_back({*address, url.port, url.host});
  }
  if (settings_.etcd.front().tls) {
    auto tls = runtime::TlsClientContext::load(
        {settings_.etcd_ca, settings_.etcd_certificate, settings_.etcd_key});
    if (!tls) return tls.error();
    options.tls = std::move(tls).value();
  }
  options.own = settings_.own_etcd;
  options.on_trouble = [this](const std::string& what) {
    std::fprintf(stderr, "%s: %s\n", settings_.name.text().c_str(), what.c_str());
  };
  return std::unique_ptr<ReplicatedLog>(
      std::make_unique<EtcdLog>(env_.loop, std::move(options)));
}

Status LiveLedger::open_log() {
  auto log = make_log();
  if (!log) return log.error();
  log_ = std::move(log).value();
  env_.points.announce(PointEffect::Restore, "log_opened", PointWhen::After);
  env_.points.announce(PointEffect::Restore, "log_replayed", PointWhen::Before);
  ReplicatedLog::Callbacks callbacks;
  callbacks.on_entry = [this](std::uint64_t index, std::vector<wire::Command> commands) {
    on_entry(index, std::move(commands));
  };
  callbacks.on_lost = [this](const std::string& reason) { step(LogLost{reason}); };
  callbacks.on_restored = [this] { step(LogRestored{}); };
  callbacks.on_trimmed = [this](std::uint64_t first) { step(LogTrimmed{first}); };
  log_->subscribe(std::move(callbacks));
  return {};
}

// ---- peers ----

void LiveLedger::on_connected(ConnectionId id, ProcessName name) {
  peers_.emplace(id, Peer{name, false});
  transport_->send(id, wire::encode_message(wire::Hello{wire::kProtocolMajor, wire::kProtocolMinor,
                                                        settings_.name, env_.boot}));
}

void LiveLedger::on_frame(ConnectionId id, ByteSpan payload) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  auto message = wire::decode_message(payload);
  if (!message) {
    metrics_.dropped("malformed");
    return drop(id, "malformed message: " + message.error().message);
  }
  if (const auto* hello = std::get_if<wire::Hello>(&*message)) return on_greeting(id, peer, *hello);
  if (!peer.greeted) {
    metrics_.dropped("before_greeting");
    return drop(id, "a message before the greeting");
  }
  metrics_.message(wire::message_name(*message));
  step(MessageReceived{id, std::move(message).value()});
}

void LiveLedger::on_greeting(ConnectionId id, Peer& peer, const wire::Hello& hello) {
  std::string wrong;
  if (peer.greeted) wrong = "second greeting";
  if (hello.name != peer.name) wrong = "the greeting's name is not the certificate's";
  if (hello.major != wire::kProtocolMajor) {
    wrong = "protocol version " + std::to_string(hello.major) + ", this ledger speaks " +
            std::to_string(wire::kProtocolMajor);
  }
  if (!wrong.empty()) {
    metrics_.dropped("greeting");
    return drop(id, wrong);
  }
  peer.greeted = true;
  step(PeerConnected{id, peer.name, hello.boot});
}

void LiveLedger::on_lost(ConnectionId id) {
  const auto peer = peers_.find(id);
  if (peer == peers_.end()) return;
  const bool known = peer->second.greeted;
  peers_.erase(peer);
  if (known) step(PeerLost{id});
}

void LiveLedger::drop(ConnectionId id, const std::string& reason) {
  std::fprintf(stderr, "%s: closing %s: %s\n", settings_.name.text().c_str(),
               peers_.at(id).name.text().c_str(), reason.c_str());
  transport_->close(id, reason);
}

// ---- the machine ----

void LiveLedger::on_entry(std::uint64_t index, std::vector<wire::Command> commands) {
  env_.points.announce(PointEffect::Apply, kBatch, PointWhen::Before);
  std::vector<Effect> effects;
  machine_->step(env_.loop.now(), EntryDelivered{index, std::move(commands)}, env_.entropy,
                 effects);
  env_.points.announce(PointEffect::Apply, kBatch, PointWhen::After);
  execute(effects);
}

void LiveLedger::step(const Event& event) {
  std::vector<Effect> effects;
  machine_->step(env_.loop.now(), event, env_.entropy, effects);
  execute(effects);
}

void LiveLedger::execute(std::vector<Effect>& effects) {
  for (Effect& effect : effects) std::visit([this](auto& order) { perform(order); }, effect);
  if (!announcing_) return;
  announcing_ = false;
  env_.points.announce(PointEffect::Restore, "first_announcement", PointWhen::After);
}

void LiveLedger::perform(const Propose& effect) {
  env_.points.announce(PointEffect::Append, kBatch, PointWhen::Before);
  const Instant begun = env_.loop.now();
  log_->propose(effect.commands, [this, batch = effect.batch, size = effect.commands.size(),
                                  begun](ProposeOutcome outcome) {
    env_.points.announce(PointEffect::Append, kBatch, PointWhen::After);
    metrics_.proposed(size, env_.loop.now() - begun, outcome);
    step(ProposeDone{batch, outcome});
  });
}

void LiveLedger::perform(const ReadBarrier& effect) {
  log_->read_barrier([this, number = effect.barrier](std::optional<std::uint64_t> head) {
    step(BarrierDone{number, head});
  });
}

void LiveLedger::perform(const Send& effect) {
  if (!peers_.contains(effect.connection)) return;
  transport_->send(effect.connection, wire::encode_message(effect.message),
                   subject_of(effect.message));
}

void LiveLedger::perform(WriteTables& effect) {
  // What is replayed at a start was counted when it happened.
  if (restored_) metrics_.applied(effect);
  record_digest(effect);
  unwritten_.push_back(std::move(effect));
}

// ---- snapshots ----

ReplicatedLog::DoneCallback LiveLedger::snapshot_done(std::uint64_t order, const char* subject,
                                                      EventFields fields) {
  env_.points.announce(PointEffect::Append, subject, PointWhen::Before);
  return [this, order, subject, fields](const Status& done) mutable {
    env_.points.announce(PointEffect::Append, subject, PointWhen::After);
    if (!done) {
      fields.add("what", subject).add("why", done.error().message);
      env_.log.write("snapshot_failed", fields);
    } else if (subject != std::string_view("snapshot_chunk")) {  // the store's word
      env_.log.write(subject == std::string_view("trim") ? "log_trimmed" : "snapshot_stored",
                     fields);
    }
    step(SnapshotOrderDone{order, done.ok(), done ? "" : done.error().message});
  };
}

void LiveLedger::perform(const StoreChunk& effect) {
  EventFields fields;
  fields.add("index", effect.index).add("number", effect.number);
  log_->store_chunk(effect.index, effect.number, effect.bytes,
                    snapshot_done(effect.order, "snapshot_chunk", fields));
}

void LiveLedger::perform(const StoreManifest& effect) {
  const auto manifest = decode_manifest(effect.bytes);
  ROULETTE_ASSERT(manifest.ok());  // the machine made it
  EventFields fields;
  fields.add("index", effect.index).add_hex("digest", manifest->digest);
  env_.log.write("snapshot_ordered", fields);
  log_->store_manifest(effect.index, effect.bytes,
                       snapshot_done(effect.order, "snapshot_manifest", fields));
}

void LiveLedger::perform(const ReadSnapshot& effect) {
  log_->read_snapshot(effect.at_most,
                      [this, order = effect.order](std::optional<StoredSnapshot> snapshot) {
                        step(SnapshotRead{order, std::move(snapshot)});
                      });
}

void LiveLedger::perform(const TrimLog& effect) {
  EventFields fields;
  fields.add("up_to", effect.up_to).add("newest", effect.newest);
  env_.log.write("trim_ordered", fields);
  log_->trim(effect.up_to, effect.newest, snapshot_done(effect.order, "trim", fields));
}

void LiveLedger::perform(const FollowLog& effect) {
  log_->follow(effect.after);
}

// The state was replaced in this very step: it is still the one behind `index`.
void LiveLedger::perform(const RestoreTables& effect) {
  env_.points.announce(PointEffect::Restore, "snapshot_loaded", PointWhen::Before);
  env_.log.write("snapshot_loaded", EventFields()
                                        .add("index", effect.index)
                                        .add_hex("digest", effect.digest)
                                        .add("over", effect.over));
  unwritten_.clear();  // of this batch, and before the snapshot
  const auto restored = tables_->restore(effect, machine_->state());
  if (!restored) tables_failed(restored.error());
  env_.points.announce(PointEffect::Restore, "snapshot_loaded", PointWhen::After);
}

void LiveLedger::record_digest(const WriteTables& entry) {
  if (entry.digest == Hash32{}) return;
  EventFields fields;
  fields.add("index", entry.index).add_hex("digest", entry.digest);
  env_.log.write("checkpoint", fields);
  for (std::size_t i = 0; i < entry.commands.size(); ++i) {
    if (!std::holds_alternative<wire::EndOfRun>(entry.commands[i].body)) continue;
    if (entry.outcomes[i].kind != wire::OutcomeKind::Applied) continue;
    env_.log.write("end_of_run_applied", fields);
    env_.points.event("end_of_run_applied",
                      std::to_string(entry.index) + " " + to_hex(entry.digest));
  }
}

void LiveLedger::perform(const ReadinessChanged& effect) {
  not_ready_ = effect.reason;
  EventFields fields;
  fields.add("reason", effect.reason).add("index", machine_->gauges().index);
  env_.log.write(effect.ready ? "ready" : "not_ready", fields);
  if (!effect.ready) return env_.points.not_ready(effect.reason);
  if (!restored_) {
    restored_ = true;
    announcing_ = true;  // until the effects of this step, the statuses among them, have left
    env_.points.announce(PointEffect::Restore, "log_replayed", PointWhen::After);
    env_.points.announce(PointEffect::Restore, "first_announcement", PointWhen::Before);
  }
  env_.points.ready("{}");
}

void LiveLedger::perform(const Stop& effect) {
  std::fprintf(stderr, "%s: stopped for good: %s\n", settings_.name.text().c_str(),
               effect.reason.c_str());
  env_.log.write("diverged", EventFields()
                                 .add("index", machine_->gauges().index)
                                 .add_hex("own", machine_->state().digest())
                                 .add("others", effect.reason));
  stop(kFailedExitCode, false);
}

void LiveLedger::perform(const Drained&) {
  drained_ = true;
}

void LiveLedger::end_of_batch() {
  metrics_.observe_peaks(machine_->gauges());
  if (unwritten_.size() >= kMostUnwritten) write_tables(false);
  else if (!unwritten_.empty() && !tables_timer_.armed())
    tables_timer_.arm(env_.loop.now() + kTablesDelay);
  const auto deadline = machine_->next_deadline();
  if (deadline)
    deadline_timer_.arm(*deadline);
  else
    deadline_timer_.cancel();
  if (drained_) finish_when_sent();
}

void LiveLedger::write_tables(bool at_stop) {
  tables_timer_.cancel();
  if (unwritten_.empty() && !at_stop) return;  // a snapshot took their place
  env_.points.announce(PointEffect::Persist, "tables", PointWhen::Before);
  const Instant begun = env_.loop.now();
  std::optional<Tables::Final> final_state;
  if (at_stop) final_state.emplace(Tables::Final{machine_->gauges().index, machine_->state()});
  if (auto written = tables_->write(unwritten_, final_state); !written) {
    tables_failed(written.error());
  }
  unwritten_.clear();
  metrics_.tables_written(env_.loop.now() - begun);
  env_.points.announce(PointEffect::Persist, "tables", PointWhen::After);
}

void LiveLedger::tables_failed(const Error& error) {
  std::fprintf(stderr, "%s: the tables cannot be written: %s\n", settings_.name.text().c_str(),
               error.message.c_str());
  ::_exit(kFailedExitCode);
}

void LiveLedger::log_failed(const Error& error) {
  std::fprintf(stderr, "%s: the log cannot be written or read: %s\n",
               settings_.name.text().c_str(), error.message.c_str());
  ::_exit(kFailedExitCode);
}

// ---- stop ----

int LiveLedger::run() {
  env_.loop.run();
  env_.log.write("limits", metrics_.limits());
  env_.log.write("stopped", EventFields().add("drained", stopped_drained_));
  // The deadline passed: leave as after SIGKILL, which is as safe.
  if (exit_code_ == 0 && !stopped_drained_) ::_exit(runtime::kForcedStopExitCode);
  return exit_code_;
}

void LiveLedger::begin_shutdown() {
  if (draining_) return;
  draining_ = true;
  env_.log.write("shutdown_started");
  env_.points.event("shutdown_started");
  transport_->stop_listening();
  drain_timer_.arm(env_.loop.now() + settings_.drain);
  step(ShutdownRequested{});
}

// Drained means that the machine owes nothing; the kernel must have taken it, too.
void LiveLedger::finish_when_sent() {
  if (transport_->unsent_bytes() != 0) {
    if (!flush_timer_.armed()) flush_timer_.arm(env_.loop.now() + kFlushPoll);
    return;
  }
  // The digest of the very last state: what the next start replays against.
  if (!stopped_drained_) write_tables(true);
  stop(0, true);
}

void LiveLedger::stop(int exit_code, bool drained) {
  if (exit_code_ == 0) exit_code_ = exit_code;
  stopped_drained_ = drained;
  env_.loop.stop();
}

// ---- to be looked at ----

void LiveLedger::tick() {
  env_.log.write("limits", metrics_.limits());
  tick_timer_.arm(env_.loop.now() + kTick);
}

void LiveLedger::answer_http(const runtime::HttpRequest& request,
                             const runtime::HttpResponder& respond) {
  const bool ready = not_ready_.empty();
  if (request.method != "GET") return respond(json_response(405, "{\"error\":\"GET only\"}"));
  if (request.path == "/healthz") return respond(json_response(200, "{\"status\":\"ok\"}"));
  if (request.path == "/readyz") {
    std::string reasons = "[";
    if (!ready) runtime::append_json_string(reasons, not_ready_);
    EventFields fields;
    fields.add("ready", ready).add_json("reasons", reasons + "]");
    fields.add("index", machine_->gauges().index);
    return respond(json_response(ready ? 200 : 503, "{" + fields.text().substr(1) + "}"));
  }
  if (request.path == "/metrics") {
    return respond({.status = 200,
                    .content_type = "text/plain; version=0.0.4",
                    .body = metrics_.text(machine_->gauges(), log_->counters(), ready)});
  }
  if (request.path == "/wallet") return respond(json_response(200, wallet_json()));
  respond(json_response(404, "{\"error\":\"not found\"}"));
}

// What the wallet holds on the chain by the books: for whoever compares it with a node's outputs.
// Asked for seldom: it looks at every coin.
std::string LiveLedger::wallet_json() const {
  const State& state = machine_->state();
  std::set<WithdrawalId> on_chain;
  for (const wire::WithdrawalView& view : state.all())
    if (view.state == wire::WithdrawalState::Confirmed ||
        view.state == wire::WithdrawalState::Settled)
      on_chain.insert(view.id);
  std::set<bitcoin::OutPoint> spent;
  for (const Reservation& reservation : state.reservations())
    if (on_chain.contains(reservation.withdrawal)) spent.insert(reservation.outpoint);
  std::int64_t held_sat = 0;
  for (const CoinView& coin : state.coins())
    if (coin.height > 0 && !spent.contains(coin.outpoint)) held_sat += coin.amount_sat;
  EventFields fields;
  fields.add("index", machine_->gauges().index)
      .add("tip", bitcoin::txid_to_hex(state.tip().hash))
      .add("height", state.tip().height)
      .add("wallet_sat", held_sat);
  return "{" + fields.text().substr(1) + "}";
}

}  // namespace roulette::ledger
