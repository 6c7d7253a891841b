// What signers bound and released: no-conflicting-signature, share-has-its-record,
// nonce-never-reused.
//
// Invariant: every comparison joins two records by bytes (outpoint, withdrawal id, session digest,
// public nonce), never by time or by order.
#include <algorithm>
#include <map>
#include <set>

#include "chaos/check/checkers.h"
#include "chaos/check/told.h"

namespace roulette::check {
namespace {

// thing -> the one transaction it may ever be bound to, and who said so first.
class Bindings {
 public:
  Bindings(const History& history, const char* what, Findings& out)
      : history_(history), what_(what), out_(out) {}

  void bind(const std::string& thing, const std::string& txid, const At& at) {
    if (thing.empty() || txid.empty()) return;
    out_.checked();
    const auto [found, first] = bound_.emplace(thing, Bound{txid, at});
    if (first || found->second.txid == txid) return;
    out_.violation(at, std::string(what_) + " " + thing + " goes to " + txid + " here, but to " +
                           found->second.txid + " at " + history_.where(found->second.at));
  }

 private:
  struct Bound {
    std::string txid;
    At at;
  };
  const History& history_;
  const char* what_;
  Findings& out_;
  std::map<std::string, Bound> bound_;
};

class Conflicts {
 public:
  Conflicts(const History& history, Findings& out)
      : history_(history),
        out_(out),
        outpoints_(history, "outpoint", out),
        withdrawals_(history, "withdrawal", out) {}

  void run() {
    for (const Journal& journal : history_.journals) {
      for (const SigningRecord& record : journal.records) take_record(record);
    }
    for (const Replica& replica : history_.replicas) take_replica(replica);
    for (const TransactionRecord& tx : history_.transactions) {
      withdrawals_.bind(tx.withdrawal_id, tx.txid, tx.at);
      for (const Prevout& p : tx.prevouts)
        outpoints_.bind(p.txid + ":" + std::to_string(p.vout), tx.txid, tx.at);
      take_bytes(tx.hex, tx.txid, tx.at);
    }
    take_events();
    take_chain();
  }

 private:
  void take_record(const SigningRecord& record) {
    withdrawals_.bind(record.withdrawal_id, record.txid, record.at);
    for (const BoundInput& input : record.inputs)
      outpoints_.bind(input.outpoint, record.txid, record.at);
  }

  // Bytes bind their own inputs; the txid is computed from them.
  void take_bytes(const std::string& hex, const std::string& claimed, const At& at) {
    if (hex.empty()) return;
    const auto tx = bitcoin::parse_transaction_hex(hex);
    if (!tx) return out_.violation(at, "transaction bytes do not parse: " + tx.error().message);
    const std::string txid = bitcoin::txid_to_hex(bitcoin::txid(*tx));
    if (txid != claimed)
      out_.violation(at, "these bytes are transaction " + txid + ", not " + claimed);
    for (const bitcoin::TxIn& input : tx->inputs)
      outpoints_.bind(bitcoin::to_text(input.outpoint), txid, at);
  }

  void take_replica(const Replica& replica) {
    for (const WithdrawalRow& row : replica.withdrawals) {
      withdrawals_.bind(row.withdrawal_id, row.txid, row.at);
      take_bytes(row.unsigned_tx, row.txid, row.at);
      take_bytes(row.signed_tx, row.txid, row.at);
    }
    // What the table says an outpoint is reserved for, joined to that withdrawal's transaction.
    std::map<std::string, std::string> txids;
    for (const WithdrawalRow& row : replica.withdrawals) txids.emplace(row.withdrawal_id, row.txid);
    for (const ReservationRow& row : replica.reservations)
      outpoints_.bind(row.outpoint, txids[row.withdrawal_id], row.at);
    for (const LedgerEntry& entry : replica.entries) {
      for (const LedgerCommand& c : entry.commands) {
        if (c.command == "signed" && c.outcome == "applied")
          withdrawals_.bind(c.withdrawal_id, c.txid, entry.at);
      }
    }
  }

  void take_events() {
    for (const SessionOpened& e : history_.events.opened)
      withdrawals_.bind(e.withdrawal_id, e.txid, e.at);
    for (const ShareEvent& e : history_.events.released)
      withdrawals_.bind(e.withdrawal_id, e.txid, e.at);
    for (const ShareEvent& e : history_.events.received)
      withdrawals_.bind(e.withdrawal_id, e.txid, e.at);
    for (const Aggregated& e : history_.events.aggregated)
      withdrawals_.bind(e.withdrawal_id, e.txid, e.at);
    for (const BroadcastEvent& e : history_.events.broadcasts) {
      withdrawals_.bind(e.withdrawal_id, e.txid, e.at);
      take_bytes(e.hex, e.txid, e.at);
    }
  }

