// Transactions as bytes: no-partial-transaction and signing-policy-respected.
//
// Invariant: txids, fees, sighashes and signatures are recomputed here from bytes, amounts and
// scripts; prevouts come from the outputs that the chain shows, not from what anybody wrote beside
// a signature.
#include <algorithm>
#include <map>
#include <set>

#include "chaos/check/checkers.h"
#include "common/bitcoin/address.h"
#include "common/bitcoin/fees.h"
#include "common/bitcoin/script.h"
#include "common/bitcoin/spend.h"
#include "common/crypto/ecdsa.h"
#include "common/wire/client_list.h"
#include "common/wire/commands.h"

namespace roulette::check {
namespace {

constexpr std::int64_t kDefaultWithdrawalFeeSat =
    10'000;                                        // Genesis' own default; its record overrides
constexpr std::int64_t kLeastFeeRateSatPerVb = 1;  // what a node relays at all

using RowById = std::map<std::string, const WithdrawalRow*>;

RowById rows_by_id(const Replica& replica) {
  RowById out;
  for (const WithdrawalRow& row : replica.withdrawals) out.emplace(row.withdrawal_id, &row);
  return out;
}

// ---- no-partial-transaction ----

class Parts {
 public:
  Parts(const History& history, Findings& out) : history_(history), out_(out) {}

  void run() {
    for (const Replica& replica : history_.replicas) {
      check_reservations(replica);
      if (replica.closed()) check_states(replica);
      for (const WithdrawalRow& row : replica.withdrawals) check_row_bytes(row);
    }
    for (const TransactionRecord& tx : history_.transactions)
      same_bytes(tx.txid, tx.hex, tx.at, "transactions.ndjson has");
    check_handed_out(*history_.reference());
    check_all_sent();
    for (const BroadcastEvent& e : history_.events.broadcasts)
      same_bytes(e.txid, e.hex, e.at, e.process + " sent");
    for (const auto& [key, payments] : payments_by_key(history_)) {
      for (const Payment& payment : payments) {
        const ChainTx& tx = history_.chain.txs[payment.tx];
        same_bytes(tx.txid, to_hex(bitcoin::serialize(tx.tx)), tx.at, "the chain has");
      }
    }
  }

 private:
  void check_reservations(const Replica& replica) {
    const RowById rows = rows_by_id(replica);
    std::map<std::string, std::set<std::string>>
        inputs;  // withdrawal -> outpoints its template spends
    for (const WithdrawalRow& row : replica.withdrawals) {
      if (row.unsigned_tx.empty()) continue;
      const auto tx = bitcoin::parse_transaction_hex(row.unsigned_tx);
      if (!tx) {
        out_.violation(row.at, "the template of withdrawal " + row.withdrawal_id +
                                   " does not parse: " + tx.error().message);
        continue;
      }
      for (const bitcoin::TxIn& input : tx->inputs)
        inputs[row.withdrawal_id].insert(bitcoin::to_text(input.outpoint));
    }
    for (const ReservationRow& reservation : replica.reservations) {
      out_.checked();
      if (!rows.contains(reservation.withdrawal_id)) {
        out_.violation(reservation.at, "outpoint " + reservation.outpoint + " is reserved for " +
                                           reservation.withdrawal_id + ", which is no withdrawal");
      } else if (inputs[reservation.withdrawal_id].erase(reservation.outpoint) == 0) {
        out_.violation(reservation.at,
                       "outpoint " + reservation.outpoint + " is reserved for withdrawal " +
                           reservation.withdrawal_id + ", whose template does not spend it");
      }
    }
    for (const auto& [id, left] : inputs) {
      for (const std::string& outpoint : left) {
        out_.violation(rows.at(id)->at, "withdrawal " + id + " spends " + outpoint +
                                            ", which is not reserved for it");
      }
    }
  }

  void check_states(const Replica& replica) {
    for (const WithdrawalRow& row : replica.withdrawals) {
      out_.checked();
      if (row.state == "settled" || row.state == "rejected") continue;
      if (history_.lasting_quorum_loss() || history_.interrupted) continue;
      out_.violation(row.at, "withdrawal " + row.withdrawal_id + " is stuck in state " + row.state +
                                 " at the end of the run");
    }
  }

