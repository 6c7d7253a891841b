// RFC 9591's two rounds over the groups of frost.h: see frost_tr.h.
//
// Invariant: hash_to_scalar is fit for secrets (no branch but on success flags of negligible
// probability); everything else but nonce_gen and compute_share handles public values.
#include "common/crypto/frost_tr.h"

#include <secp256k1.h>

#include <algorithm>
#include <string>
#include <utility>

#include "common/crypto/declassify.h"
#include "common/crypto/frost_data.h"
#include "common/crypto/hash.h"
#include "common/crypto/secp.h"

namespace roulette::crypto::frost_tr {
namespace {

using frost::SessionAccess;

constexpr std::size_t kWide = 48;  // bytes of a hash before its reduction

Error refused(std::string why) { return Error{ErrorKind::Refused, std::move(why)}; }

// RFC 9380's expand_message_xmd with SHA-256 for 48 bytes: two blocks.
class Expander {
 public:
  explicit Expander(std::string_view label) : tag_(kSchemeVersion) {
    tag_ += label;
    first_.update(ByteArray<64>{});  // Z_pad
  }
  Expander& update(ByteSpan data) {
    first_.update(data);
    return *this;
  }
  void finish_into(std::span<std::uint8_t, kWide> out) {
    Secret<32> b0, b1, b2;
    first_.update_u8(0).update_u8(kWide).update_u8(0);
    finish(first_, b0);
    Sha256 one;
    one.update(b0.span()).update_u8(1);
    finish(one, b1);
    Secret<32> mixed;
    for (std::size_t i = 0; i < 32; ++i)
      mixed.data()[i] = static_cast<std::uint8_t>(b0.data()[i] ^ b1.data()[i]);
    Sha256 two;
    two.update(mixed.span()).update_u8(2);
    finish(two, b2);
    std::copy_n(b1.data(), 32, out.begin());
    std::copy_n(b2.data(), 16, out.begin() + 32);
  }

