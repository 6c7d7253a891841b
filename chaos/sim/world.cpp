// Processes and their places.
//
// Invariant: machines are stepped from the agenda only, never from inside another machine's
// effects; a closure that concerns a process checks that it is still the same life of it.
#include "chaos/sim/world.h"

#include "chaos/sim/simulated_client.h"
#include "common/base/assert.h"
#include "common/base/limits.h"
#include "common/wire/codec.h"

namespace roulette::sim {
namespace {

constexpr std::size_t kIdleAlarms = 100;  // in a row, without time passing: a machine that spins

signer::Event deadline(const signer::Signer&) { return signer::DeadlineReached{}; }
coordinator::Event deadline(const coordinator::Coordinator&) {
  return coordinator::DeadlineReached{};
}
ledger::Event deadline(const ledger::Ledger&) { return ledger::DeadlineReached{}; }
signer::Event shutdown(const signer::Signer&) { return signer::ShutdownRequested{}; }
coordinator::Event shutdown(const coordinator::Coordinator&) {
  return coordinator::ShutdownRequested{};
}
ledger::Event shutdown(const ledger::Ledger&) { return ledger::ShutdownRequested{}; }

constexpr const char* kClusterId = "sim";
constexpr std::int64_t kMaxAmountSat = 10'000'000;

signer::SignerConfig signer_config(const Wallet& wallet, std::uint32_t epoch, std::uint16_t id) {
  return {SignerId(id), kClusterId, epoch, wallet.group, wallet.shares[id],
          signer::Policy{wallet.script, 20'000, 100, kMaxAmountSat}, true};
}

}  // namespace

std::string Place::text() const {
  return std::string(role_name(role)) + "." + effect + "." + subject;
}

bool Place::is(std::string_view point) const {
  const std::string_view first = effect;
  return point.size() > first.size() && point.substr(0, first.size()) == first &&
         point[first.size()] == '.' && point.substr(first.size() + 1) == subject;
}

bool Place::chatter() const {
  // Asked at every place: most differ in the first letter.
  if (std::string_view("clsgb").find(subject[0]) == std::string_view::npos) return false;
  const std::string_view what = subject;
  return what == "coordinator_heartbeat" || what == "ledger_heartbeat" || what == "signer_ping" ||
         what == "signer_status" || what == "get_tip" || what == "get_mempool" || what == "barrier";
}

World::World(WorldOptions options, const std::vector<Fault>& faults, Plants plants)
    : options_(options),
      drawn_nonces_(no_nonces_drawn()),
      scheme_(wallet(1).group->scheme()),
      plants_(std::move(plants)),
      prng_(options_.seed),
      signers_(options.shape.signers),
      coordinators_(options.shape.coordinators),
      ledgers_(options.shape.ledgers),
      splits_(options.shape.coordinators),
      forks_(options.shape.coordinators) {
  const Bytes& script = wallet(1).script;
  // Three coins; the third withdrawal of the story needs change of the first two.
  chain_ = std::make_unique<ToyChain>(std::vector<bitcoin::TxOut>{
      {1'000'000, script}, {1'000'000, script}, {60'000, script}}, scheme_);
  for (int i = 0; i < 3; ++i) chain_->mine();
  chain_->flush();
  genesis_.cluster_id = kClusterId;
  genesis_.wallet_script = script;
  genesis_.signature_form = scheme_.facts().signatures;
  genesis_.wallet_output_key = crypto::WalletKey::from(wallet(1).group->wallet_key()).value();
  genesis_.accounts = {"alice", "bob"};
  if (options_.clients_sign)
    clients_ = simulated_clients(kClusterId, genesis_.accounts, kMaxAmountSat);
  genesis_.anchor_block = chain_->blocks().front().hash;
  const auto place_all = [this](auto& seats, Role role) {
    for (std::uint16_t i = 0; i < seats.size(); ++i) {
      seats[i].name = {role, i};
      const auto stream = static_cast<std::uint64_t>(role) << 16 | i;
      seats[i].entropy = std::make_unique<SimEntropy>(options_.seed * 1'000'003 + stream);
      Seat* seat = &seats[i];
      agenda.after(draw(options_.hop), [this, seat] { boot(*seat); });
    }
  };
  place_all(ledgers_, Role::Ledger);
  place_all(signers_, Role::Signer);
  place_all(coordinators_, Role::Coordinator);
  for (const Fault& fault : faults) {
    overhears_ = overhears_ || fault.kind == FaultKind::BadCoordinator;
    if (fault.kind == FaultKind::TokenAway && find_seat(fault.a) != nullptr)
      signers_[fault.a.index].token = std::make_shared<SimToken>();
    if (fault.kind != FaultKind::StrikePlace) continue;
    if (Seat* struck = find_seat(fault.a)) struck->armed.push_back({fault, 0});
  }
  mine_later();
}

World::~World() = default;

// ---- processes ----

World::Seat* World::find_seat(ProcessName name) {
  const auto in = [&](auto& seats) -> Seat* {
    return name.index < seats.size() ? &seats[name.index] : nullptr;
  };
  if (name.role == Role::Signer) return in(signers_);
  if (name.role == Role::Coordinator) return in(coordinators_);
  return name.role == Role::Ledger ? in(ledgers_) : nullptr;
}

void World::disarm() {
  healed_ = true;
  const auto forget = [](auto& seats) {
    for (auto& seat : seats) seat.armed.clear();
  };
  forget(signers_);
  forget(coordinators_);
  forget(ledgers_);
}

void World::boot(Seat& seat) {
  if (seat.up || seat.retired || seat.kept_down) return;
  seat.up = true;
  ++seat.life;
  ByteArray<16> fresh{};
  seat.entropy->fill(fresh);
  seat.boot = BootId(fresh);
  trace.note(agenda.now(), seat.name, "boot", "", seat.life);
  with(seat, [this](auto& concrete) { start(concrete); });
  if (!seat.up) return;
  call_peers(seat, {});
}

// Restoring is places of its own: a process may die before it ever says a word.
void World::start(SignerSeat& seat) {
  const auto nothing = [] {};
  if (!at_place(seat, "restore", "journal_opened", nothing)) {
    return probes.hit(Probe::KillInRestore);
  }
  auto config = signer_config(wallet(seat.share_epoch), seat.share_epoch, seat.name.index);
  config.clients = clients_;
  if (seat.token) {
    seat.token->missed = seat.token->away;  // a start tries it
    config.share = std::make_shared<TokenShare>(config.share, seat.token);
  }
  auto restored = signer::Signer::restore(std::move(config), seat.boot, seat.durable);
  ROULETTE_ASSERT(restored.ok());
  seat.machine.emplace(std::move(restored).value());
  seat.quarantined = false;
  seat.checked = false;
  if (!at_place(seat, "restore", "journal_replayed", nothing)) {
    return probes.hit(Probe::KillInRestore);
  }
  step(seat, signer::Event{signer::Started{}});
}

void World::start(CoordinatorSeat& seat) {
  coordinator::CoordinatorConfig config;
  config.id = CoordinatorId(seat.name.index);
  config.boot = seat.boot;
  const Wallet& configured = wallet(seat.share_epoch);
  config.group = configured.group;
  config.wallet_script = configured.script;
  config.wallet_output_key = crypto::WalletKey::from(configured.group->wallet_key()).value();
  config.nonce_pool = options_.shape.nonce_pool;
  config.clients = clients_;
  const std::int64_t pace = options_.pace;
  config.cadence.heartbeat = config.cadence.heartbeat * pace;
  config.cadence.peer_silent = config.cadence.peer_silent * pace;
  config.cadence.signer_ping = config.cadence.signer_ping * pace;
  config.cadence.signer_silent = config.cadence.signer_silent * pace;
  seat.quorate = false;
  seat.machine.emplace(std::move(config));
  step(seat, coordinator::Event{coordinator::Started{}});
}

void World::start(LedgerSeat& seat) {
  ledger::LedgerConfig config;
  config.id = LedgerId(seat.name.index);
  config.replicas = options_.shape.ledgers;
  config.boot = seat.boot;
  config.genesis = genesis_;
  config.checkpoint_interval = kCheckpointEvery;
  config.verifier = &scheme_;
  config.clients = clients_;
  config.snapshot_interval = options_.snapshot_interval;
  config.snapshot_chunk_bytes = options_.snapshot_chunk_bytes;
  config.heartbeat = config.heartbeat * options_.pace;
  config.peer_silent = config.peer_silent * options_.pace;
  seat.machine.emplace(std::move(config));
  seat.delivered = 0;
  seat.ready = false;
  seat.watching = true;
  seat.log_lost = false;
  seat.follows_from = agenda.now() + draw(options_.hop) + draw(options_.hop);
  seat.fetching = false;
  seat.behind = false;
  ++seat.subscription;
  seat.read_whole.clear();
  seat.read_damaged = false;
  forget_altered(seat);
  std::optional<ledger::LoadedTables> tables;
  if (!seat.tables.empty()) {
    const LedgerSeat::Row& last = seat.tables.back();
    tables = ledger::LoadedTables{last.index, last.digest, {}, last.index};
    for (const LedgerSeat::Row& row : seat.tables) tables->earlier[row.index] = row.digest;
    tables->earlier.erase(tables->index);
  }
  if (!at_place(seat, "restore", "log_opened", [] {})) return probes.hit(Probe::KillInRestore);
  step(seat, ledger::Event{ledger::Started{tables}});
  if (!seat.up) return;
  if (blocked({Role::Etcd, 0}, seat.name)) miss_log(seat);
  fetch(seat);
}

template <class SeatType, class Event>
void World::step(SeatType& seat, const Event& event) {
  if (!seat.up) return;
  if (seat.paused) {
    seat.held.push_back([this, &seat, event] { step(seat, event); });
    return;
  }
  // Steps are not nested: one list of effects serves them all.
  auto effects = std::exchange(spare_effects(seat), {});
  seat.machine->step(agenda.now(), event, *seat.entropy, effects);
  run_effects(seat, effects, 0);
  effects.clear();
  spare_effects(seat) = std::move(effects);
}

// A pause may come between two effects of one step, a kill as well.
template <class SeatType, class Effects>
void World::run_effects(SeatType& seat, Effects& effects, std::size_t from) {
  const std::uint64_t life = seat.life;
  for (std::size_t i = from; i < effects.size(); ++i) {
    execute(seat, effects[i]);
    if (!seat.up || seat.life != life) return;
    if (!seat.paused) continue;
    const auto rest = std::make_shared<Effects>(std::move(effects));
    seat.held.push_back([this, &seat, rest, i] { run_effects(seat, *rest, i + 1); });
    return;
  }
  set_alarm(seat);
}

template void World::step(SignerSeat&, const signer::Event&);
template void World::step(CoordinatorSeat&, const coordinator::Event&);
template void World::step(LedgerSeat&, const ledger::Event&);

template <class SeatType>
void World::set_alarm(SeatType& seat) {
  // Remembered for the alarm: machines change in their steps, and each is followed by this.
  const auto due = seat.due = seat.machine->next_deadline();
  if (!due) return;
  if (*due > agenda.now()) {
    seat.idle_alarms = 0;
  } else if (++seat.idle_alarms == kIdleAlarms) {
    incidents_.push_back(seat.name.text() + " spins: its deadline never passes");
    return;
  } else if (seat.idle_alarms > kIdleAlarms) {
    return;
  }
  if (seat.alarm && *seat.alarm <= *due) return;
  seat.alarm = std::max(*due, agenda.now());
  agenda.at(*seat.alarm, [this, &seat, life = seat.life, at = *seat.alarm] {
    if (!seat.up || seat.life != life || seat.alarm != at) return;
    seat.alarm.reset();
    if (seat.due && *seat.due <= agenda.now()) step(seat, deadline(*seat.machine));
    else set_alarm(seat);
  });
}

std::optional<wire::ClientSignature> World::client_signature(
    const wire::PaymentRequest& request) const {
  if (!clients_) return std::nullopt;
  return sign_simulated(kClusterId, request);
}

Hash32 World::replayed_digest(std::uint16_t signer, BootId boot,
                              std::span<const signer::Record> records) const {
  const std::uint32_t epoch = signers_[signer].share_epoch;
  const auto restored =
      signer::Signer::restore(signer_config(wallets_.at(epoch), epoch, signer), boot, records);
  return restored ? restored->durable_state_digest() : Hash32{};
}

// ---- places and kills ----

const Fault* World::armed(Seat& seat, const Place& place, bool after) {
  const Fault* due = nullptr;
  for (Seat::Armed& armed : seat.armed) {
    const Fault& strike = armed.fault;
    if ((strike.after || strike.blow != Blow::Kill) != after) continue;
    std::uint64_t number = strike.deeds ? seat.deed : seat.place;
    if (strike.deeds && place.chatter()) continue;
    if (!strike.point.empty()) {
      if (!place.is(strike.point)) continue;
      number = armed.passes++;
    }
    if (number == strike.place && due == nullptr) due = &strike;
  }
  return due;
}

// Executes the effect as the next numbered place of its process. False: the process is dead now.
bool World::at_place(Seat& seat, const char* effect, const char* subject,
                     const std::function<void()>& execute) {
  trace.note(agenda.now(), seat.name, effect, subject, seat.place);
  const Place place{seat.name.role, effect, subject};
  seat.places.push_back(place);
  const Fault* strikes[2] = {armed(seat, place, false), armed(seat, place, true)};
  ++seat.place;
  if (!place.chatter()) ++seat.deed;
  for (const bool after : {false, true}) {
    if (after) execute();
    const Fault* blow = strikes[after ? 1 : 0];
    if (blow == nullptr || !strike(seat.name, blow->blow, blow->down)) continue;
    struck_at_.push_back(place.text() + (after ? ".after" : ".before"));
    if (!seat.up) return false;
  }
  return true;
}

void World::pause(Seat& seat, Duration down) {
  if (seat.name.role == Role::Ledger) disturb_replicas();
  trace.note(agenda.now(), seat.name, "paused", "", seat.life);
  ++counts_.pauses;
  seat.paused = true;
  agenda.after(down, [this, &seat, life = seat.life] {
    if (seat.life == life && seat.up) resume(seat);
  });
}

void World::resume(Seat& seat) {
  if (!seat.paused) return;
  trace.note(agenda.now(), seat.name, "resumed", "", seat.held.size());
  seat.paused = false;
  for (const auto& action : std::exchange(seat.held, {})) when_running(seat, action);
  if (!seat.up || seat.paused) return;
  call_peers(seat, {});
  with(seat, [this](auto& concrete) {
    set_alarm(concrete);
    if constexpr (std::is_same_v<decltype(concrete), LedgerSeat&>) fetch(concrete);
  });
}

void World::when_running(Seat& seat, std::function<void()> action) {
  if (!seat.up) return;
  if (seat.paused) seat.held.push_back(std::move(action));
  else action();
}

void World::stop(Seat& seat, Duration down) {
  if (seat.name.role == Role::Ledger) disturb_replicas();
  trace.note(agenda.now(), seat.name, "stopping", "", seat.life);
  ++counts_.stops;
  seat.stopping = down;
  seat.stop_asked = agenda.now();
  agenda.after({}, [this, &seat, life = seat.life] {
    if (seat.life != life || !seat.up) return;
    with(seat, [this](auto& concrete) { step(concrete, shutdown(*concrete.machine)); });
  });
  agenda.after(limits::kDrain, [this, &seat, life = seat.life] {
    if (seat.life != life || !seat.up) return;
    ++counts_.late_stops;
    die(seat, *seat.stopping);
  });
}

// The host closes and exits with 0; nothing may be left to commit.
void World::drained(Seat& seat) {
  if (!seat.stopping) {
    incidents_.push_back(seat.name.text() + " drained without being asked");
    return;
  }
  if (seat.name.role == Role::Signer && !static_cast<SignerSeat&>(seat).waiting.empty()) {
    unfinished_stops_.push_back(seat.name.text() + " drained before its records were durable");
  }
  if (seat.name.role == Role::Coordinator) {
    // A third of the grace at the end is for the exit; before that nothing may be dropped.
    const bool early = (agenda.now() - seat.stop_asked).us * 3 < limits::kDrain.us * 2;
    const auto gauges = static_cast<CoordinatorSeat&>(seat).machine->gauges();
    if (early && gauges.signing + gauges.sends_in_flight > 0) {
      unfinished_stops_.push_back(seat.name.text() + " drained with withdrawals in signing");
    }
  }
  die(seat, *seat.stopping);
}

void World::die(Seat& seat, Duration down) {
  trace.note(agenda.now(), seat.name, "down", "", seat.life);
  if (!seat.stopping) ++counts_.kills;
  seat.up = false;
  seat.paused = false;
  seat.stopping.reset();
  seat.held.clear();
  seat.alarm.reset();
  leave_links(seat);
  with(seat, [this](auto& concrete) {
    concrete.machine.reset();
    if constexpr (std::is_same_v<decltype(concrete), SignerSeat&>) {
      note_unsent_share(concrete);
      concrete.waiting.clear();
      concrete.committing = false;
    } else if constexpr (std::is_same_v<decltype(concrete), LedgerSeat&>) {
      forget_altered(concrete);
      disturb_replicas();
    } else if constexpr (std::is_same_v<decltype(concrete), CoordinatorSeat&>) {
      for (const auto& [request, ask] : std::exchange(concrete.open, {})) {
        end_later(concrete, ask, std::nullopt);
      }
    }
  });
  if (!seat.retired) agenda.after(down, [this, &seat] { boot(seat); });
}

}  // namespace roulette::sim
