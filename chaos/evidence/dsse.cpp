// See dsse.h.
#include "chaos/evidence/dsse.h"

#include <nlohmann/json.hpp>

#include "common/base/base64.h"
#include "common/crypto/hash.h"

namespace roulette::evidence {
namespace {

using nlohmann::json;

}  // namespace

std::string fingerprint(const PublicKey& key) {
  return "SHA256:" + to_hex(crypto::sha256(key));
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
