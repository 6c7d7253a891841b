// Planted bugs: compiled in by ROULETTE_MUTANTS only (tools/mutants), one of them chosen at run
// time. They prove that the checks bite: docs/SIMULATION.md, "Planted bugs".
//
// Invariant: in every other build ROULETTE_MUTANT(name) is the constant false, so the code behind
// it compiles and is gone; no name of a bug stands in a released binary (tests/lint shows it).
// What each bug is and what must find it stands in the one table, common/base/mutants.cpp.
#pragma once

#include <cstdint>

#ifdef ROULETTE_MUTANTS

#include <atomic>
#include <span>
#include <string_view>

namespace roulette::mutants {

struct Mutant {
  std::string_view name;
  std::string_view wrong;       // what the build does
  std::string_view exposed_by;  // the fault or adversary, named beforehand
  std::string_view must_fail;   // invariants, one of which must; empty: see below
  std::string_view live_cell = {};       // the experiment in chaos/mutants; empty: simulator only
  // The invariant of chaos/check, or the reason that a process says it is not ready for: then the
  // cluster never starts. Of a control: none.
  std::string_view live_must_fail = {};
  std::string_view scheme = {};          // what it breaks, and is hunted under; empty: any scheme

  [[nodiscard]] constexpr bool control() const {
    return must_fail.empty() && live_must_fail.empty();
  }
  // False: what it breaks is of processes and their modules, which the simulator has none of.
  [[nodiscard]] constexpr bool simulated() const { return control() || !must_fail.empty(); }
};

// All of them, bugs first, then the negative controls.
[[nodiscard]] std::span<const Mutant> all();
[[nodiscard]] const Mutant* find(std::string_view name);
// Empty: none. False: no such bug, nothing is changed. Before threads start.
[[nodiscard]] bool select(std::string_view name);
// How often the chosen bug's place was reached since select().
[[nodiscard]] std::uint64_t reached();

// FNV-1a, so that the name costs nothing where it is asked for.
[[nodiscard]] constexpr std::uint64_t number_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  return hash;
}

namespace detail {
extern std::uint64_t selected;
extern std::atomic<std::uint64_t> reached;
extern thread_local std::uint64_t process_salt;
}  // namespace detail

template <std::uint64_t kNumber>
[[nodiscard]] inline bool on() {
  if (detail::selected != kNumber) return false;
  detail::reached.fetch_add(1, std::memory_order_relaxed);
  return true;
}

// What differs between processes that hold the same state: a hash table's seed, addresses.
inline std::uint64_t process_salt() { return detail::process_salt; }
inline void set_process_salt(std::uint64_t salt) { detail::process_salt = salt; }

}  // namespace roulette::mutants

#define ROULETTE_MUTANT(name) (::roulette::mutants::on<::roulette::mutants::number_of(name)>())

#else

namespace roulette::mutants {
constexpr std::uint64_t process_salt() { return 0; }
constexpr void set_process_salt(std::uint64_t) {}
}  // namespace roulette::mutants

#define ROULETTE_MUTANT(name) false

#endif
