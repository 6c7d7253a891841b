// A small finished run, made by hand: four withdrawals of a 2-of-3 wallet, one signer killed, the
// quorum lost for three seconds. Its records are consistent in everything the checkers compare,
// with real blocks and real signatures. The same story with one key in a token (`hsm`): the one
// signer is killed, and its token refuses for these three seconds.
//
// Invariant: judged as it stands it is a `pass` with all fifteen invariants `pass` (without nonces
// `nonce-never-reused` is not exercised, and not asked for); a test plants
// exactly one wrong thing and sees exactly that reported. It knows the record formats
// (docs/RECORDS.md), not the checkers.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "chaos/check/verdict.h"
#include "common/bitcoin/transaction.h"
#include "common/crypto/scheme.h"

namespace roulette::check::test {

using nlohmann::json;

// A withdrawal of the story, as everybody who tells the truth records it.
struct Paid {
  std::string key, id, account, address, txid, session;
  Bytes script;
  std::int64_t amount_sat = 0, fee_sat = 0;
  bitcoin::Transaction tx;  // signed
  std::vector<bitcoin::TxOut> prevouts;
  std::vector<std::string> signatures;  // as records spell them, by input
  std::vector<int> signers;             // of its session
};

class Run {
 public:
  struct Options {
    bool unmine = false;  // the block that first held withdrawal 1 is disconnected and mined again
    std::string scheme = "frost";  // or "hsm"
    std::int64_t third_sat = 120'000;  // what withdrawal 2 pays of "alice"
  };
  Run() : Run(Options{}) {}
  explicit Run(const Options& options);

  chaos::Experiment experiment;
  RunFacts facts;
  std::vector<Paid> paid;                                 // 0..3
  std::vector<std::vector<bitcoin::Transaction>> blocks;  // by height, without coinbases
  std::map<std::string, json> headers;                    // file -> its first line
  bool keep_heads = false;   // journal heads stay as they are; else they follow the records
  bool keep_answers = false;  // no more is told of them than stands in events.ndjson
  bool ends_history = true;  // the client's last line is made when written
  std::vector<std::size_t> events_to_lose;  // line numbers (from 0, by time) that are not written

  // The lines of each file without its header; chain.ndjson and the blocks inside ledger entries
  // are made when written.
  std::map<std::string, std::vector<json>> files;

  // The first line that has all these fields; a test that finds none is wrong (asserted).
  json& line(const std::string& file, const json& fields);
  json& event(const json& fields) { return line("events.ndjson", fields); }
  json& answer(std::uint64_t op) {
    return line("history.ndjson", {{"type", "answer"}, {"op", op}});
  }
  json& entry_command(const std::string& file, const json& fields);
  void erase(const std::string& file,
             const json& fields);  // every line that has them; at least one
  void add_event(std::int64_t at_ms, const std::string& process, const std::string& event,
                 json fields = json::object());
  // Everything that shows withdrawal `i` signed comes so much later.
  void delay_signing(std::size_t i, std::int64_t later_ms);
  // The second fault's victims were signalled after the load and never seen paused, and withdrawal
  // 2 was signed at once.
  void keep_quorum();
  // The first fault's victim, signer-1, came back at `back_at_ms` with the oldest records of its
  // journal only, and coordinator-0 quarantined it.
  void take_journal(std::size_t records_left, std::int64_t back_at_ms);
  // Events of every answer in the client's record; done when written, unless keep_answers.
  void tell_answers();
  // All replicas alike.
  void each_ledger(const std::function<void(const std::string& file)>& edit);

  // Planned, signed, journaled, sent and mined by everybody in place of withdrawal `i`'s own.
  void replace_transaction(std::size_t i, const bitcoin::Transaction& tx);

  void sign(bitcoin::Transaction& tx, const std::vector<bitcoin::TxOut>& prevouts) const;
  // The key that the wallet's coins pay to, x-only, and its BIP 340 signature.
  [[nodiscard]] std::pair<Bytes, Bytes> sign_as_wallet(const Hash32& message) const;
  [[nodiscard]] const Bytes& wallet_script() const { return wallet_script_; }
  // The signatures in these witnesses as records spell them.
  [[nodiscard]] std::vector<std::string> signatures_of(const bitcoin::Transaction& tx) const;
  // Pays `amount_sat` to `script` from the wallet coin that nothing else spends.
  [[nodiscard]] bitcoin::Transaction spend_spare(const Bytes& script,
                                                 std::int64_t amount_sat) const;

  // Writes everything to a fresh folder, judges it and removes the folder.
  [[nodiscard]] Verdict judged();
  // The folder, for tests of files as such; judged() then reads it.
  std::string write();
  [[nodiscard]] Verdict judged_at(const std::string& folder) const;

 private:
  [[nodiscard]] const crypto::SchemeFacts& scheme() const;
  [[nodiscard]] bool in_token() const { return options_.scheme == "hsm"; }
  [[nodiscard]] std::string struck() const;  // by the first fault
  [[nodiscard]] std::vector<std::string> daemons() const;
  void make_wallet();
  [[nodiscard]] Bytes signature(const Hash32& message) const;  // of the wallet's key
  void make_payment(std::size_t i, std::vector<bitcoin::OutPoint> inputs, std::int64_t amount_sat);
  void make_experiment();
  void make_history();
  void end_history();
  void make_events();
  void make_absence();  // of the quorum, by the second fault
  void make_session(std::size_t i, std::int64_t at_ms, int coordinator);
  void make_faults();
  void make_journals();
  void make_ledgers();
  void make_transactions();
  void keep_told_heads();
  void keep_judged(const std::string& folder, const Verdict& verdict) const;
  void resolve_journals();  // heads in journals, and where `Signed` commands tell them
  void resolve_blocks();    // puts hashes where entries and states name heights
  [[nodiscard]] std::vector<json> chain_lines();
  [[nodiscard]] bitcoin::TxOut created(const bitcoin::OutPoint& outpoint) const;

  Options options_;
  Bytes wallet_script_, wallet_key_;  // the key as signatures of this form verify under it
  ByteArray<32> secret_{};
  std::string threshold_key_;
  bitcoin::Transaction funding_;
  std::vector<std::string> hashes_;
  std::map<std::string, std::string> boots_;
};

// The status of one invariant, and whether any of its violations names this file and says this.
[[nodiscard]] InvariantStatus status_of(const Verdict& verdict, const std::string& id);
[[nodiscard]] const InvariantResult& invariant(const Verdict& verdict, const std::string& id);
[[nodiscard]] bool says(const InvariantResult& result, const std::string& file,
                        const std::string& text);
[[nodiscard]] bool has_reason(const Verdict& verdict, const std::string& text);

// The invariant fails, names the record and says this, and the run fails with it.
void expect_fail(Run& run, const std::string& id, const std::string& file, const std::string& text);
// The invariant cannot be judged, says why, and the run is no pass.
void expect_open(Run& run, const std::string& id, const std::string& why);

}  // namespace roulette::check::test