 private:
  void finish(Sha256& hash, Secret<32>& out) const {
    hash.update(as_bytes(tag_)).update_u8(static_cast<std::uint8_t>(tag_.size()));
    hash.finish_into(std::span<std::uint8_t, 32>(out.data(), 32));
  }
  std::string tag_;
  Sha256 first_;
};

// 48 bytes modulo the order: high 24 * 2^192 + low 24, both below the order. The flag is 0 with
// probability 2^-192 (a zero half).
int reduce_wide(const Secret<kWide>& wide, Secret<32>& out) {
  static const Scalar shift = [] {
    Scalar two_to_192{};
    two_to_192[7] = 1;
    return two_to_192;
  }();
  Secret<32> low;
  std::fill_n(out.data(), 8, std::uint8_t{0});
  std::copy_n(wide.data(), 24, out.data() + 8);
  std::copy_n(wide.data() + 24, 24, low.data() + 8);
  int ok = secp256k1_ec_seckey_tweak_mul(context(), out.data(), shift.data());
  ok &= secp256k1_ec_seckey_tweak_add(context(), out.data(), low.data());
  return ok;
}

// H1 and H3 of the suite.
int hash_to_scalar(std::string_view label, std::initializer_list<ByteSpan> input,
                   Secret<32>& out) {
  Expander expander(label);
  for (const ByteSpan part : input) expander.update(part);
  Secret<kWide> wide;
  expander.finish_into(std::span<std::uint8_t, kWide>(wide.data(), kWide));
  return reduce_wide(wide, out);
}

// H4 and H5.
Hash32 hash_of(std::string_view label, ByteSpan data) {
  return Sha256().update(as_bytes(kSchemeVersion)).update(as_bytes(label)).update(data).finish();
}

Scalar identifier(SignerId id) { return scalar_from(std::uint64_t{id.value()} + 1); }

// id || D || E of every signer, ascending.
Bytes commitment_list(const std::vector<SignerId>& ids, std::span<const PubNonce> nonces) {
  Bytes list;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    append(list, identifier(ids[i]));
    append(list, nonces[i]);
  }
  return list;
}

struct Factors {
  Scalar share;   // what multiplies s_i
  Scalar addend;  // what the tweak adds
};

// The share of the tweaked and evened key is (g gacc s_i + g tacc); frost.h's coefficient is
// g gacc lambda_i, so lambda_i times the second term is coefficient * gacc * tacc.
Factors factors_of(const Session& session, std::size_t index) {
  const Quorum::Data& data = SessionAccess::data(session.quorum());
  const Scalar share = mul(session.c(), data.coefficient(index));
  const Scalar tweak = mul(share, data.key.tacc());
  return {share, data.key.gacc_negative() ? crypto::negate(tweak) : tweak};
}

// z G == (+/-)(D + rho E) + c lambda P', as one double multiplication on the left.
bool share_holds(const Session& session, std::size_t index, const Factors& factors,
                 const PartialSig& share) {
  const Point& commitment = session.parts()[index].commitment;
  const Quorum::Data& data = SessionAccess::data(session.quorum());
  const auto left = multiply_add(factors.share, data.points[index],
                                 add(factors.addend, crypto::negate(share)));
  if (!left) return false;  // a commitment is never the identity
  return *left == (session.r_odd() ? commitment : crypto::negate(commitment));
}

bool compute_share(const SecNonce& nonce, const SecretShare& share, const Scalar& binding_factor,
                   const Factors& factors, bool r_odd, PartialSig& out) {
  Secret<32> d(nonce.secret().span().first<32>());
  Secret<32> e(nonce.secret().span().last<32>());
  Secret<32> s = share.secret().clone();  // multiplied in place below
  int ok = secp256k1_ec_seckey_verify(context(), d.data());
  ok &= secp256k1_ec_seckey_verify(context(), e.data());
  if (r_odd) {
    ok &= secp256k1_ec_seckey_negate(context(), d.data());
    ok &= secp256k1_ec_seckey_negate(context(), e.data());
  }
  ok &= secp256k1_ec_seckey_tweak_mul(context(), e.data(), binding_factor.data());
  ok &= secp256k1_ec_seckey_tweak_add(context(), d.data(), e.data());
  ok &= secp256k1_ec_seckey_tweak_mul(context(), s.data(), factors.share.data());
  ok &= secp256k1_ec_seckey_tweak_add(context(), d.data(), s.data());
  ok &= secp256k1_ec_seckey_tweak_add(context(), d.data(), factors.addend.data());
  if (!declassify(ok)) return false;
  std::copy_n(d.data(), out.size(), out.begin());
  return true;
}

}  // namespace

Result<SecNonce> nonce_gen(Secret<32> hiding, Secret<32> binding, const SecretShare& share) {
  Secret<32> d, e;
  int ok = hash_to_scalar("nonce", {hiding.span(), share.secret().span()}, d);
  ok &= hash_to_scalar("nonce", {binding.span(), share.secret().span()}, e);
  if (!declassify(ok)) return Error{ErrorKind::Internal, "a nonce of zero"};
  Secret<64> both;
  std::copy_n(d.data(), 32, both.data());
  std::copy_n(e.data(), 32, both.data() + 32);
  return SecNonce::from_bytes(std::move(both));
}

Result<SecNonce> nonce_gen(EntropySource& entropy, const SecretShare& share) {
  Secret<32> hiding, binding;
  entropy.fill(std::span<std::uint8_t>(hiding.data(), hiding.size()));
  entropy.fill(std::span<std::uint8_t>(binding.data(), binding.size()));
  return nonce_gen(std::move(hiding), std::move(binding), share);
}

