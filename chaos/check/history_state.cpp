// What was exported after the run: chain, transactions, signers' journals, replicas. See history.h.
//
// Invariant: a block counts only when its bytes hash to the recorded hash and continue the block
// before it, from genesis; sequences and indices without a gap; txids are computed from bytes,
// never believed.
#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include "chaos/check/journal_chain.h"
#include "chaos/check/record_reader.h"
#include "common/base/limits.h"
#include "common/bitcoin/chain_facts.h"

namespace roulette::check::load {
namespace {

constexpr std::size_t kTxid = 32, kDigest = 32, kId = 16, kKey = 33, kSignature = 64;

void keep_block(Fields& fields, History& history, const bitcoin::Block& block,
                std::uint32_t height) {
  Chain& chain = history.chain;
  chain.hashes.push_back(bitcoin::txid_to_hex(block.hash));
  for (std::size_t i = 0; i < block.transactions.size(); ++i) {
    ChainTx tx{bitcoin::txid_to_hex(block.txids[i]), height, i == 0, block.transactions[i],
               fields.at()};
    chain.by_txid.emplace(tx.txid, chain.txs.size());
    chain.txs.push_back(std::move(tx));
  }
}

void take_block(Fields& fields, History& history) {
  const std::uint64_t height = fields.count("height");
  const std::string hash = fields.hex("hash", kTxid);
  const std::string hex = fields.any_hex("hex");
  if (!fields.good()) return;
  const Result<bitcoin::Block> block = bitcoin::parse_block_hex(hex);
  if (!block) return fields.fail("block " + hash + ": " + block.error().message);
  if (bitcoin::txid_to_hex(block->hash) != hash)
    return fields.fail("the bytes of this block do not hash to " + hash);
  Chain& chain = history.chain;
  if (height != chain.hashes.size()) {
    return fields.fail("height " + std::to_string(height) + " where " +
                       std::to_string(chain.hashes.size()) + " was next");
  }
  if (height > 0 && bitcoin::txid_to_hex(block->prev) != chain.hashes.back()) {
    return fields.fail("block " + hash + " does not continue the block before it");
  }
  keep_block(fields, history, *block, static_cast<std::uint32_t>(height));
}

JournalHead read_head(Fields& f) {
  JournalHead head;
  head.signer = f.text("signer");
  head.length = f.count("length");
  head.head = f.hex("head", kDigest);
  head.share_epoch = static_cast<std::uint64_t>(f.maybe_integer("share_epoch").value_or(0));
  return head;
}

void take_signatures(Fields& f, LedgerCommand& c) {
  c.signatures = f.any_hex_list("signatures", limits::kMaxSignatureBytes);
  f.each("journals", [&](Fields& j) {
    c.journals.push_back(read_head(j));
  });
}

void take_command(Fields& f, LedgerCommand& c) {
  c.command = f.text("command");
  c.outcome = f.text("outcome");
  c.detail = f.text_or_empty("detail");
  c.withdrawal_id = f.hex_or_empty("withdrawal_id", kId);
  if (c.command == "withdraw") {
    c.key = f.text("key");
    c.account = f.text("account");
    c.script = f.any_hex("script");
    c.amount_sat = f.integer("amount_sat");
    c.payload_digest = f.hex("payload_digest", kDigest);
    c.client = f.text_or_empty("client");
    c.client_signature = f.hex_or_empty("client_signature", kSignature);
    c.requested_at_us = f.maybe_integer("requested_at_us").value_or(0);
  } else if (c.command == "signed" || c.command == "broadcast") {
    c.txid = f.hex("txid", kTxid);
    if (c.command == "signed") take_signatures(f, c);
  } else if (c.command == "block_connected") {
    c.hash = f.hex("hash", kTxid);
    c.prev = f.hex("prev", kTxid);
    c.height = static_cast<std::uint32_t>(f.count("height"));
    c.txids = f.hex_list("txids", kTxid);
    f.each("wallet_outputs", [&](Fields& o) {
      c.wallet_outputs.push_back(
          {o.outpoint("outpoint"), o.integer("amount_sat"), o.boolean_or_false("coinbase")});
    });
  } else if (c.command == "block_disconnected") {
    c.hash = f.hex("hash", kTxid);
  } else if (c.command == "checkpoint") {
    c.replica = f.raw().contains("replica") ? f.raw().at("replica").dump() : "";
    c.index = f.count("index");
    c.digest = f.hex("digest", kDigest);
  } else if (c.command == "genesis") {
    c.signature_form = f.text("signature_form");
    c.wallet_output_key = f.any_hex("wallet_output_key");
    if (const auto depth = f.maybe_integer("settle_depth"))
      c.settle_depth = static_cast<std::uint32_t>(*depth);
    c.withdrawal_fee_sat = f.maybe_integer("withdrawal_fee_sat");
    c.min_amount_sat = f.maybe_integer("min_amount_sat");
    c.max_amount_sat = f.maybe_integer("max_amount_sat");
  } else if (c.command != "end_of_run" && f.good()) {
    f.fail("unknown command '" + c.command + "'");
  }
}

class ReplicaReader {
 public:
  explicit ReplicaReader(Replica& replica) : out_(replica) {}

