// Tailing daemons' event logs: see session_watch.h.
#include "chaos/app/session_watch.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

namespace roulette::chaos {
namespace {

constexpr std::size_t kSessionsKept = 64;

}  // namespace

SessionWatch::SessionWatch(const std::string& run_dir, std::uint16_t coordinators,
                           std::uint16_t ledgers) {
  follow(run_dir, Role::Coordinator, coordinators);
  follow(run_dir, Role::Ledger, ledgers);
}

void SessionWatch::follow(const std::string& run_dir, Role role, std::uint16_t count) {
  for (std::uint16_t i = 0; i < count; ++i) {
    const std::filesystem::path folder =
        std::filesystem::path(run_dir) / "work" / ProcessName{role, i}.text();
    tails_.push_back({(folder / "events.ndjson").string(), role, 0, "", 0});
  }
}

void SessionWatch::read() {
  for (Tail& tail : tails_) {
    std::ifstream file(tail.path, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(tail.offset));
    const std::string more{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    tail.offset += more.size();
    tail.rest += more;
    std::size_t begin = 0;
    for (std::size_t end; (end = tail.rest.find('\n', begin)) != std::string::npos; begin = end + 1)
      take(tail, tail.rest.substr(begin, end - begin));
    tail.rest.erase(0, begin);
  }
}

void SessionWatch::take(Tail& tail, const std::string& line) {
  if (line.find("\"log_trimmed\"") != std::string::npos) trimmed_ = true;
  const bool session = line.find("\"session_opened\"") != std::string::npos;
  if (!session && line.find("\"quorum\"") == std::string::npos) return;
  const nlohmann::json event = nlohmann::json::parse(line, nullptr, false);
  if (!event.is_object()) return;
  if (event.value("event", "") == "quorum") tail.known = event.value("known", std::size_t{0});
  if (event.value("event", "") != "session_opened") return;
  std::set<std::uint16_t> signers;
  for (const auto& name : event.value("signers", nlohmann::json::array())) {
    const std::string text = name.get<std::string>();
    signers.insert(static_cast<std::uint16_t>(std::stoul(text.substr(text.find('-') + 1))));
  }
  sessions_.push_back(std::move(signers));
  if (sessions_.size() > kSessionsKept) sessions_.pop_front();
}

std::set<std::uint16_t> SessionWatch::session_of(std::uint16_t signer) const {
  const auto found =
      std::find_if(sessions_.rbegin(), sessions_.rend(),
                   [&](const std::set<std::uint16_t>& s) { return s.contains(signer); });
  return found == sessions_.rend() ? std::set<std::uint16_t>{} : *found;
}

std::set<std::uint16_t> SessionWatch::latest() const {
  return sessions_.empty() ? std::set<std::uint16_t>{} : sessions_.back();
}

bool SessionWatch::all_know(std::size_t signers) const {
  return std::all_of(tails_.begin(), tails_.end(),
                     [&](const Tail& tail) {
                       return tail.role != Role::Coordinator || tail.known == signers;
                     });
}

}  // namespace roulette::chaos
