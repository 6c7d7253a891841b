// The NDJSON event log and its field builder.
//
// Invariant: one write(2) per event on an O_APPEND descriptor; a line that a kill or a full disk
// tore is cut off (at once, or by the next boot), so what is in the file is whole.
#include "common/base/utf8.h"
#include "common/runtime/event_log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "common/base/assert.h"

namespace roulette::runtime {
namespace {

constexpr std::string_view kHeaderLine = "{\"format\":\"roulette-events\",\"version\":1}\n";

template <class T>
void append_number(std::string& out, T value) {
  std::array<char, 32> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  ROULETTE_ASSERT(error == std::errc{});
  out.append(buffer.data(), end);
}

bool plain_key(std::string_view key) {
  for (const char c : key) {
    const bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    if (!ok) return false;
  }
  return !key.empty();
}

std::int64_t clock_us(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return std::int64_t{t.tv_sec} * 1000000 + t.tv_nsec / 1000;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  constexpr const char* kHex = "0123456789abcdef";
  out.push_back('"');
  while (!text.empty()) {
    const auto c = static_cast<std::uint8_t>(text[0]);
    std::size_t used = 1;
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(text[0]);
    } else if (c < 0x20 || c == 0x7f) {
      out.append("\\u00");
      out.push_back(kHex[c >> 4]);
      out.push_back(kHex[c & 15]);
    } else if (c < 0x80) {
      out.push_back(text[0]);
    } else if ((used = utf8_sequence_length(text)) != 0) {
      out.append(text.substr(0, used));
    } else {
      used = 1;
      out.append("\\ufffd");
    }
    text.remove_prefix(used);
  }
  out.push_back('"');
}

void EventFields::open_key(std::string_view key) {
  ROULETTE_ASSERT(plain_key(key));
  text_.append(",\"").append(key).append("\":");
}

EventFields& EventFields::add(std::string_view key, std::string_view text) {
  open_key(key);
  append_json_string(text_, text);
  return *this;
}

EventFields& EventFields::add(std::string_view key, bool value) {
  open_key(key);
  text_.append(value ? "true" : "false");
  return *this;
}

EventFields& EventFields::add(std::string_view key, double value) {
  open_key(key);
  if (std::isfinite(value)) append_number(text_, value);
  else text_.append("null");
  return *this;
}

EventFields& EventFields::add_signed(std::string_view key, std::int64_t value) {
  open_key(key);
  append_number(text_, value);
  return *this;
}

EventFields& EventFields::add_unsigned(std::string_view key, std::uint64_t value) {
  open_key(key);
  append_number(text_, value);
  return *this;
}

EventFields& EventFields::add_hex(std::string_view key, ByteSpan bytes) {
  open_key(key);
  text_.append("\"").append(to_hex(bytes)).append("\"");
  return *this;
}

EventFields& EventFields::add_json(std::string_view key, std::string_view json) {
  ROULETTE_ASSERT(!json.empty() && json.find('\n') == std::string_view::npos);
  open_key(key);
  text_.append(json);
  return *this;
}

struct EventLog::State {
  std::string path;
  int fd = -1;
  std::string identity;  // ,"process":"signer-1","boot":"..","seq":
  std::string line;      // reused
  std::uint64_t seq = 0;
  std::uint64_t lost = 0;

  ~State() {
    if (fd >= 0) ::close(fd);
  }

  bool write_whole(std::string_view text) {
    ssize_t n = 0;
    do {
      n = ::write(fd, text.data(), text.size());
    } while (n < 0 && errno == EINTR);
    if (n == static_cast<ssize_t>(text.size())) return true;
    const int why = n < 0 ? errno : ENOSPC;
    if (n > 0) {  // a full disk took a part: cut it off again
      const off_t end = ::lseek(fd, 0, SEEK_END);
      if (::ftruncate(fd, end - n) != 0) std::fprintf(stderr, "%s: torn line\n", path.c_str());
    }
    errno = why;  // for whoever says that the event is lost
    return false;
  }

  // What a kill inside write(2) may have left after the last newline. The event was never
  // complete, so its effect never happened.
  bool cut_torn_tail() {
    const off_t end = ::lseek(fd, 0, SEEK_END);
    off_t keep = end;
    char c = 0;
    while (keep > 0 && ::pread(fd, &c, 1, keep - 1) == 1 && c != '\n') --keep;
    return keep == end || ::ftruncate(fd, keep) == 0;
  }
};

EventLog::EventLog(std::unique_ptr<State> state) : state_(std::move(state)) {}
EventLog::~EventLog() = default;

Result<std::unique_ptr<EventLog>> EventLog::open(const std::filesystem::path& path,
                                                 ProcessName process, BootId boot) {
  auto state = std::make_unique<State>();
  state->path = path.string();
  state->fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const auto failed = [&state](const char* what) {
    return Error{ErrorKind::Io, state->path + ": " + what + ": " + std::strerror(errno)};
  };
  if (state->fd < 0) return failed("cannot open event log");
  if (!state->cut_torn_tail()) return failed("cannot cut a torn line");
  struct stat info {};
  if (::fstat(state->fd, &info) != 0) return failed("cannot stat");
  if (info.st_size == 0 && !state->write_whole(kHeaderLine)) return failed("cannot write");
  state->identity = ",\"process\":\"" + process.text() + "\",\"boot\":\"" +
                    to_hex(boot.value()) + "\",\"seq\":";
  return std::unique_ptr<EventLog>(new EventLog(std::move(state)));
}

std::unique_ptr<EventLog> EventLog::disabled() {
  return std::unique_ptr<EventLog>(new EventLog(std::make_unique<State>()));
}

void EventLog::write(std::string_view event, const EventFields& fields) {
  State& state = *state_;
  if (state.fd < 0) return;
  ROULETTE_ASSERT(plain_key(event));
  std::string& line = state.line;
  line.assign("{\"t_us\":");
  append_number(line, clock_us(CLOCK_MONOTONIC));
  line.append(",\"wall_us\":");
  append_number(line, clock_us(CLOCK_REALTIME));
  line.append(state.identity);
  append_number(line, ++state.seq);
  line.append(",\"event\":\"").append(event).append("\"").append(fields.text()).append("}\n");
  if (state.write_whole(line)) return;
  if (++state.lost == 1) {
    std::fprintf(stderr, "%s: event lost: %s\n", state.path.c_str(), std::strerror(errno));
  }
}

std::uint64_t EventLog::lost() const { return state_->lost; }

}  // namespace roulette::runtime