  // The row's own bytes: the template without witness, signed as planned.
  void check_row_bytes(const WithdrawalRow& row) {
    const bool needs_bytes = state_rank(row.state) >= state_rank("signed");
    if (row.signed_tx.empty()) {
      if (needs_bytes)
        out_.violation(row.at, "withdrawal " + row.withdrawal_id + " is " + row.state +
                                   " without signed bytes");
      return;
    }
    const auto tx = bitcoin::parse_transaction_hex(row.signed_tx);
    if (!tx) {
      return out_.violation(row.at, "the signed bytes of withdrawal " + row.withdrawal_id +
                                        " do not parse: " + tx.error().message);
    }
    if (to_hex(bitcoin::serialize_without_witness(*tx)) != row.unsigned_tx) {
      out_.violation(row.at, "withdrawal " + row.withdrawal_id +
                                 " is signed for other bytes than its template");
    }
    in_ledger_.insert(row.txid);
    same_bytes(row.txid, row.signed_tx, row.at, "this replica has");
  }

  // transactions.ndjson is what others judge a run by: every signed withdrawal once, as it stands.
  void check_handed_out(const Replica& replica) {
    const RowById rows = rows_by_id(replica);
    std::set<std::string> seen;
    for (const TransactionRecord& tx : history_.transactions) {
      out_.checked();
      const auto found = rows.find(tx.withdrawal_id);
      const std::string name = "transactions.ndjson: withdrawal " + tx.withdrawal_id;
      if (found == rows.end()) {
        out_.violation(tx.at, name + " is in no replica");
        continue;
      }
      if (!seen.insert(tx.withdrawal_id).second) out_.violation(tx.at, name + " stands twice");
      const WithdrawalRow& row = *found->second;
      const Result<Bytes> script = bitcoin::script_from_address(tx.address);
      if (tx.key != row.key || tx.amount_sat != row.amount_sat || tx.txid != row.txid ||
          tx.hex != row.signed_tx || !script || to_hex(*script) != row.script) {
        out_.violation(tx.at, name + " differs from " + history_.where(row.at));
      }
      check_prevouts(tx, name);
    }
    for (const auto& [id, row] : rows) {
      if (!row->signed_tx.empty() && !seen.contains(id))
        out_.violation(row->at,
                       "withdrawal " + id + " is signed, but transactions.ndjson has it not");
    }
  }

  // Every send is told before it happens, so what the chain holds of ours was told by somebody.
  void check_all_sent() {
    std::set<std::string> sent;
    for (const BroadcastEvent& e : history_.events.broadcasts) sent.insert(e.txid);
    for (const ChainTx& tx : history_.chain.txs) {
      if (!in_ledger_.contains(tx.txid)) continue;
      out_.checked();
      if (!sent.contains(tx.txid))
        out_.violation(tx.at, "no coordinator told that it sent " + tx.txid);
    }
  }

  void check_prevouts(const TransactionRecord& record, const std::string& name) {
    const auto tx = bitcoin::parse_transaction_hex(record.hex);
    if (!tx) return out_.violation(record.at, name + " does not parse");
    bool same = tx->inputs.size() == record.prevouts.size();
    for (std::size_t i = 0; same && i < tx->inputs.size(); ++i) {
      const Prevout& said = record.prevouts[i];
      const bitcoin::OutPoint& real = tx->inputs[i].outpoint;
      same = said.txid == bitcoin::txid_to_hex(real.txid) && said.vout == real.vout;
      const ChainTx* creator = history_.chain.find(said.txid);
      if (!same || creator == nullptr) continue;
      same = said.vout < creator->tx.outputs.size() &&
             said.amount_sat == creator->tx.outputs[said.vout].amount_sat &&
             said.script == to_hex(creator->tx.outputs[said.vout].script);
    }
    if (!same) out_.violation(record.at, name + " has other prevouts than its transaction spends");
  }

  void same_bytes(const std::string& txid, const std::string& hex, const At& at,
                  const std::string& who) {
    out_.checked();
    const auto [found, first] = bytes_.emplace(txid, Held{hex, at});
    if (first && !in_ledger_.contains(txid))
      out_.violation(at, who + " transaction " + txid + ", of which the ledger holds no bytes");
    if (first || found->second.hex == hex) return;
    out_.violation(at,
                   who + " other bytes of " + txid + " than " + history_.where(found->second.at));
  }

