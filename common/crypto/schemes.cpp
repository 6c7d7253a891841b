// The table of schemes: see schemes.h.
//
// Invariant: what the five say about shapes is what SignerForm says (scheme.h). No arithmetic here.
#include "common/crypto/schemes.h"

#include <algorithm>
#include <array>
#include <utility>

#include "common/crypto/dealer.h"
#include "common/crypto/frost_scheme.h"
#include "common/crypto/hsm_scheme.h"
#include "common/crypto/musig2_scheme.h"
#include "common/crypto/single_scheme.h"

namespace roulette::crypto {
namespace {

std::string shape_name(std::uint16_t t, std::uint16_t n) {
  return std::to_string(t) + "-of-" + std::to_string(n);
}

// ---- frost, frost-tr ----

using MakeGroup = Result<SigningGroupPtr> (*)(frost::Group);
using MakeShare = KeySharePtr (*)(frost::SecretShare);

template <MakeGroup make>
Result<SigningGroupPtr> threshold_group(const GroupKeys& keys) {
  auto group = frost::Group::create(keys.n, keys.t, keys.threshold_key, keys.public_shares);
  if (!group) return group.error();
  return make(std::move(*group));
}

template <MakeShare make>
Result<KeySharePtr> threshold_share(SignerId id, Secret<32> secret) {
  auto share = frost::SecretShare::create(id, std::move(secret));
  if (!share) return share.error();
  return make(std::move(*share));
}

template <MakeGroup make>
Result<Dealt> as_dealt(Result<DealtGroup> made) {
  if (!made) return made.error();
  auto group = make(std::move(made->group));
  if (!group) return group.error();
  Dealt out{std::move(*group), {}};
  for (const frost::SecretShare& share : made->shares)
    out.secrets.push_back(share.secret().clone());
  return out;
}

template <MakeGroup make>
Result<Dealt> deal_threshold(std::uint16_t n, std::uint16_t t, EntropySource& entropy) {
  return as_dealt<make>(deal(n, t, entropy));
}

template <MakeGroup make>
Result<Dealt> refresh_threshold(const GroupKeys& keys, std::vector<Secret<32>> secrets,
                                EntropySource& entropy) {
  auto group = frost::Group::create(keys.n, keys.t, keys.threshold_key, keys.public_shares);
  if (!group) return group.error();
  std::vector<frost::SecretShare> shares;
  for (std::size_t i = 0; i < secrets.size(); ++i) {
    auto share = frost::SecretShare::create(SignerId(static_cast<std::uint16_t>(i)),
                                            std::move(secrets[i]));
    if (!share) return share.error();
    shares.push_back(std::move(*share));
  }
  return as_dealt<make>(refresh(*group, shares, entropy));
}

// ---- musig2, single: every signer has a key of its own ----

Status check_all_sign(std::uint16_t t, std::uint16_t n) {
  if (n == 0 || n > frost::kMaxParticipants)
    return Error{ErrorKind::Usage, shape_name(t, n) + ": signers must number 1 to " +
                                       std::to_string(frost::kMaxParticipants)};
  if (t != n)
    return Error{ErrorKind::Usage, shape_name(t, n) + ": all signers of musig2 sign, so the " +
                                       "threshold must be the number of signers"};
  return {};
}

Status check_one_signs(std::uint16_t t, std::uint16_t n) {
  if (n == 1 && t == 1) return {};
  return Error{ErrorKind::Usage,
               shape_name(t, n) + ": single and hsm have one signer, who signs alone"};
}

// What the keys make must be what the file says they make.
Result<SigningGroupPtr> as_told(Result<SigningGroupPtr> made, const GroupKeys& keys) {
  if (!made) return made;
  if ((*made)->threshold_key() != keys.threshold_key)
    return Error{ErrorKind::Corrupt, "the signers' keys do not make the threshold key"};
  return made;
}

Result<SigningGroupPtr> group_of_all(const GroupKeys& keys) {
  if (const Status shape = check_all_sign(keys.t, keys.n); !shape) return shape.error();
  if (keys.public_shares.size() != keys.n)
    return Error{ErrorKind::Corrupt, "not one public key for each signer"};
  return as_told(musig2_group(keys.public_shares), keys);
}

template <Result<SigningGroupPtr> (*make)(const PubKey33&)>
Result<SigningGroupPtr> group_of_one(const GroupKeys& keys) {
  if (const Status shape = check_one_signs(keys.t, keys.n); !shape) return shape.error();
  if (keys.public_shares.size() != 1)
    return Error{ErrorKind::Corrupt, "not one public key for each signer"};
  return as_told(make(keys.public_shares[0]), keys);
}

Result<KeySharePtr> share_of_one(SignerId id, Secret<32> secret) {
  if (id.value() != 0) return Error{ErrorKind::Usage, "single has signer 0 only"};
  return single_share(std::move(secret));
}

Result<std::vector<PubKey33>> draw_keys(std::uint16_t n, EntropySource& entropy,
                                        std::vector<Secret<32>>& secrets) {
  std::vector<PubKey33> keys;
  for (std::uint16_t i = 0; i < n; ++i) {
    auto secret = draw_scalar(entropy);
    if (!secret) return secret.error();
    const auto key = public_key(*secret);
    if (!key) return key.error();
    keys.push_back(*key);
    secrets.push_back(std::move(*secret));
  }
  return keys;
}

Result<Dealt> deal_to_all(std::uint16_t n, std::uint16_t t, EntropySource& entropy) {
  if (const Status shape = check_all_sign(t, n); !shape) return shape.error();
  Dealt out;
  auto keys = draw_keys(n, entropy, out.secrets);
  if (!keys) return keys.error();
  auto group = musig2_group(std::move(*keys));
  if (!group) return group.error();
  out.group = std::move(*group);
  return out;
}

Result<Dealt> deal_to_one(std::uint16_t n, std::uint16_t t, EntropySource& entropy) {
  if (const Status shape = check_one_signs(t, n); !shape) return shape.error();
  Dealt out;
  const auto keys = draw_keys(1, entropy, out.secrets);
  if (!keys) return keys.error();
  auto group = single_group(keys->front());
  if (!group) return group.error();
  out.group = std::move(*group);
  return out;
}

Result<Dealt> refuse_refresh(const GroupKeys&, std::vector<Secret<32>>, EntropySource&) {
  return Error{ErrorKind::Usage,
               "the signers of musig2 and single have keys of their own, not shares of one: other "
               "keys are another wallet"};
}

// ---- hsm: the key never leaves its token ----

Error stays_in_token() {
  return Error{ErrorKind::Usage, "the key of hsm is made in its token and never leaves it"};
}
Result<KeySharePtr> refuse_share(SignerId, Secret<32>) { return stays_in_token(); }
Result<Dealt> refuse_deal(std::uint16_t, std::uint16_t, EntropySource&) {
  return stays_in_token();
}
Result<Dealt> refuse_token_refresh(const GroupKeys&, std::vector<Secret<32>>, EntropySource&) {
  return stays_in_token();
}

const std::array kSchemes = {
    SchemeKind{&frost_scheme, false, &check_quorum_shape, &threshold_group<&frost_group>,
               &threshold_share<&frost_share>, &deal_threshold<&frost_group>,
               &refresh_threshold<&frost_group>},
    SchemeKind{&frost_tr_scheme, false, &check_quorum_shape, &threshold_group<&frost_tr_group>,
               &threshold_share<&frost_tr_share>, &deal_threshold<&frost_tr_group>,
               &refresh_threshold<&frost_tr_group>},
    SchemeKind{&musig2_scheme, false, &check_all_sign, &group_of_all, &musig2_share, &deal_to_all,
               &refuse_refresh},
    SchemeKind{&single_scheme, false, &check_one_signs, &group_of_one<&single_group>,
               &share_of_one, &deal_to_one, &refuse_refresh},
    SchemeKind{&hsm_scheme, true, &check_one_signs, &group_of_one<&hsm_group>, &refuse_share,
               &refuse_deal, &refuse_token_refresh}};

template <class Fits>
const SchemeKind* find(const Fits& fits) {
  const auto found = std::find_if(kSchemes.begin(), kSchemes.end(), fits);
  return found == kSchemes.end() ? nullptr : &*found;
}

}  // namespace

std::span<const SchemeKind> all_schemes() { return kSchemes; }

const SchemeKind* scheme_by_name(std::string_view name) {
  return find([&](const SchemeKind& kind) { return kind.facts().name == name; });
}

const SchemeKind* scheme_by_version(std::string_view version) {
  return find([&](const SchemeKind& kind) { return kind.facts().version == version; });
}

std::string scheme_names() {
  std::string out;
  for (const SchemeKind& kind : kSchemes)
    out += (out.empty() ? "" : ", ") + std::string(kind.facts().name);
  return out;
}

GroupKeys keys_of(const SigningGroup& group) {
  GroupKeys keys{group.n(), group.t(), group.threshold_key(), {}};
  for (std::uint16_t i = 0; i < group.n(); ++i) {
    const auto share = to_array<33>(group.public_share(SignerId(i)));
    keys.public_shares.push_back(share.value_or(PubKey33{}));
  }
  return keys;
}

}  // namespace roulette::crypto
