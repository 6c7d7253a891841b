// The live host's wiring: see live_coordinator.h. Order of a batch:
//   frames, client requests and node answers are stepped one by one, each step's effects executed
//   at once -> at the end of the batch the machine's next deadline is armed.
//
// Invariant: requests_ holds exactly the client requests that the machine has not answered.
#include "coordinator/app/live_coordinator.h"

#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "common/base/limits.h"
#include "common/bitcoin/transaction.h"
#include "common/crypto/hash.h"
#include "common/runtime/clients_file.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/group_file.h"
#include "common/runtime/process.h"
#include "common/wire/codec.h"
#include "coordinator/app/api.h"
#include "coordinator/app/openapi_text.h"
#include "coordinator/app/routes.h"

namespace roulette::coordinator {
namespace {

using runtime::EventFields;
using runtime::PointEffect;
using runtime::PointWhen;

constexpr Duration kTick = seconds(1);              // `limits` events (docs/RECORDS.md)
constexpr Duration kFlushPoll = microseconds(500);  // while draining: has the kernel taken it all?
constexpr std::size_t kMaxTokenBytes = 4096;

template <class List>
std::string hex_list(const List& list) {
  std::string json = "[";
  for (const auto& bytes : list) {
    if (json.size() > 1) json += ",";
    json += "\"" + to_hex(bytes) + "\"";
  }
  return json + "]";
}

// By its key in the configuration.
const char* node_name(std::size_t node) {
  return node == 0 ? "node" : "fallback_node";
}

std::string id_text(const WithdrawalId& id) {
  return to_hex(id.value());
}

// The messages that each role may send to a coordinator (common/wire/messages.h).
bool may_send(Role role, const wire::Message& message) {
  const auto is = [&]<class... M>() { return (std::holds_alternative<M>(message) || ...); };
  if (role == Role::Signer)
    return is.
    operator()<wire::SignerStatus, wire::NonceBatch, wire::SignResponse, wire::SignRefusal,
               wire::JournalAnswer>();
  if (role == Role::Ledger)
    return is.
    operator()<wire::LedgerStatus, wire::LedgerApplied, wire::LedgerAnswer, wire::LedgerFeed>();
  return is.operator()<wire::CoordinatorHeartbeat>();
}

// Sends that are places to die at (kill_point_table.h); pings, follows and heartbeats are not.
const char* send_subject(const wire::Message& message) {
  if (std::holds_alternative<wire::NonceRequest>(message)) return "nonce_request";
  if (std::holds_alternative<wire::SignRequest>(message)) return "sign_request";
  if (std::holds_alternative<wire::JournalCheck>(message)) return "journal_check";
  return "";
}

// Commands of a coordinator that have a point; the others are the ledger's own.
bool has_propose_point(const wire::CommandBody& body) {
  return std::holds_alternative<wire::Withdraw>(body) ||
         std::holds_alternative<wire::Signed>(body) ||
         std::holds_alternative<wire::Broadcast>(body) ||
         std::holds_alternative<wire::BlockConnected>(body) ||
         std::holds_alternative<wire::BlockDisconnected>(body);
}

EventFields session_fields(const WithdrawalId& id, const Hash32& txid, const Hash32& session) {
  return EventFields()
      .add("withdrawal_id", id_text(id))
      .add("txid", bitcoin::txid_to_hex(txid))
      .add_hex("session_digest", session);
}

}  // namespace

LiveCoordinator::LiveCoordinator(Environment environment, Settings settings)
    : env_(environment),
      settings_(std::move(settings)),
      token_file_(settings_.tokens, settings_.rate),
      deadline_timer_(env_.loop, [this] { step(DeadlineReached{}); }),
      drain_timer_(env_.loop, [this] { stop(false); }),
      tick_timer_(env_.loop, [this] { tick(); }),
      flush_timer_(env_.loop, [this] { finish_when_sent(); }) {}

LiveCoordinator::~LiveCoordinator() {
  env_.loop.set_batch_hook({});
}

// ---- start ----

Status LiveCoordinator::start() {
  env_.points.announce(PointEffect::Restore, "ledger_read", PointWhen::Before);
  if (auto opened = open_tokens(); !opened) return opened;
  if (auto opened = open_machine(); !opened) return opened;
  if (auto opened = open_transport(); !opened) return opened;
  if (auto opened = open_http(); !opened) return opened;
  env_.loop.set_batch_hook([this] { end_of_batch(); });
  tick_timer_.arm(env_.loop.now() + kTick);
  env_.loop.post([this] { step(Started{}); });
  return {};
}

Status LiveCoordinator::open_tokens() {
  auto token = runtime::read_whole_file(settings_.token, kMaxTokenBytes);
  if (!token)
    return Error{ErrorKind::Preflight, settings_.token.string() + ": " + token.error().message};
  while (!token->empty() && (token->back() == '\n' || token->back() == '\r')) token->pop_back();
  if (token->empty())
    return Error{ErrorKind::Preflight, settings_.token.string() + ": the token is empty"};
  // The tool's own: its load is what experiments measure, so it has no rate.
  tokens_ = std::make_unique<Tokens>(
      Token{"token", Scope::Operator, {}, crypto::sha256(*token), std::nullopt});
  return token_file_.open(*tokens_);
}

Status LiveCoordinator::open_machine() {
  auto group = runtime::read_group_file(settings_.group);
  if (!group) return group.error();
  const crypto::SigningGroupPtr signing = std::move(group).value();
  auto clients = runtime::configured_clients(settings_.clients, settings_.cluster_id);
  if (!clients) return clients.error();
  runtime::show_listed_clients(metrics_.registry(), *clients);
  const Bytes wallet_script = runtime::wallet_script_of(*signing);
  NodeClient::Options node{
      settings_.nodes, wallet_script,
      [this](const std::string& chain) {
        std::fprintf(stderr, "%s: the node serves the chain '%s'; only regtest is allowed\n",
                     settings_.name.text().c_str(), chain.c_str());
        ::_exit(exit_code(ErrorKind::Preflight));
      },
      [this](const NodeChoice::Change& change) {
        env_.log.write("node_chosen", EventFields()
                                          .add("from", node_name(change.from))
                                          .add("to", node_name(change.to))
                                          .add("why", change.why));
      },
      [this](const NodeCallFacts& call) { metrics_.called_node(call); }};
  metrics_.nodes(settings_.nodes.size());
  node_ = std::make_unique<NodeClient>(env_.loop, std::move(node));
  machine_ = std::make_unique<Coordinator>(
      CoordinatorConfig{CoordinatorId(settings_.name.index), env_.boot, signing, wallet_script,
                        crypto::WalletKey::from(signing->wallet_key()).value(),
                        limits::kNoncePoolTarget, live_cadence(signing->n()),
                        std::move(clients).value()});
  return {};
}

Status LiveCoordinator::open_transport() {
  runtime::TlsTransport::Options options;
  options.identity = {settings_.cluster_id, settings_.name, settings_.ca, settings_.certificate,
                      settings_.key};
  options.accepts = [this](ProcessName peer) {
    return peer.role == Role::Coordinator && peer.index != settings_.name.index;
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
  for (const auto& [name, address] : settings_.peers) {
    // One connection a pair: the higher number calls the lower one.
    if (name.role == Role::Coordinator && name.index > settings_.name.index) continue;
    transport_->connect(name, address.host, address.port);
  }
  return {};
}

Status LiveCoordinator::open_http() {
  http_ = std::make_unique<runtime::HttpServer>(
      env_.loop, runtime::HttpServer::Options{
                     .handler =
                         [this](runtime::HttpRequest request, runtime::HttpResponder respond) {
                           on_http(std::move(request), std::move(respond));
                         },
                     .body_bytes = settings_.body_bytes,
                     .header_bytes = settings_.header_bytes,
                     .points = &env_.points,
                     .metrics = &metrics_.registry()});
  const auto port = http_->listen(settings_.http.host, settings_.http.port);
  if (!port) return port.error();
  env_.points.event("listening", "http " + std::to_string(*port));
  return {};
}

// ---- peers ----

void LiveCoordinator::on_connected(ConnectionId id, ProcessName name) {
  peers_.emplace(id, Peer{name, false});
  transport_->send(id, wire::encode_message(wire::Hello{wire::kProtocolMajor, wire::kProtocolMinor,
                                                        settings_.name, env_.boot}));
}

void LiveCoordinator::on_frame(ConnectionId id, ByteSpan payload) {
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
  if (!may_send(peer.name.role, *message)) return metrics_.dropped("wrong_role");
  if (const auto* refusal = std::get_if<wire::SignRefusal>(&*message))
    metrics_.refused(wire::refusal_name(refusal->reason));
  const auto* feed = std::get_if<wire::LedgerFeed>(&*message);
  const bool read = feed != nullptr && feed->complete;
  step(MessageReceived{id, std::move(message).value()});
  if (read && !ledger_read_) {
    ledger_read_ = true;
    env_.points.announce(PointEffect::Restore, "ledger_read", PointWhen::After);
  }
}

void LiveCoordinator::on_greeting(ConnectionId id, Peer& peer, const wire::Hello& hello) {
  std::string wrong;
  if (peer.greeted) wrong = "second greeting";
  if (hello.name != peer.name) wrong = "the greeting's name is not the certificate's";
  if (hello.major != wire::kProtocolMajor)
    wrong = "protocol version " + std::to_string(hello.major) + ", this coordinator speaks " +
            std::to_string(wire::kProtocolMajor);
  // From 1.1 on a signer proves its journal; one that cannot may not sign (DESIGN 6.8).
  else if (peer.name.role == Role::Signer && hello.minor < 1)
    wrong = "a signer of protocol 1.0 cannot prove its journal";
  if (!wrong.empty()) {
    metrics_.dropped("greeting");
    return drop(id, wrong);
  }
  peer.greeted = true;
  step(PeerConnected{id, peer.name, hello.boot});
}

void LiveCoordinator::on_lost(ConnectionId id) {
  const auto peer = peers_.find(id);
  if (peer == peers_.end()) return;
  const bool known = peer->second.greeted;
  peers_.erase(peer);
  if (known) step(PeerLost{id});
}

void LiveCoordinator::drop(ConnectionId id, const std::string& reason) {
  std::fprintf(stderr, "%s: closing %s: %s\n", settings_.name.text().c_str(),
               peers_.at(id).name.text().c_str(), reason.c_str());
  transport_->close(id, reason);
}

// ---- clients ----

void LiveCoordinator::on_http(runtime::HttpRequest request, runtime::HttpResponder respond) {
  if (request.path.starts_with("/v1/")) return on_api(request, respond);
  answer_probe(request, respond);
}

void LiveCoordinator::on_api(const runtime::HttpRequest& request,
                             const runtime::HttpResponder& respond) {
  const auto holder = tokens_->holder(request);
  if (const auto* problem = std::get_if<Problem>(&holder))
    return refuse("unauthorized", *problem, respond);
  const Token& token = *std::get<const Token*>(holder);
  if (const auto problem = tokens_->take(token, env_.loop.now()))
    return refuse("limited", *problem, respond);
  auto parsed = parse_request(request, runtime::wall_clock_us());
  if (const auto* problem = std::get_if<Problem>(&parsed))
    return refuse("malformed", *problem, respond);
  auto& body = std::get<ClientRequestBody>(parsed);
  if (const auto problem = confine(token, body)) return refuse("forbidden", *problem, respond);
  const RequestId id(++next_request_);
  EventFields fields;
  fields.add("request", id.value()).add("kind", request_kind(body));
  if (const auto* create = std::get_if<CreateWithdrawal>(&body))
    fields.add("key", create->payment.key);
  if (const auto* find = std::get_if<FindByKey>(&body)) fields.add("key", find->key);
  if (const auto* get = std::get_if<GetWithdrawal>(&body)) fields.add("id", id_text(get->id));
  if (const auto* get = std::get_if<GetEvents>(&body)) fields.add("id", id_text(get->id));
  env_.log.write("request_received", fields);
  requests_.emplace(id, OpenRequest{respond, env_.loop.now(), request_kind(body), token.scope,
                                    token.accounts});
  step(ClientRequest{id, body});
}

void LiveCoordinator::refuse(const char* kind, const Problem& problem,
                             const runtime::HttpResponder& respond) {
  metrics_.answered(kind, problem.status, {});
  respond(render(problem));
}

void LiveCoordinator::look_at_tokens() {
  const auto change = token_file_.look(*tokens_);
  if (!change) return;
  if (change->taken) {
    env_.log.write("tokens_changed", EventFields().add("tokens", tokens_->size()));
    return;
  }
  std::fprintf(stderr, "%s: the tokens in force stay: %s\n", settings_.name.text().c_str(),
               change->why.c_str());
  env_.log.write("tokens_refused", EventFields().add("why", change->why));
}

void LiveCoordinator::answer_probe(const runtime::HttpRequest& request,
                                   const runtime::HttpResponder& respond) {
  const bool ready = not_ready_.empty();
  const auto json = [](int status, std::string body) {
    return runtime::HttpResponse{
        .status = status, .content_type = "application/json", .body = std::move(body)};
  };
  if (request.method != "GET") return respond(json(405, "{\"error\":\"GET only\"}"));
  if (request.path == "/openapi.json") return respond(json(200, kOpenApi));
  if (request.path == "/healthz") return respond(json(200, "{\"status\":\"ok\"}"));
  if (request.path == "/readyz") {
    std::string body = ready ? "{\"ready\":true,\"reasons\":[]"
                             : "{\"ready\":false,\"reasons\":[\"" + not_ready_ + "\"]";
    body += ",\"quarantined\":{";
    const char* separator = "";
    for (const auto& [signer, standing] : machine_->gauges().quarantined) {
      body += separator + ("\"" + ProcessName{Role::Signer, signer.value()}.text()) + "\":\"" +
              wire::standing_name(standing) + "\"";
      separator = ",";
    }
    return respond(json(ready ? 200 : 503, body + "}}"));
  }
  if (request.path == "/metrics")
    return respond({.status = 200,
                    .content_type = "text/plain; version=0.0.4",
                    .body = metrics_.text(machine_->gauges(), ready)});
  respond(json(404, "{\"error\":\"not found\"}"));
}

// ---- the machine ----

void LiveCoordinator::step(const Event& event) {
  Effects effects;
  machine_->step(env_.loop.now(), event, env_.entropy, effects);
  for (const Effect& effect : effects)
    std::visit([this](const auto& order) { perform(order); }, effect);
}

void LiveCoordinator::perform(const Send& effect) {
  if (!peers_.contains(effect.connection)) return;
  if (const auto* submit = std::get_if<wire::LedgerSubmit>(&effect.message)) {
    if (has_propose_point(submit->command.body)) return propose(effect, *submit);
  }
  transport_->send(effect.connection, wire::encode_message(effect.message),
                   send_subject(effect.message));
}

void LiveCoordinator::propose(const Send& effect, const wire::LedgerSubmit& submit) {
  const char* name = wire::command_name(submit.command.body);
  // A fact of the chain is watched before it is proposed.
  const bool chain = std::holds_alternative<wire::BlockConnected>(submit.command.body) ||
                     std::holds_alternative<wire::BlockDisconnected>(submit.command.body);
  if (chain) env_.points.announce(PointEffect::Watch, name, PointWhen::Before);
  env_.points.announce(PointEffect::Propose, name, PointWhen::Before);
  transport_->send(effect.connection, wire::encode_message(effect.message));
  env_.points.announce(PointEffect::Propose, name, PointWhen::After);
  if (chain) env_.points.announce(PointEffect::Watch, name, PointWhen::After);
}

void LiveCoordinator::perform(const Reply& effect) {
  const auto open = requests_.find(effect.request);
  if (open == requests_.end()) return;
  const OpenRequest request = std::move(open->second);
  requests_.erase(open);
  const ReplyBody body = confined(request.scope, request.accounts, effect.body);
  runtime::HttpResponse response = render(body);
  EventFields fields;
  fields.add("request", effect.request.value()).add("status", response.status);
  if (const auto* answer = std::get_if<WithdrawalAnswer>(&body)) {
    fields.add("id", id_text(answer->view.id))
        .add("state", wire::state_name(answer->view.state))
        .add("txid", answer->view.planned ? bitcoin::txid_to_hex(answer->view.planned->txid) : "");
  }
  const auto* problem = std::get_if<Problem>(&body);
  fields.add("problem", problem != nullptr ? problem->type : "");
  env_.log.write("answered", fields);
  metrics_.answered(request.kind, response.status, env_.loop.now() - request.arrived);
  request.respond(std::move(response));
}

void LiveCoordinator::perform(const NodeCall& effect) {
  if (const auto* send = std::get_if<SendTransaction>(&effect.body)) {
    env_.log.write("broadcast", EventFields()
                                    .add("withdrawal_id", id_text(send->withdrawal_id))
                                    .add("txid", bitcoin::txid_to_hex(send->txid))
                                    .add_hex("hex", send->bytes));
    env_.points.announce(PointEffect::Broadcast, "transaction", PointWhen::Before);
  }
  node_->call(effect.body, [this, call = effect.call, order = effect.body,
                            begun = env_.loop.now()](NodeAnswerBody answer) {
    on_node(call, order, begun, std::move(answer));
  });
}

void LiveCoordinator::on_node(std::uint64_t call, const NodeCallBody& order, Instant begun,
                              NodeAnswerBody answer) {
  if (const auto* send = std::get_if<SendTransaction>(&order)) {
    env_.points.announce(PointEffect::Broadcast, "transaction", PointWhen::After);
    const auto& result = std::get<SendResult>(answer);
    const char* outcome = bitcoin::send_outcome_name(result.outcome);
    metrics_.sent_to_node(outcome, env_.loop.now() - begun);
    env_.log.write("broadcast_result", EventFields()
                                           .add("withdrawal_id", id_text(send->withdrawal_id))
                                           .add("txid", bitcoin::txid_to_hex(send->txid))
                                           .add("outcome", outcome)
                                           .add("message", result.message));
  }
  step(NodeAnswered{call, std::move(answer)});
}

void LiveCoordinator::perform(const Fact& effect) {
  struct Write {
    runtime::EventLog& log;
    void operator()(const SessionOpened& f) const {
      std::string signers = "[";
      for (const SignerId& id : f.signers)
        signers += (signers.size() > 1 ? ",\"" : "\"") +
                   ProcessName{Role::Signer, id.value()}.text() + "\"";
      log.write("session_opened", session_fields(f.withdrawal_id, f.txid, f.session_digest)
                                      .add_json("signers", signers + "]"));
    }
    void operator()(const ShareReceived& f) const {
      log.write("share_received",
                session_fields(f.withdrawal_id, f.txid, f.session_digest)
                    .add("signer", ProcessName{Role::Signer, f.signer.value()}.text())
                    .add_json("nonces", hex_list(f.nonces))
                    .add_json("shares", hex_list(f.shares)));
    }
    void operator()(const Aggregated& f) const {
      log.write("aggregated", session_fields(f.withdrawal_id, f.txid, f.session_digest)
                                  .add_json("signatures", hex_list(f.signatures)));
    }
    void operator()(const Blamed& f) const {
      log.write("blamed", EventFields()
                              .add("signer", ProcessName{Role::Signer, f.signer.value()}.text())
                              .add_hex("session_digest", f.session_digest)
                              .add("why", f.why)
                              .add_hex("proof", f.proof));
    }
    void operator()(const TookOver& f) const {
      log.write("took_over",
                EventFields().add("withdrawal_id", id_text(f.withdrawal_id)).add("why", f.why));
    }
    void operator()(const QuorumChanged& f) const {
      log.write("quorum", EventFields().add("known", f.known));
    }
    void operator()(const SignerRefused& f) const {
      log.write("signer_refused",
                EventFields()
                    .add("signer", ProcessName{Role::Signer, f.signer.value()}.text())
                    .add("withdrawal_id", id_text(f.withdrawal_id))
                    .add_hex("session_digest", f.session_digest)
                    .add("reason", wire::refusal_name(f.reason))
                    .add("detail", f.detail));
    }
    void operator()(const SigningGivenUp& f) const {
      log.write("signing_given_up", EventFields()
                                        .add("withdrawal_id", id_text(f.withdrawal_id))
                                        .add("txid", bitcoin::txid_to_hex(f.txid))
                                        .add("why", f.why));
    }
    void operator()(const SignerQuarantined& f) const {
      log.write("signer_quarantined",
                EventFields()
                    .add("signer", ProcessName{Role::Signer, f.signer.value()}.text())
                    .add("reason", wire::standing_name(f.standing)));
    }
    void operator()(const SignedApplied& f) const {
      log.write("signed_applied", EventFields()
                                      .add("withdrawal_id", id_text(f.withdrawal_id))
                                      .add("txid", bitcoin::txid_to_hex(f.txid)));
    }
  };
  std::visit(Write{env_.log}, effect);
}

void LiveCoordinator::perform(const ReadinessChanged& effect) {
  not_ready_ = effect.ready ? "" : effect.reason;
  env_.log.write(effect.ready ? "ready" : "not_ready", EventFields().add("reason", effect.reason));
  if (!effect.ready) return env_.points.not_ready(effect.reason);
  if (!announced_)
    env_.points.announce(PointEffect::Restore, "first_announcement", PointWhen::Before);
  env_.points.ready("{}");
  if (!announced_)
    env_.points.announce(PointEffect::Restore, "first_announcement", PointWhen::After);
  announced_ = true;
}

void LiveCoordinator::perform(const Drained&) {
  drained_ = true;
}

void LiveCoordinator::end_of_batch() {
  const Gauges gauges = machine_->gauges();
  metrics_.observe_peaks(gauges);
  metrics_.observe_heights(env_.loop.now(), gauges);
  if (const auto deadline = machine_->next_deadline())
    deadline_timer_.arm(*deadline);
  else
    deadline_timer_.cancel();
  if (drained_) finish_when_sent();
}

// ---- stop ----

int LiveCoordinator::run() {
  env_.loop.run();
  env_.log.write("limits", metrics_.limits());
  env_.log.write("stopped", EventFields().add("drained", stopped_drained_));
  // The deadline passed: leave as after SIGKILL, which is as safe.
  if (!stopped_drained_) ::_exit(runtime::kForcedStopExitCode);
  return 0;
}

void LiveCoordinator::begin_shutdown() {
  if (draining_) return;
  draining_ = true;
  env_.log.write("shutdown_started");
  env_.points.event("shutdown_started");
  drain_timer_.arm(env_.loop.now() + settings_.drain);
  step(ShutdownRequested{});
}

// Drained means that the machine owes nothing; the kernel must have taken it, too.
void LiveCoordinator::finish_when_sent() {
  if (transport_->unsent_bytes() == 0 && http_->requests_in_flight() == 0) return stop(true);
  if (!flush_timer_.armed()) flush_timer_.arm(env_.loop.now() + kFlushPoll);
}

void LiveCoordinator::stop(bool drained) {
  stopped_drained_ = drained;
  env_.loop.stop();
}

void LiveCoordinator::tick() {
  env_.log.write("limits", metrics_.limits());
  look_at_tokens();
  tick_timer_.arm(env_.loop.now() + kTick);
}

}  // namespace roulette::coordinator
