// What a signing scheme is to the machines: groups, key shares, secret nonces, sessions and
// signatures, none of whose bytes a machine interprets.
//
// Invariant: a secret nonce is a move-only value that makes at most one share: KeyShare::sign takes
// it out of the caller's hands before the first thing that can fail and erases it on every path,
// whatever the scheme. Everything but KeyShare and SecretNonce is public and immutable. Knows no
// transaction, journal or connection.

//   Scheme         facts, and the check of a finished signature (ledger, chain)
//   SigningGroup   who signs for which wallet key, checked at load (signer, coordinator)
//   SignerSet      one set of signers of a group: keep it, it is the costly part
//   SigningSession one message and one set of nonces: shares are made, checked and added under it
//   KeyShare       a signer's secret: makes nonces and shares
//
// Sizes belong to the scheme: public nonces, shares and signatures are byte strings here, and bytes
// of a wrong size are a peer's fault (InvalidNonce, BadShares), never an assert. A scheme of one
// round has no nonces: its sessions are opened with empty ones, its shares signed with an empty
// SecretNonce. Built by the scheme's own header (frost_scheme.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/entropy.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/crypto/signature_form.h"

namespace roulette::crypto {

// Who makes a signature. This is the one place that says which rules of DESIGN 6 a scheme does not
// have, and why; the table per rule is in docs/ARCHITECTURE.md.
//   AnyThreshold  all rules. 2t > n is required (6.3), and up to n-t dead signers stop nothing.
//   AllSigners    t = n. There is one signer set, so any two meet: 6.3 holds without 2t > n being
//                 asked. ROAST (6.5) has nobody to choose between and nobody to spare: a dead
//                 signer is a lost quorum, a blamed one ends the work on its transaction until it
//                 rejoins. quorum-continuity is owed only while all n are up, safe-refusal from the
//                 first loss on: both follow from t = n.
//   OneSigner     t = n = 1, the same for one. Without nonces (nonce_size 0) 6.1 has no secret to
//                 keep, an exact retry is a new signature of the same bytes, and nonce-never-reused
//                 has nothing to check (not-exercised). 6.2's record is still written first: it
//                 binds session, withdrawal and outpoints, with an empty list of nonces. A token
//                 (`hsm`) signs again with other bytes, of the same transaction id: the witness is
//                 no part of it.
enum class SignerForm : std::uint8_t { AnyThreshold, AllSigners, OneSigner };

struct SchemeFacts {
  std::string_view name;     // as experiments write it: "frost"
  std::string_view version;  // in the session digest and the group file
  SignerForm form = SignerForm::AnyThreshold;
  std::size_t nonce_size = 0;      // of a public nonce; zero: one round, without nonces
  std::size_t share_size = 0;
  std::size_t signature_size = 0;  // at most
  SignatureForm signatures = SignatureForm::Bip340;  // what the network verifies them as

