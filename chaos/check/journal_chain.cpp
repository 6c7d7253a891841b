// The journal's hash chain: see journal_chain.h.
#include "chaos/check/journal_chain.h"

#include <cstdlib>

#include "common/base/canonical.h"
#include "common/crypto/hash.h"

namespace roulette::check {
namespace {

constexpr std::uint8_t kProvisioned = 1;
constexpr std::uint8_t kSigningRecord = 2;
constexpr std::uint8_t kReprovisioned = 3;
constexpr std::uint8_t kImportedBinding = 4;

void put_hex(CanonicalWriter& out, const std::string& hex) {
  out.raw(from_hex(hex).value_or(Bytes{}));
}

// Written as people read it (reversed), encoded as it stands in transactions.
void put_txid(CanonicalWriter& out, const std::string& hex) {
  out.raw(bitcoin::txid_from_hex(hex).value_or(Hash32{}));
}

std::uint32_t number_behind(const std::string& text, char mark) {
  return static_cast<std::uint32_t>(std::strtoul(text.c_str() + text.find(mark) + 1, nullptr, 10));
}

void put_identity(CanonicalWriter& out, const ProvisionedRecord& record) {
  out.u16(static_cast<std::uint16_t>(number_behind(record.signer, '-')));
  out.text(record.cluster_id);
  out.u32(record.share_epoch);
  put_hex(out, record.threshold_key);
}

void put_inputs(CanonicalWriter& out, const std::vector<BoundInput>& inputs) {
  out.count(inputs.size());
  for (const BoundInput& input : inputs) {
    put_txid(out, input.outpoint.substr(0, input.outpoint.find(':')));
    out.u32(number_behind(input.outpoint, ':'));
    out.i64(input.amount_sat);
    out.bytes(from_hex(input.script).value_or(Bytes{}));
  }
}

Hash32 chained(const Hash32& previous, const CanonicalWriter& body) {
  crypto::Sha256 hash;
  hash.update(as_bytes("roulette/journal")).update(previous).update(body.view());
  return hash.finish();
}

}  // namespace

Hash32 next_head(const Hash32& previous, const ProvisionedRecord& record) {
  CanonicalWriter out;
  out.u8(kProvisioned);
  put_identity(out, record);
  return chained(previous, out);
}

Hash32 next_head(const Hash32& previous, const ReprovisionedRecord& record) {
  CanonicalWriter out;
  out.u8(kReprovisioned);
  put_identity(out, record.now);
  put_hex(out, record.group);
  out.u32(record.previous_epoch);
  out.count(record.sources.size());
  for (const ReprovisionedRecord::Source& source : record.sources) {
    out.u16(static_cast<std::uint16_t>(number_behind(source.signer, '-')));
    out.u32(source.share_epoch);
    out.u64(source.length);
    put_hex(out, source.head);
  }
  out.u32(record.imported);
  return chained(previous, out);
}

Hash32 next_head(const Hash32& previous, const ImportedRecord& record) {
  CanonicalWriter out;
  out.u8(kImportedBinding);
  put_hex(out, record.withdrawal_id);
  put_hex(out, record.payload_digest);
  put_txid(out, record.txid);
  put_inputs(out, record.inputs);
  return chained(previous, out);
}

Hash32 next_head(const Hash32& previous, const SigningRecord& record) {
  CanonicalWriter out;
  out.u8(kSigningRecord);
  put_hex(out, record.session_digest);
  out.count(record.nonces.size());
  for (const std::string& nonce : record.nonces) put_hex(out, nonce);
  put_hex(out, record.withdrawal_id);
  put_hex(out, record.payload_digest);
  put_txid(out, record.txid);
  put_inputs(out, record.inputs);
  return chained(previous, out);
}

}  // namespace roulette::check
