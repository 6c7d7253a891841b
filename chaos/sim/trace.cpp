// Lines are kept as values and become text only when somebody reads them.
//
// Invariant: the hash does not depend on which lines are still kept.
#include "chaos/sim/trace.h"

#include <algorithm>
#include <cstring>

namespace roulette::sim {

// Eight bytes at a time; the length is folded too, so that the padding of the last ones is not
// taken for zeros that were there.
void Trace::fold(ByteSpan bytes) {
  fold(static_cast<std::uint64_t>(bytes.size()));
  for (std::size_t at = 0; at < bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, std::min<std::size_t>(8, bytes.size() - at));
    fold(word);
  }
}

void Trace::fold(std::uint64_t number) { hash_ = (hash_ ^ number) * 0x100000001b3; }

void Trace::note(Instant at, ProcessName who, const char* what, const char* subject,
                 std::uint64_t number) {
  fold(static_cast<std::uint64_t>(at.us));
  fold(static_cast<std::uint64_t>(who.role) << 16 | who.index);
  fold(as_bytes(what));
  fold(as_bytes(subject));
  fold(number);
  TraceLine& line = lines_[noted_++ % kTraceLines];
  line = {at, who, what, subject, number};
  if (listener_) listener_(line);
}

std::string Trace::tail() const {
  std::string text;
  const std::uint64_t first = noted_ > kTraceLines ? noted_ - kTraceLines : 0;
  for (std::uint64_t i = first; i < noted_; ++i) {
    const TraceLine& line = lines_[i % kTraceLines];
    std::string ms = std::to_string(line.at.us / 1000) + "." +
                     std::to_string(1000 + line.at.us % 1000).substr(1);
    ms.insert(0, ms.size() < 10 ? 10 - ms.size() : 0, ' ');
    text += ms + " ms  " + line.who.text() + "  " + line.what + " " + line.subject + " " +
            std::to_string(line.number) + "\n";
  }
  return text;
}

}  // namespace roulette::sim