  struct Held {
    std::string hex;
    At at;
  };
  const History& history_;
  Findings& out_;
  std::map<std::string, Held> bytes_;
  std::set<std::string> in_ledger_;  // replicas are read first
};

}  // namespace

InvariantResult check_partial_transaction(const History& history) {
  Findings out(history, "no-partial-transaction");
  bool whole = out.need(history.client);
  whole = out.need(history.events_file) && whole;
  whole = out.need(history.faults_file) && whole;
  whole = out.need(history.chain_file) && whole;
  whole = out.need(history.transactions_file) && whole;
  whole = out.need_replicas() && whole;
  if (!whole) return out.result();
  if (history.interrupted)
    out.inconclusive("the run was interrupted: what stands between states had no time to go on");
  Parts(history, out).run();
  return out.result();
}

namespace {

// ---- signing-policy-respected ----

// One transaction somebody signed, with what it really spends.
struct Known {
  bitcoin::Transaction tx;
  const WithdrawalRow* row = nullptr;
  std::vector<bitcoin::TxOut> prevouts;  // true ones; empty when one could not be found
  std::vector<Hash32> sighashes;
};

class Policy {
 public:
  Policy(const History& history, Findings& out)
      : history_(history),
        out_(out),
        form_(history.scheme().signatures),
        key_(*history.wallet_key()),
        wallet_(*history.wallet_script()) {
    for (const ClientKey& key : history.keys) keys_.emplace(key.key, &key);
    read_genesis();
  }

  void run() {
    for (const Replica& replica : history_.replicas) {
      for (const WithdrawalRow& row : replica.withdrawals) learn(row);
    }
    for (auto& [txid, known] : known_) find_prevouts(txid, known);
    for (const Journal& journal : history_.journals) {
      for (const SigningRecord& record : journal.records) check_record(journal, record);
    }
    check_signatures();
    check_signed_again();
  }

 private:
  void read_genesis() {
    for (const Replica& replica : history_.replicas) {
      if (replica.entries.empty()) continue;
      for (const LedgerCommand& c : replica.entries.front().commands) {
        if (c.command != "genesis") continue;
        if (c.withdrawal_fee_sat) most_fee_sat_ = *c.withdrawal_fee_sat;
        check_genesis(replica, c, replica.entries.front().at);
      }
    }
  }

  // What the books verified signatures as must be what the signers' journals name.
  void check_genesis(const Replica& replica, const LedgerCommand& genesis, const At& at) {
    if (genesis.signature_form != crypto::form_name(form_)) {
      out_.violation(at, replica.name + "'s genesis verifies signatures as " +
                             genesis.signature_form + ", the signers make " +
                             crypto::form_name(form_));
    }
    if (genesis.wallet_output_key != to_hex(key_)) {
      out_.violation(at, replica.name + "'s genesis verifies signatures under " +
                             genesis.wallet_output_key + ", the wallet's key is " + to_hex(key_));
    }
  }

  void learn(const WithdrawalRow& row) {
    if (row.unsigned_tx.empty() || known_.contains(row.txid)) return;
    const auto tx = bitcoin::parse_transaction_hex(row.unsigned_tx);
    if (!tx || bitcoin::txid_to_hex(bitcoin::txid(*tx)) != row.txid) {
      return out_.violation(row.at, "the template of withdrawal " + row.withdrawal_id +
                                        " is not transaction " + row.txid);
    }
    known_.emplace(row.txid, Known{*tx, &row, {}, {}});
  }

  // From the chain; from another template only where that one never came into the chain.
  std::optional<bitcoin::TxOut> created(const bitcoin::OutPoint& outpoint) const {
    const std::string txid = bitcoin::txid_to_hex(outpoint.txid);
    const bitcoin::Transaction* tx = nullptr;
    if (const ChainTx* found = history_.chain.find(txid))
      tx = &found->tx;
    else if (const auto other = known_.find(txid); other != known_.end())
      tx = &other->second.tx;
    if (tx == nullptr || outpoint.vout >= tx->outputs.size()) return std::nullopt;
    return tx->outputs[outpoint.vout];
  }