Result<std::variant<Session, InvalidPubNonce>> Session::open(const Quorum& quorum,
                                                             std::span<const PubNonce> nonces,
                                                             ByteSpan message) {
  using Outcome = std::variant<Session, InvalidPubNonce>;
  if (nonces.size() != quorum.ids().size()) return refused("each signer needs exactly one nonce");
  const Quorum::Data& data = SessionAccess::data(quorum);
  Session session;
  session.quorum_ = quorum;
  session.message_.assign(message.begin(), message.end());
  session.nonces_.assign(nonces.begin(), nonces.end());
  PubKey33 even{};
  even[0] = 2;
  std::copy(data.output_key.begin(), data.output_key.end(), even.begin() + 1);
  const Hash32 message_hash = hash_of("msg", message);
  const Hash32 list_hash = hash_of("com", commitment_list(data.ids, nonces));
  std::vector<Point> commitments;
  for (std::size_t i = 0; i < nonces.size(); ++i) {
    const auto points = frost::parse_nonce(nonces[i]);
    if (!points) return Outcome(InvalidPubNonce{i, nonces[i]});
    const Scalar id = identifier(data.ids[i]);
    Secret<32> rho;
    if (hash_to_scalar("rho", {even, message_hash, list_hash, id}, rho) != 1)
      return refused("a binding factor of zero");
    Part part;
    std::copy_n(rho.data(), 32, part.binding_factor.begin());
    const auto bound = sum(points->first, multiply(part.binding_factor, points->second));
    if (!bound) return Outcome(InvalidPubNonce{i, nonces[i]});  // E = -D / rho: made on purpose
    part.commitment = *bound;
    commitments.push_back(*bound);
    session.parts_.push_back(part);
  }
  const auto r = sum(commitments);
  if (!r) return refused("the commitments cancel each other");
  session.r_odd_ = r->odd();
  session.r_x_ = r->x();
  session.c_ = frost::challenge(session.r_x_, data.output_key, message);  // H2 of the suite
  return Outcome(std::move(session));
}

Result<PartialSig> sign(SecNonce&& nonce, const SecretShare& share, const Session& session,
                        SelfCheck check) {
  const SecNonce taken = std::move(nonce);  // the caller's is zero from here on, on every path
  const auto index = frost::check_signer(taken, share, session.quorum(), session.nonces());
  if (!index) return index.error();
  const Factors factors = factors_of(session, *index);
  PartialSig out{};
  if (!compute_share(taken, share, session.parts()[*index].binding_factor, factors,
                     session.r_odd(), out))
    return refused("the secret nonce is out of range");
  if (check == SelfCheck::On && !share_holds(session, *index, factors, out))
    return Error{ErrorKind::Internal, "the own share does not verify: a computation fault"};
  return out;
}

bool verify_share(const Session& session, SignerId signer, const PartialSig& share) {
  const auto index = session.quorum().index_of(signer);
  return index && in_range(share) &&
         share_holds(session, *index, factors_of(session, *index), share);
}

Result<std::variant<Signature, BadShares>> aggregate(const Session& session,
                                                     std::span<const PartialSig> shares) {
  using Outcome = std::variant<Signature, BadShares>;
  const Quorum::Data& data = SessionAccess::data(session.quorum());
  if (shares.size() != data.ids.size()) return refused("each signer needs exactly one share");
  if (std::all_of(shares.begin(), shares.end(), in_range)) {
    Scalar z{};
    for (const PartialSig& share : shares) z = add(z, share);
    Signature signature{};
    std::copy(session.r_x().begin(), session.r_x().end(), signature.begin());
    std::copy(z.begin(), z.end(), signature.begin() + 32);
    if (schnorr_verify_parsed(data.key.q(), session.message(), signature))
      return Outcome(signature);
  }
  BadShares bad;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if (!verify_share(session, data.ids[i], shares[i]))
      bad.blamed.push_back(BadShare{data.ids[i], session.nonces()[i], shares[i]});
  }
  return Outcome(std::move(bad));
}

}  // namespace roulette::crypto::frost_tr
