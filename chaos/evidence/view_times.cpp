// See view_times.h.
#include "chaos/evidence/view_times.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

#include <nlohmann/json.hpp>

namespace roulette::evidence {

using nlohmann::json;

std::string rfc3339(std::int64_t unix_us) {
  namespace chrono = std::chrono;
  const chrono::sys_time<chrono::microseconds> at{chrono::microseconds(unix_us)};
  const auto day = chrono::floor<chrono::days>(at);
  const chrono::year_month_day date(day);
  const chrono::hh_mm_ss time(at - day);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ", int(date.year()),
                unsigned(date.month()), unsigned(date.day()), int(time.hours().count()),
                int(time.minutes().count()), int(time.seconds().count()),
                int(time.subseconds().count()));
  return text.data();
}

RunClock::RunClock(const Facts& facts) {
  const json journal = json::parse(facts.journal, nullptr, false);
  const auto seconds = [&](const char* name) {
    const bool there = journal.is_object() && journal.contains(name) &&
                       journal[name].is_number_integer();
    return there ? journal[name].get<std::int64_t>() : 0;
  };
  start_us_ = seconds("start") * 1'000'000;
  end_us_ = std::max(start_us_, seconds("end") * 1'000'000);
  interrupted_ = journal.is_object() && journal.value("interrupted", json(false)) == json(true);
  const auto& phases = facts.history.events.phases;
  if (phases.empty()) return;
  const check::Phase& first = phases.front();
  shift_us_ = (first.wall_us != 0 ? first.wall_us : start_us_) - first.t_us;
}

std::string view_text(const json& value) {
  return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace roulette::evidence
