// The sealed file's encoding, its keys (HKDF-SHA256, scrypt) and AES-256-GCM, through OpenSSL.
//
// Invariant: labels are compared before any key is derived, so that the answer to a mixed-up file
// is its true reason; the plaintext leaves only after the tag verified.
#include "common/crypto/sealed_share.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "common/base/canonical.h"

namespace roulette::crypto {
namespace {

constexpr std::string_view kMagic = "QRSHARE";
constexpr std::string_view kKeyInfo = "quorum-roulette sealed share, AES-256-GCM";
constexpr std::size_t kSaltSize = 16;
constexpr std::size_t kGcmNonceSize = 12;
constexpr std::size_t kTagSize = 16;
constexpr std::size_t kHeaderSize = kSealedShareSize - 32 - kTagSize;
constexpr std::uint64_t kScryptN = 1U << 15;
constexpr std::uint64_t kScryptR = 8;
constexpr std::uint64_t kScryptP = 1;
constexpr std::uint64_t kScryptMemoryLimit = 64U << 20;  // 128 N r = 32 MiB, and change

struct Deleter {
  void operator()(EVP_CIPHER_CTX* p) const noexcept { EVP_CIPHER_CTX_free(p); }
  void operator()(EVP_KDF_CTX* p) const noexcept { EVP_KDF_CTX_free(p); }
  void operator()(EVP_KDF* p) const noexcept { EVP_KDF_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Deleter>;

struct Header {
  ShareProtection protection = ShareProtection::KeyFile;
  ShareLabel label;
  ByteArray<kSaltSize> salt{};
  ByteArray<kGcmNonceSize> nonce{};
};

Bytes encode(const Header& header) {
  CanonicalWriter w;
  w.raw(as_bytes(kMagic));
  w.u8(kSealedShareVersion);
  w.u8(static_cast<std::uint8_t>(header.protection));
  w.u16(header.label.signer.value());
  w.raw(header.label.group);
  w.u32(header.label.share_epoch);
  w.raw(header.salt);
  w.raw(header.nonce);
  ROULETTE_ASSERT(w.view().size() == kHeaderSize);
  return w.take();
}

Error corrupt(std::string why) {
  return Error{ErrorKind::Corrupt, "sealed share: " + std::move(why)};
}
Error refused(std::string why) {
  return Error{ErrorKind::Refused, "sealed share: " + std::move(why)};
}
Error library_failed(const char* what) {
  return Error{ErrorKind::Internal, std::string("sealed share: OpenSSL refused ") + what};
}

// Magic and version come first, so that another version is named as such whatever its length.
Result<Header> decode(ByteSpan file) {
  const std::size_t told = std::min(file.size(), kMagic.size());
  if (!std::equal(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(told),
                  as_bytes(kMagic).begin())) {
    return corrupt("this is not a sealed share");
  }
  if (file.size() > kMagic.size() && file[kMagic.size()] != kSealedShareVersion) {
    return corrupt("unknown version " + std::to_string(file[kMagic.size()]));
  }
  if (file.size() < kSealedShareSize) {
    return corrupt("truncated: " + std::to_string(file.size()) + " of " +
                   std::to_string(kSealedShareSize) + " bytes");
  }
  if (file.size() > kSealedShareSize) return corrupt("there are bytes after its end");
  CanonicalReader r(file.subspan(kMagic.size() + 1));
  Header header;
  const std::uint8_t protection = r.u8();
  if (protection < 1 || protection > 3) {
    return corrupt("unknown protection " + std::to_string(protection));
  }
  header.protection = static_cast<ShareProtection>(protection);
  header.label.signer = SignerId(r.u16());
  header.label.group = r.array<32>();
  header.label.share_epoch = r.u32();
  header.salt = r.array<kSaltSize>();
  header.nonce = r.array<kGcmNonceSize>();
  return header;
}

// HKDF (RFC 5869) with the file's salt: one key file may seal many shares, each under its own AES
// key.
Result<Secret<32>> key_from_file(const Secret<32>& key, const ByteArray<kSaltSize>& salt) {
  const Owned<EVP_KDF> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  const Owned<EVP_KDF_CTX> context(kdf ? EVP_KDF_CTX_new(kdf.get()) : nullptr);
  if (!context) return library_failed("HKDF");
  std::string digest = "SHA256";  // OSSL_PARAM wants mutable pointers; it does not write
  std::string info(kKeyInfo);
  ByteArray<kSaltSize> salt_copy = salt;
  Secret<32> key_copy = key.clone();
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key_copy.data(), key_copy.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt_copy.data(), salt_copy.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
      OSSL_PARAM_construct_end()};
  Secret<32> out;
  if (EVP_KDF_derive(context.get(), out.data(), out.size(), parameters) != 1) {
    return library_failed("HKDF");
  }
  return out;
}

// scrypt (RFC 7914).
Result<Secret<32>> key_from_passphrase(ByteSpan passphrase, const ByteArray<kSaltSize>& salt) {
  if (passphrase.empty()) return refused("the passphrase is empty");
  Secret<32> out;
  if (EVP_PBE_scrypt(reinterpret_cast<const char*>(passphrase.data()), passphrase.size(),
                     salt.data(), salt.size(), kScryptN, kScryptR, kScryptP, kScryptMemoryLimit,
                     out.data(), out.size()) != 1) {
    return library_failed("scrypt");
  }
  return out;
}

// Appends ciphertext and tag to the header, which is the associated data.
Result<Bytes> encrypt(const Secret<32>& key, const Header& header, const Secret<32>& plain) {
  Bytes file = encode(header);
  const Owned<EVP_CIPHER_CTX> context(EVP_CIPHER_CTX_new());
  int size = 0;
  ByteArray<32> cipher{};
  ByteArray<kTagSize> tag{};
  if (!context ||
      EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(),
                         header.nonce.data()) != 1 ||
      EVP_EncryptUpdate(context.get(), nullptr, &size, file.data(), kHeaderSize) != 1 ||
      EVP_EncryptUpdate(context.get(), cipher.data(), &size, plain.data(), 32) != 1 ||
      EVP_EncryptFinal_ex(context.get(), cipher.data() + 32, &size) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagSize, tag.data()) != 1) {
    return library_failed("AES-256-GCM");
  }
  append(file, cipher);
  append(file, tag);
  return file;
}

Result<Secret<32>> decrypt(const Secret<32>& key, const Header& header, ByteSpan file) {
  const Owned<EVP_CIPHER_CTX> context(EVP_CIPHER_CTX_new());
  int size = 0;
  Secret<32> plain;
  auto tag = to_array<kTagSize>(file.last(kTagSize)).value();
  if (!context ||
      EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(),
                         header.nonce.data()) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTagSize, tag.data()) != 1 ||
      EVP_DecryptUpdate(context.get(), nullptr, &size, file.data(), kHeaderSize) != 1 ||
      EVP_DecryptUpdate(context.get(), plain.data(), &size, file.data() + kHeaderSize, 32) != 1) {
    return library_failed("AES-256-GCM");
  }
  if (EVP_DecryptFinal_ex(context.get(), plain.data() + 32, &size) != 1) {
    return refused("wrong key, or the file was altered");
  }
  return plain;
}