  void take_chain() {
    const Bytes wallet = *history_.wallet_script();
    for (const ChainTx& tx : history_.chain.txs) {
      if (tx.coinbase) continue;
      for (const bitcoin::TxIn& input : tx.tx.inputs) {
        const ChainTx* creator = history_.chain.find(bitcoin::txid_to_hex(input.outpoint.txid));
        const bool ours = creator != nullptr && input.outpoint.vout < creator->tx.outputs.size() &&
                          creator->tx.outputs[input.outpoint.vout].script == wallet;
        if (ours) outpoints_.bind(bitcoin::to_text(input.outpoint), tx.txid, tx.at);
      }
    }
  }

  const History& history_;
  Findings& out_;
  Bindings outpoints_, withdrawals_;
};

}  // namespace

InvariantResult check_conflicting_signature(const History& history) {
  Findings out(history, "no-conflicting-signature");
  bool whole = out.need(history.events_file);
  whole = out.need(history.chain_file) && whole;
  whole = out.need(history.transactions_file) && whole;
  whole = out.need(history.faults_file) && whole;
  whole = out.need_journals() && whole;
  whole = out.need_replicas() && whole;
  if (!whole) return out.result();
  bool signed_anything = false;
  for (const Journal& journal : history.journals)
    signed_anything = signed_anything || !journal.records.empty();
  if (!signed_anything) {
    out.inconclusive("no signer's journal holds a signing record");
    return out.result();
  }
  Conflicts(history, out).run();
  check_planned(history, out);
  return out.result();
}

namespace {

bool holds(const std::vector<std::string>& heads, const JournalHead& told) {
  return told.length != 0 && told.length <= heads.size() && heads[told.length - 1] == told.head;
}

// What the tool took from the journal that has this head while the rest has not; null if none.
const Journal::Taken* taken_with(const Journal& journal, const JournalHead& told) {
  if (holds(journal.heads, told)) return nullptr;
  const auto found = std::find_if(journal.taken.begin(), journal.taken.end(),
                                  [&](const auto& taken) { return holds(taken.heads, told); });
  return found == journal.taken.end() ? nullptr : &*found;
}

// A signer that came back without a head that the ledger keeps signs nothing any more, and its
// coordinators say that it is quarantined (DESIGN 6.8).
void check_quarantined(const History& history, const Journal& journal, const Journal::Taken& taken,
                       Findings& out) {
  out.checked();
  const auto& told = history.events.quarantined;
  if (std::none_of(told.begin(), told.end(), [&](const SignerQuarantined& e) {
        return e.signer == journal.signer && e.t_us >= taken.restarted_us;
      })) {
    out.violation(At{journal.source, 0}, journal.signer +
                                             " came back without records whose head the ledger "
                                             "keeps, and no coordinator quarantined it");
  }
  for (const ShareEvent& share : history.events.released) {
    if (share.signer != journal.signer || share.t_us < taken.restarted_us) continue;
    out.violation(share.at, journal.signer + " released a share after it came back without "
                                             "records whose head the ledger keeps");
  }
}

// What the shares of a signature said about their journals, against what is left of these: a
// rolled-back or forked journal shows here (DESIGN 6.8).
void check_told_heads(const History& history, Findings& out) {
  std::set<const Journal::Taken*> lost;
  std::map<std::string, const Journal*> journals;
  for (const Journal& journal : history.journals) journals.emplace(journal.signer, &journal);
  const Replica* replica = history.reference();
  for (const LedgerEntry& entry : replica->entries) {
    for (const LedgerCommand& command : entry.commands) {
      if (command.command != "signed" || command.outcome != "applied") continue;
      for (const JournalHead& told : command.journals) {
        out.checked();
        const auto found = journals.find(told.signer);
        const std::string name = told.signer + " told a journal of " + std::to_string(told.length) +
                                 " records with head " + told.head;
        if (found == journals.end()) {
          out.violation(entry.at, name + ", but there is no such signer");
        } else if (const auto* taken = taken_with(*found->second, told)) {
          lost.insert(taken);
        } else if (told.length == 0 || told.length > found->second->heads.size()) {
          out.violation(entry.at,
                        name + "; it ends at " + std::to_string(found->second->heads.size()));
        } else if (found->second->heads[told.length - 1] != told.head) {
          out.violation(entry.at, name + "; there it has " + found->second->heads[told.length - 1]);
        }
      }
    }
  }
  for (const Journal& journal : history.journals) {
    for (const Journal::Taken& taken : journal.taken) {
      if (lost.contains(&taken)) check_quarantined(history, journal, taken, out);
    }
  }
}

// What the ledger holds was made by somebody, from t shares that somebody received: a party that
// forgot to write one of these down must not pass because there is less to compare.
void check_nothing_untold(const History& history, Findings& out) {
  std::map<std::pair<std::string, std::string>, const SessionOpened*> opened;  // boot, session
  for (const SessionOpened& e : history.events.opened) opened[{e.boot, e.session_digest}] = &e;
  const auto session_of = [&](const auto& e) -> const SessionOpened* {
    const auto found = opened.find({e.boot, e.session_digest});
    const bool same = found != opened.end() && found->second->withdrawal_id == e.withdrawal_id;
    return same ? found->second : nullptr;
  };
  std::map<std::pair<std::string, std::string>, std::set<std::string>> received;
  for (const ShareEvent& e : history.events.received) {
    received[{e.boot, e.session_digest}].insert(e.signer);
    out.checked();
    const SessionOpened* session = session_of(e);
    if (session != nullptr && std::count(session->signers.begin(), session->signers.end(),
                                         e.signer) > 0)
      continue;
    out.violation(e.at, e.process + " received a share of " + e.signer + " for session " +
                            e.session_digest + ", which it never told to have opened with it");
  }
  std::set<std::pair<std::string, std::vector<std::string>>> made;  // txid, signatures
  for (const Aggregated& e : history.events.aggregated) {
    out.checked();
    made.insert({e.txid, e.signatures});
    const std::size_t shares = received[{e.boot, e.session_digest}].size();
    if (session_of(e) == nullptr)
      out.violation(e.at, e.process + " aggregated session " + e.session_digest +
                              " for withdrawal " + e.withdrawal_id + ", which it never opened so");
    if (shares >= history.experiment.cluster.threshold) continue;
    out.violation(e.at, e.process + " aggregated session " + e.session_digest +
                            ", of which it told " + std::to_string(shares) + " shares");
  }
  for (const LedgerEntry& entry : history.reference()->entries) {
    for (const LedgerCommand& c : entry.commands) {
      if (c.command != "signed" || c.outcome != "applied") continue;
      out.checked();
      if (made.contains({c.txid, c.signatures})) continue;
      out.violation(entry.at, "the signatures of " + c.txid +
                                  " were applied, but no coordinator "
                                  "told that it aggregated them");
    }
  }
}

}  // namespace

InvariantResult check_share_record(const History& history) {
  Findings out(history, "share-has-its-record");
  bool whole = out.need(history.events_file);
  whole = out.need(history.faults_file) && whole;
  whole = out.need_journals() && whole;
  whole = out.need_replicas() && whole;
  if (!whole) return out.result();
  std::map<std::pair<std::string, std::string>, std::vector<const SigningRecord*>>
      records;  // signer, session digest
  std::map<std::string, std::uint64_t> lengths;
  for (const Journal& journal : history.journals) {
    lengths[journal.signer] = journal.length;
    for (const SigningRecord& record : journal.records)
      records[{journal.signer, record.session_digest}].push_back(&record);
  }
  const auto find = [&](const ShareEvent& share) -> const SigningRecord* {
    const auto found = records.find({share.signer, share.session_digest});
    if (found == records.end()) return nullptr;
    for (const SigningRecord* record : found->second) {
      if (record->nonces == share.nonces && record->txid == share.txid &&
          record->withdrawal_id == share.withdrawal_id)
        return record;
    }
    return nullptr;
  };
  std::set<std::pair<std::string, std::string>> released;  // signer, nonces and shares
  const auto bytes = [](const ShareEvent& share) {
    std::string text;
    for (const std::string& nonce : share.nonces) text += nonce;
    for (const std::string& part : share.shares) text += part;
    return text;
  };
  const auto check = [&](const ShareEvent& share, const char* what) {
    out.checked();
    const std::string name = std::string("a share of ") + share.signer + " for session " +
                             share.session_digest + " was " + what;
    if (share.shares.empty() ||
        share.nonces.size() != history.scheme().nonces_for(share.shares.size())) {
      out.violation(share.at, name + " with " + std::to_string(share.nonces.size()) +
                                  " nonces and " + std::to_string(share.shares.size()) + " shares");
    }
    const SigningRecord* record = find(share);
    if (record == nullptr)
      out.violation(
          share.at,
          name + ", but its journal has no record of this session, nonces and transaction");
    return record;
  };
  for (const ShareEvent& share : history.events.released) {
    const SigningRecord* record = check(share, "released");
    released.insert({share.signer, bytes(share)});
    if (record != nullptr && share.journal_length < record->sequence) {
      out.violation(share.at, "the share of " + share.signer + " left at journal length " +
                                  std::to_string(share.journal_length) + ", before its record " +
                                  std::to_string(record->sequence) + " (" +
                                  history.where(record->at) + ")");
    }
    if (share.journal_length > lengths[share.signer]) {
      out.violation(share.at, share.signer + " had " + std::to_string(share.journal_length) +
                                  " records here, its journal ends at " +
                                  std::to_string(lengths[share.signer]));
    }
  }
  for (const ShareEvent& share : history.events.received) {
    check(share, ("received by " + share.coordinator).c_str());
    if (!released.contains({share.signer, bytes(share)})) {
      out.violation(share.at,
                    "a share of " + share.signer + " for session " + share.session_digest +
                        " was received, but the signer's log has no release of these bytes");
    }
  }
  check_told_heads(history, out);
  check_nothing_untold(history, out);
  // A signature is t shares: whoever aggregated one got t records' worth of them.
  for (const Aggregated& e : history.events.aggregated) {
    std::size_t signers = 0;
    for (const Journal& journal : history.journals)
      signers += records.contains({journal.signer, e.session_digest}) ? 1 : 0;
    if (signers < history.experiment.cluster.threshold) {
      out.violation(e.at, e.process + " aggregated session " + e.session_digest +
                              ", of which only " + std::to_string(signers) + " journals know");
    }
  }
  return out.result();
}

namespace {

// nonce -> who used it, where, and for which share.
class NonceUses {
 public:
  NonceUses(const History& history, Findings& out) : history_(history), out_(out) {}

