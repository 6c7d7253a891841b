// The live host's wiring: see live_signer.h. Order of a batch:
//   frames are decoded and stepped -> Persist effects are collected, ungated sends leave ->
//   one transaction -> RecordDurable is stepped -> the sends that waited leave.
//
// Invariant: uncommitted_ is empty whenever the loop waits.
#include "signer/app/live_signer.h"

#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "common/base/assert.h"
#include "common/runtime/clients_file.h"
#include "common/wire/codec.h"
#include "signer/app/journal_records.h"

namespace roulette::signer {
namespace {

using runtime::EventFields;
using runtime::PointEffect;
using runtime::PointWhen;

constexpr Duration kTick = seconds(1);              // `limits` events (docs/RECORDS.md)
constexpr char kKeyUnavailable[] = "key-unavailable";
constexpr Duration kFlushPoll = microseconds(500);  // while draining: has the kernel taken it all?
constexpr int kDiskFailedExitCode = 70;

template <class List>
std::string hex_list(const List& list) {
  std::string json = "[";
  for (const auto& bytes : list) {
    if (json.size() > 1) json += ",";
    json += "\"" + to_hex(bytes) + "\"";
  }
  return json + "]";
}

runtime::HttpResponse json_response(int status, std::string body) {
  return {.status = status, .content_type = "application/json", .body = std::move(body)};
}

bool is_coordinators(const wire::Message& message) {
  return std::holds_alternative<wire::SignerPing>(message) ||
         std::holds_alternative<wire::NonceRequest>(message) ||
         std::holds_alternative<wire::JournalCheck>(message) ||
         std::holds_alternative<wire::SignRequest>(message);
}

}  // namespace

LiveSigner::LiveSigner(Environment environment, Settings settings, KeyProbe probe)
    : env_(environment),
      settings_(std::move(settings)),
      drain_timer_(env_.loop, [this] { stop(false); }),
      tick_timer_(env_.loop, [this] { tick(); }),
      flush_timer_(env_.loop, [this] { finish_when_sent(); }),
      key_timer_(env_.loop, [this] { look_at_key(); }),
      probe_(std::move(probe)) {}

LiveSigner::~LiveSigner() {
  env_.loop.set_batch_hook({});
}

// ---- start ----

Status LiveSigner::start(SignerConfig config) {
  if (probe_) key_ = config.share;
  runtime::show_listed_clients(metrics_.registry(), config.clients);
  if (auto opened = open_journal(std::move(config)); !opened) return opened;
  if (auto opened = open_transport(); !opened) return opened;
  if (auto opened = open_http(); !opened) return opened;
  env_.loop.set_batch_hook([this] { commit(); });
  tick_timer_.arm(env_.loop.now() + kTick);
  env_.loop.post([this] {
    if (not_ready_ == "draining") return;  // SIGTERM was faster
    step(Started{});
    commit();
    // It serves when a coordinator has said what the ledger keeps of this journal.
    standing_ = wire::standing_name(wire::JournalStanding::Unchecked);
    tell_readiness();
    look_at_key();
  });
  return {};
}

Status LiveSigner::open_journal(SignerConfig config) {
  env_.points.announce(PointEffect::Restore, "journal_opened", PointWhen::Before);
  auto journal = runtime::Journal::open({.path = settings_.journal_file(),
                                         .format = kJournalFormat,
                                         .commit_delay = settings_.commit_delay,
                                         .points = &env_.points,
                                         .metrics = &metrics_.registry()});
  if (!journal) return journal.error();
  journal_ = std::move(journal).value();
  const auto records = load_records(*journal_);
  if (!records) return records.error().with_context(settings_.journal_file().string());
  env_.log.write("journal_opened",
                 EventFields()
                     .add("length", records->size())
                     .add_hex("head", records->empty() ? Hash32{} : records->back().head));
  env_.points.announce(PointEffect::Restore, "journal_opened", PointWhen::After);
  env_.points.announce(PointEffect::Restore, "journal_replayed", PointWhen::Before);
  auto machine = Signer::restore(std::move(config), env_.boot, *records);
  if (!machine) return machine.error().with_context(settings_.journal_file().string());
  machine_ = std::make_unique<Signer>(std::move(machine).value());
  env_.points.announce(PointEffect::Restore, "journal_replayed", PointWhen::After);
  return {};
}

Status LiveSigner::open_transport() {
  runtime::TlsTransport::Options options;
  options.identity = {settings_.cluster_id, settings_.name, settings_.ca, settings_.certificate,
                      settings_.key};
  options.accepts = [](ProcessName peer) { return peer.role == Role::Coordinator; };
  options.callbacks.on_connected = [this](ConnectionId id, ProcessName name) {
    on_connected(id, name);
  };
  options.callbacks.on_frame = [this](ConnectionId id, ByteSpan payload) { on_frame(id, payload); };
  options.callbacks.on_lost = [this](ConnectionId id, ProcessName, const std::string&) {
    on_lost(id);
  };
  options.points = &env_.points;
  options.metrics = &metrics_.registry();
  auto traffic = runtime::Traffic::open(settings_.folder / "traffic");
  if (!traffic) return traffic.error();
  traffic_ = std::move(traffic).value();
  options.traffic = traffic_.get();
  auto transport = runtime::TlsTransport::create(env_.loop, std::move(options));
  if (!transport) return transport.error();
  transport_ = std::move(transport).value();
  const auto port = transport_->listen(settings_.listen.host, settings_.listen.port);
  if (!port) return port.error();
  env_.points.event("listening", "tls " + std::to_string(*port));
  return {};
}

Status LiveSigner::open_http() {
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

void LiveSigner::tell_readiness() {
  if (not_ready_ == "draining") return;
  std::string why = standing_;
  if (why.empty() && key_ && !key_->unavailable().empty()) why = kKeyUnavailable;
  if (why == not_ready_) return;
  if (why == kKeyUnavailable) metrics_.key_lost();
  if (!why.empty()) return set_not_ready(why);
  not_ready_.clear();
  env_.log.write("ready", EventFields().add("reason", ""));
  env_.points.ready("{}");
}

// A token that went away is noticed whether or not anybody wants a signature, and so is its return.
void LiveSigner::look_at_key() {
  if (!probe_) return;
  (void)probe_();
  tell_readiness();
  key_timer_.arm(env_.loop.now() + limits::kKeyProbe);
}

void LiveSigner::set_not_ready(const std::string& reason) {
  not_ready_ = reason;
  env_.log.write("not_ready", EventFields().add("reason", reason));
  env_.points.not_ready(reason);
}

// ---- peers ----

void LiveSigner::on_connected(ConnectionId id, ProcessName name) {
  peers_.emplace(id, Peer{name, false, {}});
  transport_->send(id, wire::encode_message(wire::Hello{wire::kProtocolMajor, wire::kProtocolMinor,
                                                        settings_.name, env_.boot}));
}

void LiveSigner::on_frame(ConnectionId id, ByteSpan payload) {
  const auto peer = peers_.find(id);
  if (peer == peers_.end()) return;
  auto message = wire::decode_message(payload);
  if (!message) {
    metrics_.dropped("malformed");
    return drop(id, "malformed message: " + message.error().message);
  }
  if (const auto* hello = std::get_if<wire::Hello>(&*message))
    return on_greeting(id, peer->second, *hello);
  on_message(id, peer->second, std::move(message).value());
}

void LiveSigner::on_greeting(ConnectionId id, Peer& peer, const wire::Hello& hello) {
  std::string wrong;
  if (peer.greeted) wrong = "second greeting";
  if (hello.name != peer.name) wrong = "the greeting's name is not the certificate's";
  if (hello.major != wire::kProtocolMajor)
    wrong = "protocol version " + std::to_string(hello.major) + ", this signer speaks " +
            std::to_string(wire::kProtocolMajor);
  if (!wrong.empty()) {
    metrics_.dropped("greeting");
    return drop(id, wrong);
  }
  peer.greeted = true;
  step(PeerConnected{id, CoordinatorId(peer.name.index), hello.boot});
}

void LiveSigner::on_message(ConnectionId id, Peer& peer, wire::Message message) {
  if (!peer.greeted) {
    metrics_.dropped("before_greeting");
    return drop(id, "a message before the greeting");
  }
  if (!is_coordinators(message)) return metrics_.dropped("not_for_signers");
  metrics_.message(wire::message_name(message));
  if (std::holds_alternative<wire::SignRequest>(message)) peer.asked.push_back(env_.loop.now());
  step(MessageReceived{id, std::move(message)});
}

void LiveSigner::on_lost(ConnectionId id) {
  const auto peer = peers_.find(id);
  if (peer == peers_.end()) return;
  const bool known = peer->second.greeted;
  peers_.erase(peer);
  if (known) step(PeerLost{id});
}

void LiveSigner::drop(ConnectionId id, const std::string& reason) {
  std::fprintf(stderr, "%s: closing %s: %s\n", settings_.name.text().c_str(),
               peers_.at(id).name.text().c_str(), reason.c_str());
  transport_->close(id, reason);
}

// ---- the machine ----

void LiveSigner::step(const Event& event) {
  Effects effects;
  machine_->step(env_.loop.now(), event, env_.entropy, effects);
  for (Effect& effect : effects) std::visit([this](auto& order) { execute(order); }, effect);
}

void LiveSigner::execute(const Persist& effect) {
  uncommitted_.push_back(to_journal(effect.record));
  last_uncommitted_ = effect.record.sequence;
}

void LiveSigner::execute(Send& effect) {
  const auto peer = peers_.find(effect.connection);
  if (peer == peers_.end()) return;
  log_answer(peer->second, effect);
  const bool answers = std::holds_alternative<wire::SignResponse>(effect.message) ||
                       std::holds_alternative<wire::SignRefusal>(effect.message);
  if (answers && !peer->second.asked.empty()) {
    metrics_.answered(env_.loop.now() - peer->second.asked.front());
    peer->second.asked.pop_front();
  }
  // The first status tells the cluster that this start exists, with its new nonce epoch.
  const bool first =
      !announced_epoch_ && std::holds_alternative<wire::SignerStatus>(effect.message);
  if (first) env_.points.announce(PointEffect::Restore, "first_announcement", PointWhen::Before);
  transport_->send(effect.connection, wire::encode_message(effect.message),
                   wire::message_name(effect.message));
  if (first) {
    announced_epoch_ = true;
    env_.points.announce(PointEffect::Restore, "first_announcement", PointWhen::After);
  }
}

void LiveSigner::log_answer(const Peer& peer, const Send& effect) {
  if (const auto* refusal = std::get_if<wire::SignRefusal>(&effect.message)) {
    env_.log.write("refused", EventFields()
                                  .add("coordinator", peer.name.text())
                                  .add_hex("session_digest", refusal->session_digest)
                                  .add("reason", wire::refusal_name(refusal->reason))
                                  .add("detail", refusal->detail));
    return;
  }
  const auto* response = std::get_if<wire::SignResponse>(&effect.message);
  if (response == nullptr) return;
  ROULETTE_ASSERT(effect.release.has_value());
  env_.log.write("share_released",
                 EventFields()
                     .add("coordinator", peer.name.text())
                     .add_hex("session_digest", response->session_digest)
                     .add_hex("withdrawal_id", effect.release->withdrawal_id.value())
                     .add("txid", bitcoin::txid_to_hex(effect.release->txid))
                     .add_json("nonces", hex_list(effect.release->nonces))
                     .add_json("shares", hex_list(response->shares))
                     .add("journal_length", response->journal_length)
                     .add("retry", effect.release->retry));
}

void LiveSigner::execute(const CloseConnection& effect) {
  if (!peers_.contains(effect.connection)) return;
  metrics_.dropped("closed_by_signer");
  drop(effect.connection, effect.reason);
}

void LiveSigner::execute(const StandingChanged& effect) {
  const std::string standing = wire::standing_name(effect.standing);
  env_.log.write("journal_checked",
                 EventFields()
                     .add("standing", standing)
                     .add("coordinator",
                          ProcessName{Role::Coordinator, effect.by.value()}.text())
                     .add("kept_share_epoch", effect.kept.share_epoch)
                     .add("kept_length", effect.kept.length)
                     .add_hex("kept_head", effect.kept.head)
                     .add("length", machine_->gauges().journal_length));
  const bool quarantined = wire::quarantines(effect.standing);
  if (quarantined)
    std::fprintf(stderr, "%s: quarantined: %s\n", settings_.name.text().c_str(),
                 standing.c_str());
  standing_ = quarantined ? standing : "";
  tell_readiness();
}

void LiveSigner::execute(const Drained&) {
  drained_ = true;
}

void LiveSigner::commit() {
  metrics_.observe_peaks(machine_->gauges());
  while (!uncommitted_.empty()) {
    const auto batch = std::exchange(uncommitted_, {});
    const std::uint64_t last = last_uncommitted_;
    if (auto written = journal_->append(batch); !written) {
      // A signer that cannot write its journal dies rather than go on (STYLE): nothing of this
      // batch has left, and nothing of it will.
      std::fprintf(stderr, "%s: the journal cannot be written: %s\n", settings_.name.text().c_str(),
                   written.error().message.c_str());
      ::_exit(kDiskFailedExitCode);
    }
    step(RecordDurable{last});
  }
  tell_readiness();  // a token may have refused meanwhile
  if (drained_) finish_when_sent();
}

// ---- stop ----

int LiveSigner::run() {
  env_.loop.run();
  write_limits();
  env_.log.write("stopped", EventFields().add("drained", stopped_drained_));
  // The deadline passed: leave as after SIGKILL, which is as safe.
  if (!stopped_drained_) ::_exit(runtime::kForcedStopExitCode);
  return 0;
}

void LiveSigner::begin_shutdown() {
  if (not_ready_ == "draining") return;
  not_ready_ = "draining";
  env_.log.write("shutdown_started");
  env_.points.event("shutdown_started");
  env_.log.write("not_ready", EventFields().add("reason", not_ready_));
  transport_->stop_listening();
  drain_timer_.arm(env_.loop.now() + settings_.drain);
  step(ShutdownRequested{});
}

// Drained means that the machine owes nothing; the kernel must have taken it, too.
void LiveSigner::finish_when_sent() {
  if (transport_->unsent_bytes() == 0) return stop(true);
  if (!flush_timer_.armed()) flush_timer_.arm(env_.loop.now() + kFlushPoll);
}

void LiveSigner::stop(bool drained) {
  stopped_drained_ = drained;
  env_.loop.stop();
}

// ---- to be looked at ----

void LiveSigner::tick() {
  write_limits();
  tick_timer_.arm(env_.loop.now() + kTick);
}

void LiveSigner::write_limits() {
  env_.log.write("limits", metrics_.limits());
}

void LiveSigner::answer_http(const runtime::HttpRequest& request,
                             const runtime::HttpResponder& respond) {
  const bool ready = not_ready_.empty();
  if (request.method != "GET") return respond(json_response(405, "{\"error\":\"GET only\"}"));
  if (request.path == "/healthz") return respond(json_response(200, "{\"status\":\"ok\"}"));
  if (request.path == "/readyz") {
    EventFields fields;
    fields.add("ready", ready)
        .add_json("reasons", ready ? "[]" : "[\"" + not_ready_ + "\"]")
        .add("memory_locked", env_.hygiene.memory_locked);
    return respond(json_response(ready ? 200 : 503, "{" + fields.text().substr(1) + "}"));
  }
  if (request.path == "/metrics") {
    std::size_t asked = 0;
    for (const auto& [id, peer] : peers_) asked += peer.asked.size();
    const bool key = !key_ || key_->unavailable().empty();
    return respond({.status = 200,
                    .content_type = "text/plain; version=0.0.4",
                    .body = metrics_.text(machine_->gauges(), asked, key, ready)});
  }
  respond(json_response(404, "{\"error\":\"not found\"}"));
}

}  // namespace roulette::signer
