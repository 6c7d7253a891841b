// FROST's equations (BIP 445, Sign and PartialSigVerifyInternal) with numbers for points.
//
// Invariant: encodings have the sizes of frost's, and one value has one encoding: everything else
// is refused as a point that does not parse. A secret is erased where it ends, as in the real one.
#include "chaos/sim/stand_in.h"

#include <string.h>

#include <algorithm>
#include <string>
#include <utility>

#include "common/base/assert.h"
#include "common/crypto/dealer.h"

namespace roulette::sim {
namespace {

using crypto::Aggregated;
using crypto::BadShare;
using crypto::BadShares;
using crypto::InvalidNonce;
using crypto::Opened;
using crypto::SecretNonce;

// ---- the field ----

constexpr std::uint64_t kPrime = (std::uint64_t{1} << 61) - 1;
constexpr std::uint64_t kGenerator = 0x0f1e2d3c4b5a6978;  // "G": any element but 0 and 1
constexpr std::size_t kPoint = 33;   // 02, zeros, 8 bytes
constexpr std::size_t kNumber = 32;  // zeros, 8 bytes

std::uint64_t add(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t sum = a + b;
  return sum >= kPrime ? sum - kPrime : sum;
}
std::uint64_t sub(std::uint64_t a, std::uint64_t b) { return a >= b ? a - b : a + kPrime - b; }
std::uint64_t mul(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  const auto low = static_cast<std::uint64_t>(product) & kPrime;
  return add(low, static_cast<std::uint64_t>(product >> 61));
}
// By Fermat: a^(p-2).
std::uint64_t inverse(std::uint64_t a) {
  std::uint64_t out = 1;
  for (std::uint64_t power = kPrime - 2; power != 0; power >>= 1, a = mul(a, a))
    if ((power & 1) != 0) out = mul(out, a);
  return out;
}

// ---- a hash that is only well mixed (SplitMix64's finalizer over each word) ----

class Mix {
 public:
  explicit Mix(std::uint64_t domain) : state_(domain) {}
  Mix& word(std::uint64_t value) {
    state_ = (state_ ^ value) + 0x9e3779b97f4a7c15;
    state_ = (state_ ^ (state_ >> 30)) * 0xbf58476d1ce4e5b9;
    state_ = (state_ ^ (state_ >> 27)) * 0x94d049bb133111eb;
    state_ ^= state_ >> 31;
    return *this;
  }
  Mix& bytes(ByteSpan data) {
    word(data.size());
    for (std::size_t at = 0; at < data.size(); at += 8) {
      std::uint64_t value = 0;
      memcpy(&value, data.data() + at, std::min<std::size_t>(8, data.size() - at));
      word(value);
    }
    return *this;
  }
  // 1..p-1.
  [[nodiscard]] std::uint64_t number() const { return 1 + state_ % (kPrime - 1); }

 private:
  std::uint64_t state_;
};
enum Domain : std::uint64_t { kTweak = 1, kBinding, kChallenge, kGroup };

// ---- encodings ----

void put(std::uint64_t value, std::uint8_t* last_eight) {
  for (int i = 7; i >= 0; --i, value >>= 8) last_eight[i] = static_cast<std::uint8_t>(value);
}
template <std::size_t N>
ByteArray<N> encode(std::uint64_t value) {
  ByteArray<N> out{};
  if (N == kPoint) out[0] = 2;
  put(value, out.data() + N - 8);
  return out;
}
// A number below the prime behind zeros; `first` stands before a point.
std::optional<std::uint64_t> decode(ByteSpan bytes, std::size_t size, std::uint8_t first) {
  if (bytes.size() != size || bytes[0] != first) return std::nullopt;
  for (std::size_t i = 1; i < size - 8; ++i)
    if (bytes[i] != 0) return std::nullopt;
  std::uint64_t value = 0;
  for (std::size_t i = size - 8; i < size; ++i) value = value << 8 | bytes[i];
  if (value >= kPrime) return std::nullopt;
  return value;
}
std::optional<std::uint64_t> decode_point(ByteSpan bytes) {
  const auto value = decode(bytes, kPoint, 2);
  return value && *value != 0 ? value : std::nullopt;
}
std::optional<std::uint64_t> decode_number(ByteSpan bytes) { return decode(bytes, kNumber, 0); }

std::uint64_t draw_number(EntropySource& entropy) {
  ByteArray<8> bytes{};
  entropy.fill(bytes);
  std::uint64_t value = 0;
  memcpy(&value, bytes.data(), sizeof value);
  explicit_bzero(bytes.data(), bytes.size());
  return 1 + value % (kPrime - 1);
}

// The one place where a secret number lives.
class SecretNumber {
 public:
  explicit SecretNumber(std::uint64_t value) : value_(value) {}
  SecretNumber(const SecretNumber&) = delete;
  SecretNumber& operator=(const SecretNumber&) = delete;
  ~SecretNumber() { explicit_bzero(&value_, sizeof value_); }
  [[nodiscard]] std::uint64_t get() const { return value_; }

