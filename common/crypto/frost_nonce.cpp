// Nonces of BIP 445: generation, the secret's life, aggregation.
//
// Invariant: the bytes k1 || k2 are only ever in one live SecNonce; a move erases the source. No
// branch depends on them (tools/check-constant-time).
#include <secp256k1.h>

#include <algorithm>
#include <utility>

#include "common/crypto/declassify.h"
#include "common/crypto/frost_data.h"
#include "common/crypto/hash.h"
#include "common/crypto/scalar.h"
#include "common/crypto/secp.h"

namespace roulette::crypto::frost {
namespace {

void absorb_optional(Sha256& hash, std::uint8_t length, const std::uint8_t* data) {
  hash.update_u8(data == nullptr ? 0 : length);
  if (data != nullptr) hash.update(ByteSpan(data, length));
}

// rand' = share XOR H("BIP0445/aux", r), r itself where no share is given.
void mix_share(Secret<32>& random, const SecretShare* share) {
  if (share == nullptr) return;
  static const Tag tag("BIP0445/aux");
  Secret<32> mask;
  Sha256(tag).update(random.span()).finish_into(std::span<std::uint8_t, 32>(mask.data(), 32));
  const std::uint8_t* const s = share->secret().data();
  for (std::size_t i = 0; i < 32; ++i) {
    random.data()[i] = static_cast<std::uint8_t>(s[i] ^ mask.data()[i]);
  }
}

// k_j of BIP 445's NonceGen, j - 1 being `index`.
void derive(const Secret<32>& rand, const NonceInput& input, std::uint8_t index,
            std::span<std::uint8_t, 32> out) {
  static const Tag tag("BIP0445/nonce");
  Sha256 hash(tag);
  hash.update(rand.span());
  ByteArray<4> id{};
  if (input.signer) {
    id[2] = static_cast<std::uint8_t>(input.signer->value() >> 8);
    id[3] = static_cast<std::uint8_t>(input.signer->value());
  }
  absorb_optional(hash, 4, input.signer ? id.data() : nullptr);
  absorb_optional(hash, 33, input.public_share ? input.public_share->data() : nullptr);
  absorb_optional(hash, 32, input.threshold_key ? input.threshold_key->data() : nullptr);
  hash.update_u8(input.message ? 1 : 0);
  if (input.message) hash.update_u64(input.message->size()).update(*input.message);
  hash.update_u32(static_cast<std::uint32_t>(input.extra.size())).update(input.extra);
  hash.update_u8(index);
  hash.finish_into(out);
  reduce_mod_order(out);
}

int make_points(const Secret<64>& bytes, Point& r1, Point& r2) {
  const int first = secp256k1_ec_pubkey_create(context(), raw(r1), bytes.data());
  const int second = secp256k1_ec_pubkey_create(context(), raw(r2), bytes.data() + 32);
  return first & second;
}

}  // namespace

std::optional<std::pair<Point, Point>> parse_nonce(const PubNonce& nonce) {
  PubKey33 half{};
  std::copy_n(nonce.begin(), 33, half.begin());
  const auto r1 = Point::parse(half);
  std::copy_n(nonce.begin() + 33, 33, half.begin());
  const auto r2 = Point::parse(half);
  if (!r1 || !r2) return std::nullopt;
  return std::pair(*r1, *r2);
}

AggNonce encode_aggregate(const std::optional<Point>& r1, const std::optional<Point>& r2) {
  AggNonce out{};
  const PubKey33 first = r1 ? r1->serialize() : PubKey33{};
  const PubKey33 second = r2 ? r2->serialize() : PubKey33{};
  std::copy(first.begin(), first.end(), out.begin());
  std::copy(second.begin(), second.end(), out.begin() + 33);
  return out;
}

SecNonce::SecNonce(SecNonce&& other) noexcept { *this = std::move(other); }

SecNonce& SecNonce::operator=(SecNonce&& other) noexcept {
  if (this == &other) return *this;
  bytes_ = std::move(other.bytes_);
  r1_ = std::exchange(other.r1_, Point{});
  r2_ = std::exchange(other.r2_, Point{});
  live_ = std::exchange(other.live_, false);
  valid_ = std::exchange(other.valid_, false);
  return *this;
}

SecNonce SecNonce::from_bytes(Secret<64> bytes) {
  SecNonce out;
  out.valid_ = declassify(make_points(bytes, out.r1_, out.r2_));
  out.bytes_ = std::move(bytes);
  out.live_ = true;
  return out;
}

SecNonce SecNonce::from_known(Secret<64> bytes, const Point& r1, const Point& r2) {
  SecNonce out;
  out.bytes_ = std::move(bytes);
  out.r1_ = r1;
  out.r2_ = r2;
  out.live_ = out.valid_ = true;
  return out;
}

PubNonce SecNonce::public_nonce() const {
  PubNonce out{};
  if (!live_ || !valid_) return out;
  const PubKey33 first = r1_.serialize();
  const PubKey33 second = r2_.serialize();
  std::copy(first.begin(), first.end(), out.begin());
  std::copy(second.begin(), second.end(), out.begin() + 33);
  return out;
}

Result<SecNonce> nonce_gen(Secret<32> random, const NonceInput& input) {
  mix_share(random, input.share);
  Secret<64> bytes;
  derive(random, input, 0, std::span<std::uint8_t, 32>(bytes.data(), 32));
  derive(random, input, 1, std::span<std::uint8_t, 32>(bytes.data() + 32, 32));
  SecNonce out = SecNonce::from_bytes(std::move(bytes));
  if (!out.valid()) return Error{ErrorKind::Internal, "a nonce hashed to zero"};
  return out;
}

Result<SecNonce> nonce_gen(EntropySource& entropy, const NonceInput& input) {
  Secret<32> random;
  entropy.fill(std::span<std::uint8_t>(random.data(), random.size()));
  return nonce_gen(std::move(random), input);
}

std::variant<AggNonce, InvalidPubNonce> nonce_agg(std::span<const PubNonce> nonces) {
  std::vector<Point> first;
  std::vector<Point> second;
  for (std::size_t i = 0; i < nonces.size(); ++i) {
    const auto points = parse_nonce(nonces[i]);
    if (!points) return InvalidPubNonce{i, nonces[i]};
    first.push_back(points->first);
    second.push_back(points->second);
  }
  return encode_aggregate(sum(first), sum(second));
}

}  // namespace roulette::crypto::frost
