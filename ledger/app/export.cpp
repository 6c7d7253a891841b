// See export.h.
#include "ledger/app/export.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>

#include "common/runtime/event_log.h"
#include "ledger/app/tables.h"

namespace roulette::ledger {
namespace {

using runtime::EventFields;

template <class List, class ToJson>
std::string list_json(const List& list, const ToJson& to_json) {
  std::string json = "[";
  for (const auto& element : list) {
    if (json.size() > 1) json += ",";
    json += to_json(element);
  }
  return json + "]";
}

// Every field's text begins with a comma.
std::string object(const EventFields& fields) {
  return "{" + fields.text().substr(1) + "}";
}
std::string quoted(const std::string& plain) {
  return "\"" + plain + "\"";
}
std::string display(const Hash32& hash) {
  return bitcoin::txid_to_hex(hash);
}

void add_client(EventFields& out, const std::optional<wire::ClientSignature>& client) {
  out.add("client", client ? client->client : "");
  out.add_hex("client_signature", client ? ByteSpan(client->signature) : ByteSpan());
}

struct CommandFields {
  EventFields& out;

  void operator()(const wire::Genesis& v) const {
    out.add("cluster_id", v.cluster_id).add_hex("wallet_script", v.wallet_script);
    out.add("signature_form", crypto::form_name(v.signature_form));
    out.add_hex("wallet_output_key", v.wallet_output_key);
    out.add_json("accounts", list_json(v.accounts, [](const std::string& name) {
                   std::string json;
                   runtime::append_json_string(json, name);
                   return json;
                 }));
    out.add("fee_rate_sat_per_vb", v.fee_rate_sat_per_vb);
    out.add("withdrawal_fee_sat", v.withdrawal_fee_sat).add("min_amount_sat", v.min_amount_sat);
    out.add("max_amount_sat", v.max_amount_sat).add("settle_depth", v.settle_depth);
    out.add("anchor_block", display(v.anchor_block));
  }
  void operator()(const wire::Withdraw& v) const {
    out.add_hex("proposed_id", v.id.value()).add("key", v.key).add("account", v.account);
    out.add_hex("script", v.script).add("amount_sat", v.amount_sat);
    out.add_hex("payload_digest", v.payload_digest);
    out.add("owner", ProcessName{Role::Coordinator, v.owner.value()}.text());
    out.add("requested_at_us", v.requested_at_us);
    add_client(out, v.client);
  }
  void operator()(const wire::Signed& v) const {
    out.add("txid", display(v.txid));
    out.add_json("signatures",
                 list_json(v.signatures, [](const crypto::WalletSignature& signature) {
                   return quoted(to_hex(signature));
                 }));
    out.add_json("journals", list_json(v.journals, [](const wire::JournalHead& head) {
                   EventFields fields;
                   fields.add("signer", ProcessName{Role::Signer, head.signer.value()}.text());
                   fields.add("share_epoch", head.share_epoch).add("length", head.length);
                   return object(fields.add_hex("head", head.head));
                 }));
    out.add("by", ProcessName{Role::Coordinator, v.by.value()}.text());
  }
  void operator()(const wire::Broadcast& v) const { out.add("txid", display(v.txid)); }
  void operator()(const wire::BlockConnected& v) const {
    out.add("hash", display(v.hash)).add("prev", display(v.prev)).add("height", v.height);
    out.add_json("txids",
                 list_json(v.txids, [](const Hash32& txid) { return quoted(display(txid)); }));
    out.add_json(
        "wallet_outputs", list_json(v.wallet_outputs, [](const wire::WalletOutput& output) {
          EventFields fields;
          fields.add("outpoint", bitcoin::to_text(output.outpoint));
          return object(
              fields.add("amount_sat", output.amount_sat).add("coinbase", output.coinbase));
        }));
  }
  void operator()(const wire::BlockDisconnected& v) const { out.add("hash", display(v.hash)); }
  void operator()(const wire::Checkpoint& v) const {
    out.add("replica", ProcessName{Role::Ledger, v.replica.value()}.text());
    out.add("index", v.index).add_hex("digest", v.digest);
  }
  void operator()(const wire::EndOfRun&) const {}
};

// The one concerned: for a duplicate the first one, not the id that the command brought.
std::optional<WithdrawalId> withdrawal_of(const wire::Command& command,
                                          const wire::Outcome& outcome) {
  if (outcome.withdrawal) return outcome.withdrawal;
  if (const auto* v = std::get_if<wire::Signed>(&command.body)) return v->withdrawal_id;
  if (const auto* v = std::get_if<wire::Broadcast>(&command.body)) return v->withdrawal_id;
  return std::nullopt;
}

std::string command_json(const wire::Command& command, const wire::Outcome& outcome) {
  EventFields fields;
  fields.add("command", wire::command_name(command.body));
  fields.add("proposer", command.id.proposer.text());
  fields.add("outcome", wire::outcome_name(outcome.kind)).add("detail", outcome.detail);
  if (const auto id = withdrawal_of(command, outcome)) fields.add_hex("withdrawal_id", id->value());
  std::visit(CommandFields{fields}, command.body);
  return object(fields);
}

std::string entry_json(const StoredEntry& entry) {
  std::string commands = "[";
  for (std::size_t i = 0; i < entry.commands.size(); ++i) {
    if (i > 0) commands += ",";
    commands += command_json(entry.commands[i], entry.outcomes[i]);
  }
  EventFields fields;
  fields.add("type", "entry").add("index", entry.index).add_json("commands", commands + "]");
  return object(fields);
}

Result<std::string> withdrawal_json(const wire::WithdrawalView& view) {
  EventFields fields;
  fields.add("type", "withdrawal").add_hex("withdrawal_id", view.id.value()).add("key", view.key);
  fields.add("account", view.account).add_hex("script", view.script);
  fields.add("amount_sat", view.amount_sat).add_hex("payload_digest", view.payload_digest);
  fields.add("state", wire::state_name(view.state)).add("reject", wire::reject_name(view.reject));
  fields.add("owner", ProcessName{Role::Coordinator, view.owner.value()}.text());
  fields.add("requested_at_us", view.requested_at_us);
  add_client(fields, view.client);
  fields.add("txid", view.planned ? display(view.planned->txid) : "");
  fields.add_hex("unsigned_tx", view.planned ? view.planned->unsigned_tx : Bytes{});
  fields.add_hex("signed_tx", view.signed_tx);
  fields.add("fee_sat", view.planned ? view.planned->fee_sat : 0).add("height", view.height);
  std::string prevouts = "[";
  if (view.planned) {
    const auto tx = bitcoin::parse_transaction(view.planned->unsigned_tx);
    if (!tx) return tx.error();
    if (tx.value().inputs.size() != view.planned->prevouts.size()) {
      return Error{ErrorKind::Corrupt, "a template whose prevouts are not one per input"};
    }
    for (std::size_t i = 0; i < view.planned->prevouts.size(); ++i) {
      const bitcoin::OutPoint& outpoint = tx.value().inputs[i].outpoint;
      const bitcoin::TxOut& prevout = view.planned->prevouts[i];
      EventFields line;
      line.add("txid", display(outpoint.txid)).add("vout", outpoint.vout);
      line.add("amount_sat", prevout.amount_sat).add_hex("script", prevout.script);
      prevouts += (i > 0 ? "," : "") + object(line);
    }
  }
  fields.add_json("prevouts", prevouts + "]");
  return object(fields);
}

std::string posting_json(const StoredPosting& stored) {
  EventFields fields;
  fields.add("type", "posting").add("index", stored.index).add("debit", stored.posting.debit);
  fields.add("credit", stored.posting.credit).add("amount_sat", stored.posting.amount_sat);
  fields.add("reason", stored.posting.reason).add("reference", stored.posting.reference);
  return object(fields);
}

std::string head_json(const wire::JournalHead& head) {
  EventFields fields;
  fields.add("type", "journal_head");
  fields.add("signer", ProcessName{Role::Signer, head.signer.value()}.text());
  fields.add("share_epoch", head.share_epoch).add("length", head.length);
  return object(fields.add_hex("head", head.head));
}

std::string state_json(const StoredDigest& stored) {
  EventFields fields;
  fields.add("type", "state").add("index", stored.index).add_hex("digest", stored.digest);
  fields.add("closed", stored.closed).add("tip", display(stored.tip.hash));
  return object(fields.add("height", stored.tip.height));
}

struct Stored {
  std::string damage;  // empty: every row is as it was written
  std::optional<StoredBase> base;
  std::vector<StoredEntry> entries;
  std::vector<wire::WithdrawalView> withdrawals;
  std::vector<Reservation> reservations;
  std::vector<StoredPosting> postings;
  std::vector<wire::Balance> balances;
  std::optional<StoredDigest> digest;
};

Result<Stored> load(Tables& tables) {
  Stored stored;
  const auto take = [](auto result, auto& into) -> Status {
    if (!result) return result.error();
    into = std::move(result).value();
    return {};
  };
  if (auto verified = tables.verify(); !verified) stored.damage = verified.error().message;
  if (auto done = take(tables.base(), stored.base); !done) return done.error();
  if (auto done = take(tables.entries(), stored.entries); !done) return done.error();
  if (auto done = take(tables.withdrawals(), stored.withdrawals); !done) return done.error();
  if (auto done = take(tables.reservations(), stored.reservations); !done) return done.error();
  if (auto done = take(tables.postings(), stored.postings); !done) return done.error();
  if (auto done = take(tables.balances(), stored.balances); !done) return done.error();
  if (auto done = take(tables.last_digest(), stored.digest); !done) return done.error();
  return stored;
}

// What the stored entries lead to, beside what the other tables say.
struct Recomputed {
  Hash32 digest{};  // at the index of the stored digest
  std::string why;  // empty: all tables agree with the entries
  std::vector<wire::JournalHead> heads;  // what the state keeps of signers' journals
};

Recomputed recompute(const Stored& stored) {
  Recomputed result;
  State state;
  if (stored.base) {
    auto restored = State::decode(stored.base->snapshot);
    if (!restored || restored->digest() != stored.base->digest) {
      return {{}, "the snapshot they were restored from is damaged", {}};
    }
    state = std::move(restored).value();
    if (stored.digest && stored.base->index == stored.digest->index) result.digest = state.digest();
  }
  std::vector<Posting> postings;
  for (const StoredEntry& entry : stored.entries) {
    for (std::size_t i = 0; i < entry.commands.size(); ++i) {
      Applied applied = state.apply(entry.commands[i]);
      if (applied.outcome != entry.outcomes[i]) result.why = "outcomes differ";
      postings.insert(postings.end(), applied.postings.begin(), applied.postings.end());
    }
    if (stored.digest && entry.index == stored.digest->index) result.digest = state.digest();
  }
  std::vector<wire::WithdrawalView> withdrawals = state.all();
  for (wire::WithdrawalView& view : withdrawals) view.parents.clear();  // not stored
  if (withdrawals != stored.withdrawals) result.why = "withdrawals differ";
  if (state.balances() != stored.balances) result.why = "balances differ";
  const auto same_posting = [](const StoredPosting& a, const Posting& b) { return a.posting == b; };
  if (!std::equal(stored.postings.begin(), stored.postings.end(), postings.begin(), postings.end(),
                  same_posting)) {
    result.why = "postings differ";
  }
  if (state.reservations() != stored.reservations) result.why = "reservations differ";
  if (!stored.damage.empty()) result.why = stored.damage;
  result.heads = state.journal_heads();
  if (!result.why.empty()) {
    result.digest = {};
    result.heads.clear();  // nothing is said on the word of tables that do not agree
  }
  return result;
}

Status print(const Stored& stored) {
  std::string text = "{\"format\":\"roulette-ledger\",\"version\":4}\n";
  if (stored.base) {
    EventFields fields;
    fields.add("type", "base").add("index", stored.base->index);
    text += object(fields.add_hex("digest", stored.base->digest)) + "\n";
  }
  for (const StoredEntry& entry : stored.entries) text += entry_json(entry) + "\n";
  for (const wire::WithdrawalView& view : stored.withdrawals) {
    auto line = withdrawal_json(view);
    if (!line) return line.error();
    text += line.value() + "\n";
  }
  for (const Reservation& line : stored.reservations) {
    EventFields fields;
    fields.add("type", "reservation").add("outpoint", bitcoin::to_text(line.outpoint));
    text += object(fields.add_hex("withdrawal_id", line.withdrawal.value())) + "\n";
  }
  for (const StoredPosting& line : stored.postings) text += posting_json(line) + "\n";
  for (const wire::Balance& line : stored.balances) {
    EventFields fields;
    fields.add("type", "balance").add("account", line.account).add("amount_sat", line.amount_sat);
    text += object(fields) + "\n";
  }
  if (stored.digest) {
    text += state_json(*stored.digest) + "\n";
    const Recomputed recomputed = recompute(stored);
    for (const wire::JournalHead& head : recomputed.heads) text += head_json(head) + "\n";
    EventFields fields;
    fields.add("type", "tables").add("index", stored.digest->index);
    text += object(fields.add_hex("digest", recomputed.digest).add("why", recomputed.why)) + "\n";
  }
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    return Error{ErrorKind::Io, "the tables could not be written to stdout"};
  }
  return {};
}

}  // namespace

Status export_tables(const Settings& settings) {
  auto tables = Tables::open_to_read(settings.tables_file());
  if (!tables) return tables.error();
  const auto stored = load(*tables);
  if (!stored) return stored.error();
  return print(stored.value());
}

}  // namespace roulette::ledger
