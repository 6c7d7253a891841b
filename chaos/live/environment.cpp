// What a run ran on: see environment.h.
#include "chaos/live/environment.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "common/crypto/hash.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/planted_bug.h"

namespace roulette::chaos {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxProgramBytes = 256u << 20;
constexpr int kCommits = 50;
constexpr std::uint64_t kDiskNeededMiB = 1024;  // three etcd members alone take 190 MB

std::string quoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

json program(const std::vector<std::string>& argv) {
  if (argv.empty()) return nullptr;
  const std::string& path = argv.back();
  const Result<Bytes> bytes = runtime::read_whole_file(path, kMaxProgramBytes);
  json out{{"path", path}, {"version", version_line(argv)}, {"sha256", nullptr}};
  if (bytes) out["sha256"] = to_hex(crypto::sha256(*bytes));
  return out;
}

// One that the user runs is named, not hashed.
json etcd_program(const Binaries& binaries) {
  if (binaries.remote_etcd.members.empty()) return program({binaries.etcd});
  std::string members;
  for (const runtime::HttpUrl& url : binaries.remote_etcd.members)
    members += (members.empty() ? "" : ",") + url.text();
  return {{"path", members}, {"version", "run by the user"}, {"sha256", nullptr}};
}

std::int64_t now_us() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
}

json machine(const std::string& folder) {
  utsname kernel{};
  uname(&kernel);
  const auto commit = fdatasync_p50_us(folder);
  return {{"kernel", std::string(kernel.sysname) + " " + kernel.release},
          {"machine", kernel.machine},
          {"cores", std::thread::hardware_concurrency()},
          {"fdatasync_p50_us", commit ? json(*commit) : json(nullptr)}};
}

}  // namespace

Result<std::string> runs_folder(const std::string& runs_dir) {
  namespace fs = std::filesystem;
  if (runs_dir.empty()) return Error{ErrorKind::Usage, "--runs: the name of a folder is wanted"};
  std::error_code error;
  const fs::path folder = fs::absolute(runs_dir, error);
  if (error) return Error{ErrorKind::Preflight, runs_dir + ": " + error.message()};
  if (const Status made = runtime::create_folder_durably(folder); !made)
    return Error{ErrorKind::Preflight, "the run folder cannot be made: " + made.error().message};
  const fs::space_info space = fs::space(folder, error);
  if (error) return Error{ErrorKind::Preflight, folder.string() + ": " + error.message()};
  const std::uint64_t free_mib = space.available >> 20;
  if (free_mib < kDiskNeededMiB) {
    return Error{ErrorKind::Preflight, folder.string() + ": " + std::to_string(free_mib) +
                                           " MiB free, a run needs " +
                                           std::to_string(kDiskNeededMiB) +
                                           ": free some, or name another folder with --runs"};
  }
  return folder.string();
}

std::string version_line(const std::vector<std::string>& argv) {
  std::string command;
  for (const std::string& word : argv) command += quoted(word) + " ";
  FILE* pipe = popen((command + "--version 2>/dev/null").c_str(), "re");
  if (pipe == nullptr) return "";
  std::array<char, 256> line{};
  const char* read = std::fgets(line.data(), line.size(), pipe);
  std::string text = read == nullptr ? "" : read;
  while (std::fgets(line.data(), line.size(), pipe) != nullptr) {
  }
  if (pclose(pipe) != 0) return "";
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

std::optional<std::int64_t> fdatasync_p50_us(const std::string& folder) {
  const std::string path = folder + "/.fdatasync-probe";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return std::nullopt;
  std::vector<std::int64_t> times;
  const std::array<char, 512> block{};
  for (int i = 0; i < kCommits; ++i) {
    const std::int64_t begin = now_us();
    if (pwrite(fd, block.data(), block.size(), 0) != static_cast<ssize_t>(block.size()) ||
        fdatasync(fd) != 0)
      break;
    times.push_back(now_us() - begin);
  }
  close(fd);
  unlink(path.c_str());
  if (times.size() != kCommits) return std::nullopt;
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

std::string machine_json(const std::string& folder) {
  return machine(folder).dump();
}

std::string describe_environment(const Binaries& binaries, const std::string& folder,
                                 const std::string& scheme) {
  std::error_code error;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", error).string();
  json out{{"format", "roulette-environment"},
           {"version", 1},
           {"scheme", scheme},
           {"planted_bug", runtime::planted_bug_wanted()},
           {"programs",
            {{"roulette", program({self})},
             {"roulette-signer", program({binaries.signer})},
             {"roulette-coordinator", program({binaries.coordinator})},
             {"roulette-ledger", program({binaries.ledger})},
             {"etcd", etcd_program(binaries)},
             {"bitcoind", program(binaries.bitcoind)}}}};
  out.update(machine(folder));
  return out.dump(2) + "\n";
}

}  // namespace roulette::chaos
