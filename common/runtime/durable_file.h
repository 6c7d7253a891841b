// Files that survive the process: temp file + fsync + rename + fsync of the folder.
//
// Invariant: after write_file_durably() returned ok, the path holds exactly these bytes; before
// that, the old content or nothing, never a mixture. Not for logs (event_log.h) or journals
// (journal.h).
#pragma once

#include <cstddef>
#include <filesystem>

#include <sys/types.h>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace roulette::runtime {

[[nodiscard]] Status write_file_durably(const std::filesystem::path& path, ByteSpan content,
                                        mode_t mode = 0600);
// Creates the folder and its missing parents, mode 0700, and fsyncs each one's parent.
[[nodiscard]] Status create_folder_durably(const std::filesystem::path& path);
[[nodiscard]] Status sync_folder(const std::filesystem::path& path);
// Refuses files larger than `max_bytes`.
[[nodiscard]] Result<Bytes> read_whole_file(const std::filesystem::path& path,
                                            std::size_t max_bytes);

}  // namespace roulette::runtime
