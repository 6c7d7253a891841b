// Processes, their places, and the connections between them.
//
// Invariant: machines are stepped from the agenda only, never from inside another machine's
// effects; a closure that concerns a process checks that it is still the same life of it. Bytes
// that were sent before a kill arrive, and the end of the connection is seen after them.
#include "chaos/sim/world.h"

#include "common/base/assert.h"
#include "common/base/limits.h"
#include "common/wire/codec.h"

namespace roulette::sim {
namespace {

constexpr Duration kReconnect = milliseconds(5);
constexpr std::size_t kIdleAlarms = 100;  // in a row, without time passing: a machine that spins

signer::Event connected(const signer::Signer&, ConnectionId id, const ProcessName& peer,
                        BootId boot) {
  return signer::PeerConnected{id, CoordinatorId(peer.index), boot};
}
coordinator::Event connected(const coordinator::Coordinator&, ConnectionId id,
                             const ProcessName& peer, BootId boot) {
  return coordinator::PeerConnected{id, peer, boot};
}
ledger::Event connected(const ledger::Ledger&, ConnectionId id, const ProcessName& peer,
                        BootId boot) {
  return ledger::PeerConnected{id, peer, boot};
}
signer::Event lost(const signer::Signer&, ConnectionId id) { return signer::PeerLost{id}; }
coordinator::Event lost(const coordinator::Coordinator&, ConnectionId id) {
  return coordinator::PeerLost{id};
}
ledger::Event lost(const ledger::Ledger&, ConnectionId id) { return ledger::PeerLost{id}; }
signer::Event received(const signer::Signer&, ConnectionId id, const wire::Message& message) {
  return signer::MessageReceived{id, message};
}
coordinator::Event received(const coordinator::Coordinator&, ConnectionId id,
                            const wire::Message& message) {
  return coordinator::MessageReceived{id, message};
}
ledger::Event received(const ledger::Ledger&, ConnectionId id, const wire::Message& message) {
  return ledger::MessageReceived{id, message};
}
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

signer::SignerConfig signer_config(const Wallet& wallet, std::uint16_t id) {
  return {SignerId(id), "sim", 1, wallet.group, wallet.shares[id],
          signer::Policy{wallet.script, 20'000, 100, 10'000'000}, true};
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
  const std::string_view what = subject;
  return what == "coordinator_heartbeat" || what == "ledger_heartbeat" || what == "signer_ping" ||
         what == "signer_status" || what == "get_tip" || what == "get_mempool" || what == "barrier";
}

World::World(WorldOptions options, const std::vector<Fault>& faults, Plants plants)
    : options_(options),
      wallet_(wallet_of(options.scheme, options.shape.signers, options.shape.threshold)),
      scheme_(wallet_.group->scheme()),
      plants_(std::move(plants)),
      prng_(options_.seed),
      signers_(options.shape.signers),
      coordinators_(options.shape.coordinators),
      ledgers_(options.shape.ledgers) {
  const Bytes& script = wallet_.script;
  // Three coins; the third withdrawal of the story needs change of the first two.
  chain_ = std::make_unique<ToyChain>(std::vector<bitcoin::TxOut>{
      {1'000'000, script}, {1'000'000, script}, {60'000, script}}, scheme_);
  for (int i = 0; i < 3; ++i) chain_->mine();
  chain_->flush();
  genesis_.cluster_id = "sim";
  genesis_.wallet_script = script;
  genesis_.wallet_output_key = wallet_.group->wallet_key();
  genesis_.accounts = {"alice", "bob"};
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
    if (fault.kind != FaultKind::StrikePlace) continue;
    if (Seat* struck = find_seat(fault.a)) struck->armed.push_back({fault, 0});
  }
  mine_later();
}

World::~World() = default;

// ---- processes ----

template <class F>
void World::with(Seat& seat, F&& f) {
  switch (seat.name.role) {
    case Role::Signer: return f(static_cast<SignerSeat&>(seat));
    case Role::Coordinator: return f(static_cast<CoordinatorSeat&>(seat));
    case Role::Ledger: return f(static_cast<LedgerSeat&>(seat));
    case Role::Etcd:
    case Role::Bitcoind:
    case Role::Tool: break;
  }
  ROULETTE_ASSERT(!"a process that the simulator does not run");
}

World::Seat* World::find_seat(ProcessName name) {
  const auto in = [&](auto& seats) -> Seat* {
    return name.index < seats.size() ? &seats[name.index] : nullptr;
  };
  if (name.role == Role::Signer) return in(signers_);
  if (name.role == Role::Coordinator) return in(coordinators_);
  return name.role == Role::Ledger ? in(ledgers_) : nullptr;
}

void World::boot(Seat& seat) {
  if (seat.up) return;
  seat.up = true;
  ++seat.life;
  ByteArray<16> fresh{};
  seat.entropy->fill(fresh);
  seat.boot = BootId(fresh);
  trace.note(agenda.now(), seat.name, "boot", "", seat.life);
  with(seat, [this](auto& concrete) { start(concrete); });
  if (!seat.up) return;
  for (Seat* peer : peers_of(seat)) connect_later(seat, *peer, draw(options_.hop));
}

void World::start(SignerSeat& seat) {
  auto restored =
      signer::Signer::restore(signer_config(wallet_, seat.name.index), seat.boot, seat.durable);
  ROULETTE_ASSERT(restored.ok());
  seat.machine.emplace(std::move(restored).value());
  seat.quarantined = false;
  seat.checked = false;
  step(seat, signer::Event{signer::Started{}});
}

void World::start(CoordinatorSeat& seat) {
  coordinator::CoordinatorConfig config;
  config.id = CoordinatorId(seat.name.index);
  config.boot = seat.boot;
  config.group = wallet_.group;
  config.wallet_script = wallet_.script;
  config.wallet_output_key = wallet_.group->wallet_key();
  config.nonce_pool = options_.shape.nonce_pool;
  seat.machine.emplace(std::move(config));
  step(seat, coordinator::Event{coordinator::Started{}});
}

void World::start(LedgerSeat& seat) {
  ledger::LedgerConfig config;
  config.id = LedgerId(seat.name.index);
  config.replicas = options_.shape.ledgers;
  config.boot = seat.boot;
  config.genesis = genesis_;
  config.checkpoint_interval = 16;
  config.scheme = &scheme_;
  config.snapshot_interval = options_.snapshot_interval;
  config.snapshot_chunk_bytes = options_.snapshot_chunk_bytes;
  seat.machine.emplace(std::move(config));
  seat.delivered = 0;
  seat.ready = false;
  seat.watching = true;
  seat.fetching = false;
  seat.behind = false;
  ++seat.subscription;
  step(seat, ledger::Event{ledger::Started{seat.tables}});
  if (seat.up) fetch(seat);
}

template <class SeatType, class Event>
void World::step(SeatType& seat, const Event& event) {
  if (!seat.up) return;
  if (seat.paused) {
    seat.held.push_back([this, &seat, event] { step(seat, event); });
    return;
  }
  using Effects = std::conditional_t<std::is_same_v<SeatType, SignerSeat>, signer::Effects,
                                     std::conditional_t<std::is_same_v<SeatType, CoordinatorSeat>,
                                                        coordinator::Effects, ledger::Effects>>;
  const auto effects = std::make_shared<Effects>();
  seat.machine->step(agenda.now(), event, *seat.entropy, *effects);
  run_effects(seat, effects, 0);
}

// A pause may come between two effects of one step, a kill as well.
template <class SeatType, class Effects>
void World::run_effects(SeatType& seat, const std::shared_ptr<Effects>& effects,
                        std::size_t from) {
  const std::uint64_t life = seat.life;
  for (std::size_t i = from; i < effects->size(); ++i) {
    execute(seat, (*effects)[i]);
    if (!seat.up || seat.life != life) return;
    if (!seat.paused) continue;
    seat.held.push_back([this, &seat, effects, i] { run_effects(seat, effects, i + 1); });
    return;
  }
  set_alarm(seat);
}

template void World::step(SignerSeat&, const signer::Event&);
template void World::step(CoordinatorSeat&, const coordinator::Event&);
template void World::step(LedgerSeat&, const ledger::Event&);

template <class SeatType>
void World::set_alarm(SeatType& seat) {
  const auto due = seat.machine->next_deadline();
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
    const auto now_due = seat.machine->next_deadline();
    if (now_due && *now_due <= agenda.now()) step(seat, deadline(*seat.machine));
    else set_alarm(seat);
  });
}

Hash32 World::replayed_digest(std::uint16_t signer, BootId boot,
                              std::span<const signer::Record> records) const {
  const auto restored = signer::Signer::restore(signer_config(wallet_, signer), boot, records);
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
  places_[seat.name].push_back(place);
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

bool World::within_budget(Role role) const {
  const auto down = [](const auto& seats) {
    return static_cast<std::size_t>(
        std::count_if(seats.begin(), seats.end(), [](const auto& seat) {
          bool out = !seat.up || seat.paused || seat.stopping.has_value();
          if constexpr (requires { seat.quarantined; }) out = out || seat.quarantined;
          return seat.life > 0 && out;
        }));
  };
  if (options_.over_budget) return true;
  switch (role) {
    case Role::Signer: return down(signers_) + options_.shape.threshold < signers_.size();
    case Role::Coordinator: return down(coordinators_) + 1 < coordinators_.size();
    case Role::Ledger: return down(ledgers_) < (ledgers_.size() - 1) / 2;
    case Role::Etcd:
    case Role::Bitcoind:
    case Role::Tool: break;
  }
  return false;
}

bool World::strike(ProcessName victim, Blow blow, Duration down) {
  Seat* found = find_seat(victim);
  if (found == nullptr) return false;
  Seat& struck = *found;
  const bool already = struck.paused || struck.stopping;
  if (!struck.up || (already && blow != Blow::Kill)) return false;
  if (!already && !within_budget(victim.role)) {
    ++counts_.skipped_strikes;
    return false;
  }
  switch (blow) {
    case Blow::Kill: die(struck, down); return true;
    case Blow::Pause: pause(struck, down); return true;
    case Blow::Stop: stop(struck, down); return true;
  }
  return false;
}

bool World::take_records(std::uint16_t signer, std::size_t kept, Duration down) {
  if (signer >= signers_.size()) return false;
  SignerSeat& seat = signers_[signer];
  if (seat.durable.size() <= kept || !strike(seat.name, Blow::Kill, down)) return false;
  const auto first = seat.durable.begin() + static_cast<std::ptrdiff_t>(kept);
  seat.taken.insert(seat.taken.end(), first, seat.durable.end());
  seat.durable.erase(first, seat.durable.end());
  trace.note(agenda.now(), seat.name, "records_taken", "", kept);
  return true;
}

void World::pause(Seat& seat, Duration down) {
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
  trace.note(agenda.now(), seat.name, "stopping", "", seat.life);
  ++counts_.stops;
  seat.stopping = down;
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
    incidents_.push_back(seat.name.text() + " drained before its records were durable");
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
  for (const auto& [id, link] : std::exchange(seat.links, {})) {
    const std::size_t own = link->ends[0] == &seat ? 0 : 1;
    link->open[own] = false;
    close_end(link, 1 - own, draw(options_.hop));
  }
  with(seat, [this](auto& concrete) {
    concrete.machine.reset();
    if constexpr (std::is_same_v<decltype(concrete), SignerSeat&>) {
      concrete.waiting.clear();
      concrete.committing = false;
    } else if constexpr (std::is_same_v<decltype(concrete), CoordinatorSeat&>) {
      for (auto& [request, answered] : std::exchange(concrete.open, {})) {
        agenda.after(draw(options_.hop),
                     [answered = std::move(answered)] { answered(std::nullopt); });
      }
    }
  });
  agenda.after(down, [this, &seat] { boot(seat); });
}

// ---- network ----

std::vector<World::Seat*> World::peers_of(const Seat& seat) {
  std::vector<Seat*> peers;
  const auto add = [&](auto& seats) {
    for (auto& other : seats) {
      if (&other != &seat) peers.push_back(&other);
    }
  };
  if (seat.name.role != Role::Ledger) add(coordinators_);
  if (seat.name.role == Role::Coordinator) add(signers_);
  if (seat.name.role == Role::Coordinator) add(ledgers_);
  if (seat.name.role == Role::Ledger) {
    add(coordinators_);
    add(ledgers_);
  }
  return peers;
}

void World::connect_later(Seat& a, Seat& b, Duration delay) {
  agenda.after(delay, [this, &a, &b] { connect(a, b); });
}

// Both hosts have seen the other's Hello. A dead peer's restart tries again by itself.
void World::connect(Seat& a, Seat& b) {
  if (!a.up || !b.up) return;
  if (a.paused || b.paused) return connect_later(a, b, kReconnect);
  for (const auto& [id, link] : a.links) {
    if (link->ends[0] != &b && link->ends[1] != &b) continue;
    // The other end may not know yet that the old connection ended.
    return link->open[0] && link->open[1] ? void() : connect_later(a, b, kReconnect);
  }
  for (const auto& [id, link] : b.links) {
    if (link->ends[0] == &a || link->ends[1] == &a) return connect_later(a, b, kReconnect);
  }
  auto link = std::make_shared<Link>();
  Seat* ends[2] = {&a, &b};
  for (std::size_t end = 0; end < 2; ++end) {
    link->ends[end] = ends[end];
    link->ids[end] = ConnectionId(next_connection_++);
    ends[end]->links[link->ids[end]] = link;
  }
  const BootId boots[2] = {a.boot, b.boot};
  for (std::size_t end = 0; end < 2; ++end) {
    if (!link->open[end]) continue;
    const Seat& other = *ends[1 - end];
    with(*ends[end], [&](auto& concrete) {
      step(concrete, connected(*concrete.machine, link->ids[end], other.name, boots[1 - end]));
    });
  }
}

// That end hears of the connection's end, after everything that was sent to it before.
void World::close_end(const std::shared_ptr<Link>& link, std::size_t end, Duration delay) {
  if (!link->open[end]) return;
  link->last[end] = std::max(link->last[end], agenda.now() + delay);
  agenda.at(link->last[end], [this, link, end] {
    if (!link->open[end]) return;
    link->open[end] = false;
    Seat& seat = *link->ends[end];
    seat.links.erase(link->ids[end]);
    with(seat, [&](auto& concrete) {
      step(concrete, lost(*concrete.machine, link->ids[end]));
    });
    connect_later(seat, *link->ends[1 - end], kReconnect);
  });
}

bool World::cut_link(ProcessName from, ProcessName to) {
  Seat* a = find_seat(from);
  if (a == nullptr) return false;
  for (const auto& [id, found] : a->links) {
    const auto link = found;
    if (link->ends[0]->name != to && link->ends[1]->name != to) continue;
    if (!link->open[0] || !link->open[1]) return false;
    trace.note(agenda.now(), from, "cut", role_name(to.role), to.index);
    ++counts_.cut_links;
    // A fresh pair of ends without what is under way: deliveries look at the old one.
    auto dead = std::make_shared<Link>(*link);
    link->open[0] = link->open[1] = false;
    for (std::size_t end = 0; end < 2; ++end) dead->ends[end]->links[dead->ids[end]] = dead;
    for (std::size_t end = 0; end < 2; ++end) {
      dead->last[end] = agenda.now();
      close_end(dead, end, draw(options_.hop));
    }
    return true;
  }
  return false;
}

void World::send(Seat& from, ConnectionId connection, const wire::Message& message) {
  const auto known = from.links.find(connection);
  if (known == from.links.end()) return;
  const std::shared_ptr<Link> link = known->second;
  const std::size_t to = link->ends[0] == &from ? 1 : 0;
  Seat& receiver = *link->ends[to];
  if (plants_.lose && plants_.lose(from.name, receiver.name, message)) return;
  link->last[to] = std::max(link->last[to], agenda.now() + draw(options_.hop));
  agenda.at(link->last[to], [this, link, to, &receiver, arrived = travel(message)] {
    if (!link->open[to]) return;
    with(receiver, [&](auto& concrete) {
      step(concrete, received(*concrete.machine, link->ids[to], arrived));
    });
  });
}

// Every kCodecEvery-th message goes through its bytes.
wire::Message World::travel(const wire::Message& message) {
  if (++messages_ % kCodecEvery != 0) return message;
  ++counts_.encoded_messages;
  auto decoded = wire::decode_message(wire::encode_message(message));
  if (decoded && *decoded == message) return std::move(decoded).value();
  incidents_.push_back(std::string("the codec changed a ") + wire::message_name(message));
  return message;
}

Duration World::draw(const Range& range) {
  return microseconds(prng_.between(range.low.us, range.high.us));
}

}  // namespace roulette::sim
