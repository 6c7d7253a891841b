// Records to and from SQLite rows, and to JSON: see journal_records.h.
//
// Invariant: the exported line holds every field of its record, so that chain heads can be
// recomputed from the export alone.
#include "signer/app/journal_records.h"

#include <cstdio>
#include <utility>

#include "common/runtime/event_log.h"

namespace roulette::signer {
namespace {

using runtime::EventFields;

// Each pair of EventFields begins with a comma.
std::string object_json(const EventFields& fields) {
  return "{" + fields.text().substr(1) + "}";
}

std::string input_json(const BoundInput& input) {
  EventFields fields;
  fields.add("outpoint", bitcoin::to_text(input.outpoint))
      .add("amount_sat", input.prevout.amount_sat)
      .add_hex("script", input.prevout.script);
  return object_json(fields);
}

template <class List, class ToJson>
std::string list_json(const List& list, const ToJson& to_json) {
  std::string json = "[";
  for (const auto& element : list) {
    if (json.size() > 1) json += ",";
    json += to_json(element);
  }
  return json + "]";
}

void add_body(EventFields& fields, const Provisioned& body) {
  fields.add("signer", ProcessName{Role::Signer, body.signer.value()}.text())
      .add("cluster_id", body.cluster_id)
      .add("share_epoch", body.share_epoch)
      .add_hex("threshold_key", body.threshold_key);
}

std::string source_json(const JournalSource& source) {
  EventFields fields;
  fields.add("signer", ProcessName{Role::Signer, source.signer.value()}.text())
      .add("share_epoch", source.share_epoch)
      .add("length", source.length)
      .add_hex("head", source.head);
  return object_json(fields);
}

void add_body(EventFields& fields, const Reprovisioned& body) {
  add_body(fields, body.now);
  fields.add_hex("group", body.group)
      .add("previous_epoch", body.previous_epoch)
      .add_json("sources", list_json(body.sources, source_json))
      .add("imported", body.imported);
}

void add_body(EventFields& fields, const ImportedBinding& body) {
  fields.add_hex("withdrawal_id", body.withdrawal_id.value())
      .add_hex("payload_digest", body.payload_digest)
      .add("txid", bitcoin::txid_to_hex(body.txid))
      .add_json("inputs", list_json(body.inputs, input_json));
}

void add_body(EventFields& fields, const SigningRecord& body) {
  const auto hex = [](const wire::PubNonce& nonce) { return "\"" + to_hex(nonce) + "\""; };
  fields.add_hex("session_digest", body.session_digest)
      .add_json("nonces", list_json(body.own_nonces, hex))
      .add_hex("withdrawal_id", body.withdrawal_id.value())
      .add_hex("payload_digest", body.payload_digest)
      .add("txid", bitcoin::txid_to_hex(body.txid))
      .add_json("inputs", list_json(body.inputs, input_json));
}

}  // namespace

runtime::JournalRecord to_journal(const Record& record) {
  return {record_name(record.body), encode_record(record.body),
          Bytes(record.head.begin(), record.head.end())};
}

Result<std::vector<Record>> load_records(runtime::Journal& journal) {
  auto stored = journal.load_all();
  if (!stored) return stored.error();
  std::vector<Record> records;
  for (const runtime::StoredRecord& row : *stored) {
    const std::string where = "journal record " + std::to_string(row.sequence);
    auto body = decode_record(row.record.payload);
    if (!body) return body.error().with_context(where);
    const auto head = to_array<32>(row.record.head);
    if (!head) return Error{ErrorKind::Corrupt, where + ": its head is not 32 bytes"};
    records.push_back(Record{row.sequence, *head, std::move(body).value()});
  }
  return records;
}

std::string record_json(const Record& record) {
  EventFields fields;
  fields.add("sequence", record.sequence)
      .add_hex("head", record.head)
      .add("kind", record_name(record.body));
  std::visit([&fields](const auto& body) { add_body(fields, body); }, record.body);
  return object_json(fields);
}

Status export_journal(const Settings& settings) {
  auto journal = runtime::Journal::open({.path = settings.journal_file(),
                                         .format = kJournalFormat,
                                         .must_exist = true,
                                         .read_only = true});
  if (!journal) return journal.error();
  const auto records = load_records(**journal);
  if (!records) return records.error();
  std::string text = "{\"format\":\"roulette-signer-journal\",\"version\":1}\n";
  for (const Record& record : *records) text += record_json(record) + "\n";
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    return Error{ErrorKind::Io, "the journal could not be written to stdout"};
  return {};
}

}  // namespace roulette::signer
