// The text form of a schedule, for files that are kept and for people.
//
// Invariant: one table of fields for both directions, so what is written can be read; what is read
// is taken whole or refused with its line. It does not judge whether a schedule makes sense.
#include <array>
#include <charconv>

#include "chaos/sim/schedule.h"
#include "common/crypto/schemes.h"

namespace roulette::sim {
namespace {

constexpr std::array kKinds = {
    "strike_place", "strike", "retire", "kill_all", "power_loss", "full_disk", "roll_back",
    "wipe", "reprovision",
    "wipe_replicas", "cut_link", "half_open", "partition", "slow_link", "lose_replies",
    "lose_log", "lag_log", "no_leader", "blur_log", "trim", "damage_snapshot",
    "kill_node", "pause_node",
    "lose_mempool", "slow_node", "hang_node", "refuse_sends", "split_node", "bad_signer",
    "bad_coordinator", "alter_replica", "token_away"};
static_assert(kKinds.size() == kFaultKinds);
constexpr std::array kSchemes = {"frost", "stand-in", "frost-tr", "musig2", "single",
                                 "hsm"};
constexpr std::array kBlows = {"kill", "stop", "pause"};
constexpr std::array kRoles = {Role::Signer, Role::Coordinator, Role::Ledger,
                               Role::Etcd,   Role::Bitcoind,    Role::Tool};

// ---- values ----

std::string spell(bool value) { return value ? "1" : "0"; }
template <class T>
  requires std::is_unsigned_v<T>
std::string spell(const T& value) {
  return std::to_string(value);
}
std::string spell(const Duration& value) { return std::to_string(value.us); }
std::string spell(const Range& value) { return spell(value.low) + ".." + spell(value.high); }
std::string spell(const ProcessName& value) { return value.text(); }
std::string spell(const std::string& value) { return value; }
std::string spell(Blow value) { return kBlows[static_cast<std::size_t>(value)]; }
std::string spell(SimScheme value) { return scheme_name(value); }
std::string spell(const ProcessSet& set) {
  std::string text;
  for (const Role role : kRoles) {
    for (std::uint16_t i = 0; i < 8; ++i) {
      if (set.contains({role, i})) text += (text.empty() ? "" : "+") + ProcessName{role, i}.text();
    }
  }
  return text;
}

template <class T>
bool number(std::string_view text, T& value) {
  const auto end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  return !text.empty() && read.ec == std::errc() && read.ptr == end;
}
bool read(std::string_view text, bool& value) {
  value = text == "1";
  return value || text == "0";
}
template <class T>
  requires std::is_unsigned_v<T>
bool read(std::string_view text, T& value) {
  return number(text, value);
}
bool read(std::string_view text, Duration& value) {
  return number(text, value.us) && value.us >= 0;
}
bool read(std::string_view text, Range& value) {
  const auto dots = text.find("..");
  return dots != std::string_view::npos && read(text.substr(0, dots), value.low) &&
         read(text.substr(dots + 2), value.high) && value.low <= value.high;
}
bool read(std::string_view text, ProcessName& value) {
  const auto dash = text.rfind('-');
  if (dash == std::string_view::npos) return false;
  for (const Role role : kRoles) {
    if (text.substr(0, dash) != role_name(role)) continue;
    value.role = role;
    return number(text.substr(dash + 1), value.index) && value.index < 8;
  }
  return false;
}
bool read(std::string_view text, std::string& value) {
  value = text;
  return true;
}
template <class T, std::size_t N>
bool read_name(std::string_view text, const std::array<const char*, N>& names, T& value) {
  for (std::size_t i = 0; i < N; ++i) {
    if (text != names[i]) continue;
    value = static_cast<T>(i);
    return true;
  }
  return false;
}
bool read(std::string_view text, Blow& value) { return read_name(text, kBlows, value); }
bool read(std::string_view text, SimScheme& value) { return read_name(text, kSchemes, value); }
bool read(std::string_view text, ProcessSet& set) {
  while (true) {
    const auto plus = text.find('+');
    ProcessName name;
    if (!read(text.substr(0, plus), name)) return false;
    set.insert(name);
    if (plus == std::string_view::npos) return true;
    text.remove_prefix(plus + 1);
  }
}

// ---- the fields, in the order they are written ----

template <class Of, class F>
void fault_fields(Of& fault, F&& field) {
  field("at", fault.at);
  field("down", fault.down);
  field("a", fault.a);
  field("b", fault.b);
  field("group", fault.group);
  field("blow", fault.blow);
  field("place", fault.place);
  field("point", fault.point);
  field("after", fault.after);
  field("deeds", fault.deeds);
  field("one_way", fault.one_way);
  field("amount", fault.amount);
}

template <class Of, class F>
void schedule_fields(Of& schedule, F&& field) {
  auto& world = schedule.world;
  field("seed", world.seed);
  field("scheme", world.scheme);
  field("signers", world.shape.signers);
  field("threshold", world.shape.threshold);
  field("coordinators", world.shape.coordinators);
  field("ledgers", world.shape.ledgers);
  field("nonce_pool", world.shape.nonce_pool);
  field("hop", world.hop);
  field("disk", world.disk);
  field("engine", world.engine);
  field("node", world.node);
  field("spread", world.spread);
  field("late_per_mille", world.late_per_mille);
  field("block_interval", world.block_interval);
  field("flush_every", world.flush_every);
  field("unknown_per_mille", world.unknown_per_mille);
  field("snapshot_interval", world.snapshot_interval);
  field("snapshot_chunk_bytes", world.snapshot_chunk_bytes);
  field("over_budget", world.over_budget);
  field("clients_sign", world.clients_sign);
  field("pace", world.pace);
  field("payments", schedule.payments);
  field("duplicate_per_mille", schedule.duplicate_per_mille);
  field("conflict_per_mille", schedule.conflict_per_mille);
  field("wait", schedule.wait);
  field("think", schedule.think);
  field("safety", schedule.safety);
  field("bound", schedule.bound);
}

// Calls `visit` with each field and what it is by default.
template <class Of, class Fields, class Visit>
void beside_default(const Of& of, Fields&& fields, Visit&& visit) {
  const Of fresh{};
  std::vector<std::string> defaults;
  fields(fresh, [&](const char*, const auto& value) { defaults.push_back(spell(value)); });
  std::size_t at = 0;
  fields(of, [&](const char* name, const auto& value) {
    const std::string text = spell(value);
    if (text != defaults[at++]) visit(name, text);
  });
}

Error refused(std::size_t line, const std::string& what) {
  return {ErrorKind::Usage, "line " + std::to_string(line) + ": " + what};
}

std::string_view next_word(std::string_view& text) {
  const auto begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return text = {};
  text.remove_prefix(begin);
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(word.size());
  return word;
}

Result<Fault> parse_fault(std::string_view text, std::size_t line) {
  Fault fault;
  const std::string_view kind = next_word(text);
  std::size_t i = 0;
  while (i < kKinds.size() && kind != kKinds[i]) ++i;
  if (i == kKinds.size()) return refused(line, "no kind of fault: '" + std::string(kind) + "'");
  fault.kind = static_cast<FaultKind>(i);
  for (auto word = next_word(text); !word.empty(); word = next_word(text)) {
    const auto equals = word.find('=');
    bool known = false;
    bool good = false;
    fault_fields(fault, [&](const char* name, auto& value) {
      if (word.substr(0, equals) != name) return;
      known = true;
      good = equals != std::string_view::npos && read(word.substr(equals + 1), value);
    });
    if (!known) return refused(line, "no field of a fault: '" + std::string(word) + "'");
    if (!good) return refused(line, "no value: '" + std::string(word) + "'");
  }
  return fault;
}

// The stand-in's shapes are frost's.
bool shape_fits(const WorldOptions& world) {
  const crypto::SchemeKind* kind = crypto::scheme_by_name(scheme_name(world.scheme));
  if (kind == nullptr) kind = crypto::scheme_by_name("frost");
  return kind->check_shape(world.shape.threshold, world.shape.signers).ok();
}

}  // namespace

const char* scheme_name(SimScheme scheme) { return kSchemes[static_cast<std::size_t>(scheme)]; }

std::optional<SimScheme> scheme_named(std::string_view name) {
  SimScheme scheme{};
  return read(name, scheme) ? std::optional(scheme) : std::nullopt;
}

std::string scheme_list() {
  std::string out;
  for (const char* name : kSchemes) out += (out.empty() ? "" : ", ") + std::string(name);
  return out;
}

const char* fault_kind_name(FaultKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

std::string to_text(const Fault& fault) {
  std::string text = std::string("fault ") + fault_kind_name(fault.kind);
  const auto fields = [](const Fault& of, auto&& field) { fault_fields(of, field); };
  beside_default(fault, fields, [&](const char* name, const std::string& value) {
    text += std::string(" ") + name + "=" + value;
  });
  return text;
}

std::string to_text(const Schedule& schedule) {
  std::string text;
  const auto fields = [](const Schedule& of, auto&& field) { schedule_fields(of, field); };
  beside_default(schedule, fields, [&](const char* name, const std::string& value) {
    text += std::string(name) + " " + value + "\n";
  });
  for (const Fault& fault : schedule.faults) text += to_text(fault) + "\n";
  return text;
}

Result<Schedule> parse_schedule(std::string_view text) {
  Schedule schedule;
  std::size_t number_of_line = 0;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    ++number_of_line;
    line = line.substr(0, line.find('#'));
    const std::string_view first = next_word(line);
    if (first.empty()) continue;
    if (first == "fault") {
      auto fault = parse_fault(line, number_of_line);
      if (!fault) return fault.error();
      schedule.faults.push_back(std::move(*fault));
      continue;
    }
    const std::string_view value = next_word(line);
    bool known = false;
    bool good = false;
    schedule_fields(schedule, [&](const char* name, auto& field) {
      if (first != name) return;
      known = true;
      good = read(value, field) && next_word(line).empty();
    });
    if (!known) return refused(number_of_line, "no option: '" + std::string(first) + "'");
    if (!good) return refused(number_of_line, "no value: '" + std::string(value) + "'");
  }
  const Shape& shape = schedule.world.shape;
  const bool fits = shape.signers <= 8 && shape.threshold <= shape.signers &&
                    shape_fits(schedule.world) && shape.coordinators >= 1 &&
                    shape.coordinators <= 3 && shape.ledgers >= 1 && shape.ledgers <= 7 &&
                    schedule.world.snapshot_interval % kCheckpointEvery == 0 &&
                    schedule.world.snapshot_chunk_bytes > 0;
  if (!fits) return Error{ErrorKind::Usage, "no cluster has this shape"};
  return schedule;
}

}  // namespace roulette::sim
