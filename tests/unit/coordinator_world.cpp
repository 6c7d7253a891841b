// The scripted parties of the coordinator's tests.
//
// Invariant: signatures are real: shares come from a dealt group, and the stand-in ledger refuses
// `Signed` whose signatures do not verify under the wallet's key. Latency and loss are the
// simulator's business.
#include "tests/unit/coordinator_world.h"

#include <algorithm>

#include "common/base/assert.h"
#include "common/bitcoin/script.h"
#include "common/bitcoin/sighash.h"
#include "common/crypto/frost_scheme.h"
#include "common/crypto/hash.h"
#include "common/crypto/schnorr.h"

namespace roulette::test {

void CountingEntropy::fill(std::span<std::uint8_t> out) {
  std::size_t at = 0;
  while (at < out.size()) {
    Bytes seed;
    for (int i = 0; i < 8; ++i) seed.push_back(static_cast<std::uint8_t>(seed_ >> (8 * i)));
    for (int i = 0; i < 8; ++i) seed.push_back(static_cast<std::uint8_t>(counter_ >> (8 * i)));
    ++counter_;
    for (const std::uint8_t byte : crypto::sha256(seed)) {
      if (at < out.size()) out[at++] = byte;
    }
  }
}

Bytes payee_script(std::uint8_t tag) {
  ByteArray<20> hash{};
  hash.fill(tag);
  return bitcoin::p2wpkh_script(hash);
}

World::World(std::size_t coordinators, std::uint16_t n, std::uint16_t t, std::size_t replicas) {
  auto dealt = crypto::deal(n, t, entropy_);
  ROULETTE_ASSERT(dealt.ok());
  group_ = dealt->group;
  shares_ = std::move(dealt->shares);
  const auto key = crypto::frost::TweakContext::key_path_only(group_.threshold_key());
  output_key_ = key->output_key();
  wallet_script_ = bitcoin::p2tr_script(output_key_);
  for (std::uint16_t i = 0; i < n; ++i) {
    auto signer = std::make_unique<TestSigner>();
    signer->id = SignerId(i);
    ByteArray<16> epoch{};
    entropy_.fill(epoch);
    signer->epoch = BootId(epoch);
    signers_.push_back(std::move(signer));
  }
  replica_up_.assign(replicas, true);
  replica_ready_.assign(replicas, true);
  TestBlock genesis;
  genesis.hash.fill(0xaa);
  chain.push_back(genesis);
  tip = wire::ChainTip{genesis.hash, 0};
  for (std::size_t i = 0; i < coordinators; ++i) {
    seats_.push_back(std::make_unique<Seat>());
    taken_.push_back(0);
  }
}

World::~World() = default;

// ---- coordinators ----

void World::start(std::size_t i) {
  co::CoordinatorConfig config;
  config.id = CoordinatorId(static_cast<std::uint16_t>(i));
  ByteArray<16> boot{};
  entropy_.fill(boot);
  config.boot = BootId(boot);
  config.group = crypto::frost_group(group_).value();
  config.wallet_script = wallet_script_;
  config.wallet_output_key = output_key_;
  config.clients = clients;
  seats_[i] = std::make_unique<Seat>();
  taken_[i] = 0;
  seats_[i]->machine = std::make_unique<co::Coordinator>(std::move(config));
  step(i, co::Started{});
  for (std::size_t r = 0; r < replica_up_.size(); ++r) {
    if (replica_up_[r]) connect_replica(i, static_cast<std::uint16_t>(r));
  }
  for (std::size_t k = 0; k < signers_.size(); ++k)
    connect_signer(i, static_cast<std::uint16_t>(k));
}

void World::start_all() {
  for (std::size_t i = 0; i < seats_.size(); ++i) start(i);
  connect_coordinators();
  advance(1);
}

void World::connect_coordinators() {
  for (std::size_t a = 0; a < seats_.size(); ++a) {
    for (std::size_t b = 0; b < seats_.size(); ++b) {
      if (a == b || !seats_[a]->machine || !seats_[b]->machine) continue;
      const ProcessName peer{Role::Coordinator, static_cast<std::uint16_t>(b)};
      if (connection_of(a, peer)) continue;
      const ConnectionId connection(next_connection_++);
      seats_[a]->connections[connection] = peer;
      step(a, co::PeerConnected{connection, peer, BootId{}});
    }
  }
}

void World::connect_signer(std::size_t coordinator, std::uint16_t index) {
  const ProcessName peer{Role::Signer, index};
  if (connection_of(coordinator, peer)) return;
  const ConnectionId connection(next_connection_++);
  seats_[coordinator]->connections[connection] = peer;
  step(coordinator, co::PeerConnected{connection, peer, signers_[index]->epoch});
  if (signers_[index]->manners == Manners::Paused) return;
  step(coordinator,
       co::MessageReceived{connection,
                           status_of(*signers_[index], 0)});
}

wire::SignerStatus World::status_of(const TestSigner& signer, std::uint64_t number) const {
  return {number,
          signer.epoch,
          1,
          signer.journal,
          {},
          signer.draining,
          wire::quarantines(signer.standing) ? signer.standing : wire::JournalStanding::Unchecked,
          signer.foreign ? Hash32{} : group_.id(),
          signer.keyless};
}

void World::connect_replica(std::size_t coordinator, std::uint16_t index) {
  const ProcessName peer{Role::Ledger, index};
  if (connection_of(coordinator, peer)) return;
  const ConnectionId connection(next_connection_++);
  seats_[coordinator]->connections[connection] = peer;
  step(coordinator, co::PeerConnected{connection, peer, BootId{}});
  step(coordinator,
       co::MessageReceived{connection, wire::LedgerStatus{replica_ready_[index], index_, ""}});
}

std::optional<ConnectionId> World::connection_of(std::size_t i, ProcessName peer) const {
  for (const auto& [connection, name] : seats_[i]->connections) {
    if (name == peer) return connection;
  }
  return std::nullopt;
}

void World::step(std::size_t i, const co::Event& event) {
  push(i, event);
  run();
}

void World::push(std::size_t i, co::Event event) {
  queue_.emplace_back(i, std::move(event));
}

// One event at a time, in the order they were caused. A paused machine's events wait.
void World::run() {
  std::deque<std::pair<std::size_t, co::Event>> parked;
  while (!queue_.empty()) {
    auto [i, event] = std::move(queue_.front());
    queue_.pop_front();
    if (!seats_[i]->machine) continue;
    if (seats_[i]->paused) {
      parked.emplace_back(i, std::move(event));
      continue;
    }
    const auto* answer = std::get_if<co::NodeAnswered>(&event);
    if (answer && sends_.erase(answer->call) != 0) send_order.emplace_back(answer->call, true);
    seats_[i]->machine->step(now_, event, entropy_, seats_[i]->effects);
    take_effects(i);
  }
  queue_ = std::move(parked);
}

void World::take_effects(std::size_t i) {
  for (; taken_[i] < seats_[i]->effects.size(); ++taken_[i]) {
    const co::Effect effect = seats_[i]->effects[taken_[i]];
    if (const auto* send = std::get_if<co::Send>(&effect))
      deliver(i, send->connection, send->message);
    if (const auto* reply = std::get_if<co::Reply>(&effect)) {
      ROULETTE_ASSERT(!seats_[i]->replies.contains(reply->request));
      seats_[i]->replies.emplace(reply->request, reply->body);
    }
    if (const auto* call = std::get_if<co::NodeCall>(&effect)) node(i, *call);
    if (std::holds_alternative<co::Drained>(effect)) seats_[i]->drained = true;
  }
}

void World::advance(std::int64_t ms) {
  const Instant until = now_ + milliseconds(ms);
  for (;;) {
    std::optional<Instant> next;
    std::size_t who = 0;
    for (std::size_t i = 0; i < seats_.size(); ++i) {
      if (!seats_[i]->machine || seats_[i]->paused) continue;
      const auto due = seats_[i]->machine->next_deadline();
      if (due && (!next || *due < *next)) {
        next = due;
        who = i;
      }
    }
    if (!next || *next > until) break;
    now_ = std::max(now_, *next);
    step(who, co::DeadlineReached{});
  }
  now_ = until;
}

void World::kill_coordinator(std::size_t i) {
  seats_[i]->machine.reset();
  seats_[i]->connections.clear();
  std::erase_if(followers_, [&](const auto& f) { return f.first == i; });
  for (auto& signer : signers_) {
    std::erase_if(signer->withheld, [&](const auto& w) { return w.first == i; });
  }
  const ProcessName name{Role::Coordinator, static_cast<std::uint16_t>(i)};
  disconnect_everywhere(name);
}

void World::resume_coordinator(std::size_t i) {
  seats_[i]->paused = false;
  run();
}

void World::disconnect_everywhere(ProcessName peer) {
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    const auto connection = connection_of(i, peer);
    if (!connection) continue;
    seats_[i]->connections.erase(*connection);
    push(i, co::PeerLost{*connection});
  }
  run();
}

