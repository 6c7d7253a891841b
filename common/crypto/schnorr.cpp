// libsecp256k1's context, its schnorrsig module, and keys.
//
// Invariant: one context a process, made at first use and never destroyed; blinding changes no
// result.
#include "common/crypto/schnorr.h"

#include <secp256k1_extrakeys.h>
#include <secp256k1_schnorrsig.h>

#include <algorithm>

#include <string.h>

#include "common/base/assert.h"
#include "common/crypto/secp.h"

namespace roulette::crypto {
namespace {

secp256k1_context* mutable_context() {
  static secp256k1_context* const made = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
  ROULETTE_ASSERT(made != nullptr);
  return made;
}

}  // namespace

const secp256k1_context* context() { return mutable_context(); }

void randomize_context(const Secret<32>& seed) {
  ROULETTE_ASSERT(secp256k1_context_randomize(mutable_context(), seed.data()) == 1);
}

XOnly xonly(const PubKey33& key) {
  XOnly out{};
  std::copy(key.begin() + 1, key.end(), out.begin());
  return out;
}

bool is_point(const PubKey33& key) { return Point::parse(key).has_value(); }

bool is_xonly_point(const XOnly& key) {
  secp256k1_xonly_pubkey parsed;
  return secp256k1_xonly_pubkey_parse(context(), &parsed, key.data()) == 1;
}

Result<PubKey33> public_key(const Secret<32>& key) {
  Point point;
  if (secp256k1_ec_pubkey_create(context(), raw(point), key.data()) != 1) {
    return Error{ErrorKind::Corrupt, "secret key out of range"};
  }
  return point.serialize();
}

bool schnorr_verify(const XOnly& key, ByteSpan message, const Signature& signature) {
  secp256k1_xonly_pubkey parsed;
  if (secp256k1_xonly_pubkey_parse(context(), &parsed, key.data()) != 1) return false;
  return secp256k1_schnorrsig_verify(context(), signature.data(), message.data(), message.size(),
                                     &parsed) == 1;
}

bool schnorr_verify_parsed(const Point& key, ByteSpan message, const Signature& signature) {
  secp256k1_xonly_pubkey parsed;
  return secp256k1_xonly_pubkey_from_pubkey(context(), &parsed, nullptr, raw(key)) == 1 &&
         secp256k1_schnorrsig_verify(context(), signature.data(), message.data(), message.size(),
                                     &parsed) == 1;
}

Result<Signature> schnorr_sign(const Secret<32>& key, ByteSpan message,
                               const ByteArray<32>& aux) {
  secp256k1_keypair pair;
  if (secp256k1_keypair_create(context(), &pair, key.data()) != 1) {
    return Error{ErrorKind::Corrupt, "secret key out of range"};
  }
  ByteArray<32> aux_copy = aux;  // the API takes it as a mutable pointer
  secp256k1_schnorrsig_extraparams parameters = SECP256K1_SCHNORRSIG_EXTRAPARAMS_INIT;
  parameters.ndata = aux_copy.data();
  Signature out{};
  const int made = secp256k1_schnorrsig_sign_custom(context(), out.data(), message.data(),
                                                    message.size(), &pair, &parameters);
  explicit_bzero(&pair, sizeof pair);
  if (made != 1) return Error{ErrorKind::Internal, "the signature could not be made"};
  return out;
}

}  // namespace roulette::crypto