  // How many of its signers' nonces a message takes from each.
  [[nodiscard]] std::size_t nonces_for(std::size_t messages) const {
    return nonce_size == 0 ? 0 : messages;
  }
};

class Scheme {
 public:
  virtual ~Scheme() = default;
  [[nodiscard]] virtual const SchemeFacts& facts() const = 0;
  // Whether the network would take this signature of `message` under a wallet's key. False also for
  // a key or signature of another scheme's size.
  [[nodiscard]] virtual bool verify(ByteSpan wallet_key, ByteSpan message,
                                    ByteSpan signature) const = 0;
};

// `frost`, the default (frost_scheme.h). By name: schemes.h.
[[nodiscard]] const Scheme& frost_scheme();
// The network's own rule for signatures of a form, whichever scheme made them. Its facts name a
// scheme of that form.
[[nodiscard]] const Scheme& scheme_of(SignatureForm form);

// ---- sessions ----

// Whose bytes are to blame, by position in the signer set, with the bytes as proof.
struct InvalidNonce {
  std::size_t index = 0;
  Bytes proof;
};
// What convicts a signer under this session: its public nonce and its share.
struct BadShare {
  SignerId signer{};
  Bytes proof;
};
struct BadShares {
  std::vector<BadShare> blamed;  // never empty
};
using Aggregated = std::variant<Bytes, BadShares>;  // the signature

class SigningSession {
 public:
  virtual ~SigningSession() = default;
  // False for a wrong share, one of another size or range, and a signer outside the set.
  [[nodiscard]] virtual bool verify_share(SignerId signer, ByteSpan share) const = 0;
  // shares[i] belongs to the i-th signer of the set; another number is an Error. Adds, verifies the
  // signature once, and only on failure checks each share.
  [[nodiscard]] virtual Result<Aggregated> aggregate(std::span<const ByteSpan> shares) const = 0;
};
using SigningSessionPtr = std::unique_ptr<const SigningSession>;
using Opened = std::variant<SigningSessionPtr, InvalidNonce>;

class SignerSet {
 public:
  virtual ~SignerSet() = default;
  [[nodiscard]] virtual const std::vector<SignerId>& ids() const = 0;  // ascending
  // nonces[i] belongs to ids()[i]; another number is an Error.
  [[nodiscard]] virtual Result<Opened> open(std::span<const ByteSpan> nonces,
                                            ByteSpan message) const = 0;
};
using SignerSetPtr = std::shared_ptr<const SignerSet>;

class SigningGroup {
 public:
  virtual ~SigningGroup() = default;
  [[nodiscard]] virtual const Scheme& scheme() const = 0;
  [[nodiscard]] virtual std::uint16_t n() const = 0;
  [[nodiscard]] virtual std::uint16_t t() const = 0;  // how many make a signature
  [[nodiscard]] virtual const Hash32& id() const = 0;
  // Any two signer sets must share a signer (DESIGN 6.3), else ErrorKind::Usage. Schemes in which
  // all sign have nothing to refuse.
  [[nodiscard]] virtual Status check_quorums_meet() const = 0;
  // As dealt, and as signatures verify under it: the configured tweak is part of the group.
  [[nodiscard]] virtual const ByteArray<33>& threshold_key() const = 0;
  [[nodiscard]] virtual ByteSpan wallet_key() const = 0;  // of the scheme's signature form
  [[nodiscard]] virtual ByteSpan public_share(SignerId id) const = 0;  // empty outside the group
  // Refuses too few or too many ids, duplicates and ids outside the group. Any order.
  [[nodiscard]] virtual Result<SignerSetPtr> signer_set(std::span<const SignerId> ids) const = 0;
};
using SigningGroupPtr = std::shared_ptr<const SigningGroup>;

// ---- secrets ----

// Of any scheme. Move-only; used or moved from, it is empty. The scheme's part erases itself.
class SecretNonce {
 public:
  class Body {
   public:
    Body() = default;
    Body(const Body&) = delete;
    Body& operator=(const Body&) = delete;
    virtual ~Body() = default;
    [[nodiscard]] virtual Bytes public_nonce() const = 0;
  };
  SecretNonce() = default;
  explicit SecretNonce(std::unique_ptr<Body> body) : body_(std::move(body)) {}

  [[nodiscard]] Bytes public_nonce() const { return body_ ? body_->public_nonce() : Bytes{}; }
  [[nodiscard]] bool used() const { return body_ == nullptr; }

 private:
  friend class KeyShare;
  std::unique_ptr<Body> body_;
};

// Checking the own share before release guards against computation faults (BIP 327, BIP 445).
enum class SelfCheck : std::uint8_t { On, Off };

// A signer's share of the key. Not copyable; erased when it goes.
class KeyShare {
 public:
  KeyShare() = default;
  KeyShare(const KeyShare&) = delete;
  KeyShare& operator=(const KeyShare&) = delete;
  virtual ~KeyShare() = default;

  [[nodiscard]] virtual SignerId id() const = 0;
  [[nodiscard]] virtual ByteSpan public_share() const = 0;
  // From fresh bytes of `entropy`, never from session data. `context` names what there is instead
  // of a session: signer, boot epoch, counter. Fails only with negligible probability.
  [[nodiscard]] virtual Result<SecretNonce> make_nonce(EntropySource& entropy,
                                                       const SigningGroup& group,
                                                       ByteSpan context) const = 0;
  // Why it would not sign now, as far as that is known without trying; empty: nothing is known
  // against it. Asked before a request costs a record; only a key in a token ever has a reason.
  [[nodiscard]] virtual std::string unavailable() const { return {}; }
  // Takes the nonce: the caller's is empty afterwards, and its secret erased, whatever happened.
  // Refuses a used nonce, one of another scheme, a session that lists another nonce for this
  // signer, and a signer or public share outside the session's set.
  [[nodiscard]] Result<Bytes> sign(SecretNonce&& nonce, const SigningSession& session,
                                   SelfCheck check = SelfCheck::On) const {
    const std::unique_ptr<SecretNonce::Body> taken = std::move(nonce.body_);
    return make_share(taken.get(), session, check);
  }

 private:
  // `nonce` is null for a used one, and dies when this returns.
  [[nodiscard]] virtual Result<Bytes> make_share(SecretNonce::Body* nonce,
                                                 const SigningSession& session,
                                                 SelfCheck check) const = 0;
};
// Shared, never copied: the secret goes with the last owner, which in a daemon is the machine.
using KeySharePtr = std::shared_ptr<const KeyShare>;

}  // namespace roulette::crypto
