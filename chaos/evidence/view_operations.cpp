// The client's operations as CSV: see views.h.
#include "chaos/evidence/views.h"

namespace roulette::evidence {
namespace {

// RFC 4180: quoted when it must be.
std::string field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

}  // namespace

std::string operations_csv(const Facts& facts) {
  std::string out =
      "op,intent,key,coordinator,intended_us,invoked_us,ended_us,outcome,status,withdrawal_id,"
      "state,txid,problem\r\n";
  for (const check::Operation& op : facts.history.operations) {
    const char* outcome = op.answered ? "answer" : op.unanswered ? "no_answer" : "open";
    out += std::to_string(op.op);
    for (const std::string& value :
         {op.intent, op.key, op.coordinator, std::to_string(op.intended_us),
          std::to_string(op.invoked_us),
          op.answered || op.unanswered ? std::to_string(op.answered_us) : std::string(),
          std::string(outcome), op.answered ? std::to_string(op.status) : std::string(), op.id,
          op.state, op.txid, op.problem})
      out += "," + field(value);
    out += "\r\n";
  }
  return out;
}

}  // namespace roulette::evidence
