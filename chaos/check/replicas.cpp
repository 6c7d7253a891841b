// ledger-replicas-agree: one log, one state, and answers that could have come from one machine.
//
// Invariant: replicas are compared entry by entry and digest by digest at equal index; rows are
// compared with the checker's own replay of the entries; each key's answers must fit that replay in
// an order that respects real time.
#include <algorithm>
#include <map>
#include <span>
#include <tuple>

#include "chaos/check/checkers.h"
#include "chaos/check/ledger_model.h"
#include "chaos/check/told.h"
#include "chaos/check/trims.h"
#include "common/bitcoin/spend.h"

namespace roulette::check {
namespace {

class Agreement {
 public:
  Agreement(const History& history, Findings& out) : history_(history), out_(out) {}

  void run() {
    const std::set<std::string> lost = history_.lost();
    for (const Replica& replica : history_.replicas) {
      compare_entries(replica);
      take_digests(replica);
      compare_with_replay(replica);
      compare_postings(replica);
      if (!replica.closed() && !lost.contains(replica.name)) {
        out_.inconclusive(replica.name +
                          " did not apply EndOfRun, though nothing declares it lost");
      }
    }
    for (const DigestEvent& e : history_.events.digests) digest(e.index, e.digest, e.at, e.process);
    for (const Diverged& e : history_.events.diverged) {
      out_.violation(e.at, e.process + " diverged at index " + std::to_string(e.index));
    }
  }

 private:
  struct Said {
    std::string value, who;
    At at;
  };

  // Not those that it borrowed: they agree by themselves.
  static std::span<const LedgerEntry> own_entries(const Replica& replica) {
    return std::span(replica.entries).subspan(replica.borrowed);
  }

  void compare_entries(const Replica& replica) {
    for (const LedgerEntry& entry : own_entries(replica)) {
      const auto [found, first] =
          entries_.emplace(entry.index, Said{entry.canonical, replica.name, entry.at});
      if (first) continue;
      out_.checked();
      if (found->second.value == entry.canonical) continue;
      out_.violation(entry.at, replica.name + " has another entry at index " +
                                   std::to_string(entry.index) + " than " + found->second.who +
                                   " (" + history_.where(found->second.at) + ")");
    }
  }

  void take_digests(const Replica& replica) {
    if (replica.state)
      digest(replica.state->index, replica.state->digest, replica.state->at, replica.name);
    if (replica.state && replica.tables.empty())
      out_.violation(replica.name + " exported no digest of its tables");
    if (replica.base) {
      digest(replica.base->index, replica.base->digest, replica.base->at,
             "the snapshot under " + replica.name);
    }
    for (const TablesDigest& t : replica.tables)
      digest(t.index, t.digest, t.at, "the tables of " + replica.name);
    for (const LedgerEntry& entry : own_entries(replica)) {
      for (const LedgerCommand& c : entry.commands) {
        if (c.command == "checkpoint")
          digest(c.index, c.digest, entry.at, "checkpoint of replica " + c.replica);
      }
    }
  }

  void digest(std::uint64_t index, const std::string& value, const At& at, const std::string& who) {
    const auto [found, first] = digests_.emplace(index, Said{value, who, at});
    if (first) return;
    out_.checked();
    if (found->second.value == value) return;
    out_.violation(at, who + " has digest " + value + " at index " + std::to_string(index) +
                           ", but " + found->second.who + " has " + found->second.value + " (" +
                           history_.where(found->second.at) + ")");
  }

  void compare_with_replay(const Replica& replica) {
    if (replica.entries.empty()) return out_.violation(replica.name + " exported no entries");
    const LedgerModel model = replay(replica, history_.settle_depth());
    for (const ModelDefect& defect : model.defects) out_.violation(defect.at, defect.what);
    std::set<std::string> seen;
    for (const WithdrawalRow& row : replica.withdrawals) {
      seen.insert(row.withdrawal_id);
      const auto found = model.withdrawals.find(row.withdrawal_id);
      if (found == model.withdrawals.end()) {
        out_.violation(row.at, "withdrawal " + row.withdrawal_id + " was accepted by no entry");
        continue;
      }
      compare_row(row, found->second);
    }
    for (const auto& [id, w] : model.withdrawals) {
      if (!seen.contains(id))
        out_.violation(replica.name + ": withdrawal " + id +
                       " was accepted, but the tables do not hold it");
    }
    compare_state(replica, model);
    compare_heads(replica);
  }

