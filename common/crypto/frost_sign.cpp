// Sessions, shares, share checks and aggregation of BIP 445.
//
// Invariant: in sign() the nonce is out of the caller's hands before the first check, and nothing
// branches on a secret; everything else here handles public values.
#include <secp256k1.h>

#include <algorithm>
#include <string>
#include <utility>

#include "common/crypto/declassify.h"
#include "common/crypto/frost_data.h"
#include "common/crypto/hash.h"
#include "common/crypto/secp.h"

namespace roulette::crypto::frost {
namespace {

Error refused(std::string why) { return Error{ErrorKind::Refused, std::move(why)}; }

// An aggregate's half: a point, or the identity as 33 zero bytes.
struct Half {
  bool ok = false;
  std::optional<Point> point;
};

Half parse_half(const std::uint8_t* bytes) {
  PubKey33 half{};
  std::copy_n(bytes, half.size(), half.begin());
  if (half == PubKey33{}) return {true, std::nullopt};
  const auto point = Point::parse(half);
  return {point.has_value(), point};
}

// b = H("BIP0445/noncecoef", u || ids || aggnonce || x(Q) || m)
Scalar nonce_coefficient(const Quorum::Data& quorum, const AggNonce& aggnonce, ByteSpan message) {
  static const Tag tag("BIP0445/noncecoef");
  Bytes input;
  input.reserve(quorum.binding_prefix.size() + aggnonce.size() + 32 + message.size());
  append(input, quorum.binding_prefix);
  append(input, aggnonce);
  append(input, quorum.output_key);
  append(input, message);
  Scalar b = tagged_hash(tag, input);
  reduce_mod_order(b);
  return b;
}

// s G == (+/-)(R1 + b R2) + e lambda g gacc P, as e lambda g gacc P - s G == (-/+)(R1 + b R2): the
// left side is one double multiplication.
bool share_holds(const Session& session, std::size_t index, const Point& r1, const Point& r2,
                 const PartialSig& share) {
  const Quorum::Data& data = SessionAccess::data(session);
  const Scalar factor = mul(SessionAccess::e(session), data.coefficient(index));
  const auto left = multiply_add(factor, data.points[index], crypto::negate(share));
  const auto nonce = sum(r1, multiply(SessionAccess::b(session), r2));
  if (!left || !nonce) return left.has_value() == nonce.has_value();
  return *left == (SessionAccess::r_odd(session) ? *nonce : crypto::negate(*nonce));
}

// s = k1 + b k2 + e lambda g gacc s_i, the nonce negated for an odd R. Nothing branches on a
// secret: the calls' flags are gathered and leave through declassify. A flag is 0 for a nonce out
// of range, else never (2^-255).
bool compute_share(const SecNonce& nonce, const SecretShare& share, const Session& session,
                   const Scalar& factor, PartialSig& out) {
  Secret<32> k1(nonce.secret().span().first<32>());
  Secret<32> k2(nonce.secret().span().last<32>());
  Secret<32> d = share.secret().clone();  // multiplied in place below
  int ok = secp256k1_ec_seckey_verify(context(), k1.data());
  ok &= secp256k1_ec_seckey_verify(context(), k2.data());
  if (SessionAccess::r_odd(session)) {
    ok &= secp256k1_ec_seckey_negate(context(), k1.data());
    ok &= secp256k1_ec_seckey_negate(context(), k2.data());
  }
  ok &= secp256k1_ec_seckey_tweak_mul(context(), k2.data(), SessionAccess::b(session).data());
  ok &= secp256k1_ec_seckey_tweak_add(context(), k1.data(), k2.data());
  ok &= secp256k1_ec_seckey_tweak_mul(context(), d.data(), factor.data());
  ok &= secp256k1_ec_seckey_tweak_add(context(), k1.data(), d.data());
  if (!declassify(ok)) return false;
  std::copy_n(k1.data(), out.size(), out.begin());
  return true;
}

}  // namespace

Scalar challenge(const XOnly& r, const XOnly& q, ByteSpan message) {
  static const Tag tag("BIP0340/challenge");
  Bytes input;
  input.reserve(64 + message.size());
  append(input, r);
  append(input, q);
  append(input, message);
  Scalar e = tagged_hash(tag, input);
  reduce_mod_order(e);
  return e;
}

Result<std::size_t> check_signer(const SecNonce& taken, const SecretShare& share,
                                 const Quorum& quorum, std::span<const PubNonce> listed) {
  if (taken.used()) return refused("the secret nonce was used already");
  if (!taken.valid()) return refused("the secret nonce is out of range");
  const auto index = quorum.index_of(share.id());
  if (!index) return refused("this signer is not in the signer set");
  if (SessionAccess::data(quorum).shares[*index] != share.public_share())
    return refused("this signer's public share is not the listed one");
  // Somebody else's nonce under our id would make an aggregate that our share cannot fit.
  if (!listed.empty() && listed[*index] != taken.public_nonce())
    return refused("the session lists another nonce for this signer");
  return *index;
}

Result<std::variant<Session, InvalidPubNonce>> Session::open(const Quorum& quorum,
                                                             std::span<const PubNonce> nonces,
                                                             ByteSpan message) {
  using Outcome = std::variant<Session, InvalidPubNonce>;
  if (nonces.size() != quorum.ids().size()) return refused("each signer needs exactly one nonce");
  Session session;
  session.quorum_ = quorum;
  session.message_.assign(message.begin(), message.end());
  session.nonces_.assign(nonces.begin(), nonces.end());
  session.nonce_points_.reserve(2 * nonces.size());
  std::vector<Point> seconds;
  for (std::size_t i = 0; i < nonces.size(); ++i) {
    const auto points = parse_nonce(nonces[i]);
    if (!points) return Outcome(InvalidPubNonce{i, nonces[i]});
    session.nonce_points_.push_back(points->first);
    seconds.push_back(points->second);
  }
  // All first halves, then all second halves.
  session.nonce_points_.insert(session.nonce_points_.end(), seconds.begin(), seconds.end());
  const std::span<const Point> all = session.nonce_points_;
  session.bind(sum(all.first(nonces.size())), sum(all.last(nonces.size())));
  return Outcome(std::move(session));
}

std::variant<Session, InvalidAggNonce> Session::open_aggregated(const Quorum& quorum,
                                                                const AggNonce& nonce,
                                                                ByteSpan message) {
  const Half first = parse_half(nonce.data());
  const Half second = parse_half(nonce.data() + 33);
  if (!first.ok || !second.ok) return InvalidAggNonce{nonce};
  Session session;
  session.quorum_ = quorum;
  session.message_.assign(message.begin(), message.end());
  session.bind(first.point, second.point);
  return session;
}

// R = R1 + b R2, or G where that is the identity (a session of cheating nonces then fails as any
// other).
void Session::bind(const std::optional<Point>& sum1, const std::optional<Point>& sum2) {
  ROULETTE_ASSERT(quorum_.data_ != nullptr);
  const Quorum::Data& data = *quorum_.data_;
  aggnonce_ = encode_aggregate(sum1, sum2);
  b_ = nonce_coefficient(data, aggnonce_, message_);
  const auto bound = sum2 ? multiply(b_, *sum2) : std::nullopt;
  const PubKey33 r = sum(sum1, bound).value_or(generator()).serialize();
  r_x_ = xonly(r);
  r_odd_ = r[0] == 3;
  e_ = challenge(r_x_, data.output_key, message_);
}

Result<PartialSig> sign(SecNonce&& nonce, const SecretShare& share, const Session& session,
                        SelfCheck check) {
  const SecNonce taken = std::move(nonce);  // the caller's is zero from here on, on every path
  const auto index = check_signer(taken, share, session.quorum(), session.nonces());
  if (!index) return index.error();
  const Quorum::Data& data = SessionAccess::data(session);
  const Scalar factor = mul(SessionAccess::e(session), data.coefficient(*index));
  PartialSig out{};
  if (!compute_share(taken, share, session, factor, out)) {
    return refused("the secret nonce is out of range");
  }
  if (check == SelfCheck::On && !share_holds(session, *index, taken.r1(), taken.r2(), out)) {
    return Error{ErrorKind::Internal, "the own share does not verify: a computation fault"};
  }
  return out;
}

bool verify_share(const Session& session, SignerId signer, const PartialSig& share) {
  ROULETTE_ASSERT(!session.nonces().empty());
  const auto index = session.quorum().index_of(signer);
  if (!index || !in_range(share)) return false;
  const std::vector<Point>& points = SessionAccess::nonce_points(session);
  return share_holds(session, *index, points[*index], points[points.size() / 2 + *index], share);
}

Result<std::variant<Signature, BadShares>> aggregate(const Session& session,
                                                     std::span<const PartialSig> shares) {
  using Outcome = std::variant<Signature, BadShares>;
  const Quorum::Data& data = SessionAccess::data(session);
  if (shares.size() != data.ids.size()) return refused("each signer needs exactly one share");
  const bool all_in_range = std::all_of(shares.begin(), shares.end(), in_range);
  if (all_in_range) {
    Scalar s = mul(SessionAccess::e(session), data.aggregate_tweak);  // e g tacc; zero untweaked
    for (const PartialSig& share : shares) s = add(s, share);
    Signature signature{};
    const XOnly& r = SessionAccess::r_x(session);
    std::copy(r.begin(), r.end(), signature.begin());
    std::copy(s.begin(), s.end(), signature.begin() + 32);
    if (schnorr_verify_parsed(data.key.q(), session.message(), signature)) {
      return Outcome(signature);
    }
  }
  BadShares bad;
  const bool can_check = !session.nonces().empty();
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if (can_check ? verify_share(session, data.ids[i], shares[i]) : in_range(shares[i])) continue;
    bad.blamed.push_back(
        BadShare{data.ids[i], can_check ? session.nonces()[i] : PubNonce{}, shares[i]});
  }
  return Outcome(std::move(bad));
}

}  // namespace roulette::crypto::frost
