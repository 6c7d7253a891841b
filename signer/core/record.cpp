// The journal's records as canonical bytes, and the hash chain over them.
//
// Invariant: decode_record(encode_record(b)) == b, and every accepted byte string is the one
// encoding of its record, so that a chain head names exactly one history. Whether a record may
// follow another is durable_state's business.
#include "common/base/assert.h"
#include "common/base/canonical.h"
#include "common/crypto/hash.h"
#include "signer/core/signer.h"

namespace roulette::signer {
namespace {

enum class Kind : std::uint8_t {
  Provisioned = 1,
  SigningRecord = 2,
  Reprovisioned = 3,
  ImportedBinding = 4
};

constexpr std::size_t kLeastInputBytes = 32 + 4 + 8 + 4;  // outpoint, amount, empty script
// Of every scheme that has nonces: a journal is read without knowing its scheme.
constexpr std::size_t kNonceBytes = 66;
constexpr std::size_t kSourceBytes = 2 + 4 + 8 + 32;

void write(CanonicalWriter& out, const std::vector<BoundInput>& inputs) {
  out.count(inputs.size());
  for (const BoundInput& input : inputs) {
    out.raw(input.outpoint.txid);
    out.u32(input.outpoint.vout);
    out.i64(input.prevout.amount_sat);
    out.bytes(input.prevout.script);
  }
}

std::vector<BoundInput> read_inputs(CanonicalReader& in) {
  std::vector<BoundInput> inputs(in.count(kLeastInputBytes));
  for (BoundInput& input : inputs) {
    input.outpoint.txid = in.array<32>();
    input.outpoint.vout = in.u32();
    input.prevout.amount_sat = in.i64();
    input.prevout.script = in.bytes();
  }
  return inputs;
}

void write_identity(CanonicalWriter& out, const Provisioned& body) {
  out.u16(body.signer.value());
  out.text(body.cluster_id);
  out.u32(body.share_epoch);
  out.raw(body.threshold_key);
}

void write(CanonicalWriter& out, const Provisioned& body) {
  out.u8(static_cast<std::uint8_t>(Kind::Provisioned));
  write_identity(out, body);
}

void write(CanonicalWriter& out, const Reprovisioned& body) {
  out.u8(static_cast<std::uint8_t>(Kind::Reprovisioned));
  write_identity(out, body.now);
  out.raw(body.group);
  out.u32(body.previous_epoch);
  out.count(body.sources.size());
  for (const JournalSource& source : body.sources) {
    out.u16(source.signer.value());
    out.u32(source.share_epoch);
    out.u64(source.length);
    out.raw(source.head);
  }
  out.u32(body.imported);
}

void write(CanonicalWriter& out, const ImportedBinding& body) {
  out.u8(static_cast<std::uint8_t>(Kind::ImportedBinding));
  out.raw(body.withdrawal_id.value());
  out.raw(body.payload_digest);
  out.raw(body.txid);
  write(out, body.inputs);
}

void write(CanonicalWriter& out, const SigningRecord& body) {
  out.u8(static_cast<std::uint8_t>(Kind::SigningRecord));
  out.raw(body.session_digest);
  out.count(body.own_nonces.size());
  for (const wire::PubNonce& nonce : body.own_nonces) {
    ROULETTE_ASSERT(nonce.size() == kNonceBytes);
    out.raw(nonce);
  }
  out.raw(body.withdrawal_id.value());
  out.raw(body.payload_digest);
  out.raw(body.txid);
  write(out, body.inputs);
}

Provisioned read_provisioned(CanonicalReader& in) {
  Provisioned body;
  body.signer = SignerId(in.u16());
  body.cluster_id = in.text();
  body.share_epoch = in.u32();
  body.threshold_key = in.array<33>();
  return body;
}

SigningRecord read_signing_record(CanonicalReader& in) {
  SigningRecord body;
  body.session_digest = in.array<32>();
  body.own_nonces.resize(in.count(kNonceBytes));
  for (wire::PubNonce& nonce : body.own_nonces) nonce = in.array<kNonceBytes>();
  body.withdrawal_id = WithdrawalId(in.array<16>());
  body.payload_digest = in.array<32>();
  body.txid = in.array<32>();
  body.inputs = read_inputs(in);
  return body;
}

Reprovisioned read_reprovisioned(CanonicalReader& in) {
  Reprovisioned body;
  body.now = read_provisioned(in);
  body.group = in.array<32>();
  body.previous_epoch = in.u32();
  body.sources.resize(in.count(kSourceBytes));
  for (JournalSource& source : body.sources) {
    source.signer = SignerId(in.u16());
    source.share_epoch = in.u32();
    source.length = in.u64();
    source.head = in.array<32>();
  }
  body.imported = in.u32();
  return body;
}

ImportedBinding read_imported(CanonicalReader& in) {
  ImportedBinding body;
  body.withdrawal_id = WithdrawalId(in.array<16>());
  body.payload_digest = in.array<32>();
  body.txid = in.array<32>();
  body.inputs = read_inputs(in);
  return body;
}

struct NameOf {
  const char* operator()(const Provisioned&) const { return "provisioned"; }
  const char* operator()(const SigningRecord&) const { return "signing_record"; }
  const char* operator()(const Reprovisioned&) const { return "reprovisioned"; }
  const char* operator()(const ImportedBinding&) const { return "imported_binding"; }
};

}  // namespace

const char* record_name(const RecordBody& body) {
  return std::visit(NameOf{}, body);
}

Bytes encode_record(const RecordBody& body) {
  CanonicalWriter out;
  std::visit([&out](const auto& record) { write(out, record); }, body);
  return out.take();
}

Result<RecordBody> decode_record(ByteSpan bytes) {
  CanonicalReader in(bytes);
  RecordBody body;
  switch (static_cast<Kind>(in.u8())) {
    case Kind::Provisioned:
      body = read_provisioned(in);
      break;
    case Kind::SigningRecord:
      body = read_signing_record(in);
      break;
    case Kind::Reprovisioned:
      body = read_reprovisioned(in);
      break;
    case Kind::ImportedBinding:
      body = read_imported(in);
      break;
    default:
      return Error{ErrorKind::Corrupt, "a journal record of unknown kind"};
  }
  if (!in.finished()) return Error{ErrorKind::Corrupt, "a journal record with wrong lengths"};
  return body;
}

Hash32 chain_head(const Hash32& previous, ByteSpan canonical_body) {
  crypto::Sha256 hash;
  hash.update(as_bytes("roulette/journal")).update(previous).update(canonical_body);
  return hash.finish();
}

}  // namespace roulette::signer