 private:
  std::uint64_t value_;
};

std::uint64_t challenge(std::uint64_t r, std::uint64_t key, ByteSpan message) {
  return Mix(kChallenge).word(r).word(key).bytes(message).number();
}

// ---- the public side ----

class StandInScheme final : public crypto::Scheme {
 public:
  const crypto::SchemeFacts& facts() const override {
    static const crypto::SchemeFacts facts{
        "stand-in", "stand-in 1", crypto::SignerForm::AnyThreshold, 2 * kPoint, kNumber,
        2 * kNumber};
    return facts;
  }
  bool verify(ByteSpan wallet_key, ByteSpan message, ByteSpan signature) const override {
    if (signature.size() != 2 * kNumber) return false;
    const auto key = decode_number(wallet_key);
    const auto r = decode_number(signature.first(kNumber));
    const auto s = decode_number(signature.last(kNumber));
    if (!key || !r || !s) return false;
    return mul(*s, kGenerator) == add(*r, mul(challenge(*r, *key, message), *key));
  }
};

// One signer set: what a share is made and checked with.
struct Members {
  std::vector<SignerId> ids;                // ascending
  std::vector<std::uint64_t> keys;          // public shares
  std::vector<std::uint64_t> coefficients;  // Lagrange's, at zero
  std::uint64_t wallet_key = 0;
  std::uint64_t tweak = 0;

  [[nodiscard]] std::optional<std::size_t> index_of(SignerId id) const {
    const auto at = std::lower_bound(ids.begin(), ids.end(), id);
    if (at == ids.end() || *at != id) return std::nullopt;
    return static_cast<std::size_t>(at - ids.begin());
  }
};

struct NoncePair {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  friend bool operator==(const NoncePair&, const NoncePair&) = default;
};
Bytes encode_pair(const NoncePair& nonce) {
  const auto first = encode<kPoint>(nonce.first);
  const auto second = encode<kPoint>(nonce.second);
  Bytes out(first.begin(), first.end());
  append(out, second);
  return out;
}

class StandInSession final : public crypto::SigningSession {
 public:
  StandInSession(std::shared_ptr<const Members> of, std::vector<NoncePair> listed, ByteSpan message)
      : members(std::move(of)),
        nonces(std::move(listed)),
        message_(message.begin(), message.end()) {
    NoncePair sum;
    for (const NoncePair& nonce : nonces) {
      sum.first = add(sum.first, nonce.first);
      sum.second = add(sum.second, nonce.second);
    }
    Mix mix(kBinding);
    for (const SignerId id : members->ids) mix.word(id.value());
    mix.word(sum.first).word(sum.second).word(members->wallet_key).bytes(message_);
    b = mix.number();
    r = add(sum.first, mul(b, sum.second));
    e = challenge(r, members->wallet_key, message_);
  }

  bool verify_share(SignerId signer, ByteSpan share) const override {
    const auto index = members->index_of(signer);
    const auto s = decode_number(share);
    return index && s && holds(*index, *s);
  }

  // s G == R1 + b R2 + e lambda P
  bool holds(std::size_t index, std::uint64_t s) const {
    const NoncePair& nonce = nonces[index];
    const std::uint64_t key = mul(mul(e, members->coefficients[index]), members->keys[index]);
    return mul(s, kGenerator) == add(add(nonce.first, mul(b, nonce.second)), key);
  }

  Result<Aggregated> aggregate(std::span<const ByteSpan> shares) const override {
    if (shares.size() != members->ids.size())
      return Error{ErrorKind::Refused, "each signer needs exactly one share"};
    std::uint64_t s = mul(e, members->tweak);
    bool in_range = true;
    for (const ByteSpan share : shares) {
      const auto part = decode_number(share);
      in_range = in_range && part;
      s = add(s, part.value_or(0));
    }
    const auto first = encode<kNumber>(r);
    Bytes signature(first.begin(), first.end());
    append(signature, encode<kNumber>(s));
    const auto key = encode<kNumber>(members->wallet_key);
    if (in_range && stand_in_scheme().verify(key, message_, signature))
      return Aggregated(std::move(signature));
    BadShares bad;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      if (verify_share(members->ids[i], shares[i])) continue;
      bad.blamed.push_back(BadShare{members->ids[i], encode_pair(nonces[i])});
      append(bad.blamed.back().proof, shares[i]);
    }
    return Aggregated(std::move(bad));
  }