  void find_prevouts(const std::string& txid, Known& known) {
    std::vector<bitcoin::TxOut> prevouts;
    for (const bitcoin::TxIn& input : known.tx.inputs) {
      const auto out = created(input.outpoint);
      if (!out) {
        return out_.violation(known.row->at, txid + " spends " + bitcoin::to_text(input.outpoint) +
                                                 ", which no known transaction created");
      }
      prevouts.push_back(*out);
    }
    auto hashes = bitcoin::sighashes(form_, known.tx, prevouts);
    if (!hashes) return out_.violation(known.row->at, txid + ": " + hashes.error().message);
    known.sighashes = std::move(*hashes);
    known.prevouts = std::move(prevouts);
  }

  void check_record(const Journal& journal, const SigningRecord& record) {
    out_.checked();
    const std::string name = journal.signer + " signed " + record.txid;
    const auto found = known_.find(record.txid);
    if (found == known_.end())
      return out_.violation(record.at, name + ", which no replica planned");
    const Known& known = found->second;
    if (known.row->withdrawal_id != record.withdrawal_id) {
      out_.violation(record.at, name + " for withdrawal " + record.withdrawal_id +
                                    ", but it belongs to " + known.row->withdrawal_id);
    }
    if (known.row->payload_digest != record.payload_digest) {
      out_.violation(record.at, name + " for another payload digest than the ledger's (" +
                                    history_.where(known.row->at) + ")");
    }
    if (!known.prevouts.empty()) check_inputs(record, known, name);
    if (judged_.insert(record.txid).second) check_outputs(record, known, name);
  }

  void check_inputs(const SigningRecord& record, const Known& known, const std::string& name) {
    if (record.inputs.size() != known.tx.inputs.size()) {
      return out_.violation(record.at, name + " with " + std::to_string(record.inputs.size()) +
                                           " inputs, but it has " +
                                           std::to_string(known.tx.inputs.size()));
    }
    if (record.nonces.size() != history_.scheme().nonces_for(record.inputs.size())) {
      out_.violation(record.at, name + " with " + std::to_string(record.nonces.size()) +
                                    " nonces for " + std::to_string(record.inputs.size()) +
                                    " inputs");
    }
    for (std::size_t i = 0; i < record.inputs.size(); ++i) {
      const BoundInput& input = record.inputs[i];
      const bitcoin::TxOut& real = known.prevouts[i];
      if (input.outpoint != bitcoin::to_text(known.tx.inputs[i].outpoint)) {
        out_.violation(record.at, name + " with input " + std::to_string(i) + " at " +
                                      input.outpoint + ", but it spends " +
                                      bitcoin::to_text(known.tx.inputs[i].outpoint));
      } else if (input.amount_sat != real.amount_sat || input.script != to_hex(real.script)) {
        out_.violation(record.at, name + " believing that " + input.outpoint + " holds " +
                                      std::to_string(input.amount_sat) + " sat of script " +
                                      input.script + "; it holds " +
                                      std::to_string(real.amount_sat) + " sat of " +
                                      to_hex(real.script));
      }
    }
  }

  // The word of the client's own record, under the key that stands there: nobody else asks.
  void check_request(const SigningRecord& record, const Known& known, const ClientKey& key,
                     const std::string& name) {
    if (!history_.client_key) return;
    const RequestingClient& client = *history_.client_key;
    const auto signature = array_from_hex<64>(known.row->client_signature);
    const wire::PaymentRequest asked{key.key, key.account, key.script, key.amount_sat};
    if (known.row->client != client.name || !signature ||
        !crypto::verify_ed25519(client.public_key,
                                wire::signed_text(client.cluster_id, client.name, asked),
                                *signature))
      out_.violation(record.at, name + " for key " + key.key + ", whose request bears no " +
                                    "signature of client '" + client.name + "' (" +
                                    history_.where(known.row->at) + ")");
    if (record.withdrawal_id != to_hex(wire::withdrawal_id_of(key.key).value()))
      out_.violation(record.at, name + " for withdrawal " + record.withdrawal_id +
                                    ", which is not that of key " + key.key);
  }

