// What each effect does, and what stands behind it: the disk, the log engine, the node.
//
// Invariant: nothing answers inside the step that asked. The log compares heads as the etcd engine
// does: a proposal is taken only from a replica that has seen the whole log. The disk keeps what a
// commit took and loses the rest with the process.
#include "chaos/sim/world.h"
#include "common/base/assert.h"

namespace roulette::sim {
namespace {

const char* node_call_name(const coordinator::NodeCallBody& body) {
  struct Name {
    const char* operator()(const coordinator::GetTip&) const { return "get_tip"; }
    const char* operator()(const coordinator::GetBlockHash&) const { return "get_block_hash"; }
    const char* operator()(const coordinator::GetBlock&) const { return "get_block"; }
    const char* operator()(const coordinator::GetMempool&) const { return "get_mempool"; }
    const char* operator()(const coordinator::SendTransaction&) const { return "transaction"; }
  };
  return std::visit(Name{}, body);
}

const char* fact_name(const coordinator::Fact& fact) {
  struct Name {
    const char* operator()(const coordinator::SessionOpened&) const { return "session_opened"; }
    const char* operator()(const coordinator::ShareReceived&) const { return "share_received"; }
    const char* operator()(const coordinator::Aggregated&) const { return "aggregated"; }
    const char* operator()(const coordinator::Blamed&) const { return "blamed"; }
    const char* operator()(const coordinator::TookOver&) const { return "took_over"; }
    const char* operator()(const coordinator::QuorumChanged&) const { return "quorum"; }
    const char* operator()(const coordinator::SignerRefused&) const { return "signer_refused"; }
    const char* operator()(const coordinator::SigningGivenUp&) const { return "given_up"; }
    const char* operator()(const coordinator::SignedApplied&) const { return "signed_applied"; }
    const char* operator()(const coordinator::SignerQuarantined&) const {
      return "signer_quarantined";
    }
  };
  return std::visit(Name{}, fact);
}

const char* reply_name(const coordinator::ReplyBody& body) {
  struct Name {
    const char* operator()(const coordinator::WithdrawalAnswer&) const { return "withdrawal"; }
    const char* operator()(const coordinator::BalancesAnswer&) const { return "balances"; }
    const char* operator()(const coordinator::Problem&) const { return "problem"; }
  };
  return std::visit(Name{}, body);
}

}  // namespace

// ---- signers and their disk ----

void World::execute(SignerSeat& seat, const signer::Effect& effect) {
  struct Visit {
    World& world;
    SignerSeat& seat;
    // The order only: its record becomes durable with the next group commit, another place.
    void operator()(const signer::Persist& persist) const {
      world.at_place(seat, "order", signer::record_name(persist.record.body), [this, &persist] {
        seat.waiting.push_back(persist.record);
        if (!std::exchange(seat.committing, true)) {
          world.agenda.after(world.draw(world.options_.disk),
                             [w = &world, s = &seat, life = seat.life] {
                               if (s->life != life) return;
                               w->when_running(*s, [w, s] { w->commit(*s); });
                             });
        }
        if (!world.plants_.lying_disks.contains(seat.name.index)) return;
        world.agenda.after({}, [w = &world, s = &seat, life = seat.life,
                                sequence = persist.record.sequence] {
          if (s->life == life) w->step(*s, signer::Event{signer::RecordDurable{sequence}});
        });
      });
    }
    void operator()(const signer::Send& order) const {
      world.at_place(seat, "send", wire::message_name(order.message),
                     [this, &order] { world.send(seat, order.connection, order.message); });
    }
    void operator()(const signer::CloseConnection& order) const {
      world.at_place(seat, "close", "connection", [this, &order] {
        world.incidents_.push_back(seat.name.text() + " closed a connection: " + order.reason);
      });
    }
    void operator()(const signer::StandingChanged& order) const {
      seat.checked = true;
      if (!wire::quarantines(order.standing)) return;  // every start, and nothing to see
      world.at_place(seat, "record", wire::standing_name(order.standing), [this, &order] {
        seat.quarantined = true;
        const bool lost = !seat.taken.empty() ||
                          world.plants_.lying_disks.contains(seat.name.index);
        if (lost) return;
        world.incidents_.push_back(seat.name.text() + ", which lost nothing, was quarantined: " +
                                   wire::standing_name(order.standing));
      });
    }
    void operator()(const signer::Drained&) const { world.drained(seat); }
  };
  std::visit(Visit{*this, seat}, effect);
}

// Places: before BEGIN, and after COMMIT returned with nothing stepped yet.
void World::commit(SignerSeat& seat) {
  seat.committing = false;
  const char* subject = signer::record_name(seat.waiting.front().body);
  const auto write = [&seat] {
    for (signer::Record& record : std::exchange(seat.waiting, {})) {
      seat.durable.push_back(std::move(record));
    }
  };
  if (!at_place(seat, "persist", subject, write)) return;
  step(seat, signer::Event{signer::RecordDurable{seat.durable.back().sequence}});
}

// ---- coordinators and the node ----

void World::execute(CoordinatorSeat& seat, const coordinator::Effect& effect) {
  struct Visit {
    World& world;
    CoordinatorSeat& seat;
    void operator()(const coordinator::Send& order) const {
      world.at_place(seat, "send", wire::message_name(order.message),
                     [this, &order] { world.send(seat, order.connection, order.message); });
    }
    void operator()(const coordinator::Reply& order) const {
      world.at_place(seat, "reply", reply_name(order.body), [this, &order] {
        const auto open = seat.open.find(order.request);
        if (open == seat.open.end()) return;
        world.agenda.after(world.draw(world.options_.hop),
                           [answered = std::move(open->second), body = order.body] {
                             answered(body);
                           });
        seat.open.erase(open);
      });
    }
    void operator()(const coordinator::NodeCall& order) const {
      const bool sends = std::holds_alternative<coordinator::SendTransaction>(order.body);
      world.at_place(seat, sends ? "broadcast" : "call", node_call_name(order.body),
                     [this, &order] { world.call_node(seat, order); });
    }
    void operator()(const coordinator::Fact& fact) const {
      world.at_place(seat, "record", fact_name(fact), [this, &fact] { world.note_fact(fact); });
    }
    void operator()(const coordinator::ReadinessChanged&) const {}
    void operator()(const coordinator::Drained&) const { world.drained(seat); }
  };
  std::visit(Visit{*this, seat}, effect);
}

void World::note_fact(const coordinator::Fact& fact) {
  if (const auto* blamed = std::get_if<coordinator::Blamed>(&fact)) {
    incidents_.push_back("an honest signer was blamed: " + blamed->why);
  }
  const auto* share = std::get_if<coordinator::ShareReceived>(&fact);
  if (share == nullptr) return;
  ShareSeen seen{*share, false};
  // A record that was taken meanwhile had been durable when the share left.
  const SignerSeat& signer = signers_[share->signer.value()];
  for (const auto* records : {&signer.durable, &signer.taken}) {
    for (const signer::Record& record : *records) {
      const auto* signing = std::get_if<signer::SigningRecord>(&record.body);
      if (signing == nullptr || signing->own_nonces != share->nonces) continue;
      seen.durable_on_arrival = true;
    }
  }
  shares_seen_.push_back(std::move(seen));
}

void World::call_node(CoordinatorSeat& seat, const coordinator::NodeCall& call) {
  const auto* sent = std::get_if<coordinator::SendTransaction>(&call.body);
  if (sent != nullptr) broadcasts_.push_back(*sent);
  const auto answer = [this, s = &seat, life = seat.life,
                       number = call.call](coordinator::NodeAnswerBody body) {
    agenda.after(draw(options_.node), [this, s, life, number, body = std::move(body)] {
      if (s->life == life) {
        step(*s, coordinator::Event{coordinator::NodeAnswered{number, body}});
      }
    });
  };
  if (sent != nullptr && plants_.swallow_send && plants_.swallow_send(*sent)) {
    return answer(coordinator::SendResult{bitcoin::SendOutcome::Accepted, ""});
  }
  // The call reaches the node in any case; an answer is lost when the node dies meanwhile.
  agenda.at(std::max(agenda.now() + draw(options_.node), node_resumes_),
            [this, answer, body = call.body] { answer(node_answer(body)); });
}

coordinator::NodeAnswerBody World::node_answer(const coordinator::NodeCallBody& body) {
  struct Visit {
    World& world;
    coordinator::NodeAnswerBody operator()(const coordinator::GetTip&) const {
      return world.chain_->tip();
    }
    coordinator::NodeAnswerBody operator()(const coordinator::GetBlockHash& get) const {
      const auto& blocks = world.chain_->blocks();
      if (get.height >= blocks.size()) return coordinator::BlockHashAt{};
      return coordinator::BlockHashAt{blocks[get.height].hash};
    }
    coordinator::NodeAnswerBody operator()(const coordinator::GetBlock& get) const {
      auto facts = world.chain_->block(get.height, world.genesis_.wallet_script);
      if (!facts) return coordinator::NodeUnavailable{"no such height"};
      return std::move(*facts);
    }
    coordinator::NodeAnswerBody operator()(const coordinator::GetMempool&) const {
      return coordinator::MempoolTxids{world.chain_->mempool()};
    }
    coordinator::NodeAnswerBody operator()(const coordinator::SendTransaction& send) const {
      const auto tx = bitcoin::parse_transaction(send.bytes);
      if (!tx) return coordinator::SendResult{bitcoin::SendOutcome::Rejected, "does not parse"};
      const auto outcome = world.chain_->send(*tx);
      if (outcome == bitcoin::SendOutcome::Rejected ||
          outcome == bitcoin::SendOutcome::MempoolConflict) {
        world.incidents_.push_back(std::string("the node refused a transaction: ") +
                                   bitcoin::send_outcome_name(outcome));
      }
      return coordinator::SendResult{outcome, ""};
    }
  };
  if (!node_up_) return coordinator::NodeUnavailable{"connection refused"};
  return std::visit(Visit{*this}, body);
}

void World::mine_later() {
  agenda.after(options_.block_interval, [this] {
    if (mining_ && node_up_ && agenda.now() >= node_resumes_) {
      chain_->mine();
      if (chain_->unflushed() >= options_.flush_every) chain_->flush();
      trace.note(agenda.now(), {Role::Bitcoind, 0}, "mined", "", chain_->blocks().size() - 1);
    }
    mine_later();
  });
}

bool World::kill_node(Duration down) {
  if (!node_up_) return false;
  const auto payments = [this] {
    std::size_t count = 0;
    for (const ToyBlock& block : chain_->blocks()) count += block.txids.size();
    return count;
  };
  const std::size_t before = payments();
  node_up_ = false;
  counts_.unmined_blocks += chain_->kill();
  counts_.unmined_payments += before - payments();
  ++counts_.node_kills;
  trace.note(agenda.now(), {Role::Bitcoind, 0}, "killed", "", chain_->blocks().size() - 1);
  agenda.after(down, [this] { node_up_ = true; });
  return true;
}

void World::pause_node(Duration down) {
  trace.note(agenda.now(), {Role::Bitcoind, 0}, "paused", "", 0);
  node_resumes_ = std::max(node_resumes_, agenda.now() + down);
}

void World::ask(std::uint16_t coordinator, coordinator::ClientRequestBody body, Duration patience,
                Answered answered) {
  CoordinatorSeat& seat = coordinators_.at(coordinator);
  agenda.after(draw(options_.hop), [this, s = &seat, body = std::move(body), patience,
                                    answered = std::move(answered)] {
    if (!s->up) {
      agenda.after(draw(options_.hop), [answered] { answered(std::nullopt); });
      return;
    }
    const coordinator::RequestId request(next_request_++);
    s->open.emplace(request, answered);
    agenda.after(patience, [this, s, request] {
      const auto open = s->open.find(request);
      if (open == s->open.end()) return;
      const Answered silent = std::move(open->second);
      s->open.erase(open);
      step(*s, coordinator::Event{coordinator::ClientGone{request}});
      silent(std::nullopt);
    });
    step(*s, coordinator::Event{coordinator::ClientRequest{request, body}});
  });
}

// ---- replicas and the log ----

void World::execute(LedgerSeat& seat, const ledger::Effect& effect) {
  struct Visit {
    World& world;
    LedgerSeat& seat;
    void operator()(const ledger::Propose& order) const {
      world.at_place(seat, "append", "command_batch",
                     [this, &order] { world.propose(seat, order); });
    }
    void operator()(const ledger::ReadBarrier& order) const {
      world.at_place(seat, "read", "barrier", [this, &order] { world.read_barrier(seat, order); });
    }
    void operator()(const ledger::Send& order) const {
      world.at_place(seat, "send", wire::message_name(order.message),
                     [this, &order] { world.send(seat, order.connection, order.message); });
    }
    void operator()(const ledger::WriteTables& order) const {
      world.at_place(seat, "write", "tables", [this, &order] {
        for (const wire::WithdrawalView& view : order.changed) {
          Progress& progress = world.progress_[view.id];
          if (view.planned && !progress.planned) progress.planned = world.agenda.now();
          if (!view.signed_tx.empty() && !progress.signed_at) {
            progress.signed_at = world.agenda.now();
          }
        }
        if (order.digest == Hash32{}) return;
        ledger::LoadedTables tables = seat.tables.value_or(ledger::LoadedTables{});
        if (tables.index >= order.index) return;  // replayed: it stands there already
        tables.earlier[tables.index] = tables.digest;
        seat.tables = {order.index, order.digest, std::move(tables.earlier), order.index};
      });
    }
    void operator()(const ledger::StoreChunk& order) const {
      world.at_place(seat, "append", "snapshot_chunk",
                     [this, &order] { world.store_chunk(seat, order); });
    }
    void operator()(const ledger::StoreManifest& order) const {
      world.at_place(seat, "append", "snapshot_manifest",
                     [this, &order] { world.store_manifest(seat, order); });
    }
    void operator()(const ledger::ReadSnapshot& order) const {
      world.at_place(seat, "read", "snapshot",
                     [this, &order] { world.read_snapshot(seat, order); });
    }
    void operator()(const ledger::TrimLog& order) const {
      world.at_place(seat, "append", "trim", [this, &order] { world.trim_log(seat, order); });
    }
    void operator()(const ledger::FollowLog& order) const {
      world.follow_log(seat, order.after);
    }
    void operator()(const ledger::RestoreTables& order) const {
      world.at_place(seat, "restore", "snapshot_loaded",
                     [this, &order] { world.restore_tables(seat, order); });
    }
    void operator()(const ledger::ReadinessChanged& order) const { seat.ready = order.ready; }
    void operator()(const ledger::Stop& order) const {
      world.incidents_.push_back(seat.name.text() + " stopped: " + order.reason);
    }
    void operator()(const ledger::Drained&) const { world.drained(seat); }
  };
  std::visit(Visit{*this, seat}, effect);
}

// A proposal under way outlives its replica: it may stand in the log without anybody knowing.
void World::propose(LedgerSeat& seat, const ledger::Propose& order) {
  enum class Fate { Told, Lost, CommittedUntold, CommittedLate };
  Fate fate = Fate::Told;
  if (prng_.below(1000) < options_.unknown_per_mille) {
    fate = static_cast<Fate>(1 + prng_.below(3));
    ++counts_.unknown_proposals;
  }
  const auto answer = [this, s = &seat, life = seat.life, batch = order.batch](
                          Duration delay, ledger::ProposeOutcome outcome) {
    agenda.after(delay, [this, s, life, batch, outcome] {
      if (s->life == life) step(*s, ledger::Event{ledger::ProposeDone{batch, outcome}});
    });
  };
  const auto commit = [this, head = seat.delivered, commands = order.commands] {
    if (head != log_.size()) {
      // Its entry's key is unused again: only the head tells this proposer from the next one.
      if (head + 1 <= trimmed_) ++counts_.stale_behind_trim;
      return false;
    }
    append(commands);
    return true;
  };
  const Duration there = draw(options_.engine);
  const Duration back = draw(options_.hop);
  if (fate == Fate::CommittedLate || fate == Fate::Lost) {
    answer(there, ledger::ProposeOutcome::Unknown);
    if (fate == Fate::CommittedLate) agenda.after(there + there, [commit] { (void)commit(); });
    return;
  }
  agenda.after(there, [commit, answer, back, fate] {
    const bool taken = commit();
    if (fate == Fate::CommittedUntold) return answer(back, ledger::ProposeOutcome::Unknown);
    answer(back, taken ? ledger::ProposeOutcome::Accepted : ledger::ProposeOutcome::NotLeader);
  });
}

void World::read_barrier(LedgerSeat& seat, const ledger::ReadBarrier& order) {
  agenda.after(draw(options_.hop), [this, s = &seat, life = seat.life, number = order.barrier] {
    agenda.after(draw(options_.hop), [this, s, life, number, head = log_.size()] {
      if (s->life != life) return;
      const auto index = s->watching ? std::optional<std::uint64_t>(head) : std::nullopt;
      step(*s, ledger::Event{ledger::BarrierDone{number, index}});
    });
  });
}

void World::append(const std::vector<wire::Command>& commands) {
  const auto decoded = wire::decode_batch(wire::encode_batch(commands));
  if (!decoded || *decoded != commands) incidents_.push_back("the log changed a batch");
  log_.push_back(commands);
  trace.note(agenda.now(), {Role::Etcd, 0}, "appended", wire::command_name(commands[0].body),
             log_.size());
  for (LedgerSeat& seat : ledgers_) fetch(seat);
}

// One entry at a time, in order, each after a delay of its own.
void World::fetch(LedgerSeat& seat) {
  if (!seat.up || seat.paused || !seat.watching || seat.fetching || seat.behind) return;
  if (seat.delivered >= log_.size()) return;
  seat.fetching = true;
  const bool replay = log_.size() - seat.delivered > 4;  // many at once come without delay
  agenda.after(replay ? microseconds(10) : draw(options_.hop),
               [this, s = &seat, life = seat.life, mine = seat.subscription] {
    if (s->life != life || !s->up || s->subscription != mine) return;
    s->fetching = false;
    if (!s->watching || s->paused) return;
    if (s->delivered < trimmed_) {
      s->behind = true;
      trace.note(agenda.now(), s->name, "behind", "the trim", trimmed_);
      return step(*s, ledger::Event{ledger::LogTrimmed{trimmed_ + 1}});
    }
    const std::uint64_t index = ++s->delivered;
    step(*s, ledger::Event{ledger::EntryDelivered{index, log_[index - 1]}});
    fetch(*s);
  });
}

// ---- snapshots: the log's store ----

// The store acts on its way, whether or not its asker lives to hear of it.
void World::store(LedgerSeat& seat, std::uint64_t order, std::function<bool()> action) {
  enum class Fate { Told, Lost, DoneUntold };
  Fate fate = Fate::Told;
  if (prng_.below(1000) < options_.unknown_per_mille) fate = static_cast<Fate>(1 + prng_.below(2));
  agenda.after(draw(options_.engine), [this, s = &seat, life = seat.life, order, fate,
                                       action = std::move(action)] {
    const bool done = fate != Fate::Lost && action();
    const std::string why = done ? "" : "not stored";
    agenda.after(draw(options_.hop), [this, s, life, order, done = done && fate == Fate::Told,
                                      why] {
      if (s->life == life) step(*s, ledger::Event{ledger::SnapshotOrderDone{order, done, why}});
    });
  });
}

void World::store_chunk(LedgerSeat& seat, const ledger::StoreChunk& order) {
  store(seat, order.order, [this, order] {
    Kept& kept = snapshots_[order.index];
    if (!kept.manifest) kept.chunks[order.number] = order.bytes;
    return true;
  });
}

void World::store_manifest(LedgerSeat& seat, const ledger::StoreManifest& order) {
  store(seat, order.order, [this, order] {
    Kept& kept = snapshots_[order.index];
    if (kept.manifest) return true;
    kept.manifest = order.bytes;
    ++counts_.snapshots;
    trace.note(agenda.now(), {Role::Etcd, 0}, "snapshot", "complete", order.index);
    return true;
  });
}

void World::read_snapshot(LedgerSeat& seat, const ledger::ReadSnapshot& order) {
  agenda.after(draw(options_.engine), [this, s = &seat, life = seat.life, order] {
    ledger::SnapshotRead answer{order.order, ledger::StoredSnapshot{}};
    for (const auto& [index, kept] : snapshots_) {
      if (index > order.at_most || !kept.manifest) continue;
      answer.snapshot = ledger::StoredSnapshot{index, *kept.manifest, kept.chunks};
    }
    if (prng_.below(1000) < options_.unknown_per_mille) answer.snapshot.reset();
    agenda.after(draw(options_.hop), [this, s, life, answer = std::move(answer)] {
      if (s->life == life) step(*s, ledger::Event{answer});
    });
  });
}

void World::trim_log(LedgerSeat& seat, const ledger::TrimLog& order) {
  store(seat, order.order, [this, order] {
    const auto complete = [this](std::uint64_t index) {
      const auto found = snapshots_.find(index);
      return found != snapshots_.end() && found->second.manifest.has_value();
    };
    if (!complete(order.up_to) || !complete(order.newest)) return false;
    trimmed_ = std::max(trimmed_, order.up_to);
    snapshots_.erase(snapshots_.begin(), snapshots_.lower_bound(order.up_to));
    ++counts_.trims;
    trace.note(agenda.now(), {Role::Etcd, 0}, "trimmed", "", trimmed_);
    return true;
  });
}

void World::follow_log(LedgerSeat& seat, std::uint64_t after) {
  seat.delivered = after;
  seat.behind = false;
  seat.fetching = false;
  ++seat.subscription;
  agenda.after(draw(options_.hop), [this, s = &seat, life = seat.life, mine = seat.subscription] {
    if (s->life != life || s->subscription != mine) return;
    when_running(*s, [this, s] {
      if (s->watching) step(*s, ledger::Event{ledger::LogRestored{}});
      fetch(*s);
    });
  });
}

void World::restore_tables(LedgerSeat& seat, const ledger::RestoreTables& order) {
  ++counts_.snapshots_loaded;
  const auto holds = [&order](const ledger::LoadedTables& tables) {
    if (tables.index == order.index) return tables.digest == order.digest;
    const auto earlier = tables.earlier.find(order.index);
    return earlier != tables.earlier.end() && earlier->second == order.digest;
  };
  if (!order.over && seat.tables && holds(*seat.tables)) return;
  seat.tables = ledger::LoadedTables{order.index, order.digest, {}, order.index};
}

bool World::lose_log(std::uint16_t replica, Duration down) {
  if (replica >= ledgers_.size()) return false;
  LedgerSeat& seat = ledgers_[replica];
  if (!seat.up || seat.paused || !seat.watching || !within_budget(Role::Ledger)) return false;
  trace.note(agenda.now(), seat.name, "log lost", "", seat.delivered);
  seat.watching = false;
  step(seat, ledger::Event{ledger::LogLost{"cancelled watch"}});
  agenda.after(down, [this, s = &seat, life = seat.life] {
    if (s->life != life) return;
    when_running(*s, [this, s] {
      s->watching = true;
      step(*s, ledger::Event{ledger::LogRestored{}});
      fetch(*s);
    });
  });
  return true;
}

// ---- the end ----

std::uint64_t World::unseed() {
  std::uint64_t sum = prng_.next();
  const auto fold = [&sum](auto& seats) {
    for (auto& seat : seats) {
      ByteArray<8> drawn{};
      seat.entropy->fill(drawn);
      for (const std::uint8_t byte : drawn) sum = (sum ^ byte) * 0x100000001b3;  // FNV-1a
    }
  };
  fold(signers_);
  fold(coordinators_);
  fold(ledgers_);
  return sum;
}

Duration World::slowest_signing() const {
  Duration slowest{};
  for (const auto& [id, progress] : progress_) {
    if (!progress.planned) continue;
    slowest = std::max(slowest, progress.signed_at.value_or(agenda.now()) - *progress.planned);
  }
  return slowest;
}

bool World::finished() const {
  const auto up = [](const Seat& seat) { return seat.up && !seat.paused && !seat.stopping; };
  if (!node_up_ || !std::all_of(signers_.begin(), signers_.end(), up) ||
      !std::all_of(coordinators_.begin(), coordinators_.end(), up)) {
    return false;
  }
  return std::all_of(ledgers_.begin(), ledgers_.end(), [this](const LedgerSeat& seat) {
    return seat.up && !seat.paused && seat.ready && seat.delivered == log_.size() &&
           seat.machine->state().unfinished().empty();
  });
}

bool World::at_rest() const {
  const Hash32 tip = chain_->tip().hash;
  // A signer that has just started has not heard yet what the ledger keeps of its journal.
  return finished() &&
         std::all_of(signers_.begin(), signers_.end(),
                     [](const SignerSeat& seat) { return seat.checked; }) &&
         std::all_of(ledgers_.begin(), ledgers_.end(), [&](const LedgerSeat& seat) {
           return seat.machine->state().tip().hash == tip;
         });
}

Records World::records() const {
  Records records;
  records.wallet_script = genesis_.wallet_script;
  records.settle_depth = genesis_.settle_depth;
  records.shares = shares_seen_;
  records.broadcasts = broadcasts_;
  records.log_length = log_.size();
  records.chain = chain_->blocks();
  records.node_wallet_sat = chain_->unspent_sat(genesis_.wallet_script);
  records.incidents = incidents_;
  for (const SignerSeat& seat : signers_) {
    JournalRecord journal;
    journal.records = seat.durable;
    journal.taken = seat.taken;
    journal.quarantined = seat.quarantined;
    std::vector<signer::Record> all = seat.durable;
    all.insert(all.end(), seat.waiting.begin(), seat.waiting.end());
    if (seat.machine) journal.live_digest = seat.machine->durable_state_digest();
    journal.replayed_digest = replayed_digest(seat.name.index, seat.boot, all);
    records.journals.push_back(std::move(journal));
  }
  for (const LedgerSeat& seat : ledgers_) {
    LedgerRecord record;
    if (!seat.machine) {
      records.ledgers.push_back(record);
      continue;
    }
    const ledger::State& state = seat.machine->state();
    record.ready = seat.ready;
    record.index = seat.delivered;
    record.digest = state.digest();
    ledger::State fresh(scheme_);
    for (std::uint64_t i = 0; i < seat.delivered; ++i) {
      for (const wire::Command& command : log_[i]) (void)fresh.apply(command);
    }
    record.replayed_digest = fresh.digest();
    record.balances = state.balances();
    record.withdrawals = state.all();
    record.reservations = state.reservations();
    record.journal_heads = state.journal_heads();
    record.tip = state.tip();
    records.ledgers.push_back(std::move(record));
  }
  return records;
}

}  // namespace roulette::sim
