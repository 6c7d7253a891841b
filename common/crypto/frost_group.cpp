// Groups, shares, tweaks and signer sets of BIP 445: everything that is checked before a message is
// known.
//
// Invariant: a Group's public shares lie on one polynomial through the threshold key, so every
// signer set of it interpolates to that key and needs no check of its own.
#include <secp256k1.h>

#include <algorithm>
#include <string>
#include <utility>

#include "common/base/canonical.h"
#include "common/crypto/declassify.h"
#include "common/crypto/frost_data.h"
#include "common/crypto/hash.h"
#include "common/crypto/secp.h"
#include "common/crypto/taproot.h"

namespace roulette::crypto::frost {
namespace {

Error refused(std::string why) { return Error{ErrorKind::Refused, std::move(why)}; }
Error corrupt(std::string why) { return Error{ErrorKind::Corrupt, std::move(why)}; }

std::uint32_t evaluation_point(SignerId id) { return id.value() + 1U; }

Status check_shape(std::uint16_t n, std::uint16_t t) {
  if (n == 0 || n > kMaxParticipants) {
    return refused("the number of participants must be between 1 and " +
                   std::to_string(kMaxParticipants));
  }
  if (t == 0 || t > n) return refused("the threshold must be between 1 and the participants");
  return {};
}

// The polynomial's value at x, in the exponent, from the points at xs.
std::optional<Point> interpolate(std::uint32_t x, std::span<const std::uint32_t> xs,
                                 std::span<const Point> points) {
  std::vector<Point> terms;
  terms.reserve(xs.size());
  for (std::size_t i = 0; i < xs.size(); ++i) {
    // A coefficient is a product of small differences, zero only where x is another point of xs.
    if (const auto term = multiply(lagrange_at(x, xs, i), points[i])) terms.push_back(*term);
  }
  return sum(terms);
}

Result<std::vector<Point>> parse_shares(std::span<const PubShare33> shares) {
  std::vector<Point> points;
  points.reserve(shares.size());
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const auto point = Point::parse(shares[i]);
    if (!point) return corrupt("invalid public share at index " + std::to_string(i));
    points.push_back(*point);
  }
  return points;
}

Hash32 group_id(const Group& group) {
  static const Tag tag("quorum-roulette/group");
  CanonicalWriter w;
  w.text(kSchemeVersion);
  w.u16(group.n());
  w.u16(group.t());
  w.raw(group.threshold_key());
  for (const PubShare33& share : group.public_shares()) w.raw(share);
  return tagged_hash(tag, w.view());
}

// BIP 445: t <= u <= n, ids unique and below n.
Status check_ids(std::uint16_t n, std::uint16_t t, std::span<const SignerId> ids) {
  if (ids.size() < t || ids.size() > n) {
    return refused("the number of signers must be between the threshold and the participants");
  }
  std::vector<bool> seen(n, false);
  for (const SignerId id : ids) {
    const std::string name = "signer id " + std::to_string(id.value());
    if (id.value() >= n) return refused(name + " is not below the number of participants");
    if (seen[id.value()]) return refused(name + " occurs twice");
    seen[id.value()] = true;
  }
  return {};
}

Bytes binding_prefix(const std::vector<SignerId>& ids) {
  CanonicalWriter w;
  w.u32(static_cast<std::uint32_t>(ids.size()));
  for (const SignerId id : ids) w.u32(id.value());
  return w.take();
}

}  // namespace

Result<Group> Group::create(std::uint16_t n, std::uint16_t t, const PubKey33& threshold_key,
                            std::vector<PubShare33> public_shares) {
  if (const Status shape = check_shape(n, t); !shape) return shape.error();
  if (public_shares.size() != n) {
    return refused("a group of " + std::to_string(n) + " has " +
                   std::to_string(public_shares.size()) + " public shares");
  }
  const auto key = Point::parse(threshold_key);
  if (!key) return corrupt("invalid threshold public key");
  Result<std::vector<Point>> points = parse_shares(public_shares);
  if (!points) return points.error();

  // The first t shares define the polynomial; the key and every further share must lie on it.
  std::vector<std::uint32_t> xs;
  for (std::uint32_t i = 1; i <= t; ++i) xs.push_back(i);
  const std::span<const Point> defining = std::span<const Point>(*points).first(t);
  if (interpolate(0, xs, defining) != key) {
    return corrupt("the public shares do not interpolate to the threshold public key");
  }
  for (std::uint32_t id = t; id < n; ++id) {
    if (interpolate(id + 1, xs, defining) != (*points)[id]) {
      return corrupt("public share " + std::to_string(id) + " is not on the group's polynomial");
    }
  }
  Group group;
  group.n_ = n;
  group.t_ = t;
  group.threshold_key_ = threshold_key;
  group.public_shares_ = std::move(public_shares);
  group.points_ = std::move(*points);
  group.id_ = group_id(group);
  return group;
}

Result<SecretShare> SecretShare::create(SignerId id, Secret<32> share) {
  Point point;
  const int made = secp256k1_ec_pubkey_create(context(), raw(point), share.data());
  if (!declassify(made)) return corrupt("the secret share is out of range");
  SecretShare out;
  out.id_ = id;
  out.share_ = std::move(share);
  out.public_share_ = point.serialize();
  return out;
}

Result<std::vector<Tweak>> make_tweaks(std::span<const Bytes> values,
                                       std::span<const TweakMode> modes) {
  if (values.size() != modes.size()) return refused("each tweak needs exactly one mode");
  std::vector<Tweak> out;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto value = to_array<32>(values[i]);
    if (!value) return refused("tweak " + std::to_string(i) + " is not 32 bytes");
    out.push_back(Tweak{*value, modes[i]});
  }
  return out;
}