  void take(Fields& f) {
    const std::string type = f.text("type");
    if (!f.good()) return;
    if (type == "base") return take_base(f);
    if (type == "entry") return take_entry(f);
    if (type == "withdrawal") return take_withdrawal(f);
    if (type == "reservation") {
      return keep(f, out_.reservations,
                  ReservationRow{f.at(), f.outpoint("outpoint"), f.hex("withdrawal_id", kId)});
    }
    if (type == "posting") {
      return keep(f, out_.postings,
                  PostingRow{f.at(), f.count("index"), f.text("debit"), f.text("credit"),
                             f.text("reason"), f.text("reference"), f.integer("amount_sat")});
    }
    if (type == "balance")
      return keep(f, out_.balances, BalanceRow{f.at(), f.text("account"), f.integer("amount_sat")});
    if (type == "journal_head") return keep(f, out_.kept_heads, KeptHeadRow{f.at(), read_head(f)});
    if (type == "tables")
      return keep(f, out_.tables, TablesDigest{f.at(), f.count("index"), f.hex("digest", kDigest)});
    if (type == "state") return take_state(f);
    f.fail("unknown type '" + type + "'");
  }

 private:
  template <class Row>
  static void keep(Fields& f, std::vector<Row>& rows, Row row) {
    if (f.good()) rows.push_back(std::move(row));
  }

  void take_entry(Fields& f) {
    LedgerEntry entry;
    entry.at = f.at();
    entry.index = f.count("index");
    f.each("commands", [&](Fields& c) {
      LedgerCommand command;
      take_command(c, command);
      entry.commands.push_back(std::move(command));
    });
    if (!f.good()) return;
    entry.canonical = f.raw().at("commands").dump();
    const std::uint64_t before = out_.base ? out_.base->index : 0;
    const std::uint64_t next = (out_.entries.empty() ? before : out_.entries.back().index) + 1;
    if (entry.index != next) {
      return f.fail("index " + std::to_string(entry.index) + " where " + std::to_string(next) +
                    " was next");
    }
    out_.entries.push_back(std::move(entry));
  }

  void take_base(Fields& f) {
    ReplicaBase base{f.at(), f.count("index"), f.hex("digest", kDigest)};
    if (!f.good()) return;
    if (out_.base || !out_.entries.empty()) return f.fail("a `base` that is not the first line");
    if (base.index == 0) return f.fail("a `base` at index 0");
    out_.base = std::move(base);
  }

  void take_withdrawal(Fields& f) {
    WithdrawalRow row;
    row.at = f.at();
    row.withdrawal_id = f.hex("withdrawal_id", kId);
    row.key = f.text("key");
    row.account = f.text("account");
    row.script = f.any_hex("script");
    row.amount_sat = f.integer("amount_sat");
    row.payload_digest = f.hex("payload_digest", kDigest);
    row.client = f.text_or_empty("client");
    row.client_signature = f.hex_or_empty("client_signature", kSignature);
    row.state = f.text("state");
    row.txid = f.hex_or_empty("txid", kTxid);
    row.unsigned_tx = f.any_hex_or_empty("unsigned_tx");
    row.signed_tx = f.any_hex_or_empty("signed_tx");
    row.fee_sat = f.maybe_integer("fee_sat").value_or(0);
    row.height = static_cast<std::uint32_t>(
        std::max<std::int64_t>(0, f.maybe_integer("height").value_or(0)));
    keep(f, out_.withdrawals, std::move(row));
  }