  const std::shared_ptr<const Members> members;
  const std::vector<NoncePair> nonces;  // by position in members->ids
  std::uint64_t b = 0;
  std::uint64_t r = 0;
  std::uint64_t e = 0;

 private:
  Bytes message_;
};

class StandInSet final : public crypto::SignerSet {
 public:
  explicit StandInSet(Members members)
      : members_(std::make_shared<const Members>(std::move(members))) {}

  const std::vector<SignerId>& ids() const override { return members_->ids; }

  Result<Opened> open(std::span<const ByteSpan> nonces, ByteSpan message) const override {
    if (nonces.size() != members_->ids.size())
      return Error{ErrorKind::Refused, "each signer needs exactly one nonce"};
    std::vector<NoncePair> pairs;
    for (std::size_t i = 0; i < nonces.size(); ++i) {
      const bool whole = nonces[i].size() == 2 * kPoint;
      const auto first = whole ? decode_point(nonces[i].first(kPoint)) : std::nullopt;
      const auto second = whole ? decode_point(nonces[i].last(kPoint)) : std::nullopt;
      if (!first || !second)
        return Opened(InvalidNonce{i, Bytes(nonces[i].begin(), nonces[i].end())});
      pairs.push_back({*first, *second});
    }
    return Opened(std::make_unique<const StandInSession>(members_, std::move(pairs), message));
  }

 private:
  std::shared_ptr<const Members> members_;
};

class StandInGroup final : public crypto::SigningGroup {
 public:
  StandInGroup(std::uint16_t t, std::uint64_t key, std::vector<std::uint64_t> shares)
      : t_(t),
        tweak_(Mix(kTweak).word(key).number()),
        wallet_(add(key, mul(tweak_, kGenerator))),
        threshold_key_(encode<kPoint>(key)),
        wallet_key_(encode<kNumber>(wallet_)),
        keys_(std::move(shares)) {
    Mix mix(kGroup);
    mix.word(keys_.size()).word(t_).word(key);
    for (const std::uint64_t share : keys_) {
      mix.word(share);
      public_shares_.push_back(encode<kPoint>(share));
    }
    put(mix.number(), id_.data());
  }

  const crypto::Scheme& scheme() const override { return stand_in_scheme(); }
  std::uint16_t n() const override { return static_cast<std::uint16_t>(keys_.size()); }
  std::uint16_t t() const override { return t_; }
  const Hash32& id() const override { return id_; }
  Status check_quorums_meet() const override { return crypto::check_quorum_shape(t_, n()); }
  const ByteArray<33>& threshold_key() const override { return threshold_key_; }
  ByteSpan wallet_key() const override { return wallet_key_; }
  ByteSpan public_share(SignerId id) const override {
    if (id.value() >= public_shares_.size()) return {};
    return public_shares_[id.value()];
  }

  Result<crypto::SignerSetPtr> signer_set(std::span<const SignerId> ids) const override {
    if (ids.size() < t_ || ids.size() > keys_.size())
      return Error{ErrorKind::Refused,
                   "the number of signers must be between the threshold and the participants"};
    Members members;
    members.ids.assign(ids.begin(), ids.end());
    std::sort(members.ids.begin(), members.ids.end());
    for (std::size_t i = 0; i < members.ids.size(); ++i) {
      const SignerId id = members.ids[i];
      const std::string name = "signer id " + std::to_string(id.value());
      if (id.value() >= keys_.size())
        return Error{ErrorKind::Refused, name + " is not below the number of participants"};
      if (i > 0 && members.ids[i - 1] == id)
        return Error{ErrorKind::Refused, name + " occurs twice"};
      members.keys.push_back(keys_[id.value()]);
      members.coefficients.push_back(lagrange_at_zero(members.ids, i));
    }
    members.wallet_key = wallet_;
    members.tweak = tweak_;
    return crypto::SignerSetPtr(std::make_shared<const StandInSet>(std::move(members)));
  }

 private:
  // The product of x_j / (x_j - x_i) over the others.
  static std::uint64_t lagrange_at_zero(const std::vector<SignerId>& ids, std::size_t i) {
    std::uint64_t above = 1;
    std::uint64_t below = 1;
    for (std::size_t j = 0; j < ids.size(); ++j) {
      if (j == i) continue;
      above = mul(above, ids[j].value() + 1U);
      below = mul(below, sub(ids[j].value() + 1U, ids[i].value() + 1U));
    }
    return mul(above, inverse(below));
  }