Result<TweakContext> TweakContext::create(const PubKey33& threshold_key,
                                          std::span<const Tweak> tweaks) {
  const auto point = Point::parse(threshold_key);
  if (!point) return corrupt("invalid threshold public key");
  TweakContext out;
  out.untweaked_ = threshold_key;
  out.q_ = *point;
  for (const Tweak& tweak : tweaks) {
    if (const Status applied = out.apply(tweak); !applied) return applied.error();
  }
  return out;
}

Result<TweakContext> TweakContext::key_path_only(const PubKey33& threshold_key) {
  const Result<Hash32> tweak = taptweak(xonly(threshold_key), std::nullopt);
  if (!tweak) return tweak.error();
  const Tweak tweaks[] = {Tweak{*tweak, TweakMode::XOnly}};
  return create(threshold_key, tweaks);
}

// BIP 327's ApplyTweak: Q' = g Q + t G, gacc' = g gacc, tacc' = t + g tacc.
Status TweakContext::apply(const Tweak& tweak) {
  if (!in_range(tweak.value)) return refused("the tweak exceeds the group order");
  const bool flip = tweak.mode == TweakMode::XOnly && q_.odd();
  Point next = flip ? negate(q_) : q_;
  if (secp256k1_ec_pubkey_tweak_add(context(), raw(next), tweak.value.data()) != 1) {
    return refused("the tweak takes the key to infinity");
  }
  q_ = next;
  gacc_negative_ ^= flip;
  tacc_ = add(tweak.value, flip ? negate(tacc_) : tacc_);
  return {};
}

Result<Quorum> Quorum::create(const Group& group, const TweakContext& key,
                              std::span<const SignerId> ids) {
  if (const Status shape = check_shape(group.n(), group.t()); !shape) return shape.error();
  if (const Status checked = check_ids(group.n(), group.t(), ids); !checked) return checked.error();
  if (key.threshold_key() != group.threshold_key()) {
    return refused("the tweaked key belongs to another group");
  }
  std::vector<PubShare33> shares;
  std::vector<Point> points;
  std::vector<SignerId> sorted(ids.begin(), ids.end());
  std::sort(sorted.begin(), sorted.end());
  for (const SignerId id : sorted) {
    shares.push_back(group.public_shares_[id.value()]);
    points.push_back(group.points_[id.value()]);
  }
  return assemble(key, std::move(sorted), std::move(shares), std::move(points));
}

Result<Quorum> Quorum::create_listed(std::uint16_t n, std::uint16_t t, const TweakContext& key,
                                     std::span<const SignerId> ids,
                                     std::span<const PubShare33> shares) {
  if (const Status shape = check_shape(n, t); !shape) return shape.error();
  if (const Status checked = check_ids(n, t, ids); !checked) return checked.error();
  if (shares.size() != ids.size()) return refused("each signer needs exactly one public share");
  std::vector<std::pair<SignerId, PubShare33>> pairs;
  for (std::size_t i = 0; i < ids.size(); ++i) pairs.emplace_back(ids[i], shares[i]);
  std::sort(pairs.begin(), pairs.end());
  std::vector<SignerId> sorted_ids;
  std::vector<PubShare33> sorted_shares;
  std::vector<std::uint32_t> xs;
  for (const auto& [id, share] : pairs) {
    sorted_ids.push_back(id);
    sorted_shares.push_back(share);
    xs.push_back(evaluation_point(id));
  }
  Result<std::vector<Point>> points = parse_shares(sorted_shares);
  if (!points) return points.error();
  const std::optional<Point> interpolated = interpolate(0, xs, *points);
  if (!interpolated) return corrupt("the public shares interpolate to infinity");
  if (interpolated->serialize() != key.threshold_key()) {
    return corrupt("the public shares do not interpolate to the threshold public key");
  }
  return assemble(key, std::move(sorted_ids), std::move(sorted_shares), std::move(*points));
}

Quorum Quorum::assemble(const TweakContext& key, std::vector<SignerId> ids,
                        std::vector<PubShare33> shares, std::vector<Point> points) {
  std::vector<std::uint32_t> xs;
  for (const SignerId id : ids) xs.push_back(evaluation_point(id));
  const bool g_negative = key.q().odd();
  Bytes prefix = binding_prefix(ids);
  Quorum quorum;
  quorum.data_ = std::make_shared<const Data>(Data{
      key, std::move(ids), std::move(shares), std::move(points), std::move(xs),
      g_negative ? crypto::negate(key.tacc()) : key.tacc(), std::move(prefix), key.output_key()});
  return quorum;
}

Scalar Quorum::Data::coefficient(std::size_t index) const {
  const Scalar lambda = lagrange_at(0, xs, index);
  // d = g * gacc * s_i with g = -1 for an odd Q (BIP 445, Sign).
  return key.q().odd() != key.gacc_negative() ? crypto::negate(lambda) : lambda;
}

const std::vector<SignerId>& Quorum::ids() const {
  ROULETTE_ASSERT(data_ != nullptr);
  return data_->ids;
}

const TweakContext& Quorum::key() const {
  ROULETTE_ASSERT(data_ != nullptr);
  return data_->key;
}

std::optional<std::size_t> Quorum::index_of(SignerId id) const {
  const auto at = std::lower_bound(ids().begin(), ids().end(), id);
  if (at == ids().end() || *at != id) return std::nullopt;
  return static_cast<std::size_t>(at - ids().begin());
}

}  // namespace roulette::crypto::frost
