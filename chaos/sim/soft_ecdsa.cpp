// See soft_ecdsa.h.
#include "chaos/sim/soft_ecdsa.h"

#include <secp256k1.h>

#include <algorithm>

#include "common/base/assert.h"

namespace roulette::sim {
namespace {

const secp256k1_context* context() {
  static const secp256k1_context* const made = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
  return made;
}

}  // namespace

SoftEcdsa::SoftEcdsa(const Hash32& secret) : secret_(secret) {
  const auto key = crypto::public_key(secret_);
  ROULETTE_ASSERT(key.ok());
  key_ = *key;
}

crypto::CompactEcdsa SoftEcdsa::sign(const Hash32& digest, std::uint8_t again) const {
  Hash32 more{};
  more[0] = again;
  secp256k1_ecdsa_signature made;
  ROULETTE_ASSERT(secp256k1_ecdsa_sign(context(), &made, digest.data(), secret_.data(), nullptr,
                                       again == 0 ? nullptr : more.data()) == 1);
  crypto::CompactEcdsa out{};
  (void)secp256k1_ecdsa_signature_serialize_compact(context(), out.data(), &made);
  return out;
}

Bytes SoftEcdsa::der(const Hash32& digest, std::uint8_t again) const {
  return crypto::der_of(sign(digest, again)).value();
}

crypto::CompactEcdsa with_other_s(crypto::CompactEcdsa signature) {
  ROULETTE_ASSERT(secp256k1_ec_seckey_negate(context(), signature.data() + 32) == 1);
  return signature;
}

bool relayed_s(ByteSpan der) {
  // Half of the curve's order, rounded down (BIP 62, rule 5).
  static const auto half =
      from_hex("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0").value();
  const auto compact = crypto::compact_of(der);
  return compact && !std::ranges::lexicographical_compare(half, ByteSpan(*compact).last(32));
}

}  // namespace roulette::sim
