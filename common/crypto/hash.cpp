// SHA-256 through OpenSSL's low-level interface: a simulated payment hashes hundreds of short
// strings, and EVP spends more on setting up a context than on the one or two blocks of each.
//
// Invariant: a state that saw secrets (class Sha256) is erased where it ends; the one-shot
// functions are never handed secret input.
// The interface is deprecated in favour of EVP, not withdrawn.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "common/crypto/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <array>
#include <new>

#include "common/base/assert.h"

namespace roulette::crypto {
namespace {

void begin(SHA256_CTX& context) { ROULETTE_ASSERT(SHA256_Init(&context) == 1); }

void add(SHA256_CTX& context, ByteSpan data) {
  ROULETTE_ASSERT(SHA256_Update(&context, data.data(), data.size()) == 1);
}

void end(SHA256_CTX& context, std::uint8_t* out) {
  ROULETTE_ASSERT(SHA256_Final(out, &context) == 1);
}

}  // namespace

Hash32 sha256(ByteSpan data) {
  Hash32 out{};
  SHA256_CTX context;
  begin(context);
  add(context, data);
  end(context, out.data());
  return out;
}

Hash32 sha256d(ByteSpan data) { return sha256(sha256(data)); }

ByteArray<20> hash160(ByteSpan data) {
  // In the default provider since OpenSSL 3.0.7.
  static const EVP_MD* const ripemd = EVP_MD_fetch(nullptr, "RIPEMD160", nullptr);
  ROULETTE_ASSERT(ripemd != nullptr);
  const Hash32 inner = sha256(data);
  ByteArray<20> out{};
  unsigned int size = 0;
  ROULETTE_ASSERT(EVP_Digest(inner.data(), inner.size(), out.data(), &size, ripemd, nullptr) == 1 &&
                  size == out.size());
  return out;
}

Tag::Tag(std::string_view name) {
  const Hash32 hash = sha256(as_bytes(name));
  for (std::size_t i = 0; i < 32; ++i) prefix_[i] = prefix_[i + 32] = hash[i];
}

// An implicit-lifetime type in storage of the right size; a constructor starts its life.
void* Sha256::state() {
  static_assert(sizeof(SHA256_CTX) <= sizeof state_ && alignof(SHA256_CTX) <= 8);
  ROULETTE_ASSERT(open_);
  return state_.data();
}

Sha256::Sha256() : open_(true) { begin(*new (state()) SHA256_CTX); }

Sha256::Sha256(const Tag& tag) : Sha256() { update(tag.prefix()); }

Sha256::Sha256(Sha256&& from) noexcept : state_(from.state_), open_(from.open_) { from.erase(); }

Sha256& Sha256::operator=(Sha256&& from) noexcept {
  if (this == &from) return *this;
  state_ = from.state_;
  open_ = from.open_;
  from.erase();
  return *this;
}

Sha256::~Sha256() { erase(); }

void Sha256::erase() noexcept {
  OPENSSL_cleanse(state_.data(), state_.size());
  open_ = false;
}

Sha256& Sha256::update(ByteSpan data) {
  add(*static_cast<SHA256_CTX*>(state()), data);
  return *this;
}

Sha256& Sha256::update_u8(std::uint8_t value) { return update(ByteSpan(&value, 1)); }

Sha256& Sha256::update_u32(std::uint32_t value) {
  ByteArray<4> bytes{};
  for (std::size_t i = 0; i < 4; ++i) bytes[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
  return update(bytes);
}

Sha256& Sha256::update_u64(std::uint64_t value) {
  ByteArray<8> bytes{};
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(value >> (56 - 8 * i));
  return update(bytes);
}

void Sha256::finish_into(std::span<std::uint8_t, 32> out) {
  end(*static_cast<SHA256_CTX*>(state()), out.data());
  erase();
}

Hash32 Sha256::finish() {
  Hash32 out{};
  finish_into(out);
  return out;
}

Hash32 tagged_hash(const Tag& tag, ByteSpan data) {
  Hash32 out{};
  SHA256_CTX context;
  begin(context);
  add(context, tag.prefix());
  add(context, data);
  end(context, out.data());
  return out;
}

Hash32 tagged_hash(std::string_view tag, ByteSpan data) { return tagged_hash(Tag(tag), data); }

}  // namespace roulette::crypto