  void record(const std::string& signer, const SigningRecord& r) {
    for (std::size_t i = 0; i < r.nonces.size(); ++i)
      use(r.nonces[i], signer, r.session_digest, i, "", r.at);
  }
  void share(const ShareEvent& s) {
    for (std::size_t i = 0; i < s.nonces.size(); ++i) {
      use(s.nonces[i], s.signer, s.session_digest, i, i < s.shares.size() ? s.shares[i] : "", s.at);
    }
  }

 private:
  struct Use {
    std::string signer, digest, share;
    std::size_t input = 0;
    At at, share_at;
  };

  void use(const std::string& nonce, const std::string& signer, const std::string& digest,
           std::size_t input, const std::string& share, const At& at) {
    out_.checked();
    const auto [found, first] = uses_.emplace(nonce, Use{signer, digest, share, input, at, at});
    Use& use = found->second;
    if (first) return;
    const std::string name = "nonce " + nonce.substr(0, 20) + "..";
    if (use.signer != signer) {
      out_.violation(at, name + " is used by " + signer + " and by " + use.signer + " at " +
                             history_.where(use.at));
    } else if (use.digest != digest) {
      out_.violation(at, name + " of " + signer + " is used in session " + digest + ", and in " +
                             use.digest + " at " + history_.where(use.at));
    } else if (use.input != input) {
      out_.violation(at, name + " of " + signer + " is used for inputs " +
                             std::to_string(use.input) + " and " + std::to_string(input) +
                             " of session " + digest);
    } else if (!share.empty() && use.share.empty()) {
      use.share = share;
      use.share_at = at;
    } else if (!share.empty() && use.share != share) {
      out_.violation(at, name + " of " + signer + " has share " + share.substr(0, 20) +
                             ".. here and another one at " + history_.where(use.share_at));
    }
  }

  const History& history_;
  Findings& out_;
  std::map<std::string, Use> uses_;
};

}  // namespace

InvariantResult check_nonce_reuse(const History& history) {
  Findings out(history, "nonce-never-reused");
  if (history.scheme().nonce_size == 0)
    out.not_exercised("the scheme signs in one round, without nonces");
  bool whole = out.need(history.events_file);
  whole = out.need_journals() && whole;
  if (!whole) return out.result();
  NonceUses uses(history, out);
  for (const Journal& journal : history.journals) {
    for (const SigningRecord& record : journal.records) uses.record(journal.signer, record);
  }
  for (const ShareEvent& share : history.events.released) uses.share(share);
  for (const ShareEvent& share : history.events.received) uses.share(share);
  return out.result();
}

}  // namespace roulette::check
