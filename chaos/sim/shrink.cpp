// Candidates are made by leaving out lines and words of the text form.
//
// Invariant: `best_` is always a schedule that failed; a candidate that does not parse is no
// candidate.
#include "chaos/sim/shrink.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace roulette::sim {
namespace {

using Lines = std::vector<std::string>;

Lines split(const std::string& text, char at) {
  Lines parts;
  std::string part;
  for (const char c : text) {
    if (c != at) {
      part += c;
      continue;
    }
    if (!part.empty()) parts.push_back(std::exchange(part, {}));
  }
  if (!part.empty()) parts.push_back(part);
  return parts;
}

std::string join(const Lines& lines, const char* with) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : with) + line;
  return text;
}

struct Text {
  Lines options;
  Lines faults;

  static Text of(const Schedule& schedule) {
    Text text;
    for (std::string& line : split(to_text(schedule), '\n')) {
      auto& lines = line.starts_with("fault ") ? text.faults : text.options;
      lines.push_back(std::move(line));
    }
    return text;
  }
  [[nodiscard]] std::string whole() const {
    return join(options, "\n") + "\n" + join(faults, "\n") + "\n";
  }
};

class Shrinker {
 public:
  Shrinker(const Schedule& failing, const std::function<bool(const Schedule&)>& fails,
           const ShrinkBudget& budget)
      : fails_(fails), budget_(budget), best_(failing), text_(Text::of(failing)) {}

  Shrunk run() {
    bool smaller = true;
    while (smaller && !ended_) {
      smaller = fewer_faults();
      smaller = fewer_payments() || smaller;
      smaller = plainer_options() || smaller;
      smaller = plainer_faults() || smaller;
    }
    return {best_, runs_, !ended_};
  }

 private:
  // Takes the candidate when it still fails.
  bool attempt(const Text& candidate) {
    const std::string whole = candidate.whole();
    if (ended_ || !tried_.insert(whole).second) return false;
    const auto schedule = parse_schedule(whole);
    if (!schedule) return false;
    if (runs_ >= budget_.runs || (budget_.go_on && !budget_.go_on())) {
      ended_ = true;
      return false;
    }
    ++runs_;
    if (!fails_(*schedule)) return false;
    best_ = *schedule;
    text_ = candidate;
    return true;
  }

  // Leaves out pieces of the list, first big ones, then single faults.
  bool fewer_faults() {
    bool smaller = false;
    for (std::size_t piece = text_.faults.size(); piece >= 1 && !ended_; piece /= 2) {
      for (std::size_t at = 0; at < text_.faults.size() && !ended_;) {
        Text candidate = text_;
        const auto from = candidate.faults.begin() + static_cast<std::ptrdiff_t>(at);
        const std::size_t many = std::min(piece, candidate.faults.size() - at);
        candidate.faults.erase(from, from + static_cast<std::ptrdiff_t>(many));
        if (attempt(candidate)) smaller = true;
        else at += piece;
      }
    }
    return smaller;
  }

  bool fewer_payments() {
    bool smaller = false;
    for (std::size_t count = 1; count < best_.payments && !ended_; count *= 2) {
      Text candidate = text_;
      std::erase_if(candidate.options,
                    [](const std::string& line) { return line.starts_with("payments "); });
      candidate.options.push_back("payments " + std::to_string(count));
      if (attempt(candidate)) return true;
    }
    return smaller;
  }

  // One option back at its default, or two neighbours: some make sense together only.
  bool plainer_options() {
    bool smaller = false;
    for (std::size_t many = 1; many <= 2; ++many) {
      for (std::size_t at = 0; at + many <= text_.options.size() && !ended_;) {
        Text candidate = text_;
        const auto from = candidate.options.begin() + static_cast<std::ptrdiff_t>(at);
        // They say which run it is; the rest says how it goes.
        const bool fixed = std::any_of(from, from + static_cast<std::ptrdiff_t>(many),
                                       [](const std::string& line) {
                                         return line.starts_with("seed ") ||
                                                line.starts_with("scheme ");
                                       });
        candidate.options.erase(from, from + static_cast<std::ptrdiff_t>(many));
        if (!fixed && attempt(candidate)) smaller = true;
        else ++at;
      }
    }
    return smaller;
  }

  // A field of a fault back at its default.
  bool plainer_faults() {
    bool smaller = false;
    for (std::size_t fault = 0; fault < text_.faults.size(); ++fault) {
      constexpr std::size_t kFixed = 2;  // "fault", and its kind
      for (std::size_t word = kFixed; !ended_;) {
        Lines words = split(text_.faults[fault], ' ');
        if (word >= words.size()) break;
        words.erase(words.begin() + static_cast<std::ptrdiff_t>(word));
        Text candidate = text_;
        candidate.faults[fault] = join(words, " ");
        if (attempt(candidate)) smaller = true;
        else ++word;
      }
    }
    return smaller;
  }

  const std::function<bool(const Schedule&)>& fails_;
  const ShrinkBudget& budget_;
  Schedule best_;
  Text text_;
  std::set<std::string> tried_;
  std::size_t runs_ = 0;
  bool ended_ = false;
};

}  // namespace

Shrunk shrink(const Schedule& failing, const std::function<bool(const Schedule&)>& fails,
              const ShrinkBudget& budget) {
  return Shrinker(failing, fails, budget).run();
}

}  // namespace roulette::sim
