// Faults of tokens: see token_faults.h.
#include "chaos/check/token_faults.h"

#include <algorithm>

#include "common/base/result.h"

namespace roulette::check {
namespace {

constexpr std::int64_t kSlackUs = std::int64_t{chaos::kTokenHangSlackMs} * 1000;
// A patience begins before the module writes its line, by what the token's thread takes to begin.
constexpr std::int64_t kLeadUs = 250'000;

std::int64_t patience_us(const History& history) {
  return std::int64_t{history.experiment.cluster.token_patience_ms} * 1000;
}

bool hangs(const FaultRecord& fault) {
  return fault.signal == chaos::signal_name(chaos::Signal::TokenHangs);
}

}  // namespace

std::optional<chaos::Signal> token_fault(const std::string& name) {
  for (const chaos::Signal known : chaos::kSignals) {
    if (chaos::of_token(known) && name == chaos::signal_name(known)) return known;
  }
  return std::nullopt;
}

std::vector<const TokenAnswer*> calls_met(const History& history, const FaultRecord& fault) {
  std::vector<const TokenAnswer*> out;
  const std::optional<chaos::Signal> known = token_fault(fault.signal);
  const auto record = history.tokens.find(fault.victim);
  if (!known || !fault.token_back_us || record == history.tokens.end()) return out;
  for (const TokenAnswer& answer : record->second) {
    if (answer.answer == chaos::token_answer(*known) && answer.t_us >= fault.sent_us &&
        answer.t_us <= *fault.token_back_us)
      out.push_back(&answer);
  }
  return out;
}

bool ended_by_token(const History& history, const Exited& exited) {
  if (exited.code != exit_code(ErrorKind::Preflight) || exited.signal != 0) return false;
  return std::any_of(history.faults.begin(), history.faults.end(), [&](const FaultRecord& fault) {
    if (!hangs(fault) || fault.victim != exited.name || !fault.token_back_us ||
        exited.t_us > *fault.token_back_us + kSlackUs)
      return false;
    const auto calls = calls_met(history, fault);
    return std::any_of(calls.begin(), calls.end(), [&](const TokenAnswer* call) {
      const std::int64_t least = call->t_us + std::max<std::int64_t>(
                                                  0, patience_us(history) - kLeadUs);
      return exited.t_us >= least && *fault.token_back_us >= least;
    });
  });
}

bool outlived_its_token(const History& history, const FaultRecord& fault) {
  if (!hangs(fault)) return false;
  const auto calls = calls_met(history, fault);
  if (calls.empty()) return false;
  const std::int64_t met = calls.front()->t_us;
  if (*fault.token_back_us - met < patience_us(history) + kSlackUs) return false;
  const auto& exits = history.events.exited;
  return std::none_of(exits.begin(), exits.end(), [&](const Exited& e) {
    return e.name == fault.victim && e.t_us >= met && e.t_us <= *fault.token_back_us + kSlackUs;
  });
}

}  // namespace roulette::check