  void take_state(Fields& f) {
    LedgerState state;
    state.at = f.at();
    state.index = f.count("index");
    state.digest = f.hex("digest", kDigest);
    state.closed = f.boolean("closed");
    state.tip = f.hex("tip", kTxid);
    state.height = static_cast<std::uint32_t>(f.count("height"));
    if (!f.good()) return;
    if (out_.state) return f.fail("a second `state`");
    out_.state = std::move(state);
  }

  Replica& out_;
};

class JournalReader {
 public:
  JournalReader(Journal& journal, const crypto::SchemeFacts& scheme)
      : out_(journal), scheme_(scheme) {}

  void take(Fields& f) {
    const std::uint64_t sequence = f.count("sequence");
    const std::string head = f.hex("head", kDigest);
    const std::string kind = f.text("kind");
    if (!f.good()) return;
    if (sequence != out_.length + 1) {
      return f.fail("sequence " + std::to_string(sequence) + " where " +
                    std::to_string(out_.length + 1) + " was next");
    }
    out_.length = sequence;
    if (kind == "provisioned")
      take_provisioned(f);
    else if (kind == "signing_record")
      take_record(f, sequence);
    else if (kind == "reprovisioned")
      take_reprovisioned(f);
    else if (kind == "imported_binding")
      take_imported(f);
    else
      return f.fail("unknown kind '" + kind + "'");
    if (!f.good()) return;
    if (to_hex(head_) != head) {
      return f.fail("head " + head + " is not what the records up to here lead to");
    }
    out_.heads.push_back(head);
  }

 private:
  ProvisionedRecord take_identity(Fields& f) {
    ProvisionedRecord record;
    record.signer = f.text("signer");
    record.cluster_id = f.text("cluster_id");
    record.share_epoch = static_cast<std::uint32_t>(f.count("share_epoch"));
    record.threshold_key = f.hex("threshold_key", kKey);
    if (!f.good()) return record;
    if (record.signer != out_.signer) f.fail("this is the journal of " + record.signer);
    out_.threshold_key = record.threshold_key;
    return record;
  }

  void take_provisioned(Fields& f) {
    const ProvisionedRecord record = take_identity(f);
    if (f.good()) head_ = next_head(head_, record);
  }

  void take_reprovisioned(Fields& f) {
    ReprovisionedRecord record;
    record.now = take_identity(f);
    record.group = f.hex("group", kDigest);
    record.previous_epoch = static_cast<std::uint32_t>(f.count("previous_epoch"));
    f.each("sources", [&](Fields& source) {
      ReprovisionedRecord::Source from;
      from.signer = source.text("signer");
      from.share_epoch = static_cast<std::uint32_t>(source.count("share_epoch"));
      from.length = source.count("length");
      from.head = source.hex("head", kDigest);
      record.sources.push_back(std::move(from));
    });
    record.imported = static_cast<std::uint32_t>(f.count("imported"));
    if (f.good()) head_ = next_head(head_, record);
  }

  // What others signed: no signature of this signer, so it is chained and no more.
  void take_imported(Fields& f) {
    ImportedRecord record;
    record.withdrawal_id = f.hex("withdrawal_id", kId);
    record.payload_digest = f.hex("payload_digest", kDigest);
    record.txid = f.hex("txid", kTxid);
    f.each("inputs", [&](Fields& input) { record.inputs.push_back(take_input(input)); });
    if (f.good()) head_ = next_head(head_, record);
  }

  static BoundInput take_input(Fields& input) {
    BoundInput bound;
    bound.outpoint = input.outpoint("outpoint");
    bound.amount_sat = input.integer("amount_sat");
    bound.script = input.any_hex("script");
    return bound;
  }

  void take_record(Fields& f, std::uint64_t sequence) {
    SigningRecord record;
    record.at = f.at();
    record.sequence = sequence;
    record.session_digest = f.hex("session_digest", kDigest);
    record.nonces = f.hex_list("nonces", scheme_.nonce_size);
    record.withdrawal_id = f.hex("withdrawal_id", kId);
    record.payload_digest = f.hex("payload_digest", kDigest);
    record.txid = f.hex("txid", kTxid);
    f.each("inputs", [&](Fields& input) { record.inputs.push_back(take_input(input)); });
    if (!f.good()) return;
    head_ = next_head(head_, record);
    out_.records.push_back(std::move(record));
  }

