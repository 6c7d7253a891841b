// A PKCS#11 token as the vault of a sealed share: the AES key is made in it and never leaves it.
//
// Invariant: whatever the module answers but CKR_OK is a refusal with the reason in words; the
// share's bytes pass through Secret only. Used before the signer serves, so a token that hangs
// hangs a start, not a machine. Not here: signing in the token (`hsm`); a token cannot do FROST.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "common/crypto/sealed_share.h"

namespace roulette::signer {

struct TokenPlace {
  std::filesystem::path module;    // the PKCS#11 library
  std::string label;               // of the token; slot numbers change, labels stay
  std::filesystem::path pin_file;  // 0600; never a command line or the environment
};

class Token final : public crypto::ShareVault {
 public:
  // Finds the token by its label and logs in. Preflight: module, token or PIN file is missing;
  // Refused: the PIN is wrong or locked. One at a time in a process: PKCS#11 state is the module's.
  [[nodiscard]] static Result<std::unique_ptr<Token>> open(const TokenPlace& place);
  Token(const Token&) = delete;
  Token& operator=(const Token&) = delete;
  ~Token() override;

  // The vault's key: AES-256, sensitive, not extractable. Made if there is none that works: what a
  // kill left behind is taken away. Before it exists the other two refuse.
  [[nodiscard]] Status ensure_key();

  // Each logs in again, once, where the session was lost. Refused in a forked child: the module's
  // state there is a copy of the parent's.
  [[nodiscard]] Result<Bytes> encrypt(const ByteArray<12>& nonce, ByteSpan bound,
                                      const Secret<32>& plain) override;
  [[nodiscard]] Result<Secret<32>> decrypt(const ByteArray<12>& nonce, ByteSpan bound,
                                           ByteSpan cipher) override;

 private:
  struct Module;
  explicit Token(std::unique_ptr<Module> module);
  std::unique_ptr<Module> module_;
};

}  // namespace roulette::signer
