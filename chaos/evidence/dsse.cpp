// See dsse.h.
#include "chaos/evidence/dsse.h"

#include <memory>

#include <nlohmann/json.hpp>
#include <openssl/evp.h>

#include "common/base/base64.h"
#include "common/base/freed_by.h"
#include "common/crypto/hash.h"

namespace roulette::evidence {
namespace {

using nlohmann::json;

constexpr std::size_t kSignatureBytes = 64;  // Ed25519 and BIP 340 alike

using Key = std::unique_ptr<EVP_PKEY, FreedBy<EVP_PKEY_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, FreedBy<EVP_MD_CTX_free>>;

Error openssl_failed(const char* what) {
  return Error{ErrorKind::Internal, std::string("OpenSSL cannot ") + what};
}

Key private_key(const Secret<32>& seed) {
  return Key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
}

}  // namespace

std::string fingerprint(const PublicKey& key) {
  return "SHA256:" + to_hex(crypto::sha256(key));
}

Result<OperatorKey> OperatorKey::from_seed(Secret<32> seed) {
  const Key key = private_key(seed);
  OperatorKey made;
  std::size_t size = made.public_key_.size();
  if (!key || EVP_PKEY_get_raw_public_key(key.get(), made.public_key_.data(), &size) != 1 ||
      size != made.public_key_.size())
    return openssl_failed("make an Ed25519 key");
  made.seed_ = std::move(seed);
  return made;
}

Result<Bytes> OperatorKey::sign(ByteSpan message) const {
  const Key key = private_key(seed_);
  const DigestContext context(EVP_MD_CTX_new());
  Bytes signature(kSignatureBytes);
  std::size_t size = signature.size();
  if (!key || !context ||
      EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) != 1 ||
      size != signature.size())
    return openssl_failed("sign with an Ed25519 key");
  return signature;
}

bool verify_ed25519(const PublicKey& key, ByteSpan message, ByteSpan signature) {
  if (signature.size() != kSignatureBytes) return false;
  const Key known(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size()));
  const DigestContext context(EVP_MD_CTX_new());
  return known && context &&
         EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, known.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

std::string pre_authentication(std::string_view type, std::string_view payload) {
  std::string out = "DSSEv1 " + std::to_string(type.size()) + " ";
  out.append(type).append(" ").append(std::to_string(payload.size())).append(" ").append(payload);
  return out;
}

std::string seal(const Envelope& envelope) {
  json signatures = json::array();
  for (const EnvelopeSignature& signature : envelope.signatures)
    signatures.push_back(
        {{"keyid", signature.key_id}, {"sig", encode_base64(signature.signature)}});
  return json{{"payload", encode_base64(as_bytes(envelope.payload))},
              {"payloadType", kStatementType},
              {"signatures", std::move(signatures)}}
             .dump() +
         "\n";
}

Result<Envelope> open_envelope(std::string_view text) {
  const Error wrong{ErrorKind::Corrupt, "not a DSSE envelope as this tool writes them"};
  const json read = json::parse(text, nullptr, false);
  Envelope envelope;
  try {
    const auto payload = decode_base64(read.at("payload").get<std::string>());
    if (!payload) return wrong;
    envelope.payload.assign(payload->begin(), payload->end());
    for (const json& signature : read.at("signatures")) {
      const auto bytes = decode_base64(signature.at("sig").get<std::string>());
      if (!bytes) return wrong;
      envelope.signatures.push_back({signature.at("keyid").get<std::string>(), *bytes});
    }
    if (seal(envelope) != text) return wrong;
  } catch (const json::exception&) {
    return wrong;
  }
  return envelope;
}

}  // namespace roulette::evidence