  // One output to the client, the rest back to the wallet, a fee within bounds.
  void check_outputs(const SigningRecord& record, const Known& known, const std::string& name) {
    const auto client = keys_.find(known.row->key);
    if (client == keys_.end()) {
      return out_.violation(record.at,
                            name + " for key " + known.row->key + ", which no client made");
    }
    const ClientKey& key = *client->second;
    check_request(record, known, key, name);
    std::size_t payments = 0, changes = 0;
    for (const bitcoin::TxOut& output : known.tx.outputs) {
      if (output.script == key.script) {
        ++payments;
        if (output.amount_sat == key.amount_sat) continue;
        out_.violation(record.at, name + " paying " + std::to_string(output.amount_sat) +
                                      " sat where " + std::to_string(key.amount_sat) +
                                      " were asked for (" + history_.where(key.at) + ")");
      } else if (output.script == wallet_) {
        ++changes;
      } else {
        out_.violation(record.at, name + " with an output to " + to_hex(output.script) +
                                      ", neither the client's script nor the wallet's");
      }
    }
    if (payments != 1)
      out_.violation(record.at,
                     name + " with " + std::to_string(payments) + " outputs to its client");
    if (changes > 1)
      out_.violation(record.at, name + " with " + std::to_string(changes) + " change outputs");
    check_fee(record, known, name);
  }

  void check_fee(const SigningRecord& record, const Known& known, const std::string& name) {
    if (known.prevouts.empty()) return;
    const auto in = bitcoin::total_amount(known.prevouts);
    const auto paid = bitcoin::total_amount(known.tx.outputs);
    if (!in || !paid) return out_.violation(record.at, name + " with amounts out of range");
    const std::int64_t fee = *in - *paid;
    const std::int64_t least =
        kLeastFeeRateSatPerVb *
        bitcoin::signed_vsize(form_, known.tx.inputs.size(), known.tx.outputs);
    if (fee < least || fee > most_fee_sat_) {
      out_.violation(record.at, name + " with a fee of " + std::to_string(fee) + " sat, outside " +
                                    std::to_string(least) + ".." + std::to_string(most_fee_sat_));
    }
    if (fee != known.row->fee_sat) {
      out_.violation(known.row->at, "withdrawal " + known.row->withdrawal_id + " says fee " +
                                        std::to_string(known.row->fee_sat) +
                                        " sat, its transaction pays " + std::to_string(fee));
    }
    for (const bitcoin::TxOut& prevout : known.prevouts) {
      if (prevout.script != wallet_)
        out_.violation(record.at, name + " spending a coin that is not the wallet's");
    }
  }

  // Every signature anybody showed, under the tweaked key, for the true prevouts.
  void check_signatures() {
    for (const Replica& replica : history_.replicas) {
      for (const WithdrawalRow& row : replica.withdrawals)
        check_bytes(row.txid, row.signed_tx, row.at);
      for (const LedgerEntry& entry : replica.entries) {
        for (const LedgerCommand& c : entry.commands) {
          if (c.command == "signed" && c.outcome == "applied")
            check_list(c.txid, c.signatures, entry.at);
        }
      }
    }
    for (const TransactionRecord& tx : history_.transactions) check_bytes(tx.txid, tx.hex, tx.at);
    for (const BroadcastEvent& e : history_.events.broadcasts) check_bytes(e.txid, e.hex, e.at);
    for (const Aggregated& e : history_.events.aggregated) check_list(e.txid, e.signatures, e.at);
    // In one round a share is the signature: one that nobody used verifies all the same.
    if (history_.scheme().nonce_size != 0) return;
    for (const auto* shares : {&history_.events.released, &history_.events.received}) {
      for (const ShareEvent& e : *shares) check_list(e.txid, as_signatures(e.shares), e.at);
    }
  }

  // A token's share is r || s, and the coordinator makes the network's spelling of it.
  std::vector<std::string> as_signatures(const std::vector<std::string>& shares) const {
    if (form_ != crypto::SignatureForm::Ecdsa) return shares;
    std::vector<std::string> out;
    for (const std::string& share : shares) {
      const auto compact = array_from_hex<64>(share);
      const auto der = compact ? crypto::der_of(*compact) : std::nullopt;
      out.push_back(der ? to_hex(*der) : share);
    }
    return out;
  }