Header fresh_header(ShareProtection protection, const ShareLabel& label, EntropySource& entropy) {
  Header header{protection, label, {}, {}};
  entropy.fill(header.salt);
  entropy.fill(header.nonce);
  return header;
}

std::string name(ShareProtection protection) {
  switch (protection) {
    case ShareProtection::KeyFile: return "a key file";
    case ShareProtection::Passphrase: return "a passphrase";
    case ShareProtection::Token: return "a token's key";
  }
  return "another secret";
}

Status check_label(const Header& header, ShareProtection protection, const ShareLabel& expected) {
  if (header.protection != protection) {
    return refused("it is sealed under " + name(header.protection) + ", not " + name(protection));
  }
  if (header.label.group != expected.group) return refused("it belongs to another group");
  if (header.label.signer != expected.signer) {
    return refused("it belongs to signer " + std::to_string(header.label.signer.value()) +
                   ", not to signer " + std::to_string(expected.signer.value()));
  }
  if (header.label.share_epoch != expected.share_epoch) {
    return refused("it is of share epoch " + std::to_string(header.label.share_epoch) + ", not " +
                   std::to_string(expected.share_epoch));
  }
  return {};
}

// `derive`: the salt to the AES key.
template <class Derive>
Result<Secret<32>> unseal(ByteSpan file, ShareProtection protection, const ShareLabel& expected,
                          const Derive& derive) {
  const Result<Header> header = decode(file);
  if (!header) return header.error();
  if (const Status ours = check_label(*header, protection, expected); !ours) return ours.error();
  const Result<Secret<32>> key = derive(header->salt);
  if (!key) return key.error();
  return decrypt(*key, *header, file);
}

}  // namespace

Result<Bytes> seal_with_key_file(const Secret<32>& share, const ShareLabel& label,
                                 const Secret<32>& key, EntropySource& entropy) {
  const Header header = fresh_header(ShareProtection::KeyFile, label, entropy);
  const Result<Secret<32>> derived = key_from_file(key, header.salt);
  if (!derived) return derived.error();
  return encrypt(*derived, header, share);
}

Result<Bytes> seal_with_passphrase(const Secret<32>& share, const ShareLabel& label,
                                   ByteSpan passphrase, EntropySource& entropy) {
  const Header header = fresh_header(ShareProtection::Passphrase, label, entropy);
  const Result<Secret<32>> derived = key_from_passphrase(passphrase, header.salt);
  if (!derived) return derived.error();
  return encrypt(*derived, header, share);
}

Result<ShareProtection> sealed_protection(ByteSpan file) {
  const Result<Header> header = decode(file);
  if (!header) return header.error();
  return header->protection;
}

Result<Secret<32>> unseal_with_key_file(ByteSpan file, const ShareLabel& expected,
                                        const Secret<32>& key) {
  return unseal(file, ShareProtection::KeyFile, expected,
                [&](const ByteArray<kSaltSize>& salt) { return key_from_file(key, salt); });
}

Result<Secret<32>> unseal_with_passphrase(ByteSpan file, const ShareLabel& expected,
                                          ByteSpan passphrase) {
  return unseal(file, ShareProtection::Passphrase, expected,
                [&](const ByteArray<kSaltSize>& salt) {
                  return key_from_passphrase(passphrase, salt);
                });
}

Result<Bytes> seal_with_vault(const Secret<32>& share, const ShareLabel& label, ShareVault& vault,
                              EntropySource& entropy) {
  const Header header = fresh_header(ShareProtection::Token, label, entropy);
  Bytes file = encode(header);
  const auto cipher = vault.encrypt(header.nonce, file, share);
  if (!cipher) return cipher.error();
  if (cipher->size() != 32 + kTagSize)
    return Error{ErrorKind::Internal, "sealed share: the vault gave another size than GCM's"};
  append(file, *cipher);
  return file;
}

Result<Secret<32>> unseal_with_vault(ByteSpan file, const ShareLabel& expected,
                                     ShareVault& vault) {
  const Result<Header> header = decode(file);
  if (!header) return header.error();
  if (const Status ours = check_label(*header, ShareProtection::Token, expected); !ours)
    return ours.error();
  return vault.decrypt(header->nonce, file.first(kHeaderSize), file.subspan(kHeaderSize));
}

}  // namespace roulette::crypto
