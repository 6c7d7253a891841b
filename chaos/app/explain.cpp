// `roulette explain RUN`: why a run has its verdict, and the first violation as a story across
// processes. See commands.h.
//
// Reads the records as lines and judges nothing: what it shows stands in them, with the place. The
// story follows names: the ids, keys and txids of the violation, and what the ledger's rows and the
// sessions say belongs to them.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <vector>

#include <nlohmann/json.hpp>

#include "chaos/app/commands.h"
#include "chaos/check/run_journal.h"

namespace roulette::chaos {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::size_t kMostLines = 80;
constexpr std::int64_t kAroundUs = 1'500'000;  // faults so near belong to the story
constexpr std::size_t kLeastHexName = 32;      // digits of an id; a txid has 64

struct Remedy {
  const char* part;  // of the reason's text
  const char* advice;
};
// In the order in which they are tried.
constexpr Remedy kRemedies[] = {
    {"did not fire", "a longer load (`duration_s`, --duration), an earlier time or a smaller "
                     "`occurrence`; `roulette killpoints` lists the points"},
    {"is not proven", "the records do not show the fault; `faults.ndjson` has its proof as it is"},
    {"floor:", "the load was too small or too short for what the file promises: more `rate_per_s` "
               "or `duration_s`"},
    {"is not-exercised", "nothing of it happened: let a fault bring it about, or leave it out of "
                         "`require`"},
    {"un-mined", "a node kill must come later than the block of a payment: more payments, or "
                 "another time"},
    {"steady state", "outside the tolerance that the file states: a slow or busy machine, or a "
                     "tolerance that is too narrow"},
    {"interrupted", "run it again and let it end"},
    {"unasked exit", "a process ended by itself: its last words stand in logs/"},
    {"is missing", "the folder is not whole: what is missing cannot be judged"},
    {"which this reader does not know", "records of another version: judge them with the roulette "
                                        "that wrote them"},
    {"schedule", "the run and its file do not belong together"},
};

const char* remedy_of(const std::string& reason) {
  for (const Remedy& remedy : kRemedies)
    if (reason.find(remedy.part) != std::string::npos) return remedy.advice;
  return "";
}

// Empty where it is missing or no text: records are shown here, whoever wrote them.
std::string text_of(const json& fields, const char* name) {
  const auto found = fields.find(name);
  return found != fields.end() && found->is_string() ? found->get<std::string>() : "";
}
// 0: no time, or none of this century.
std::int64_t time_of(const json& fields) {
  constexpr std::uint64_t kLatestUs = std::uint64_t{1} << 60;
  const auto found = fields.find("t_us");
  if (found == fields.end() || !found->is_number_unsigned()) return 0;
  const auto t_us = found->get<std::uint64_t>();
  return t_us < kLatestUs ? static_cast<std::int64_t>(t_us) : 0;
}

struct Moment {
  std::int64_t t_us = 0;
  std::string process, text, where;
};

class Story {
 public:
  Story(std::string run_dir, const std::string& violation) : run_dir_(std::move(run_dir)) {
    take_names(violation);
  }

  std::vector<Moment> tell() {
    if (names_.empty()) return {};
    for (const auto& file : ledgers()) widen_by_rows(file);
    widen_by_sessions();
    each_line("history.ndjson", [&](std::size_t line, const json& fields) {
      const auto op = fields.find("op");
      const bool ours = concerns(fields);
      if (ours && op != fields.end()) ops_.insert(*op);
      if (ours || (op != fields.end() && ops_.contains(*op)))
        add(fields, line, "history.ndjson", "client", text_of(fields, "type"));
    });
    each_line("events.ndjson", [&](std::size_t line, const json& fields) {
      if (concerns(fields))
        add(fields, line, "events.ndjson", text_of(fields, "process"), text_of(fields, "event"));
    });
    add_faults();
    std::ranges::stable_sort(told_, {}, &Moment::t_us);
    return std::move(told_);
  }

 private:
  // Hexadecimal words as long as an id, and the word behind "key".
  void take_names(const std::string& text) {
    std::string word, before;
    const auto end_of_word = [&] {
      const bool hex = word.size() >= kLeastHexName &&
                       word.find_first_not_of("0123456789abcdef") == std::string::npos;
      if (hex || (before == "key" && !word.empty())) names_.insert(word);
      if (!word.empty()) before = word;
      word.clear();
    };
    for (const char c : text) {
      if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_') word += c;
      else end_of_word();
    }
    end_of_word();
  }

  std::vector<std::string> ledgers() const {
    std::vector<std::string> out;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(fs::path(run_dir_) / "state", error)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("ledger-")) out.push_back("state/" + name);
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  template <class Take>
  void each_line(const std::string& file, Take take) const {
    std::ifstream in(fs::path(run_dir_) / file);
    std::string text;
    for (std::size_t line = 1; std::getline(in, text); ++line) {
      const json fields = json::parse(text, nullptr, false);
      if (fields.is_object()) take(line, fields);
    }
  }

  [[nodiscard]] bool named(const json& fields, const char* field) const {
    return names_.contains(text_of(fields, field));
  }
  [[nodiscard]] bool concerns(const json& fields) const {
    for (const char* field : {"withdrawal_id", "id", "key", "txid", "session_digest"})
      if (named(fields, field)) return true;
    return false;
  }
  void learn(const json& fields, std::initializer_list<const char*> wanted) {
    for (const char* field : wanted) {
      const std::string name = text_of(fields, field);
      if (!name.empty()) names_.insert(name);
    }
  }

