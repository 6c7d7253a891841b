// Lines are kept as values and become text only when somebody reads them.
//
// Invariant: the hash does not depend on which lines are still kept.
#include "chaos/sim/trace.h"

namespace roulette::sim {

void Trace::fold(ByteSpan bytes) {
  for (const std::uint8_t byte : bytes) hash_ = (hash_ ^ byte) * 0x100000001b3;
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
