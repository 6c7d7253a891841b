// A schedule that is kept: JSON around the text form, with the scheme and what it once violated.
//
// Invariant: decode(encode(file)) is the same file; another format or version is refused by name,
// an unknown field or fault with its place. Reads and writes no disk.
#pragma once

#include <string>
#include <vector>

#include "chaos/sim/schedule.h"

namespace roulette::sim {

inline constexpr const char* kScheduleFormat = "roulette-schedule";
inline constexpr int kScheduleVersion = 1;

struct ScheduleFile {
  std::string scheme = "frost";
  Schedule schedule;
  std::vector<std::string> violates;  // ids; empty: the run was clean
  std::string note;                   // for people: where it comes from
  friend bool operator==(const ScheduleFile&, const ScheduleFile&) = default;
};

[[nodiscard]] std::string encode_schedule_file(const ScheduleFile& file);
// `name` is what a refusal calls the file.
[[nodiscard]] Result<ScheduleFile> decode_schedule_file(const std::string& text,
                                                        const std::string& name);

}  // namespace roulette::sim