// ---- clients ----

co::RequestId World::create(std::size_t i, const std::string& key, const std::string& account,
                            std::int64_t amount_sat, Duration wait) {
  return ask(i, co::CreateWithdrawal{{key, account, payee_script(1), amount_sat},
                                     1'700'000'000'000'000, wait});
}

co::RequestId World::ask(std::size_t i, co::ClientRequestBody body) {
  const co::RequestId request(++seats_[i]->requests);
  step(i, co::ClientRequest{request, std::move(body)});
  return request;
}

std::optional<co::WithdrawalAnswer> World::answer(std::size_t i, co::RequestId request) const {
  const auto at = seats_[i]->replies.find(request);
  if (at == seats_[i]->replies.end()) return std::nullopt;
  const auto* found = std::get_if<co::WithdrawalAnswer>(&at->second);
  return found ? std::optional(*found) : std::nullopt;
}

std::optional<co::Problem> World::problem(std::size_t i, co::RequestId request) const {
  const auto at = seats_[i]->replies.find(request);
  if (at == seats_[i]->replies.end()) return std::nullopt;
  const auto* found = std::get_if<co::Problem>(&at->second);
  return found ? std::optional(*found) : std::nullopt;
}

std::optional<std::string> World::readiness(std::size_t i) const {
  std::optional<std::string> out;
  for (const co::Effect& effect : seats_[i]->effects) {
    const auto* change = std::get_if<co::ReadinessChanged>(&effect);
    if (change) out = change->ready ? "" : change->reason;
  }
  return out;
}

void World::deliver(std::size_t i, ConnectionId connection, const wire::Message& message) {
  const auto at = seats_[i]->connections.find(connection);
  if (at == seats_[i]->connections.end()) return;  // sent into a connection that is gone
  const ProcessName peer = at->second;
  if (peer.role == Role::Signer) return to_signer(i, *signers_[peer.index], message);
  if (peer.role == Role::Ledger) return to_ledger(i, peer.index, message);
  const auto back =
      connection_of(peer.index, ProcessName{Role::Coordinator, static_cast<std::uint16_t>(i)});
  if (back) push(peer.index, co::MessageReceived{*back, message});
}

// ---- signers ----

wire::PubNonce World::fresh_nonce(TestSigner& signer) {
  auto nonce = crypto::frost::nonce_gen(entropy_, crypto::frost::NonceInput{});
  const wire::PubNonce shown = nonce->public_nonce();
  if (signer.manners == Manners::BadNonces) {
    wire::PubNonce broken = shown;
    broken[0] = 9;
    return broken;
  }
  if (signer.manners == Manners::ShortNonces)
    return wire::PubNonce::from(ByteSpan(shown).first(33)).value();
  signer.nonces.emplace(shown, std::move(*nonce));
  return shown;
}

void World::to_signer(std::size_t i, TestSigner& signer, const wire::Message& message) {
  const auto connection = connection_of(i, ProcessName{Role::Signer, signer.id.value()});
  const auto respond = [&](wire::Message response) {
    if (signer.manners == Manners::Paused)
      signer.withheld.emplace_back(i, std::move(response));
    else
      push(i, co::MessageReceived{*connection, std::move(response)});
  };
  if (const auto* ping = std::get_if<wire::SignerPing>(&message)) {
    respond(status_of(signer, ping->number));
  } else if (const auto* kept = std::get_if<wire::JournalCheck>(&message)) {
    signer.checks.push_back(*kept);
    respond(wire::JournalAnswer{kept->share_epoch, kept->length, signer.standing});
  } else if (const auto* wanted = std::get_if<wire::NonceRequest>(&message)) {
    wire::NonceBatch batch{signer.epoch, {}};
    for (std::uint32_t k = 0; k < wanted->count; ++k) batch.nonces.push_back(fresh_nonce(signer));
    respond(batch);
  } else if (const auto* request = std::get_if<wire::SignRequest>(&message)) {
    signer.requests.push_back(*request);
    answer_sign(i, signer, *request);
  }
}

void World::answer_sign(std::size_t i, TestSigner& signer, const wire::SignRequest& request) {
  const auto connection = connection_of(i, ProcessName{Role::Signer, signer.id.value()});
  const auto respond = [&](wire::Message response) {
    if (signer.manners == Manners::Paused || signer.manners == Manners::Silent) {
      signer.withheld.emplace_back(i, std::move(response));
    } else {
      push(i, co::MessageReceived{*connection, std::move(response)});
    }
  };
  const auto tx = bitcoin::parse_transaction(request.unsigned_tx);
  const auto sighashes = bitcoin::taproot_sighashes(*tx, request.prevouts);
  const Hash32 digest = wire::session_digest(request, crypto::frost_scheme().facts().version,
                                             output_key_, *sighashes);
  if (signer.manners == Manners::Bound) {
    return respond(wire::SignRefusal{digest, wire::RefusalReason::OutpointBound, "another txid",
                                     std::nullopt});
  }
  if (signer.manners == Manners::KeyAway && signer.away-- > 0) {
    return respond(wire::SignRefusal{digest, wire::RefusalReason::KeyUnavailable,
                                     "the token was removed", std::nullopt});
  }
  if (signer.manners == Manners::ForgotNonces) {
    signer.manners = Manners::Honest;
    signer.nonces.clear();
    return respond(wire::SignRefusal{digest, wire::RefusalReason::UnknownNonce, "", std::nullopt});
  }
  std::vector<SignerId> ids;
  std::vector<wire::PubNonce> own;
  for (const wire::SessionSigner& member : request.signers) {
    ids.push_back(member.id);
    if (member.id == signer.id) own = member.nonces;
  }
  const auto key = crypto::frost::TweakContext::key_path_only(group_.threshold_key());
  const auto quorum = crypto::frost::Quorum::create(group_, *key, ids);
  wire::SignResponse response;
  response.session_digest = digest;
  for (std::size_t input = 0; input < own.size(); ++input) {
    std::vector<crypto::frost::PubNonce> nonces;
    for (const wire::SessionSigner& member : request.signers)
      nonces.push_back(to_array<66>(member.nonces[input]).value());
    auto opened = crypto::frost::Session::open(*quorum, nonces, (*sighashes)[input]);
    const auto* session = std::get_if<crypto::frost::Session>(&*opened);
    if (!session) {
      const auto bad = std::get<crypto::frost::InvalidPubNonce>(*opened).index;
      return respond(
          wire::SignRefusal{digest, wire::RefusalReason::BadNonce, "", quorum->ids()[bad]});
    }
    const auto secret = signer.nonces.find(own[input]);
    ROULETTE_ASSERT(secret != signer.nonces.end());  // a coordinator never uses a nonce twice
    auto share =
        crypto::frost::sign(std::move(secret->second), shares_[signer.id.value()], *session);
    signer.nonces.erase(secret);
    wire::PartialSignature bytes = *share;
    if (signer.manners == Manners::BadShare || signer.manners == Manners::BadShareOnce)
      bytes[31] ^= 1;
    response.shares.push_back(bytes);
    response.next_nonces.push_back(fresh_nonce(signer));
  }
  if (signer.manners == Manners::BadShareOnce) signer.manners = Manners::Honest;
  if (signer.manners == Manners::WrongCount) response.shares.push_back(response.shares.front());
  response.journal_length = ++signer.journal;
  response.journal_head.fill(static_cast<std::uint8_t>(signer.journal));
  respond(response);
}

void World::kill_signer(std::uint16_t i) {
  signers_[i]->withheld.clear();
  signers_[i]->nonces.clear();
  disconnect_everywhere(ProcessName{Role::Signer, i});
}

void World::restart_signer(std::uint16_t i) {
  kill_signer(i);
  signers_[i]->manners = Manners::Honest;
  ByteArray<16> epoch{};
  entropy_.fill(epoch);
  signers_[i]->epoch = BootId(epoch);
  for (std::size_t c = 0; c < seats_.size(); ++c) {
    if (seats_[c]->machine) connect_signer(c, i);
  }
}

void World::release_withheld(std::uint16_t i) {
  signers_[i]->manners = Manners::Honest;
  for (auto& [c, message] : std::exchange(signers_[i]->withheld, {})) {
    const auto connection = connection_of(c, ProcessName{Role::Signer, i});
    if (connection) push(c, co::MessageReceived{*connection, std::move(message)});
  }
  run();
}

std::size_t World::asked() const {
  std::size_t count = 0;
  for (const auto& signer : signers_) count += signer->requests.size();
  return count;
}

// ---- the ledger ----

void World::to_ledger(std::size_t i, std::uint16_t replica, const wire::Message& message) {
  if (const auto* submit = std::get_if<wire::LedgerSubmit>(&message)) {
    submitted.push_back({replica, submit->request, submit->command});
    if (deaf_replicas.contains(replica)) return;
    if (hold_applies)
      held_.emplace_back(i, replica, *submit);
    else
      apply(i, replica, *submit);
    return;
  }
  if (const auto* query = std::get_if<wire::LedgerQuery>(&message)) {
    queried.emplace_back(replica, *query);
    if (deaf_replicas.contains(replica)) return;
    wire::LedgerAnswer answer{
        query->request, index_, !unreadable_replicas.contains(replica), std::nullopt, {}, {}, {},
        {}};
    if (answer.available) {
      if (const auto* by_id = std::get_if<wire::QueryById>(&query->query)) {
        const auto at = views_.find(by_id->id);
        if (at != views_.end()) answer.view = at->second;
      } else if (const auto* by_key = std::get_if<wire::QueryByKey>(&query->query)) {
        if (knows(by_key->key)) answer.view = view(by_key->key);
      } else if (std::holds_alternative<wire::QueryJournals>(query->query)) {
        answer.journals = journals;
      } else if (const auto* page = std::get_if<wire::QueryPage>(&query->query)) {
        if (page->accounts != std::vector<std::string>{"nobody"})
          answer.page.accounts.push_back({"alice", 1'000'000, 0});
      } else if (const auto* events = std::get_if<wire::QueryEvents>(&query->query)) {
        const auto at = views_.find(events->id);
        if (at != views_.end()) {
          answer.view = at->second;
          answer.events.push_back({at->second.state, false, index_, 0});
        }
      } else {
        answer.balances.push_back({"customer:alice", 1'000'000});
      }
    }
    push(i, co::MessageReceived{*connection_of(i, {Role::Ledger, replica}), answer});
    return;
  }
  if (std::holds_alternative<wire::LedgerFollow>(message)) {
    followers_.insert({i, replica});
    if (deaf_replicas.contains(replica)) return;
    wire::LedgerFeed feed{index_, tip, true, true, closed, {}};
    for (const WithdrawalId& id : order_) {
      const auto state = views_.at(id).state;
      if (state == wire::WithdrawalState::Settled || state == wire::WithdrawalState::Rejected)
        continue;
      feed.changed.push_back(views_.at(id));
    }
    push(i, co::MessageReceived{*connection_of(i, {Role::Ledger, replica}), feed});
  }
}

void World::apply(std::size_t i, std::uint16_t replica, const wire::LedgerSubmit& submit) {
  std::optional<WithdrawalId> touched;
  const Hash32 before = tip.hash;
  ++index_;
  const wire::Outcome outcome = execute(submit.command, touched);
  wire::LedgerApplied answer{submit.request, index_, outcome, std::nullopt};
  if (touched) answer.view = views_.at(*touched);
  const auto connection = connection_of(i, {Role::Ledger, replica});
  if (connection && seats_[i]->machine) push(i, co::MessageReceived{*connection, answer});
  if (before != tip.hash)
    feed_all(order_);
  else if (touched)
    feed_all({*touched});
}

void World::feed_all(const std::vector<WithdrawalId>& changed) {
  if (hold_feed) return;
  for (const auto& [i, replica] : followers_) {
    const auto connection = connection_of(i, {Role::Ledger, replica});
    if (!connection || deaf_replicas.contains(replica)) continue;
    wire::LedgerFeed feed{index_, tip, false, true, closed, {}};
    for (const WithdrawalId& id : changed) feed.changed.push_back(views_.at(id));
    push(i, co::MessageReceived{*connection, feed});
  }
}

void World::apply_held() {
  hold_applies = false;
  for (auto& [i, replica, submit] : std::exchange(held_, {})) apply(i, replica, submit);
  run();
}

wire::Outcome World::execute(const wire::Command& command, std::optional<WithdrawalId>& touched) {
  using Kind = wire::OutcomeKind;
  if (const auto* w = std::get_if<wire::Withdraw>(&command.body)) {
    if (knows(w->key)) {
      touched = ids_.at(w->key);
      const bool same = views_.at(*touched).payload_digest == w->payload_digest;
      return {same ? Kind::Duplicate : Kind::KeyConflict, "", touched};
    }
    if (closed) return {Kind::Closed, "", std::nullopt};
    wire::WithdrawalView view = planned_view(w->key, w->account, w->owner);
    view.id = w->id;
    view.script = w->script;
    view.amount_sat = w->amount_sat;
    view.payload_digest = w->payload_digest;
    view.client = w->client;
    const bool rejected = w->account == "poor";
    if (rejected) {
      view.state = wire::WithdrawalState::Rejected;
      view.reject = wire::RejectReason::InsufficientFunds;
    } else if (w->account == "coinless") {
      view.state = wire::WithdrawalState::Requested;
    }
    if (rejected || w->account == "coinless") view.planned.reset();
    views_[view.id] = view;
    ids_[view.key] = view.id;
    order_.push_back(view.id);
    touched = view.id;
    return {rejected ? Kind::Rejected : Kind::Applied, "", touched};
  }
  if (const auto* s = std::get_if<wire::Signed>(&command.body)) {
    wire::WithdrawalView& view = views_.at(s->withdrawal_id);
    touched = view.id;
    if (!view.signed_tx.empty()) return {Kind::Ignored, "", touched};
    auto tx = bitcoin::parse_transaction(view.planned->unsigned_tx);
    const auto sighashes = bitcoin::taproot_sighashes(*tx, view.planned->prevouts);
    for (std::size_t k = 0; k < tx->inputs.size(); ++k) {
      if (!crypto::frost_scheme().verify(output_key_, (*sighashes)[k], s->signatures[k]))
        return {Kind::Invalid, "bad", touched};
      tx->inputs[k].witness = {Bytes(s->signatures[k].begin(), s->signatures[k].end())};
    }
    view.signed_tx = bitcoin::serialize(*tx);
    view.state = wire::WithdrawalState::Signed;
    return {Kind::Applied, "", touched};
  }
  if (const auto* b = std::get_if<wire::Broadcast>(&command.body)) {
    wire::WithdrawalView& view = views_.at(b->withdrawal_id);
    touched = view.id;
    if (view.state != wire::WithdrawalState::Signed) return {Kind::Ignored, "", touched};
    view.state = wire::WithdrawalState::Broadcast;
    return {Kind::Applied, "", touched};
  }
  if (const auto* c = std::get_if<wire::BlockConnected>(&command.body)) {
    if (c->prev != tip.hash) return {Kind::Ignored, "", std::nullopt};
    tip = {c->hash, c->height};
    chain_facts.push_back("+" + std::to_string(c->height));
    for (auto& [id, view] : views_) {
      if (!view.planned || std::count(c->txids.begin(), c->txids.end(), view.planned->txid) == 0)
        continue;
      view.state = wire::WithdrawalState::Confirmed;
      view.height = c->height;
    }
    return {Kind::Applied, "", std::nullopt};
  }
  if (const auto* d = std::get_if<wire::BlockDisconnected>(&command.body)) {
    if (d->hash != tip.hash) return {Kind::Ignored, "", std::nullopt};
    chain_facts.push_back("-" + std::to_string(tip.height));
    for (auto& [id, view] : views_) {
      if (view.state != wire::WithdrawalState::Confirmed || view.height != tip.height) continue;
      view.state = wire::WithdrawalState::Broadcast;
      view.height = 0;
    }
    for (const auto& [hash, prev] : known_prev_) {
      if (hash == d->hash) {
        tip = {prev, tip.height - 1};
        break;
      }
    }
    return {Kind::Applied, "", std::nullopt};
  }
  return {Kind::Ignored, "", std::nullopt};
}

void World::kill_replica(std::uint16_t i) {
  replica_up_[i] = false;
  std::erase_if(followers_, [&](const auto& f) { return f.second == i; });
  std::erase_if(held_, [&](const auto& h) { return std::get<1>(h) == i; });
  disconnect_everywhere(ProcessName{Role::Ledger, i});
}

void World::set_replica_ready(std::uint16_t i, bool ready) {
  replica_ready_[i] = ready;
  for (std::size_t c = 0; c < seats_.size(); ++c) {
    const auto connection = connection_of(c, {Role::Ledger, i});
    if (connection)
      push(c,
           co::MessageReceived{*connection, wire::LedgerStatus{ready, index_, ready ? "" : "lag"}});
  }
  run();
}

const wire::WithdrawalView& World::view(const std::string& key) const {
  return views_.at(ids_.at(key));
}

wire::WithdrawalView World::planned_view(const std::string& key, const std::string& account,
                                         CoordinatorId owner, std::vector<Hash32> parents) {
  wire::WithdrawalView view;
  ByteArray<16> id{};
  entropy_.fill(id);
  view.id = WithdrawalId(id);
  view.key = key;
  view.account = account;
  view.script = payee_script(1);
  view.amount_sat = 50'000;
  view.payload_digest = wire::payload_digest(account, view.script, view.amount_sat);
  view.state = wire::WithdrawalState::Planned;
  view.owner = owner;
  view.parents = parents;
  view.planned = make_template(account == "wide" ? 3 : 1, parents, view.script, view.amount_sat);
  return view;
}

wire::Template World::make_template(std::size_t inputs, const std::vector<Hash32>& parents,
                                    ByteSpan script, std::int64_t amount_sat) {
  bitcoin::Transaction tx;
  wire::Template plan;
  for (const Hash32& parent : parents)
    tx.inputs.push_back({{parent, 1}, {}, bitcoin::kSequenceNoReplacement, {}});
  while (tx.inputs.size() < std::max(inputs, parents.size())) {
    Hash32 coin{};
    coin[0] = 0xc0;
    for (std::size_t k = 0; k < 8; ++k)
      coin[24 + k] = static_cast<std::uint8_t>(next_coin_ >> (8 * k));
    ++next_coin_;
    tx.inputs.push_back({{coin, 0}, {}, bitcoin::kSequenceNoReplacement, {}});
  }
  plan.fee_sat = 1000;
  plan.prevouts.assign(tx.inputs.size(), bitcoin::TxOut{1'000'000, wallet_script_});
  tx.outputs.push_back({amount_sat, Bytes(script.begin(), script.end())});
  const auto total = static_cast<std::int64_t>(tx.inputs.size()) * 1'000'000;
  tx.outputs.push_back({total - amount_sat - plan.fee_sat, wallet_script_});
  plan.unsigned_tx = bitcoin::serialize_without_witness(tx);
  plan.txid = bitcoin::txid(tx);
  return plan;
}

void World::plan(const std::string& key) {
  wire::WithdrawalView& view = views_.at(ids_.at(key));
  view.planned = make_template(1, {}, view.script, view.amount_sat);
  view.state = wire::WithdrawalState::Planned;
  ++index_;
  feed_all({view.id});
  run();
}

void World::add_view(wire::WithdrawalView view) {
  const WithdrawalId id = view.id;
  if (!views_.contains(id)) order_.push_back(id);
  ids_[view.key] = id;
  views_[id] = std::move(view);
  ++index_;
  feed_all({id});
  run();
}

Bytes World::sign_elsewhere(const wire::Template& plan) {
  auto tx = bitcoin::parse_transaction(plan.unsigned_tx);
  const auto sighashes = bitcoin::taproot_sighashes(*tx, plan.prevouts);
  std::vector<SignerId> ids;
  for (std::uint16_t i = 0; i < group_.t(); ++i) ids.push_back(SignerId(i));
  const auto key = crypto::frost::TweakContext::key_path_only(group_.threshold_key());
  const auto quorum = crypto::frost::Quorum::create(group_, *key, ids);
  for (std::size_t input = 0; input < tx->inputs.size(); ++input) {
    std::vector<crypto::frost::SecNonce> secrets;
    std::vector<crypto::frost::PubNonce> nonces;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      auto nonce = crypto::frost::nonce_gen(entropy_, crypto::frost::NonceInput{});
      nonces.push_back(nonce->public_nonce());
      secrets.push_back(std::move(*nonce));
    }
    auto opened = crypto::frost::Session::open(*quorum, nonces, (*sighashes)[input]);
    const auto& session = std::get<crypto::frost::Session>(*opened);
    std::vector<crypto::frost::PartialSig> shares;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      shares.push_back(*crypto::frost::sign(std::move(secrets[i]), shares_[i], session));
    }
    const auto signature = std::get<crypto::Signature>(*crypto::frost::aggregate(session, shares));
    tx->inputs[input].witness = {Bytes(signature.begin(), signature.end())};
  }
  return bitcoin::serialize(*tx);
}

