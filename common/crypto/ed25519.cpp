// See ed25519.h.
#include "common/crypto/ed25519.h"

#include <memory>
#include <string>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "common/base/freed_by.h"

namespace roulette::crypto {
namespace {

using Key = std::unique_ptr<EVP_PKEY, FreedBy<EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, FreedBy<BIO_free_all>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, FreedBy<EVP_MD_CTX_free>>;

Error openssl_failed(const char* what) {
  return Error{ErrorKind::Internal, std::string("OpenSSL cannot ") + what};
}

Key private_key(const Secret<32>& seed) {
  return Key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
}

}  // namespace

Result<Ed25519Key> Ed25519Key::from_seed(Secret<32> seed) {
  const Key key = private_key(seed);
  Ed25519Key made;
  std::size_t size = made.public_key_.size();
  if (!key || EVP_PKEY_get_raw_public_key(key.get(), made.public_key_.data(), &size) != 1 ||
      size != made.public_key_.size())
    return openssl_failed("make an Ed25519 key");
  made.seed_ = std::move(seed);
  return made;
}

Result<Ed25519Signature> Ed25519Key::sign(ByteSpan message) const {
  const Key key = private_key(seed_);
  const DigestContext context(EVP_MD_CTX_new());
  Ed25519Signature signature{};
  std::size_t size = signature.size();
  if (!key || !context ||
      EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) != 1 ||
      size != signature.size())
    return openssl_failed("sign with an Ed25519 key");
  return signature;
}

Result<std::string> private_key_pem(const Ed25519Key& key) {
  const Key raw = private_key(key.seed());
  const Bio out(BIO_new(BIO_s_secmem()));
  char* data = nullptr;
  if (!raw || !out ||
      PEM_write_bio_PKCS8PrivateKey(out.get(), raw.get(), nullptr, nullptr, 0, nullptr,
                                    nullptr) != 1)
    return openssl_failed("write an Ed25519 key");
  const long size = BIO_get_mem_data(out.get(), &data);
  return std::string(data, size > 0 ? static_cast<std::size_t>(size) : 0);
}

Result<Ed25519Key> private_key_from_pem(std::string_view pem) {
  const Bio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const Key key(in ? PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr) : nullptr);
  Secret<32> seed;
  std::size_t size = seed.size();
  if (!key || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519 ||
      EVP_PKEY_get_raw_private_key(key.get(), seed.data(), &size) != 1 || size != seed.size())
    return Error{ErrorKind::Usage, "no Ed25519 private key in PEM"};
  return Ed25519Key::from_seed(std::move(seed));
}

bool verify_ed25519(const Ed25519PublicKey& key, ByteSpan message, ByteSpan signature) {
  if (signature.size() != Ed25519Signature().size()) return false;
  const Key known(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size()));
  const DigestContext context(EVP_MD_CTX_new());
  return known && context &&
         EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, known.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

}  // namespace roulette::crypto