  // One posting after the other as in the first replica, as far as both go.
  void compare_postings(const Replica& replica) {
    if (!replica.state) return;
    if (first_ == nullptr) first_ = &replica;
    const std::uint64_t end = std::min(replica.state->index, first_->state->index);
    const auto upto = [end](const Replica& one) {
      std::vector<const PostingRow*> rows;
      for (const PostingRow& row : one.postings) {
        if (row.index <= end) rows.push_back(&row);
      }
      return rows;
    };
    const auto rows = upto(replica), others = upto(*first_);
    const auto words = [](const PostingRow& row) {
      return std::tie(row.index, row.debit, row.credit, row.amount_sat, row.reason, row.reference);
    };
    for (std::size_t i = 0; i < std::min(rows.size(), others.size()); ++i) {
      out_.checked();
      if (words(*rows[i]) == words(*others[i])) continue;
      return out_.violation(rows[i]->at, replica.name + " has another posting here than " +
                                             first_->name + " (" +
                                             history_.where(others[i]->at) + ")");
    }
    if (rows.size() == others.size()) return;
    out_.violation(replica.name + " has " + std::to_string(rows.size()) + " postings up to index " +
                   std::to_string(end) + ", " + first_->name + " has " +
                   std::to_string(others.size()));
  }

  // What the state keeps of signers' journals (DESIGN 6.8) is what applied signatures told.
  void compare_heads(const Replica& replica) {
    std::map<std::string, JournalHead> expected;
    for (const LedgerEntry& entry : replica.entries) {
      for (const LedgerCommand& c : entry.commands) {
        if (c.command != "signed" || c.outcome != "applied") continue;
        for (const JournalHead& told : c.journals) {
          const auto [known, first] = expected.emplace(told.signer, told);
          if (!first && std::tie(told.share_epoch, told.length) >
                            std::tie(known->second.share_epoch, known->second.length))
            known->second = told;
        }
      }
    }
    for (const KeptHeadRow& row : replica.kept_heads) {
      out_.checked();
      const JournalHead& kept = row.head;
      const auto found = expected.find(kept.signer);
      const bool same = found != expected.end() && found->second.length == kept.length &&
                        found->second.share_epoch == kept.share_epoch &&
                        found->second.head == kept.head;
      if (!same)
        out_.violation(row.at, replica.name + " keeps another journal head of " + kept.signer +
                                   " than its entries lead to");
      expected.erase(kept.signer);
    }
    for (const auto& [signer, head] : expected)
      out_.violation(replica.name + " keeps no journal head of " + signer);
  }

  void compare_row(const WithdrawalRow& row, const ModelWithdrawal& w) {
    out_.checked();
    const std::string name = "withdrawal " + row.withdrawal_id;
    const LedgerCommand& c = *w.withdraw;
    if (row.key != c.key || row.account != c.account || row.script != c.script ||
        row.amount_sat != c.amount_sat || row.payload_digest != c.payload_digest ||
        row.client != c.client || row.client_signature != c.client_signature) {
      out_.violation(row.at, name + " differs from the command that made it");
    }
    const bool same =
        w.state() == row.state || (w.state() == "planned" && row.state == "requested");
    if (!same)
      out_.violation(
          row.at, name + " is " + row.state + " in the tables, " + w.state() + " by the entries");
    if (w.height != row.height) {
      out_.violation(row.at, name + " is at height " + std::to_string(row.height) +
                                 " in the tables, " + std::to_string(w.height) + " by the entries");
    }
    compare_bytes(row, w, name);
  }

  // Whatever key goes with it: signing-policy-respected judges that.
  Bytes signature_of(const std::vector<Bytes>& witness) const {
    const Bytes key = witness.size() > 1 ? witness[1] : Bytes();
    return bitcoin::signature_in(history_.scheme().signatures, key, witness).value_or(Bytes());
  }

  // The first valid signatures won: they are the ones in the bytes.
  void compare_bytes(const WithdrawalRow& row, const ModelWithdrawal& w, const std::string& name) {
    std::vector<std::string> signatures;
    if (const auto tx = bitcoin::parse_transaction_hex(row.signed_tx)) {
      for (const bitcoin::TxIn& input : tx->inputs)
        signatures.push_back(to_hex(signature_of(input.witness)));
    }
    const std::vector<std::string> expected =
        w.signed_by != nullptr ? w.signed_by->signatures : std::vector<std::string>{};
    if (signatures != expected)
      out_.violation(row.at, name + " holds other signatures than the first applied Signed");
  }

  void compare_state(const Replica& replica, const LedgerModel& model) {
    const LedgerState& state = *replica.state;
    if (state.closed != model.closed)
      out_.violation(state.at, replica.name + " says closed differently than its entries");
    const auto fits = [&](const ModelTip& tip) {
      return tip.hash == state.tip && tip.height == state.height;
    };
    if (model.tip_at.empty()) return;
    const auto at_index = model.tip_at.find(state.index);
    const bool same = fits(model.tip_at.rbegin()->second) ||
                      (at_index != model.tip_at.end() && fits(at_index->second));
    if (!same) {
      out_.violation(state.at, replica.name + " has tip " + state.tip + " at height " +
                                   std::to_string(state.height) +
                                   ", which its entries do not lead to");
    }
  }

