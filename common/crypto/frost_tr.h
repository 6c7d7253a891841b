// FROST(secp256k1, SHA-256) with taproot tweaks: RFC 9591 with the context
// "FROST-secp256k1-SHA256-TR-v1", as the Zcash Foundation's frost-secp256k1-tr and @noble/curves'
// schnorr_FROST sign. Same groups, shares and tweaks as frost.h; other nonces and binding factors.
//
// Invariant: as in frost.h: a secret nonce is taken before the first thing that can fail and erased
// on every path; a share leaves sign() only for a session whose ids, shares and nonces were
// checked; nothing branches on a secret. The identifier of id i is i + 1.
#pragma once

#include "common/crypto/frost.h"

namespace roulette::crypto::frost_tr {

inline constexpr std::string_view kSchemeVersion = "FROST-secp256k1-SHA256-TR-v1";

using frost::BadShare;
using frost::BadShares;
using frost::InvalidPubNonce;
using frost::PartialSig;
using frost::PubNonce;  // D || E: hiding and binding commitment, compressed
using frost::Quorum;
using frost::SecNonce;
using frost::SecretShare;
using frost::SelfCheck;

// Two times H3(32 random bytes || share). The bytes are consumed. Fails with probability 2^-192.
[[nodiscard]] Result<SecNonce> nonce_gen(Secret<32> hiding, Secret<32> binding,
                                         const SecretShare& share);
[[nodiscard]] Result<SecNonce> nonce_gen(EntropySource& entropy, const SecretShare& share);

// One message, one set of commitments, one quorum: the binding factors, R and c. Public.
class Session {
 public:
  // nonces[i] belongs to quorum.ids()[i]; another number is an Error, one that is not two points is
  // named. R is never the identity but with negligible probability: refused.
  [[nodiscard]] static Result<std::variant<Session, InvalidPubNonce>> open(
      const Quorum& quorum, std::span<const PubNonce> nonces, ByteSpan message);

  [[nodiscard]] const Quorum& quorum() const { return quorum_; }
  [[nodiscard]] const std::vector<PubNonce>& nonces() const { return nonces_; }
  [[nodiscard]] const Bytes& message() const { return message_; }

  struct Part {  // of one signer
    ByteArray<32> binding_factor{};  // rho_i
    Point commitment;                // D_i + rho_i E_i
  };
  [[nodiscard]] const std::vector<Part>& parts() const { return parts_; }  // by position in ids()
  [[nodiscard]] bool r_odd() const { return r_odd_; }
  [[nodiscard]] const XOnly& r_x() const { return r_x_; }
  [[nodiscard]] const ByteArray<32>& c() const { return c_; }  // the challenge

 private:
  Session() = default;
  Quorum quorum_;
  Bytes message_;
  std::vector<PubNonce> nonces_;
  std::vector<Part> parts_;
  XOnly r_x_{};
  bool r_odd_ = false;
  ByteArray<32> c_{};
};

// As frost::sign, frost::verify_share and frost::aggregate.
[[nodiscard]] Result<PartialSig> sign(SecNonce&& nonce, const SecretShare& share,
                                      const Session& session, SelfCheck check = SelfCheck::On);
[[nodiscard]] bool verify_share(const Session& session, SignerId signer, const PartialSig& share);
[[nodiscard]] Result<std::variant<Signature, BadShares>> aggregate(
    const Session& session, std::span<const PartialSig> shares);

}  // namespace roulette::crypto::frost_tr
