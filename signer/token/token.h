// A signer's PKCS#11 token: the vault of a sealed share (AES-256-GCM), or the home of the one key
// of `hsm` (ECDSA). Both keys are made in it and never leave it. No token can do FROST.
//
// Invariant: whatever the module answers but CKR_OK is a refusal with the reason in words; a module
// that does not answer costs a caller TokenPlace::patience and no more, and is then given up for
// good. Sessions are opened by the process that uses them: a forked child is refused. Nothing that
// may be somebody's key is destroyed.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "common/base/entropy.h"
#include "common/base/time.h"
#include "common/crypto/ecdsa.h"
#include "common/crypto/sealed_share.h"

namespace roulette::signer {

struct TokenPlace {
  std::filesystem::path module;       // the PKCS#11 library
  std::string label;                  // of the token; slot numbers change, labels stay
  std::filesystem::path pin_file;     // 0600; never a command line or the environment
  std::filesystem::path refused_pin;  // where a refused PIN file is remembered; empty: nowhere
  Duration patience = seconds(5);     // for the answer to one question
};

class Token final : public crypto::ShareVault {
 public:
  // Finds the token by its label and logs in. Preflight: module, token or PIN file is missing, or
  // nobody answers; Refused: the PIN is wrong or locked. One at a time in a process: PKCS#11 state
  // is the module's.
  [[nodiscard]] static Result<std::unique_ptr<Token>> open(const TokenPlace& place);
  // Initialises a free slot as this token where there is none of the label, and gives it its user
  // PIN where it has none. Killed at any moment, a second run finishes it.
  [[nodiscard]] static Status initialize(const TokenPlace& place,
                                         const std::filesystem::path& so_pin_file);
  Token(const Token&) = delete;
  Token& operator=(const Token&) = delete;
  ~Token() override;

  // The vault's key: AES-256, sensitive, not extractable. Made if there is none. One that by its
  // own attributes can seal nothing is taken away first; one that only fails now is left alone, and
  // that is a refusal. Before it exists the next two refuse.
  [[nodiscard]] Status ensure_key();
  // Each logs in again, once, where the session was lost. Refused in a forked child: the module's
  // state there is a copy of the parent's.
  [[nodiscard]] Result<Bytes> encrypt(const ByteArray<12>& nonce, ByteSpan bound,
                                      const Secret<32>& plain) override;
  [[nodiscard]] Result<Secret<32>> decrypt(const ByteArray<12>& nonce, ByteSpan bound,
                                           ByteSpan cipher) override;

  // The signing key of `hsm`: secp256k1, made in the token, both halves there, a trial signature
  // verified. ensure_ makes it where there is none; half a pair that a kill left signs nothing and
  // is passed over. Refused: none (or two), or one that may leave the token.
  [[nodiscard]] Result<crypto::PubKey33> ensure_signing_key(EntropySource& entropy);
  [[nodiscard]] Result<crypto::PubKey33> signing_key(EntropySource& entropy);
  // r || s over these 32 bytes, S high or low. After signing_key(). Logs in again as above.
  [[nodiscard]] Result<crypto::CompactEcdsa> sign(const Hash32& digest);

  // The module did not come back from a call: nothing is asked of it any more.
  [[nodiscard]] bool hangs() const;

 private:
  struct Worker;
  explicit Token(std::unique_ptr<Worker> worker);
  std::unique_ptr<Worker> worker_;
};

}  // namespace roulette::signer
