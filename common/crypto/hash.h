// SHA-256, Bitcoin's HASH160 and the tagged hashes of BIP 340, computed by OpenSSL.
//
// Invariant: an incremental Sha256 erases its inner state when it goes, so it is fit for secret
// input; the one-shot functions keep a context per thread and are for public data only. Nothing
// here reduces modulo the group order.
#pragma once

#include <memory>
#include <string_view>

#include "common/base/bytes.h"

namespace roulette::crypto {

// One shot, public data.
[[nodiscard]] Hash32 sha256(ByteSpan data);
// SHA-256 of SHA-256, as Bitcoin's txid and block hash.
[[nodiscard]] Hash32 sha256d(ByteSpan data);
// RIPEMD-160 of SHA-256: the key hash of a P2WPKH output (BIP 141).
[[nodiscard]] ByteArray<20> hash160(ByteSpan data);

// SHA-256(tag) is computed once and kept: make a Tag a static constant.
class Tag {
 public:
  explicit Tag(std::string_view name);
  [[nodiscard]] const ByteArray<64>& prefix() const { return prefix_; }

 private:
  ByteArray<64> prefix_{};  // SHA-256(tag) twice: BIP 340's first block
};

// Incremental; move-only. Use after finish() is a bug of the caller (asserted).
class Sha256 {
 public:
  Sha256();
  explicit Sha256(const Tag& tag);  // BIP 340 tagged hash
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  Sha256& update(ByteSpan data);
  Sha256& update_u8(std::uint8_t value);
  Sha256& update_u32(std::uint32_t value);  // big endian
  Sha256& update_u64(std::uint64_t value);  // big endian
  [[nodiscard]] Hash32 finish();
  // The digest straight into memory that the caller erases.
  void finish_into(std::span<std::uint8_t, 32> out);

 private:
  struct Close {
    void operator()(void* context) const noexcept;
  };
  std::unique_ptr<void, Close> context_;
};

// BIP 340 tagged hash of public data: SHA-256(SHA-256(tag) || SHA-256(tag) || data).
[[nodiscard]] Hash32 tagged_hash(const Tag& tag, ByteSpan data);
[[nodiscard]] Hash32 tagged_hash(std::string_view tag, ByteSpan data);

}  // namespace roulette::crypto