  const History& history_;
  Findings& out_;
  std::map<std::uint64_t, Said> entries_, digests_;
  const Replica* first_ = nullptr;  // that exported its state
};

// ---- answers of one key as reads of one register whose writes are known ----

// (command, 0 = requested or anything else, 1 = planned): planning is inside a step of the replay.
using Moment = std::pair<std::uint64_t, int>;

struct Read {
  const Operation* op = nullptr;
  std::string state;
  std::optional<Moment> chosen;
};

// The earliest moment >= `after` at which the withdrawal was in `state`; nothing when there is
// none.
std::optional<Moment> earliest(const std::string& state, const ModelWithdrawal* w, Moment after) {
  if (state == "absent") {
    if (w == nullptr) return after;
    return after < Moment{w->steps.front().position, 0} ? std::optional<Moment>(after)
                                                        : std::nullopt;
  }
  if (w == nullptr) return std::nullopt;
  for (std::size_t i = 0; i < w->steps.size(); ++i) {
    const ModelStep& step = w->steps[i];
    const bool open_step = step.state == "planned";
    const bool fits = step.state == state || (open_step && state == "requested" && i == 0);
    if (!fits) continue;
    const Moment from{step.position, open_step && state == "planned" ? 1 : 0};
    const Moment chosen = std::max(from, after);
    const bool past = i + 1 < w->steps.size() && chosen >= Moment{w->steps[i + 1].position, 0};
    const bool planned_before =
        state == "requested" && chosen > Moment{step.position, 0} && chosen.second == 1;
    if (!past && !planned_before) return chosen;
  }
  return std::nullopt;
}

std::string state_read(const Operation& op) {
  if (!op.answered || op.conflict()) return "";
  if (op.get() && op.status == 404) return "absent";
  return op.ok() ? op.state : "";
}

void check_reads(std::vector<Read>& reads, const ModelWithdrawal* w, Findings& out,
                 const History& history) {
  for (std::size_t i = 0; i < reads.size(); ++i) {  // in the order of their invokes
    Moment after{0, 0};
    const Operation* newest = nullptr;
    for (std::size_t j = 0; j < i; ++j) {
      if (reads[j].op->answered_us >= reads[i].op->invoked_us || !reads[j].chosen ||
          *reads[j].chosen < after)
        continue;
      after = *reads[j].chosen;
      newest = reads[j].op;
    }
    out.checked();
    reads[i].chosen = earliest(reads[i].state, w, after);
    const Operation& op = *reads[i].op;
    if (!reads[i].chosen) {
      std::string what = "key " + op.key + " is answered '" + reads[i].state + "'";
      what += newest != nullptr
                  ? ", though an earlier answer (" + history.where(newest->answer_at) + ") said '" +
                        newest->state + "'"
                  : ", a state it never was in";
      out.violation(op.answer_at, what);
    }
    if (!op.ok()) continue;
    const bool wants_txid = state_rank(op.state) >= state_rank("planned");
    if (wants_txid == op.txid.empty() && op.state != "rejected") {
      out.violation(op.answer_at, "key " + op.key + " is answered '" + op.state + "' " +
                                      (op.txid.empty() ? "without" : "with") + " a txid");
    }
  }
}

void check_linearizable(const History& history, Findings& out) {
  const Replica* replica = history.reference();
  const LedgerModel model = replay(*replica, history.settle_depth());
  std::map<std::string, std::vector<Read>> reads;
  for (const Operation& op : history.operations) {
    const std::string state = state_read(op);
    if (!state.empty())
      reads[op.key].push_back({&op, state, std::nullopt});
    else if (op.ok() && !op.conflict())
      out.violation(op.answer_at, "key " + op.key + " is answered without a state");
  }
  for (auto& [key, list] : reads) {
    std::stable_sort(list.begin(), list.end(), [](const Read& a, const Read& b) {
      return a.op->invoked_us < b.op->invoked_us;
    });
    const auto id = model.by_key.find(key);
    check_reads(list, id == model.by_key.end() ? nullptr : &model.withdrawals.at(id->second), out,
                history);
  }
}

}  // namespace

InvariantResult check_replicas_agree(const History& history) {
  Findings out(history, "ledger-replicas-agree");
  bool whole = out.need(history.client);
  whole = out.need(history.events_file) && whole;
  whole = out.need(history.faults_file) && whole;
  whole = out.need_replicas() && whole;
  if (!whole) return out.result();
  Agreement(history, out).run();
  check_linearizable(history, out);
  check_checkpoints_told(history, out);
  check_export_index(history, out);
  check_trims(history, out);
  return out.result();
}

}  // namespace roulette::check
