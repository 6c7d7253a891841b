// Connections between processes, as TCP and TLS make them.
//
// Invariant: what arrives on a connection is a prefix of what was sent on it, in order; its end is
// seen after that prefix, and a partition holds both back. So no single message is lost, doubled or
// overtaken on one connection: a reset loses a tail, two connections may overtake each other, and
// only a new connection carries anything again. Not modelled: full socket buffers (limits.h bounds
// them live), the dialler's back-off, and a peer that reads slowly.
#include "chaos/sim/world.h"
#include "common/base/assert.h"
#include "common/wire/codec.h"

namespace roulette::sim {
namespace {

constexpr Duration kReconnect = milliseconds(5);
constexpr Range kLate{milliseconds(200), milliseconds(600)};  // a segment is sent again
constexpr Duration kSlowest = seconds(1);  // of a slow link, one way
constexpr Range kRetransmit{{}, milliseconds(200)};   // after a partition heals

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
signer::Event received(const signer::Signer&, ConnectionId id, wire::Message&& message) {
  return signer::MessageReceived{id, std::move(message)};
}
coordinator::Event received(const coordinator::Coordinator&, ConnectionId id,
                            wire::Message&& message) {
  return coordinator::MessageReceived{id, std::move(message)};
}
ledger::Event received(const ledger::Ledger&, ConnectionId id, wire::Message&& message) {
  return ledger::MessageReceived{id, std::move(message)};
}

// As the live hosts: a coordinator calls signers and replicas; of equals the higher number calls.
bool dials(const ProcessName& from, const ProcessName& to) {
  if (from.role == Role::Coordinator && to.role != Role::Coordinator) return true;
  return from.role == to.role && from.role != Role::Signer && from.index > to.index;
}

}  // namespace

// ---- delays and partitions ----

Duration World::draw(const Range& range) {
  return microseconds(prng_.between(range.low.us, range.high.us));
}

Duration World::hop(ProcessName from, ProcessName to) {
  Duration delay = draw(options_.hop);
  if (options_.spread > 1) {
    const auto low = std::min(from, to);
    const auto high = std::max(from, to);
    const auto pair = (static_cast<std::uint64_t>(low.role) << 24 | low.index << 16 |
                       static_cast<std::uint64_t>(high.role) << 8 | high.index);
    const std::uint64_t mixed = (pair ^ options_.seed) * 0x9e3779b97f4a7c15;
    delay = delay * static_cast<std::int64_t>(1 + (mixed >> 33) % options_.spread);
  }
  if (options_.late_per_mille > 0 && prng_.below(1000) < options_.late_per_mille) {
    delay = delay + draw(kLate);
  }
  for (const Window& window : windows_) {
    const Fault& fault = window.fault;
    if (fault.kind != FaultKind::SlowLink || (fault.a != from && fault.a != to)) continue;
    delay = std::min(delay * std::max<std::int64_t>(1, fault.amount), delay + kSlowest);
  }
  return delay;
}

// Until when nothing gets from one to the other; nothing when it does.
std::optional<Instant> World::blocked(ProcessName from, ProcessName to) const {
  std::optional<Instant> until;
  for (const Window& window : windows_) {
    if (window.fault.kind != FaultKind::Partition) continue;
    const bool inside = window.fault.group.contains(from);
    if (inside == window.fault.group.contains(to)) continue;
    if (window.fault.one_way && !inside) continue;
    until = std::max(until.value_or(window.over), window.over);
  }
  return until;
}

// ---- connections ----

void World::call_peers(Seat& seat, Duration delay) {
  const auto call = [&](auto& seats) {
    for (auto& other : seats) {
      if (dials(seat.name, other.name)) dial_later(seat, other, delay);
      if (dials(other.name, seat.name)) dial_later(other, seat, delay);
    }
  };
  call(signers_);
  call(coordinators_);
  call(ledgers_);
}

void World::dial_later(Seat& from, Seat& to, Duration delay) {
  agenda.after(delay + hop(from.name, to.name), [this, &from, &to] { dial(from, to); });
}

// Nothing is retried here: a boot, a resume, a lost connection and a healed partition dial again.
void World::dial(Seat& from, Seat& to) {
  if (!from.up || !to.up || from.paused || to.paused) return;
  if (blocked(from.name, to.name) || blocked(to.name, from.name)) return;
  for (const auto& [id, link] : from.links) {
    if (link->ends[0] == &from && link->ends[1] == &to) return;  // it knows of no end yet
  }
  auto link = std::make_shared<Link>();
  Seat* ends[2] = {&from, &to};
  for (std::size_t end = 0; end < 2; ++end) {
    link->ends[end] = ends[end];
    link->ids[end] = ConnectionId(next_connection_++);
    ends[end]->links[link->ids[end]] = link;
  }
  // The acceptor may still hold an older connection of the same peer: a real one would, too.
  for (const auto& [id, other] : to.links) {
    if (other != link && other->ends[0] == &from) probes.hit(Probe::SecondConnection);
  }
  const BootId boots[2] = {from.boot, to.boot};
  for (std::size_t end = 0; end < 2; ++end) {
    if (!link->open[end]) continue;
    const Seat& other = *ends[1 - end];
    when_running(*ends[end], [this, end = ends[end], &other] { note_signer_gone(*end, other); });
    with(*ends[end], [&](auto& concrete) {
      step(concrete, connected(*concrete.machine, link->ids[end], other.name, boots[1 - end]));
    });
  }
}

void World::send(Seat& from, ConnectionId connection, wire::Message&& message) {
  const auto known = from.links.find(connection);
  if (known == from.links.end()) return;
  const std::shared_ptr<Link>& link = known->second;
  const std::size_t to = link->ends[0] == &from ? 1 : 0;
  const Seat& receiver = *link->ends[to];
  if (plants_.lose && plants_.lose(from.name, receiver.name, message)) return;
  if (!link->open[to]) return;
  const Duration delay = hop(from.name, receiver.name);
  if (from.name.role == Role::Signer && !liars_.empty()) {
    if (auto said = lie(from, message)) put(link, to, travel(std::move(*said)), delay);
    return;
  }
  if (overhears_ && from.name.role == Role::Coordinator) {
    const auto* request = std::get_if<wire::SignRequest>(&message);
    if (request != nullptr) overhear_request(from.name, *request);
  }
  put(link, to, travel(std::move(message)), delay);
}

// Every kCodecEvery-th message goes through its bytes.
wire::Message World::travel(wire::Message&& message) {
  if (++messages_ % kCodecEvery != 0) return std::move(message);
  ++counts_.encoded_messages;
  auto decoded = wire::decode_message(wire::encode_message(message));
  if (decoded && *decoded == message) return std::move(decoded).value();
  incidents_.push_back(std::string("the codec changed a ") + wire::message_name(message));
  return std::move(message);
}

void World::put(const std::shared_ptr<Link>& link, std::size_t to,
                std::optional<wire::Message> message, Duration delay) {
  Link::Way& way = link->ways[to];
  if (way.ended) return;
  way.ended = !message.has_value();
  way.last = std::max(way.last, agenda.now() + delay);
  way.under_way.push_back({way.last, std::move(message)});
  if (way.under_way.size() == 1) carry(link, to, way.last);
}

void World::carry(const std::shared_ptr<Link>& link, std::size_t to, Instant when) {
  agenda.at(when, [this, link, to] { arrive(link, to); });
}

void World::arrive(const std::shared_ptr<Link>& link, std::size_t to) {
  Link::Way& way = link->ways[to];
  if (!link->open[to] || way.under_way.empty()) return way.under_way.clear();
  Seat& receiver = *link->ends[to];
  auto held = blocked(link->ends[1 - to]->name, receiver.name);
  if (!held && way.silent_until > agenda.now()) held = way.silent_until;
  if (held) return carry(link, to, *held + draw(kRetransmit));
  auto item = std::move(way.under_way.front());
  way.under_way.pop_front();
  if (!way.under_way.empty()) carry(link, to, way.under_way.front().due);
  if (!item.message) return lose_end(link, to);
  if (overhears_ && receiver.name.role == Role::Coordinator) overhear(*link, to, *item.message);
  if (receiver.name.role == Role::Coordinator) {
    const auto& hears = static_cast<const CoordinatorSeat&>(receiver);
    const ProcessName from = link->ends[1 - to]->name;
    // A paused one hears it after what it was about to do.
    if (!receiver.paused) note_heard(hears, from, *item.message);
    else when_running(receiver, [this, &hears, from, message = *item.message] {
      note_heard(hears, from, message);
    });
  }
  with(receiver, [&](auto& concrete) {
    step(concrete, received(*concrete.machine, link->ids[to], std::move(*item.message)));
  });
}

// That end hears of the connection's end, and its process calls again if it had called.
void World::lose_end(const std::shared_ptr<Link>& link, std::size_t end) {
  if (!link->open[end]) return;
  link->open[end] = false;
  link->ways[end].under_way.clear();
  Seat& seat = *link->ends[end];
  seat.links.erase(link->ids[end]);
  when_running(seat, [this, &seat, &other = *link->ends[1 - end]] {
    note_signer_gone(seat, other);
  });
  with(seat, [&](auto& concrete) { step(concrete, lost(*concrete.machine, link->ids[end])); });
  if (end == 0) dial_later(seat, *link->ends[1], kReconnect);
}

// A reset: of what is under way to that end, a drawn prefix still arrives.
void World::cut_short(const std::shared_ptr<Link>& link, std::size_t end) {
  Link::Way& way = link->ways[end];
  if (way.under_way.empty() || way.ended) return;
  way.under_way.keep(prng_.below(way.under_way.size() + 1));
}

// The process is gone. Its kernel sends what it took before, unless there was something unread:
// then it resets (RFC 1122 4.2.2.13), and unsent bytes are lost with it.
void World::leave_links(Seat& seat) {
  for (const auto& [id, link] : std::exchange(seat.links, {})) {
    const std::size_t own = link->ends[0] == &seat ? 0 : 1;
    const bool unread = !link->ways[own].under_way.empty();
    link->open[own] = false;
    if (!link->open[1 - own]) continue;
    if (unread && prng_.below(2) == 0) cut_short(link, 1 - own);
    put(link, 1 - own, std::nullopt, hop(seat.name, link->ends[1 - own]->name));
  }
}

bool World::cut_link(ProcessName from, ProcessName to) {
  const auto link = find_link(from, to);
  if (!link) return false;
  trace.note(agenda.now(), from, "cut", role_name(to.role), to.index);
  ++counts_.cut_links;
  for (std::size_t end = 0; end < 2; ++end) {
    if (!link->open[end]) continue;
    cut_short(link, end);
    put(link, end, std::nullopt, hop(from, to));
  }
  return true;
}

// `a` is told at once, as by a reset; `b` only when its own packets are answered by one.
bool World::half_open(ProcessName a, ProcessName b, Duration down) {
  const auto link = find_link(a, b);
  if (!link) return false;
  const std::size_t own = link->ends[0]->name == a ? 0 : 1;
  if (!link->open[0] || !link->open[1]) return false;
  trace.note(agenda.now(), a, "half open", role_name(b.role), b.index);
  ++counts_.half_open;
  Link::Way& way = link->ways[1 - own];
  cut_short(link, 1 - own);
  way.silent_until = agenda.now() + down;
  put(link, 1 - own, std::nullopt, hop(a, b));
  when_running(*link->ends[own], [this, link, own] { lose_end(link, own); });
  return true;
}

// The newest connection of the two that both still hold.
std::shared_ptr<World::Link> World::find_link(ProcessName a, ProcessName b) {
  Seat* from = find_seat(a);
  if (from == nullptr || a == b) return nullptr;
  std::shared_ptr<Link> found;
  for (const auto& [id, link] : from->links) {
    const bool theirs = link->ends[0]->name == b || link->ends[1]->name == b;
    if (theirs && link->open[0] && link->open[1]) found = link;
  }
  return found;
}

}  // namespace roulette::sim