// ---- the node ----

void World::node(std::size_t i, const co::NodeCall& call) {
  const auto respond = [&](co::NodeAnswerBody body) {
    push(i, co::NodeAnswered{call.call, std::move(body)});
  };
  if (const auto* send = std::get_if<co::SendTransaction>(&call.body)) {
    sent.push_back(*send);
    send_order.emplace_back(call.call, false);
    if (lost_sends.contains(i)) return;
    sends_.insert(call.call);
    const bool scripted = next_send.has_value();
    const auto outcome = scripted  ? *std::exchange(next_send, std::nullopt)
                         : node_up ? accept(*send)
                                   : bitcoin::SendOutcome::NodeUnavailable;
    return respond(co::SendResult{outcome, ""});
  }
  if (!node_up) return respond(co::NodeUnavailable{"connection refused"});
  if (std::holds_alternative<co::GetTip>(call.body)) {
    return respond(
        bitcoin::TipFacts{chain.back().hash, static_cast<std::int64_t>(chain.size()) - 1});
  }
  const bool asks_mempool = std::holds_alternative<co::GetMempool>(call.body);
  if (asks_mempool && std::exchange(mine_at_mempool, false)) mine();
  if (std::holds_alternative<co::GetMempool>(call.body)) return respond(co::MempoolTxids{mempool});
  if (const auto* at = std::get_if<co::GetBlockHash>(&call.body)) {
    if (at->height >= chain.size()) return respond(co::BlockHashAt{std::nullopt});
    return respond(co::BlockHashAt{chain[at->height].hash});
  }
  const auto height = std::get<co::GetBlock>(call.body).height;
  if (height >= chain.size()) return respond(co::NodeUnavailable{"no such block"});
  const TestBlock block = next_block ? *std::exchange(next_block, std::nullopt) : chain[height];
  respond(bitcoin::BlockFacts{block.hash, block.prev, height, 0, block.txids, {}, {}});
}

