// A key share at rest: AES-256-GCM under a key file (HKDF), a passphrase (scrypt) or a key that
// stays in a token (ShareVault), bound to signer, group (and with it the scheme) and epoch.
//
// Invariant: every byte of a sealed file is either compared or authenticated, so no altered file
// opens. Works on bytes only: files, modes (0600), fsync and rename are the runtime's; the
// passphrase comes from a descriptor or terminal.

// Format, 123 bytes, integers big endian:
//   "QRSHARE" | u8 version = 1 | u8 protection (1 key file, 2 passphrase, 3 token) | u16 signer
//   | 32 group id | u32 share epoch | 16 salt | 12 GCM nonce | 32 ciphertext | 16 tag
//   The associated data is everything before the ciphertext.
#pragma once

#include <cstdint>

#include "common/base/bytes.h"
#include "common/base/entropy.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/base/secret.h"

namespace roulette::crypto {

inline constexpr std::uint8_t kSealedShareVersion = 1;
inline constexpr std::size_t kSealedShareSize = 123;

enum class ShareProtection : std::uint8_t { KeyFile = 1, Passphrase = 2, Token = 3 };

// What a share is for; part of the associated data.
struct ShareLabel {
  SignerId signer{};
  Hash32 group{};  // SigningGroup::id(): it names the scheme too
  std::uint32_t share_epoch = 0;
  friend bool operator==(const ShareLabel&, const ShareLabel&) = default;
};

[[nodiscard]] Result<Bytes> seal_with_key_file(const Secret<32>& share, const ShareLabel& label,
                                               const Secret<32>& key, EntropySource& entropy);
// scrypt N = 2^15, r = 8, p = 1: about 70 ms. Refuses an empty passphrase.
[[nodiscard]] Result<Bytes> seal_with_passphrase(const Secret<32>& share,
                                                 const ShareLabel& label, ByteSpan passphrase,
                                                 EntropySource& entropy);

// AES-256-GCM by somebody who keeps the key to himself.
class ShareVault {
 public:
  virtual ~ShareVault() = default;
  // The ciphertext (32 bytes) and the tag (16).
  [[nodiscard]] virtual Result<Bytes> encrypt(const ByteArray<12>& nonce, ByteSpan bound,
                                              const Secret<32>& plain) = 0;
  [[nodiscard]] virtual Result<Secret<32>> decrypt(const ByteArray<12>& nonce, ByteSpan bound,
                                                   ByteSpan cipher) = 0;
};
// The salt is not used: each share has a vault of its own, each seal a fresh nonce.
[[nodiscard]] Result<Bytes> seal_with_vault(const Secret<32>& share, const ShareLabel& label,
                                            ShareVault& vault, EntropySource& entropy);

// Which secret the file wants; refuses truncated files, other formats and unknown versions.
[[nodiscard]] Result<ShareProtection> sealed_protection(ByteSpan file);

// Each failure has its own message: truncated or overlong, not a sealed share, unknown version,
// sealed for the other kind of secret, another signer's, another group's, another share epoch's,
// wrong key or altered file.
[[nodiscard]] Result<Secret<32>> unseal_with_key_file(ByteSpan file, const ShareLabel& expected,
                                                      const Secret<32>& key);
[[nodiscard]] Result<Secret<32>> unseal_with_passphrase(ByteSpan file, const ShareLabel& expected,
                                                        ByteSpan passphrase);
[[nodiscard]] Result<Secret<32>> unseal_with_vault(ByteSpan file, const ShareLabel& expected,
                                                   ShareVault& vault);

}  // namespace roulette::crypto
