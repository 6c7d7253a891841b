// Canonical encoding of the ordered log's commands: what the log stores and every digest covers.
//
// Invariant: decode(encode(x)) == x, and bytes that decode are exactly encode() of the result: no
// other spelling, no trailing byte, no value out of its enum or over its bound (limits.h). It does
// not judge meaning: whether a signature verifies or an amount is allowed is ledger/core's.

//   command  u8 format = 2 | u8 role | u16 index | boot[16] | u64 counter | u8 kind | body
//   batch    u32 count | command...
//   body     the fields in the order commands.h declares them; integers big-endian, text and byte
//            strings with a u32 length, lists with a u32 count, flags one byte 0 or 1; a wallet
//            output names its transaction by its place (u32), so that a full block fits a batch
#include "common/wire/commands.h"

#include <map>

#include "common/base/assert.h"
#include "common/base/canonical.h"
#include "common/base/limits.h"
#include "common/crypto/hash.h"

namespace roulette::wire {
namespace {

// 2: Genesis names the form of signatures, and these have any length up to a bound.
constexpr std::uint8_t kCommandFormat = 2;
constexpr std::size_t kLeastCommandBytes = 1 + 1 + 2 + 16 + 8 + 1;
constexpr std::size_t kWalletOutputBytes = 4 + 4 + 8 + 1;
constexpr std::size_t kJournalHeadBytes = 2 + 4 + 8 + 32;

// The body's first byte. A number is never used again for something else: logs outlive builds.
enum class Kind : std::uint8_t {
  Genesis = 1,
  Withdraw = 2,
  Signed = 3,
  Broadcast = 4,
  BlockConnected = 5,
  BlockDisconnected = 6,
  Checkpoint = 7,
  EndOfRun = 8
};

// ---- writing: one overload per alternative, so a new one does not compile until it is written ---

void write(CanonicalWriter& w, const Genesis& v) {
  w.u8(static_cast<std::uint8_t>(Kind::Genesis));
  w.text(v.cluster_id);
  w.bytes(v.wallet_script);
  w.u8(static_cast<std::uint8_t>(v.signature_form));
  w.bytes(v.wallet_output_key);
  w.count(v.accounts.size());
  for (const std::string& account : v.accounts) w.text(account);
  w.i64(v.fee_rate_sat_per_vb);
  w.i64(v.withdrawal_fee_sat);
  w.i64(v.min_amount_sat);
  w.i64(v.max_amount_sat);
  w.u32(v.settle_depth);
  w.raw(v.anchor_block);
}

void write(CanonicalWriter& w, const Withdraw& v) {
  w.u8(static_cast<std::uint8_t>(Kind::Withdraw));
  w.raw(v.id.value());
  w.text(v.key);
  w.text(v.account);
  w.bytes(v.script);
  w.i64(v.amount_sat);
  w.raw(v.payload_digest);
  w.u16(v.owner.value());
  w.i64(v.requested_at_us);
  write_client(w, v.client);
}

void write(CanonicalWriter& w, const Signed& v) {
  w.u8(static_cast<std::uint8_t>(Kind::Signed));
  w.raw(v.withdrawal_id.value());
  w.raw(v.txid);
  w.count(v.signatures.size());
  for (const crypto::WalletSignature& signature : v.signatures) w.bytes(signature);
  w.count(v.journals.size());
  for (const JournalHead& journal : v.journals) {
    w.u16(journal.signer.value());
    w.u32(journal.share_epoch);
    w.u64(journal.length);
    w.raw(journal.head);
  }
  w.u16(v.by.value());
}

void write(CanonicalWriter& w, const Broadcast& v) {
  w.u8(static_cast<std::uint8_t>(Kind::Broadcast));
  w.raw(v.withdrawal_id.value());
  w.raw(v.txid);
}

// Where each txid of a block stands; the first place, should one stand there twice.
std::map<Hash32, std::uint32_t> places_of(const BlockConnected& block) {
  std::map<Hash32, std::uint32_t> places;
  if (block.wallet_outputs.empty()) return places;
  for (std::uint32_t i = 0; i < block.txids.size(); ++i) places.emplace(block.txids[i], i);
  return places;
}

void write(CanonicalWriter& w, const BlockConnected& v) {
  w.u8(static_cast<std::uint8_t>(Kind::BlockConnected));
  w.raw(v.hash);
  w.raw(v.prev);
  w.u32(v.height);
  w.count(v.txids.size());
  for (const Hash32& txid : v.txids) w.raw(txid);
  w.count(v.wallet_outputs.size());
  const auto places = places_of(v);
  for (const WalletOutput& output : v.wallet_outputs) {
    const auto place = places.find(output.outpoint.txid);
    ROULETTE_ASSERT(place != places.end());
    w.u32(place->second);
    w.u32(output.outpoint.vout);
    w.i64(output.amount_sat);
    w.boolean(output.coinbase);
  }
}

void write(CanonicalWriter& w, const BlockDisconnected& v) {
  w.u8(static_cast<std::uint8_t>(Kind::BlockDisconnected));
  w.raw(v.hash);
}

void write(CanonicalWriter& w, const Checkpoint& v) {
  w.u8(static_cast<std::uint8_t>(Kind::Checkpoint));
  w.u16(v.replica.value());
  w.u64(v.index);
  w.raw(v.digest);
}

void write(CanonicalWriter& w, const EndOfRun&) {
  w.u8(static_cast<std::uint8_t>(Kind::EndOfRun));
}

void write(CanonicalWriter& w, const Command& command) {
  w.u8(kCommandFormat);
  w.u8(static_cast<std::uint8_t>(command.id.proposer.role));
  w.u16(command.id.proposer.index);
  w.raw(command.id.boot.value());
  w.u64(command.id.counter);
  std::visit([&w](const auto& body) { write(w, body); }, command.body);
}

// ---- reading: after the first violation every read is zero and the caller sees !ok() ----

std::string bounded_text(CanonicalReader& r, std::size_t most) {
  std::string text = r.text();
  if (text.size() > most) r.fail();
  return text;
}

Bytes bounded_bytes(CanonicalReader& r, std::size_t most) {
  Bytes bytes = r.bytes();
  if (bytes.size() > most) r.fail();
  return bytes;
}

template <class Bounded>
Bounded bounded(CanonicalReader& r) {
  const auto bytes = Bounded::from(r.bytes());
  if (!bytes) r.fail();
  return bytes.value_or(Bounded());
}

// The length of a list of at most `most` elements that take at least `element_size` bytes each.
std::size_t bounded_count(CanonicalReader& r, std::size_t element_size, std::size_t most) {
  const std::size_t n = r.count(element_size);
  if (n <= most) return n;
  r.fail();
  return 0;
}

Genesis read_genesis(CanonicalReader& r) {
  Genesis v;
  v.cluster_id = bounded_text(r, limits::kMaxClusterIdBytes);
  v.wallet_script = bounded_bytes(r, limits::kMaxScriptBytes);
  const auto form = crypto::form_numbered(r.u8());
  if (!form) r.fail();
  v.signature_form = form.value_or(crypto::SignatureForm::Bip340);
  v.wallet_output_key = bounded<crypto::WalletKey>(r);
  v.accounts.resize(bounded_count(r, 4, limits::kMaxAccounts));
  for (std::string& account : v.accounts) account = bounded_text(r, limits::kMaxAccountNameBytes);
  v.fee_rate_sat_per_vb = r.i64();
  v.withdrawal_fee_sat = r.i64();
  v.min_amount_sat = r.i64();
  v.max_amount_sat = r.i64();
  v.settle_depth = r.u32();
  v.anchor_block = r.array<32>();
  return v;
}

Withdraw read_withdraw(CanonicalReader& r) {
  Withdraw v;
  v.id = WithdrawalId(r.array<16>());
  v.key = bounded_text(r, limits::kMaxIdempotencyKeyBytes);
  v.account = bounded_text(r, limits::kMaxAccountNameBytes);
  v.script = bounded_bytes(r, limits::kMaxScriptBytes);
  v.amount_sat = r.i64();
  v.payload_digest = r.array<32>();
  v.owner = CoordinatorId(r.u16());
  v.requested_at_us = r.i64();
  v.client = read_client(r);
  return v;
}

Signed read_signed(CanonicalReader& r) {
  Signed v;
  v.withdrawal_id = WithdrawalId(r.array<16>());
  v.txid = r.array<32>();
  v.signatures.resize(bounded_count(r, 4, limits::kMaxInputsPerTransaction));
  for (crypto::WalletSignature& signature : v.signatures)
    signature = bounded<crypto::WalletSignature>(r);
  v.journals.resize(bounded_count(r, kJournalHeadBytes, limits::kMaxSigners));
  for (JournalHead& journal : v.journals) {
    journal.signer = SignerId(r.u16());
    journal.share_epoch = r.u32();
    journal.length = r.u64();
    journal.head = r.array<32>();
  }
  v.by = CoordinatorId(r.u16());
  return v;
}

Broadcast read_broadcast(CanonicalReader& r) {
  Broadcast v;
  v.withdrawal_id = WithdrawalId(r.array<16>());
  v.txid = r.array<32>();
  return v;
}

BlockConnected read_block_connected(CanonicalReader& r) {
  BlockConnected v;
  v.hash = r.array<32>();
  v.prev = r.array<32>();
  v.height = r.u32();
  // How many fit is the batch's byte bound, which takes every block there can be (limits.h).
  v.txids.resize(r.count(32));
  for (Hash32& txid : v.txids) txid = r.array<32>();
  v.wallet_outputs.resize(r.count(kWalletOutputBytes));
  const auto places = places_of(v);
  for (WalletOutput& output : v.wallet_outputs) {
    const std::uint32_t place = r.u32();
    if (place < v.txids.size() && places.at(v.txids[place]) == place)
      output.outpoint.txid = v.txids[place];
    else
      r.fail();
    output.outpoint.vout = r.u32();
    output.amount_sat = r.i64();
    output.coinbase = r.boolean();
  }
  return v;
}

Checkpoint read_checkpoint(CanonicalReader& r) {
  Checkpoint v;
  v.replica = LedgerId(r.u16());
  v.index = r.u64();
  v.digest = r.array<32>();
  return v;
}

CommandBody read_body(CanonicalReader& r) {
  const std::uint8_t kind = r.u8();
  switch (static_cast<Kind>(kind)) {
    case Kind::Genesis: return read_genesis(r);
    case Kind::Withdraw: return read_withdraw(r);
    case Kind::Signed: return read_signed(r);
    case Kind::Broadcast: return read_broadcast(r);
    case Kind::BlockConnected: return read_block_connected(r);
    case Kind::BlockDisconnected: return BlockDisconnected{r.array<32>()};
    case Kind::Checkpoint: return read_checkpoint(r);
    case Kind::EndOfRun: return EndOfRun{};
  }
  r.fail();
  return EndOfRun{};
}

Role read_role(CanonicalReader& r) {
  const std::uint8_t role = r.u8();
  switch (static_cast<Role>(role)) {
    case Role::Signer:
    case Role::Coordinator:
    case Role::Ledger:
    case Role::Etcd:
    case Role::Bitcoind:
    case Role::Tool: return static_cast<Role>(role);
  }
  r.fail();
  return Role::Tool;
}

// `format`: the first one that is not ours, for the refusal's words.
Command read_command(CanonicalReader& r, std::optional<std::uint8_t>& format) {
  Command command;
  const std::uint8_t read = r.u8();
  if (read != kCommandFormat) {
    if (r.ok() && !format) format = read;
    r.fail();
  }
  command.id.proposer.role = read_role(r);
  command.id.proposer.index = r.u16();
  command.id.boot = BootId(r.array<16>());
  command.id.counter = r.u64();
  command.body = read_body(r);
  return command;
}

Error corrupt(const std::string& what) { return Error{ErrorKind::Corrupt, what}; }

// An older log is refused by name: nothing in it is guessed at.
Error not_read(const char* what, const std::optional<std::uint8_t>& format) {
  if (!format) return corrupt(std::string(what) + ": not a canonical encoding");
  return corrupt(std::string(what) + ": of command format " + std::to_string(*format) +
                 "; this program reads format " + std::to_string(kCommandFormat));
}

}  // namespace

const char* command_name(const CommandBody& body) {
  struct Name {
    const char* operator()(const Genesis&) const { return "genesis"; }
    const char* operator()(const Withdraw&) const { return "withdraw"; }
    const char* operator()(const Signed&) const { return "signed"; }
    const char* operator()(const Broadcast&) const { return "broadcast"; }
    const char* operator()(const BlockConnected&) const { return "block_connected"; }
    const char* operator()(const BlockDisconnected&) const { return "block_disconnected"; }
    const char* operator()(const Checkpoint&) const { return "checkpoint"; }
    const char* operator()(const EndOfRun&) const { return "end_of_run"; }
  };
  return std::visit(Name{}, body);
}

Bytes encode_command(const Command& command) {
  CanonicalWriter w;
  write(w, command);
  return w.take();
}

Result<Command> decode_command(ByteSpan bytes) {
  if (bytes.size() > limits::kMaxBatchBytes) return corrupt("command: over its byte bound");
  CanonicalReader r(bytes);
  std::optional<std::uint8_t> format;
  Command command = read_command(r, format);
  if (!r.finished()) return not_read("command", format);
  return command;
}

Bytes encode_batch(const std::vector<Command>& batch) {
  CanonicalWriter w;
  w.count(batch.size());
  for (const Command& command : batch) write(w, command);
  return w.take();
}

Result<std::vector<Command>> decode_batch(ByteSpan bytes) {
  if (bytes.size() > limits::kMaxBatchBytes) return corrupt("batch: over its byte bound");
  CanonicalReader r(bytes);
  std::vector<Command> batch;
  const std::size_t n = bounded_count(r, kLeastCommandBytes, limits::kMaxBatchCommands);
  batch.reserve(n);
  std::optional<std::uint8_t> format;
  for (std::size_t i = 0; i < n && r.ok(); ++i) batch.push_back(read_command(r, format));
  if (!r.finished()) return not_read("batch", format);
  return batch;
}

Hash32 payload_digest(const std::string& account, ByteSpan script, std::int64_t amount_sat) {
  CanonicalWriter w;
  w.text(account);
  w.bytes(script);
  w.i64(amount_sat);
  return crypto::sha256(w.view());
}

const char* outcome_name(OutcomeKind kind) {
  switch (kind) {
    case OutcomeKind::Applied: return "applied";
    case OutcomeKind::Duplicate: return "duplicate";
    case OutcomeKind::KeyConflict: return "key-conflict";
    case OutcomeKind::Rejected: return "rejected";
    case OutcomeKind::Ignored: return "ignored";
    case OutcomeKind::Invalid: return "invalid";
    case OutcomeKind::Closed: return "closed";
  }
  return "unknown";
}

}  // namespace roulette::wire