  void widen_by_rows(const std::string& file) {
    each_line(file, [&](std::size_t, const json& fields) {
      if (text_of(fields, "type") == "withdrawal" && concerns(fields))
        learn(fields, {"withdrawal_id", "key", "txid"});
    });
  }
  // Sessions of the withdrawals that are known by now.
  void widen_by_sessions() {
    each_line("events.ndjson", [&](std::size_t, const json& fields) {
      if (text_of(fields, "event") == "session_opened" && concerns(fields))
        learn(fields, {"session_digest"});
    });
  }

  // A line's own words, without those that every line has or nobody reads.
  static std::string words_of(const json& fields, const std::string& what) {
    static const std::set<std::string> kLeftOut{"boot",   "seq",    "t_us",    "wall_us", "event",
                                                "process", "type",  "nonces",  "shares",  "hex",
                                                "signatures", "intended_us", "attempt"};
    std::string out = what;
    for (const auto& [name, value] : fields.items()) {
      if (kLeftOut.contains(name)) continue;
      std::string text =
          value.is_string() ? value.get<std::string>()
                            : value.dump(-1, ' ', false, json::error_handler_t::replace);
      if (text.size() > 20 && value.is_string()) text = text.substr(0, 12) + "...";
      if (!text.empty() && text != "null") out += "  " + name + " " + text;
    }
    return out;
  }

  void add(const json& fields, std::size_t line, const std::string& file,
           const std::string& process, const std::string& what) {
    if (time_of(fields) == 0) return;
    told_.push_back({time_of(fields), process, words_of(fields, what),
                     file + ":" + std::to_string(line)});
  }

  // What the tool did to processes while the story went on.
  void add_faults() {
    if (told_.empty()) return;
    const auto [first, last] = std::ranges::minmax_element(told_, {}, &Moment::t_us);
    const std::int64_t from = first->t_us - kAroundUs, to = last->t_us + kAroundUs;
    each_line("events.ndjson", [&](std::size_t line, const json& fields) {
      const std::string event = text_of(fields, "event");
      const std::int64_t t_us = time_of(fields);
      if (t_us < from || t_us > to || (event != "fault" && event != "down" && event != "up"))
        return;
      told_.push_back({t_us, "tool", words_of(fields, event),
                       "events.ndjson:" + std::to_string(line)});
    });
  }

  std::string run_dir_;
  std::set<std::string> names_;
  std::set<json> ops_;  // of the client's requests that the story is about
  std::vector<Moment> told_;
};

std::string first_violation(const check::Verdict& verdict) {
  for (const check::InvariantResult& result : verdict.invariants)
    if (!result.violations.empty()) return result.violations.front();
  return "";
}

void print_story(const std::vector<Moment>& story) {
  const std::int64_t began = story.front().t_us;
  for (std::size_t i = 0; i < story.size() && i < kMostLines; ++i) {
    const Moment& m = story[i];
    std::printf("  +%9.3f ms  %-14s %s   [%s]\n", static_cast<double>(m.t_us - began) / 1000,
                m.process.c_str(), m.text.c_str(), m.where.c_str());
  }
  if (story.size() > kMostLines)
    std::printf("  ... and %zu more: --json has all of it\n", story.size() - kMostLines);
}

void print_text(const check::Verdict& verdict, const std::string& run_dir,
                const std::string& violation, const std::vector<Moment>& story) {
  std::printf("%s: %s (%llu of %llu faults fired, %llu payments settled)\n", run_dir.c_str(),
              check::verdict_name(verdict.verdict),
              static_cast<unsigned long long>(verdict.faults_fired),
              static_cast<unsigned long long>(verdict.faults_requested),
              static_cast<unsigned long long>(verdict.load_settled));
  if (verdict.reasons.empty())
    std::printf("Nothing speaks against it: every required invariant was checked and holds.\n");
  for (const std::string& reason : verdict.reasons) {
    std::printf("- %s\n", reason.c_str());
    if (const std::string advice = remedy_of(reason); !advice.empty())
      std::printf("    %s\n", advice.c_str());
  }
  if (violation.empty()) return;
  std::printf("\nThe first violation, as the records tell it:\n  %s\n", violation.c_str());
  if (!story.empty()) return print_story(story);
  std::printf("  (it names no withdrawal: docs/INVARIANTS.md says what is compared)\n");
}

}  // namespace

int explain_command(const ExplainOptions& options) {
  const std::string run_dir = fs::path(options.run_dir).lexically_normal().string();
  const Result<check::Verdict> verdict = check::judge_folder(run_dir);
  if (!verdict) return report_error(verdict.error());
  const std::string violation = first_violation(*verdict);
  const std::vector<Moment> story = Story(run_dir, violation).tell();
  if (!options.json) {
    print_text(*verdict, run_dir, violation, story);
    return kExitPass;
  }
  json out{{"verdict", check::verdict_name(verdict->verdict)},
           {"reasons", json::array()},
           {"violation", violation},
           {"story", json::array()}};
  for (const std::string& reason : verdict->reasons)
    out["reasons"].push_back({{"text", reason}, {"remedy", remedy_of(reason)}});
  for (const Moment& m : story)
    out["story"].push_back(
        {{"t_us", m.t_us}, {"process", m.process}, {"text", m.text}, {"record", m.where}});
  std::cout << out.dump(2, ' ', false, json::error_handler_t::replace) << std::endl;
  return kExitPass;
}

}  // namespace roulette::chaos