  Journal& out_;
  const crypto::SchemeFacts& scheme_;
  Hash32 head_{};
};

}  // namespace

void chain(const std::string& run_dir, History& history) {
  history.chain_file = read_records(run_dir, "state/chain.ndjson", "roulette-chain", history,
                                    [&](Fields& fields) { take_block(fields, history); });
  Source& source = history.sources[history.chain_file];
  if (!source.present) return;
  const std::string& end = history.events.chain_end;
  if (history.chain.hashes.empty())
    note_defect(source, 0, "it holds no block");
  else if (end.empty())
    note_defect(source, 0, "the tool's log does not say where the chain ended");
  else if (history.chain.hashes.back() != end)
    note_defect(
        source, 0,
        "it ends with " + history.chain.hashes.back() + ", the node's chain ended with " + end);
}

void transactions(const std::string& run_dir, History& history) {
  history.transactions_file = read_records(
      run_dir, "state/transactions.ndjson", "roulette-transactions", history, [&](Fields& f) {
        TransactionRecord record;
        record.at = f.at();
        record.withdrawal_id = f.hex("withdrawal_id", kId);
        record.key = f.text("idempotency_key");
        record.address = f.text("address");
        record.amount_sat = f.integer("amount_sat");
        record.txid = f.hex("txid", kTxid);
        record.hex = f.any_hex("hex");
        f.each("prevouts", [&](Fields& p) {
          record.prevouts.push_back({p.hex("txid", kTxid),
                                     static_cast<std::uint32_t>(p.count("vout")),
                                     p.integer("amount_sat"), p.any_hex("script")});
        });
        if (f.good()) history.transactions.push_back(std::move(record));
      });
}

// A record that both have (same head at its sequence) counts once.
void join(Journal& journal, Journal before, std::int64_t restarted_us) {
  for (SigningRecord& record : before.records) {
    const std::size_t at = record.sequence - 1;
    // Where its chain breaks its heads end; its source is a defect then.
    const auto same = [&](const std::vector<std::string>& heads) {
      return at < heads.size() && at < before.heads.size() && heads[at] == before.heads[at];
    };
    if (!same(journal.heads) &&
        std::none_of(journal.taken.begin(), journal.taken.end(),
                     [&](const Journal::Taken& taken) { return same(taken.heads); }))
      journal.records.push_back(std::move(record));
  }
  journal.length = std::max(journal.length, before.length);
  journal.taken.push_back({before.source, std::move(before.heads), restarted_us});
}

void journal(const std::string& run_dir, std::uint16_t signer, History& history) {
  Journal journal;
  journal.signer = ProcessName{Role::Signer, signer}.text();
  JournalReader reader(journal, history.scheme());
  journal.source =
      read_records(run_dir, "state/" + journal.signer + ".ndjson", "roulette-signer-journal",
                   history, [&](Fields& fields) { reader.take(fields); });
  Source& source = history.sources[journal.source];
  if (source.present && journal.threshold_key.empty())
    note_defect(source, 0, "it has no `provisioned` record");
  for (const FaultRecord& fault : history.faults) {
    const bool taken = fault.recover == "wiped" || fault.recover == "rolled-back";
    if (!taken || fault.victim != journal.signer || !fault.restarted_us) continue;
    Journal before;
    before.signer = journal.signer;
    JournalReader earlier(before, history.scheme());
    before.source = read_records(
        run_dir,
        "state/" + journal.signer + ".before-" + std::to_string(fault.fault_id) + ".ndjson",
        "roulette-signer-journal", history, [&](Fields& fields) { earlier.take(fields); });
    join(journal, std::move(before), *fault.restarted_us);
  }
  history.journals.push_back(std::move(journal));
}

void replica(const std::string& run_dir, std::uint16_t ledger, History& history) {
  Replica replica;
  replica.name = ProcessName{Role::Ledger, ledger}.text();
  ReplicaReader reader(replica);
  replica.source = read_records(run_dir, "state/" + replica.name + ".ndjson", "roulette-ledger",
                                history, [&](Fields& fields) { reader.take(fields); });
  Source& source = history.sources[replica.source];
  if (source.present && !replica.state) note_defect(source, 0, "it has no `state` line");
  history.replicas.push_back(std::move(replica));
}

}  // namespace roulette::check::load
