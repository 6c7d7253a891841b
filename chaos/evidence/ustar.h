// A canonical POSIX ustar archive: one set of files has one sequence of bytes.
//
// Invariant: read_ustar() gives back what write_ustar() was given, and takes no other bytes: every
// header is made again from its name and size and must be equal. Names ascend; owner, group, device
// and time are zero, modes 0644, paddings zero, two zero blocks end it. Regular files only.
// Source: POSIX.1-2017, pax, "ustar Interchange Format".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace roulette::evidence {

inline constexpr std::size_t kUstarBlock = 512;
inline constexpr std::size_t kMaxUstarName = 99;  // bytes; no prefix field is used

struct ArchivedFile {
  std::string name;  // relative, of letters, digits and "._-", with "/" between parts
  std::string_view content;
};

// Whether a name may stand in an archive: no part of it is empty, "." or "..".
[[nodiscard]] bool is_archive_name(std::string_view name);

// The files in any order; names that repeat or may not stand there, and contents of 8 GiB or more,
// are refused (Usage).
[[nodiscard]] Result<std::string> write_ustar(std::vector<ArchivedFile> files);

// Views into `archive`. Corrupt, naming the byte offset and what is not canonical there.
[[nodiscard]] Result<std::vector<ArchivedFile>> read_ustar(std::string_view archive);

}  // namespace roulette::evidence
