// DSSE envelopes of in-toto statements, and the Ed25519 key of who vouches for a bundle.
//
// Invariant: open_envelope() takes only the bytes that seal() makes: one spelling of the JSON, one
// of the base64, signatures over the pre-authentication encoding. A signature says that the holder
// of the key vouches for the payload; whose key it is, only its fingerprint says.
// Sources: DSSE v1.0.2 (envelope.md, protocol.md), in-toto Statement v1, RFC 8032.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/entropy.h"
#include "common/base/result.h"
#include "common/crypto/ed25519.h"

namespace roulette::evidence {

inline constexpr std::string_view kStatementType = "application/vnd.in-toto+json";

using PublicKey = crypto::Ed25519PublicKey;
using OperatorKey = crypto::Ed25519Key;
// "SHA256:" and 64 hex digits: of the 32 bytes of the key.
[[nodiscard]] std::string fingerprint(const PublicKey& key);

struct EnvelopeSignature {
  std::string key_id;
  Bytes signature;
};
struct Envelope {
  std::string payload;  // the statement's text
  std::vector<EnvelopeSignature> signatures;
};

// What is signed: "DSSEv1" SP length SP type SP length SP payload.
[[nodiscard]] std::string pre_authentication(std::string_view type, std::string_view payload);
// The one text of an envelope, with a line feed at its end.
[[nodiscard]] std::string seal(const Envelope& envelope);
// Corrupt unless `text` is what seal() makes. Verifies no signature.
[[nodiscard]] Result<Envelope> open_envelope(std::string_view text);

}  // namespace roulette::evidence
