// BIP 341's taproot_tweak_pubkey and taproot_tweak_seckey on libsecp256k1's extrakeys module.
//
// Invariant: the tweak that is reported is the one that was added.
#include "common/crypto/taproot.h"

#include <secp256k1_extrakeys.h>

#include <string.h>

#include "common/crypto/hash.h"
#include "common/crypto/scalar.h"
#include "common/crypto/secp.h"

namespace roulette::crypto {

Result<Hash32> taptweak(const XOnly& internal, const std::optional<Hash32>& root) {
  static const Tag tag("TapTweak");
  Bytes data(internal.begin(), internal.end());
  if (root) append(data, *root);
  const Hash32 tweak = tagged_hash(tag, data);
  if (!in_range(tweak)) return Error{ErrorKind::Refused, "the taproot tweak exceeds the order"};
  return tweak;
}

Result<TaprootOutput> output_key(const XOnly& internal, const std::optional<Hash32>& root) {
  secp256k1_xonly_pubkey parsed;
  if (secp256k1_xonly_pubkey_parse(context(), &parsed, internal.data()) != 1) {
    return Error{ErrorKind::Corrupt, "the internal key is not on the curve"};
  }
  const Result<Hash32> tweak = taptweak(internal, root);
  if (!tweak) return tweak.error();
  Point output;
  if (secp256k1_xonly_pubkey_tweak_add(context(), raw(output), &parsed, tweak->data()) != 1) {
    return Error{ErrorKind::Refused, "the output key would be infinity"};
  }
  const PubKey33 bytes = output.serialize();
  return TaprootOutput{*tweak, xonly(bytes), bytes[0] == 3};
}

Result<Secret<32>> output_secret(const Secret<32>& key, const std::optional<Hash32>& root) {
  const Result<PubKey33> own = public_key(key);
  if (!own) return own.error();
  const Result<Hash32> tweak = taptweak(xonly(*own), root);
  if (!tweak) return tweak.error();
  Secret<32> out = key.clone();  // the untweaked key stays with its owner
  if ((*own)[0] == 3 && secp256k1_ec_seckey_negate(context(), out.data()) != 1) {
    return Error{ErrorKind::Internal, "negating the key failed"};
  }
  if (secp256k1_ec_seckey_tweak_add(context(), out.data(), tweak->data()) != 1) {
    return Error{ErrorKind::Refused, "the output key would be infinity"};
  }
  return out;
}

}  // namespace roulette::crypto
