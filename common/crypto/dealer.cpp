// Shamir's scheme over the group order, dealt by one machine.
//
// Invariant: what is returned passed Group::create, so every quorum of the shares signs for the
// key.
#include "common/crypto/dealer.h"

#include <secp256k1.h>

#include <string>
#include <utility>

#include "common/crypto/declassify.h"
#include "common/crypto/scalar.h"
#include "common/crypto/secp.h"

namespace roulette::crypto {
namespace {

// A value outside 1..order-1 has probability 2^-128; a source that gives two in a row is broken.
constexpr int kMaxScalarDraws = 2;

// f(x) by Horner's rule, highest coefficient first.
Result<Secret<32>> evaluate(const std::vector<Secret<32>>& coefficients, std::uint32_t x) {
  const Scalar point = scalar_from(x);
  Secret<32> value = coefficients.back().clone();  // the running value starts as a_(t-1)
  int ok = 1;
  for (std::size_t j = coefficients.size() - 1; j-- > 0;) {
    ok &= secp256k1_ec_seckey_tweak_mul(context(), value.data(), point.data());
    ok &= secp256k1_ec_seckey_tweak_add(context(), value.data(), coefficients[j].data());
  }
  if (!declassify(ok)) return Error{ErrorKind::Internal, "a share came out zero: deal again"};
  return value;
}

}  // namespace

Result<Secret<32>> draw_scalar(EntropySource& entropy) {
  Secret<32> out;
  for (int draw = 0; draw < kMaxScalarDraws; ++draw) {
    entropy.fill(std::span<std::uint8_t>(out.data(), out.size()));
    if (declassify(secp256k1_ec_seckey_verify(context(), out.data()))) return out;
  }
  return Error{ErrorKind::Internal, "the entropy source gave no scalar below the order"};
}

Status check_quorum_shape(std::uint16_t t, std::uint16_t n) {
  const std::string shape = std::to_string(t) + "-of-" + std::to_string(n);
  if (n == 0 || n > frost::kMaxParticipants) {
    return Error{ErrorKind::Usage, shape + ": signers must number 1 to " +
                                       std::to_string(frost::kMaxParticipants)};
  }
  if (t == 0 || t > n) {
    return Error{ErrorKind::Usage, shape + ": the threshold must be 1 to the number of signers"};
  }
  if (2U * t <= n) {
    return Error{ErrorKind::Usage,
                 shape + ": twice the threshold must exceed the number of signers, else two "
                         "quorums without a common signer could sign two transactions for a coin"};
  }
  return {};
}

Result<DealtGroup> deal(std::uint16_t n, std::uint16_t t, EntropySource& entropy,
                        QuorumShape shape) {
  if (shape == QuorumShape::Intersecting) {
    if (const Status checked = check_quorum_shape(t, n); !checked) return checked.error();
  } else if (t == 0 || t > n || n > frost::kMaxParticipants) {
    return Error{ErrorKind::Usage, "the threshold must be 1 to the number of signers"};
  }
  std::vector<Secret<32>> coefficients;
  coefficients.reserve(t);
  for (std::uint16_t j = 0; j < t; ++j) {
    Result<Secret<32>> coefficient = draw_scalar(entropy);
    if (!coefficient) return coefficient.error();
    coefficients.push_back(std::move(*coefficient));
  }
  const Result<PubKey33> key = public_key(coefficients.front());  // Q = f(0) G
  if (!key) return key.error();

  std::vector<frost::SecretShare> shares;
  std::vector<frost::PubShare33> public_shares;
  for (std::uint16_t id = 0; id < n; ++id) {
    Result<Secret<32>> value = evaluate(coefficients, id + 1U);
    if (!value) return value.error();
    Result<frost::SecretShare> share = frost::SecretShare::create(SignerId(id), std::move(*value));
    if (!share) return share.error();
    public_shares.push_back(share->public_share());
    shares.push_back(std::move(*share));
  }
  Result<frost::Group> group = frost::Group::create(n, t, *key, std::move(public_shares));
  if (!group) return group.error().with_context("dealing");
  return DealtGroup{std::move(*group), std::move(shares)};
}

Result<DealtGroup> refresh(const frost::Group& group,
                           const std::vector<frost::SecretShare>& shares,
                           EntropySource& entropy) {
  if (shares.size() != group.n())
    return Error{ErrorKind::Usage, std::to_string(shares.size()) + " shares of a group of " +
                                       std::to_string(group.n())};
  for (std::uint16_t id = 0; id < group.n(); ++id) {
    if (shares[id].id() != SignerId(id) ||
        shares[id].public_share() != group.public_shares()[id])
      return Error{ErrorKind::Usage, "share " + std::to_string(id) + " is not the group's"};
  }
  // z(x) = x (b_1 + b_2 x + ...), so z(0) = 0: t-1 fresh coefficients, b evaluated by deal's rule.
  std::vector<Secret<32>> coefficients;
  for (std::uint16_t j = 1; j < group.t(); ++j) {
    Result<Secret<32>> coefficient = draw_scalar(entropy);
    if (!coefficient) return coefficient.error();
    coefficients.push_back(std::move(*coefficient));
  }
  if (coefficients.empty())
    return Error{ErrorKind::Usage, "a key with threshold 1 has no other sharing"};
  std::vector<frost::SecretShare> fresh;
  std::vector<frost::PubShare33> public_shares;
  for (std::uint16_t id = 0; id < group.n(); ++id) {
    const Scalar point = scalar_from(id + 1U);
    Result<Secret<32>> value = evaluate(coefficients, id + 1U);
    if (!value) return value.error();
    int ok = secp256k1_ec_seckey_tweak_mul(context(), value->data(), point.data());
    ok &= secp256k1_ec_seckey_tweak_add(context(), value->data(), shares[id].secret().data());
    if (!declassify(ok)) return Error{ErrorKind::Internal, "a share came out zero: refresh again"};
    Result<frost::SecretShare> share = frost::SecretShare::create(SignerId(id), std::move(*value));
    if (!share) return share.error();
    public_shares.push_back(share->public_share());
    fresh.push_back(std::move(*share));
  }
  // Group::create checks that these lie on a polynomial of degree t-1 with the old key at 0.
  auto renewed = frost::Group::create(group.n(), group.t(), group.threshold_key(),
                                      std::move(public_shares));
  if (!renewed) return renewed.error().with_context("refreshing");
  return DealtGroup{std::move(*renewed), std::move(fresh)};
}

}  // namespace roulette::crypto
