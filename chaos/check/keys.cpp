// idempotency-key-respected: a key is one payload, one withdrawal, one transaction, whoever is
// asked and however often.
//
// Invariant: only what two records say about the same key is compared; a 5xx or no answer says
// nothing (DESIGN 7).
#include <map>

#include "chaos/check/checkers.h"
#include "chaos/check/told.h"
#include "common/wire/commands.h"

namespace roulette::check {
namespace {

// The first record that said something about a key's id or txid, and what.
struct Said {
  std::string value;
  At at;
};

class KeyCheck {
 public:
  KeyCheck(const History& history, Findings& out) : history_(history), out_(out) {
    for (const ClientKey& key : history.keys) keys_.emplace(key.key, &key);
  }

  void run() {
    for (const Operation& op : history_.operations) {
      if (op.answered && op.status < 500) check_answer(op);
    }
    for (const Replica& replica : history_.replicas) {
      check_rows(replica);
      check_commands(replica);
    }
  }

 private:
  void agree(std::map<std::string, Said>& known, const std::string& key, const std::string& value,
             const At& at, const char* what) {
    if (value.empty()) return;
    const auto [found, first] = known.emplace(key, Said{value, at});
    if (first || found->second.value == value) return;
    out_.violation(at, "key " + key + " has " + what + " " + value + " here, but " +
                           found->second.value + " at " + history_.where(found->second.at));
  }

  void check_answer(const Operation& op) {
    const std::string name = "key " + op.key;
    if (op.conflict()) {
      out_.checked();
      if (op.status != 422) {
        out_.violation(op.answer_at, name + " was sent with another payload (" +
                                         history_.where(op.at) + ") and answered with " +
                                         std::to_string(op.status) + ", not 422");
      }
      return;
    }
    if (!op.get()) {
      check_post_status(op, name);
      if (op.amount_sat != keys_.at(op.key)->amount_sat ||
          op.address != keys_.at(op.key)->address ||
          op.account != keys_.at(op.key)->account) {
        out_.violation(op.at,
                       name + ": the client itself sent another payload as `" + op.intent + "`");
      }
    }
    if (!op.ok()) return;
    if (op.id.empty())
      out_.violation(op.answer_at, name + ": a " + std::to_string(op.status) + " without an id");
    agree(ids_, op.key, op.id, op.answer_at, "id");
    agree(txids_, op.key, op.txid, op.answer_at, "txid");
    if (answers_[op.key]++ > 0) out_.checked();
  }

  void check_post_status(const Operation& op, const std::string& name) {
    // 422 says "another payload", unless it names the recorded business refusal.
    const bool rejection = op.problem.find("withdrawal-rejected") != std::string::npos;
    if (op.status == 422 && !rejection) {
      return out_.violation(op.answer_at,
                            name + " was sent again with the same payload and refused with 422");
    }
    if (op.ok() && op.status != 202) {
      return out_.violation(op.answer_at,
                            name + " is answered with " + std::to_string(op.status) + ", not 202");
    }
    if (op.status == 429) return;  // asked to come back: not the key's answer
    const auto [found, first] =
        statuses_.emplace(op.key, Said{std::to_string(op.status), op.answer_at});
    if (first || found->second.value == std::to_string(op.status)) return;
    out_.violation(op.answer_at, name + " is answered with " + std::to_string(op.status) +
                                     " here, but with " + found->second.value + " at " +
                                     history_.where(found->second.at));
  }

  void check_rows(const Replica& replica) {
    std::map<std::string, At> seen;
    for (const WithdrawalRow& row : replica.withdrawals) {
      const auto [earlier, first] = seen.emplace(row.key, row.at);
      if (!first)
        out_.violation(row.at, "key " + row.key + " has a second withdrawal (first at " +
                                   history_.where(earlier->second) + ")");
      agree(ids_, row.key, row.withdrawal_id, row.at, "id");
      agree(txids_, row.key, row.txid, row.at, "txid");
      const auto client = keys_.find(row.key);
      if (client == keys_.end()) {
        out_.violation(row.at, "key " + row.key + " was made by no client");
        continue;
      }
      const ClientKey& key = *client->second;
      if (row.account != key.account || row.amount_sat != key.amount_sat ||
          row.script != to_hex(key.script)) {
        out_.violation(row.at, "key " + row.key +
                                   " stands with another payload than the client's (" +
                                   history_.where(key.at) + ")");
      }
      if (row.payload_digest !=
          to_hex(wire::payload_digest(key.account, key.script, key.amount_sat))) {
        out_.violation(
            row.at, "key " + row.key + " stands with a payload digest that is not its payload's");
      }
    }
  }

  // The first Withdraw of a key decides; every later one is a duplicate or a conflict.
  void check_commands(const Replica& replica) {
    struct First {
      std::string digest;
      At at;
    };
    std::map<std::string, First> firsts;
    for (const LedgerEntry& entry : replica.entries) {
      for (const LedgerCommand& command : entry.commands) {
        if (command.command != "withdraw") continue;
        const bool recorded = command.outcome == "applied" || command.outcome == "rejected";
        const auto found = firsts.find(command.key);
        if (found == firsts.end()) {
          if (recorded)
            firsts.emplace(command.key, First{command.payload_digest, entry.at});
          else if (command.outcome != "closed" && command.outcome != "invalid" &&
                   command.outcome != "ignored") {
            out_.violation(entry.at, "key " + command.key + " is new here, but the outcome is " +
                                         command.outcome);
          }
          continue;
        }
        const std::string expected =
            found->second.digest == command.payload_digest ? "duplicate" : "key-conflict";
        if (command.outcome != expected) {
          out_.violation(entry.at, "key " + command.key + " came again and was " + command.outcome +
                                       ", not " + expected + " (first at " +
                                       history_.where(found->second.at) + ")");
        }
      }
    }
  }

  const History& history_;
  Findings& out_;
  std::map<std::string, const ClientKey*> keys_;
  std::map<std::string, Said> ids_, txids_, statuses_;
  std::map<std::string, std::uint64_t> answers_;
};

}  // namespace

InvariantResult check_idempotency(const History& history) {
  Findings out(history, "idempotency-key-respected");
  bool whole = out.need(history.client);
  whole = out.need(history.events_file) && whole;
  whole = out.need(history.faults_file) && whole;
  whole = out.need_replicas() && whole;
  if (!whole) return out.result();
  KeyCheck(history, out).run();
  check_answers_told(history, out);
  return out.result();
}

}  // namespace roulette::check