std::vector<co::SendTransaction> World::sent_by(std::size_t i) const {
  std::vector<co::SendTransaction> out;
  for (const co::Effect& effect : seats_[i]->effects) {
    const auto* call = std::get_if<co::NodeCall>(&effect);
    const auto* send = call ? std::get_if<co::SendTransaction>(&call->body) : nullptr;
    if (send) out.push_back(*send);
  }
  return out;
}

bitcoin::SendOutcome World::accept(const co::SendTransaction& send) {
  const auto in_chain = [&](const Hash32& txid) {
    return std::any_of(chain.begin(), chain.end(), [&](const TestBlock& block) {
      return std::count(block.txids.begin(), block.txids.end(), txid) > 0;
    });
  };
  if (in_chain(send.txid)) return bitcoin::SendOutcome::AlreadyConfirmed;
  if (std::count(mempool.begin(), mempool.end(), send.txid) > 0)
    return bitcoin::SendOutcome::Accepted;
  const auto tx = bitcoin::parse_transaction(send.bytes);
  for (const bitcoin::TxIn& input : tx->inputs) {
    const bool foreign =
        input.outpoint.txid[0] == 0xc0 && input.outpoint.vout == 0;  // a funding coin
    const bool there = in_chain(input.outpoint.txid) ||
                       std::count(mempool.begin(), mempool.end(), input.outpoint.txid) > 0;
    if (!foreign && !there) return bitcoin::SendOutcome::MissingInputs;
  }
  mempool.push_back(send.txid);
  return bitcoin::SendOutcome::Accepted;
}

void World::mine() {
  TestBlock block;
  for (std::size_t k = 0; k < 8; ++k)
    block.hash[k] = static_cast<std::uint8_t>(next_block_ >> (8 * k));
  block.hash[31] = 0xbb;
  ++next_block_;
  block.prev = chain.back().hash;
  block.txids = std::exchange(mempool, {});
  known_prev_.emplace_back(block.hash, block.prev);
  chain.push_back(block);
}

void World::unmine() {
  chain.pop_back();
  mempool.clear();
}

}  // namespace roulette::test
