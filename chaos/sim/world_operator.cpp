// The operator who provisions signers again (docs/PROVISIONING.md, `roulette reprovision`).
//
// Invariant: as the live command, it reads journals only while every signer stands still, and what
// it founds is signer/core/founding.h's own; a process goes by one share epoch at a time. Not here:
// the command's own death between its steps (live: tests/live/reprovision_test.cpp), the erasing of
// old shares.
#include "chaos/sim/world.h"
#include "common/base/limits.h"
#include "common/bitcoin/transaction.h"
#include "signer/core/durable_state.h"
#include "signer/core/founding.h"

namespace roulette::sim {
namespace {

constexpr Duration kLook = milliseconds(5);   // between the operator's looks at who is down
constexpr Duration kRestart = milliseconds(10);

}  // namespace

struct World::Move {
  Fault fault;
  bool coordinators_down = false;
  Seat* laggard = nullptr;  // null: nobody
};

const Wallet& World::wallet(std::uint32_t share_epoch) {
  const auto known = wallets_.find(share_epoch);
  if (known != wallets_.end()) return known->second;
  const Wallet& dealt = wallet_of(options_.scheme, options_.shape.signers,
                                  options_.shape.threshold, share_epoch);
  return wallets_
      .emplace(share_epoch,
               options_.scheme == SimScheme::Frost ? stocked(dealt, drawn_nonces_) : dealt)
      .first->second;
}

// Who lags does no work of the new epoch, so the budget must allow it.
bool World::reprovision(const Fault& fault) {
  const bool lost = std::any_of(signers_.begin(), signers_.end(), [](const SignerSeat& seat) {
    return !seat.retired && !seat.taken.empty();
  });
  if (!lost || moving_) return false;
  moving_ = true;
  const auto move = std::make_shared<Move>();
  move->fault = fault;
  Seat* seat = fault.amount == 0 ? nullptr : find_seat(fault.b);
  const bool own = seat != nullptr && seat->name.role == Role::Signer &&
                   !static_cast<SignerSeat*>(seat)->taken.empty();
  if (seat != nullptr && !own && seat->name.role != Role::Ledger && !seat->retired &&
      may_strike(*seat)) {
    move->laggard = seat;
    ++seat->weak;
  }
  trace.note(agenda.now(), {Role::Tool, 0}, "reprovision begins", "", share_epoch_ + 1);
  stop_for_move(move);
  return true;
}

// The coordinators first: their last sessions may still end well.
void World::stop_for_move(const std::shared_ptr<Move>& move) {
  const auto stop_all = [&](auto& seats) {
    for (auto& seat : seats) {
      if (&seat == move->laggard && seat.name.role == Role::Coordinator) continue;
      seat.kept_down = true;
      if (!seat.up || seat.stopping) continue;
      if (move->fault.blow == Blow::Stop && !seat.paused) stop(seat, kRestart);
      else die(seat, kRestart);
    }
  };
  if (move->coordinators_down) stop_all(signers_);
  else stop_all(coordinators_);
  stand_by(move);
}

void World::stand_by(const std::shared_ptr<Move>& move) {
  agenda.after(kLook, [this, move] {
    const auto all_down = [&](const auto& seats) {
      return std::none_of(seats.begin(), seats.end(), [&](const auto& seat) {
        return seat.up && seat.kept_down;
      });
    };
    if (move->coordinators_down ? !all_down(signers_) : !all_down(coordinators_))
      return stand_by(move);  // the drain's deadline ends it
    if (!std::exchange(move->coordinators_down, true)) return stop_for_move(move);
    move_now(*move);
    agenda.after(move->fault.down, [this, move] { start_after_move(*move); });
  });
}

// Deal, found, switch. What a signer had before stays for the judge.
void World::move_now(const Move& move) {
  const auto readable = static_cast<std::size_t>(
      std::count_if(signers_.begin(), signers_.end(), [](const SignerSeat& seat) {
        return !seat.retired && seat.taken.empty() && !seat.durable.empty();
      }));
  if (readable < signer::journals_needed(options_.shape.signers, options_.shape.threshold)) {
    return trace.note(agenda.now(), {Role::Tool, 0}, "reprovision refused", "", readable);
  }
  ++counts_.moves;
  const std::uint32_t next = ++share_epoch_;
  std::vector<std::pair<SignerSeat*, std::vector<signer::Record>>> founded;
  for (SignerSeat& seat : signers_) {
    if (seat.retired || seat.taken.empty()) continue;
    founded.emplace_back(&seat, found_again(seat));
  }
  for (auto& [seat, records] : founded) {
    auto& old = seat->superseded;
    old.insert(old.end(), seat->taken.begin(), seat->taken.end());
    old.insert(old.end(), seat->durable.begin(), seat->durable.end());
    seat->taken.clear();
    seat->durable = std::move(records);
    // A new journal comes with the new share, also to one that was to lag and lost its old journal
    // while the move was under way.
    seat->share_epoch = next;
    seat->known_at_founding.clear();
    for (const signer::Record& record : seat->durable) {
      const auto* imported = std::get_if<signer::ImportedBinding>(&record.body);
      if (imported != nullptr) seat->known_at_founding.insert(imported->txid);
    }
    trace.note(agenda.now(), seat->name, "journal founded", "", seat->durable.size());
  }
  const auto switch_over = [&](auto& seats) {
    for (auto& seat : seats) {
      if (&seat != move.laggard) seat.share_epoch = next;
    }
  };
  switch_over(signers_);
  switch_over(coordinators_);
}

// From all other journals that are at hand, and the templates of a replica that is.
std::vector<signer::Record> World::found_again(const SignerSeat& lost) const {
  signer::BindingUnion known;
  std::vector<signer::JournalSource> sources;
  for (const SignerSeat& seat : signers_) {
    if (seat.retired || !seat.taken.empty() || seat.durable.empty()) continue;
    const Wallet& sharing = wallets_.at(seat.share_epoch);
    signer::DurableState state({SignerId(seat.name.index), genesis_.cluster_id,
                                seat.share_epoch, sharing.group->threshold_key()});
    for (const signer::Record& record : seat.durable) {
      ROULETTE_ASSERT(state.check_next(record).ok());
      state.apply(record);
      known.add(record);
    }
    sources.push_back(
        {SignerId(seat.name.index), state.share_epoch(), state.length(), state.head()});
  }
  ROULETTE_ASSERT(sources.size() >=
                  signer::journals_needed(options_.shape.signers, options_.shape.threshold));
  const auto books = std::find_if(ledgers_.begin(), ledgers_.end(), [](const LedgerSeat& seat) {
    return seat.machine.has_value() && seat.ready && seat.altered == LedgerSeat::Altered::No;
  });
  if (books != ledgers_.end()) {
    for (const wire::WithdrawalView& view : books->machine->state().all()) {
      if (!view.planned) continue;
      const auto tx = bitcoin::parse_transaction(view.planned->unsigned_tx);
      ROULETTE_ASSERT(tx.ok() && tx->inputs.size() == view.planned->prevouts.size());
      std::vector<signer::BoundInput> inputs;
      for (std::size_t i = 0; i < tx->inputs.size(); ++i)
        inputs.push_back({tx->inputs[i].outpoint, view.planned->prevouts[i]});
      known.add(view.id, view.payload_digest, view.planned->txid, inputs);
    }
  }
  const Wallet& sharing = wallet_of(options_.scheme, options_.shape.signers,
                                    options_.shape.threshold, share_epoch_);
  auto records = signer::found_journal(
      {SignerId(lost.name.index), genesis_.cluster_id, share_epoch_,
       sharing.group->threshold_key()},
      sharing.group->id(), lost.share_epoch, std::move(sources), known.bindings());
  ROULETTE_ASSERT(records.ok());
  return std::move(records).value();
}

void World::start_after_move(const Move& move) {
  moving_ = false;
  trace.note(agenda.now(), {Role::Tool, 0}, "reprovision ends", "", share_epoch_);
  Duration wait{};
  const auto start_all = [&](auto& seats) {
    for (auto& seat : seats) {
      if (!std::exchange(seat.kept_down, false)) continue;
      wait = wait + draw(options_.hop);
      agenda.after(wait, [this, s = &seat] { boot(*s); });
    }
  };
  start_all(signers_);
  start_all(coordinators_);
  if (move.laggard == nullptr) return;
  agenda.after(milliseconds(move.fault.amount), [this, s = move.laggard] { catch_up(*s); });
}

// The operator sees that one process goes by the old configuration still.
void World::catch_up(Seat& laggard) {
  --laggard.weak;
  trace.note(agenda.now(), laggard.name, "catches up", "", share_epoch_);
  if (laggard.up) die(laggard, kRestart);
  laggard.share_epoch = share_epoch_;
}

}  // namespace roulette::sim
