// SHA-256 through OpenSSL's EVP interface: one fetched algorithm, one context per thread for public
// data.
//
// Invariant: contexts that saw secrets (class Sha256) are freed, which erases them; the thread's
// context is never handed secret input.
#include "common/crypto/hash.h"

#include <openssl/evp.h>

#include <array>
#include <utility>

#include "common/base/assert.h"

namespace roulette::crypto {
namespace {

// Fetching by name takes a lock and a lookup; doing it once halves the cost of a short hash.
const EVP_MD* algorithm() {
  static const EVP_MD* const md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  ROULETTE_ASSERT(md != nullptr);
  return md;
}

struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};

EVP_MD_CTX* thread_context() {
  thread_local const std::unique_ptr<EVP_MD_CTX, ContextDeleter> context(EVP_MD_CTX_new());
  ROULETTE_ASSERT(context != nullptr);
  ROULETTE_ASSERT(EVP_DigestInit_ex2(context.get(), algorithm(), nullptr) == 1);
  return context.get();
}

void add(EVP_MD_CTX* context, ByteSpan data) {
  ROULETTE_ASSERT(EVP_DigestUpdate(context, data.data(), data.size()) == 1);
}

void end(EVP_MD_CTX* context, std::uint8_t* out) {
  unsigned int size = 0;
  ROULETTE_ASSERT(EVP_DigestFinal_ex(context, out, &size) == 1 && size == 32);
}

}  // namespace

Hash32 sha256(ByteSpan data) {
  Hash32 out{};
  EVP_MD_CTX* const context = thread_context();
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

void Sha256::Close::operator()(void* context) const noexcept {
  EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context));
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  ROULETTE_ASSERT(context_ != nullptr);
  auto* const context = static_cast<EVP_MD_CTX*>(context_.get());
  ROULETTE_ASSERT(EVP_DigestInit_ex2(context, algorithm(), nullptr) == 1);
}

Sha256::Sha256(const Tag& tag) : Sha256() { update(tag.prefix()); }
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

Sha256& Sha256::update(ByteSpan data) {
  ROULETTE_ASSERT(context_ != nullptr);
  add(static_cast<EVP_MD_CTX*>(context_.get()), data);
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
  ROULETTE_ASSERT(context_ != nullptr);
  end(static_cast<EVP_MD_CTX*>(context_.get()), out.data());
  context_.reset();
}

Hash32 Sha256::finish() {
  Hash32 out{};
  finish_into(out);
  return out;
}

Hash32 tagged_hash(const Tag& tag, ByteSpan data) {
  Hash32 out{};
  EVP_MD_CTX* const context = thread_context();
  add(context, tag.prefix());
  add(context, data);
  end(context, out.data());
  return out;
}

Hash32 tagged_hash(std::string_view tag, ByteSpan data) { return tagged_hash(Tag(tag), data); }

}  // namespace roulette::crypto