  std::uint16_t t_;
  std::uint64_t tweak_;
  std::uint64_t wallet_;
  ByteArray<33> threshold_key_;
  ByteArray<32> wallet_key_;
  std::vector<std::uint64_t> keys_;  // public shares
  std::vector<ByteArray<33>> public_shares_;
  Hash32 id_{};
};

// ---- the secret side ----

struct StandInNonce final : SecretNonce::Body {
  StandInNonce(std::uint64_t first, std::uint64_t second)
      : k1(first), k2(second), points{mul(first, kGenerator), mul(second, kGenerator)} {}
  Bytes public_nonce() const override { return encode_pair(points); }
  const SecretNumber k1;
  const SecretNumber k2;
  const NoncePair points;
};

class StandInShare final : public crypto::KeyShare {
 public:
  StandInShare(SignerId id, std::uint64_t secret)
      : id_(id), secret_(secret), public_share_(encode<kPoint>(mul(secret, kGenerator))) {}

  SignerId id() const override { return id_; }
  ByteSpan public_share() const override { return public_share_; }
  Result<SecretNonce> make_nonce(EntropySource& entropy, const crypto::SigningGroup&,
                                 ByteSpan) const override {
    const std::uint64_t first = draw_number(entropy);
    return SecretNonce(std::make_unique<StandInNonce>(first, draw_number(entropy)));
  }

 private:
  Result<Bytes> make_share(SecretNonce::Body* nonce, const crypto::SigningSession& session,
                           crypto::SelfCheck check) const override {
    const auto* taken = dynamic_cast<const StandInNonce*>(nonce);
    if (taken == nullptr)
      return Error{ErrorKind::Refused, "the secret nonce was used already, or is no stand-in"};
    const auto* opened = dynamic_cast<const StandInSession*>(&session);
    if (opened == nullptr) return Error{ErrorKind::Refused, "the session is of another scheme"};
    const auto index = opened->members->index_of(id_);
    if (!index) return Error{ErrorKind::Refused, "this signer is not in the signer set"};
    if (encode<kPoint>(opened->members->keys[*index]) != public_share_)
      return Error{ErrorKind::Refused, "this signer's public share is not the listed one"};
    if (opened->nonces[*index] != taken->points)
      return Error{ErrorKind::Refused, "the session lists another nonce for this signer"};
    const std::uint64_t key =
        mul(mul(opened->e, opened->members->coefficients[*index]), secret_.get());
    const std::uint64_t s = add(add(taken->k1.get(), mul(opened->b, taken->k2.get())), key);
    if (check == crypto::SelfCheck::On && !opened->holds(*index, s))
      return Error{ErrorKind::Internal, "the own share does not verify: a computation fault"};
    const auto out = encode<kNumber>(s);
    return Bytes(out.begin(), out.end());
  }

  SignerId id_;
  SecretNumber secret_;
  ByteArray<33> public_share_;
};

}  // namespace

const crypto::Scheme& stand_in_scheme() {
  static const StandInScheme scheme;
  return scheme;
}

StandInWallet deal_stand_in(std::uint16_t n, std::uint16_t t, EntropySource& entropy) {
  return refresh_stand_in(n, t, entropy, entropy);
}

StandInWallet refresh_stand_in(std::uint16_t n, std::uint16_t t, EntropySource& key_of,
                               EntropySource& entropy) {
  ROULETTE_ASSERT(t > 0 && t <= n);
  std::vector<std::uint64_t> coefficients{draw_number(key_of)};
  for (std::uint16_t i = 1; i < t; ++i) coefficients.push_back(draw_number(entropy));
  StandInWallet wallet;
  std::vector<std::uint64_t> keys;
  for (std::uint16_t id = 0; id < n; ++id) {
    std::uint64_t value = 0;
    for (std::size_t i = coefficients.size(); i-- > 0;)
      value = add(mul(value, id + 1U), coefficients[i]);
    keys.push_back(mul(value, kGenerator));
    wallet.shares.push_back(std::make_shared<const StandInShare>(SignerId(id), value));
  }
  const std::uint64_t key = mul(coefficients.front(), kGenerator);
  wallet.group = std::make_shared<const StandInGroup>(t, key, std::move(keys));
  explicit_bzero(coefficients.data(), coefficients.size() * sizeof coefficients.front());
  return wallet;
}

}  // namespace roulette::sim