  // Rebroadcast never signs (DESIGN 7): a coordinator that saw the ledger take the signatures, or
  // sent the bytes, opens no session for them any more.
  void check_signed_again() {
    std::map<std::pair<std::string, std::string>, std::int64_t> had_bytes;  // boot, withdrawal
    const auto note = [&](const EventHead& e, const std::string& id) {
      const auto [found, first] = had_bytes.emplace(std::pair{e.boot, id}, e.t_us);
      if (!first) found->second = std::min(found->second, e.t_us);
    };
    for (const SignedApplied& e : history_.events.signed_applied) note(e, e.withdrawal_id);
    for (const BroadcastEvent& e : history_.events.broadcasts) note(e, e.withdrawal_id);
    for (const SessionOpened& e : history_.events.opened) {
      const auto found = had_bytes.find({e.boot, e.withdrawal_id});
      if (found == had_bytes.end() || e.t_us <= found->second) continue;
      out_.violation(e.at, e.process + " opened a session for withdrawal " + e.withdrawal_id +
                               ", whose signed bytes it had already");
    }
  }

  void check_bytes(const std::string& txid, const std::string& hex, const At& at) {
    if (hex.empty() || !bytes_seen_.insert(hex).second) return;
    const auto tx = bitcoin::parse_transaction_hex(hex);
    if (!tx) return out_.violation(at, "signed bytes do not parse: " + tx.error().message);
    if (bitcoin::txid_to_hex(bitcoin::txid(*tx)) != txid)
      return out_.violation(at, "these bytes are not transaction " + txid);
    std::vector<std::string> signatures;
    for (const bitcoin::TxIn& input : tx->inputs) {
      // DESIGN 6.4: key path with SIGHASH_DEFAULT and no annex; for ECDSA SIGHASH_ALL and the key.
      const auto signature = bitcoin::signature_in(form_, key_, input.witness);
      if (!signature || !input.script_sig.empty()) {
        return out_.violation(at, txid + " has a witness that is not the wallet's: " +
                                      witness_wanted());
      }
      signatures.push_back(to_hex(*signature));
    }
    check_list(txid, signatures, at);
  }

  void check_list(const std::string& txid, const std::vector<std::string>& signatures,
                  const At& at) {
    const auto found = known_.find(txid);
    if (found == known_.end())
      return out_.violation(at, "transaction " + txid + " is signed, but no replica planned it");
    const Known& known = found->second;
    if (known.sighashes.empty()) return;  // reported where its prevouts were looked for
    if (signatures.size() != known.sighashes.size()) {
      return out_.violation(at, txid + " has " + std::to_string(known.sighashes.size()) +
                                    " inputs, but " + std::to_string(signatures.size()) +
                                    " signatures");
    }
    for (std::size_t i = 0; i < signatures.size(); ++i) {
      if (!good_.insert(txid + std::to_string(i) + signatures[i]).second) continue;
      out_.checked();
      const auto signature = from_hex(signatures[i]);
      if (!signature ||
          !crypto::scheme_of(form_).verify(key_, known.sighashes[i], *signature)) {
        out_.violation(at, "the signature of input " + std::to_string(i) + " of " + txid +
                               " does not verify under the wallet's key (" + rule() + ")");
      }
    }
  }

  const char* rule() const {
    return form_ == crypto::SignatureForm::Ecdsa ? "BIP 143, SIGHASH_ALL, strict DER, low S"
                                                 : "BIP 341, SIGHASH_DEFAULT";
  }
  const char* witness_wanted() const {
    return form_ == crypto::SignatureForm::Ecdsa ? "a DER signature with SIGHASH_ALL and its key"
                                                 : "one 64-byte signature";
  }

  const History& history_;
  Findings& out_;
  crypto::SignatureForm form_;
  crypto::WalletKey key_;
  Bytes wallet_;
  std::int64_t most_fee_sat_ = kDefaultWithdrawalFeeSat;
  std::map<std::string, const ClientKey*> keys_;
  std::map<std::string, Known> known_;  // by txid
  std::set<std::string> judged_, bytes_seen_, good_;
};

}  // namespace

InvariantResult check_signing_policy(const History& history) {
  Findings out(history, "signing-policy-respected");
  bool whole = out.need(history.client);
  whole = out.need(history.events_file) && whole;
  whole = out.need(history.faults_file) && whole;
  whole = out.need(history.chain_file) && whole;
  whole = out.need(history.transactions_file) && whole;
  whole = out.need_journals() && whole;
  whole = out.need_replicas() && whole;
  if (!whole) return out.result();
  std::uint64_t records = 0;
  for (const Journal& journal : history.journals) records += journal.records.size();
  if (records == 0) {
    out.inconclusive("no signer's journal holds a signing record");
    return out.result();
  }
  Policy(history, out).run();
  return out.result();
}

}  // namespace roulette::check
