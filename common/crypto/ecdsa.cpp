// See ecdsa.h: libsecp256k1's public API, nothing else.
#include "common/crypto/ecdsa.h"

#include <secp256k1.h>

#include <algorithm>

#include "common/base/mutants.h"
#include "common/crypto/secp.h"

namespace roulette::crypto {
namespace {

// The library's parser takes a little more than BIP 66 (it tolerates what fits no other spelling),
// so strictness is asked by writing again what was read.
std::optional<secp256k1_ecdsa_signature> parse_der(ByteSpan der) {
  secp256k1_ecdsa_signature parsed;
  if (secp256k1_ecdsa_signature_parse_der(context(), &parsed, der.data(), der.size()) != 1)
    return std::nullopt;
  ByteArray<kMostDerBytes + 1> again{};  // high S may take one byte more
  std::size_t size = again.size();
  if (secp256k1_ecdsa_signature_serialize_der(context(), again.data(), &size, &parsed) != 1 ||
      !std::ranges::equal(ByteSpan(again).first(size), der))
    return std::nullopt;
  return parsed;
}

std::optional<secp256k1_ecdsa_signature> parse_compact(const CompactEcdsa& signature) {
  secp256k1_ecdsa_signature parsed;
  if (secp256k1_ecdsa_signature_parse_compact(context(), &parsed, signature.data()) != 1)
    return std::nullopt;
  return parsed;
}

CompactEcdsa to_compact(const secp256k1_ecdsa_signature& signature) {
  CompactEcdsa out{};
  (void)secp256k1_ecdsa_signature_serialize_compact(context(), out.data(), &signature);
  return out;  // it always succeeds
}

}  // namespace

bool ecdsa_verify(const PubKey33& key, const Hash32& message, ByteSpan der) {
  auto signature = parse_der(der);
  const auto point = Point::parse(key);
  if (!signature || !point) return false;
  if (ROULETTE_MUTANT("high-s-accepted"))
    (void)secp256k1_ecdsa_signature_normalize(context(), &*signature, &*signature);
  // The library refuses high S itself (secp256k1.h, secp256k1_ecdsa_verify).
  return secp256k1_ecdsa_verify(context(), &*signature, message.data(), raw(*point)) == 1;
}

std::optional<CompactEcdsa> with_low_s(const CompactEcdsa& signature) {
  auto parsed = parse_compact(signature);
  if (!parsed) return std::nullopt;
#ifdef ROULETTE_MUTANTS
  // The books have no room for one byte more (r with a leading zero as well).
  if (ROULETTE_MUTANT("high-s-accepted") && der_of(signature).value().size() <= kMostDerBytes)
    return signature;
#endif
  (void)secp256k1_ecdsa_signature_normalize(context(), &*parsed, &*parsed);
  return to_compact(*parsed);
}

std::optional<Bytes> der_of(const CompactEcdsa& signature) {
  const auto parsed = parse_compact(signature);
  if (!parsed) return std::nullopt;
  Bytes out(kMostDerBytes + 1);
  std::size_t size = out.size();
  if (secp256k1_ecdsa_signature_serialize_der(context(), out.data(), &size, &*parsed) != 1)
    return std::nullopt;
  out.resize(size);
  return out;
}

std::optional<CompactEcdsa> compact_of(ByteSpan der) {
  const auto parsed = parse_der(der);
  if (!parsed) return std::nullopt;
  return to_compact(*parsed);
}

}  // namespace roulette::crypto
