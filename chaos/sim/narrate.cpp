// Marks and words of a trace's lines.
//
// Invariant: an effect of a machine has no mark; everything that the host did to one has.
#include "chaos/sim/narrate.h"

#include <algorithm>
#include <string_view>

#include "chaos/sim/world.h"

namespace roulette::sim {
namespace {

// The words of machines' effects and of engines at their ordinary work.
constexpr std::string_view kOrdinary[] = {"order", "persist", "send",   "close",  "reply",
                                          "broadcast", "call", "record", "append", "read",
                                          "write", "answer",  "mined",  "appended", "delete"};
struct Mark {
  std::string_view what;
  const char* mark;
};
constexpr Mark kMarks[] = {{"boot", "↑"},    {"down", "✖"},   {"killed", "✖"}, {"stopping", "↓"},
                           {"paused", "‖"},  {"resumed", "▶"}, {"cut", "✂"},    {"log lost", "⊘"}};

}  // namespace

const char* fault_mark(const TraceLine& line) {
  for (const Mark& known : kMarks) {
    if (known.what == line.what) return known.mark;
  }
  const bool ordinary = std::find(std::begin(kOrdinary), std::end(kOrdinary), line.what) !=
                        std::end(kOrdinary);
  return ordinary ? "" : "!";
}

bool worth_telling(const TraceLine& line) {
  return !Place{line.who.role, line.what, line.subject}.chatter();
}

std::string narrate(const TraceLine& line) {
  std::string text = std::to_string(line.at.us / 1000) + "." +
                     std::to_string(1000 + line.at.us % 1000).substr(1);
  text.insert(0, text.size() < 10 ? 10 - text.size() : 0, ' ');
  std::string who = line.who.text();
  who.resize(std::max<std::size_t>(who.size(), 14), ' ');
  const std::string mark = fault_mark(line);
  text += " ms  " + who + " " + (mark.empty() ? " " : mark) + " " + line.what;
  if (*line.subject != '\0') text += std::string(" ") + line.subject;
  return text + " #" + std::to_string(line.number);
}

}  // namespace roulette::sim
