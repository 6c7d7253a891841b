// The signing schemes by name: what makes groups, shares and dealings of each, for files, daemons
// and the launcher.
//
// Invariant: one name and one version string is one scheme; a group that group() gives passed the
// scheme's own checks. Machines and checkers never ask for a scheme by name: they hold a group.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/secret.h"
#include "common/crypto/point.h"
#include "common/crypto/scheme.h"

namespace roulette::crypto {

// What a group file says.
struct GroupKeys {
  std::uint16_t n = 0;
  std::uint16_t t = 0;
  PubKey33 threshold_key{};
  std::vector<PubKey33> public_shares;  // by signer
};
struct Dealt {
  SigningGroupPtr group;
  std::vector<Secret<32>> secrets;  // by signer
};

struct SchemeKind {
  const Scheme& (*scheme)();
  // The key is made in a token and stays there: `share`, `deal` and `refresh` refuse (Usage).
  bool in_token = false;
  // Whether t of n is a shape that this scheme may have in a cluster (DESIGN 6.3). Usage.
  Status (*check_shape)(std::uint16_t t, std::uint16_t n);
  // Refuses keys that do not belong together.
  Result<SigningGroupPtr> (*group)(const GroupKeys& keys);
  // Refuses a secret out of range. Whether it fits a group is for the signer to check.
  Result<KeySharePtr> (*share)(SignerId id, Secret<32> secret);
  // A trusted dealer (dealer.h): it sees every secret.
  Result<Dealt> (*deal)(std::uint16_t n, std::uint16_t t, EntropySource& entropy);
  // The same wallet key, shared anew. Wants all secrets; a scheme whose signers own their keys
  // refuses (Usage): another sharing of them is another wallet.
  Result<Dealt> (*refresh)(const GroupKeys& keys, std::vector<Secret<32>> secrets,
                           EntropySource& entropy);

  [[nodiscard]] const SchemeFacts& facts() const { return scheme().facts(); }
};

[[nodiscard]] std::span<const SchemeKind> all_schemes();
[[nodiscard]] const SchemeKind* scheme_by_name(std::string_view name);        // "frost-tr"
[[nodiscard]] const SchemeKind* scheme_by_version(std::string_view version);  // as files say it
[[nodiscard]] std::string scheme_names();  // "frost, frost-tr, ...", for messages

[[nodiscard]] GroupKeys keys_of(const SigningGroup& group);

}  // namespace roulette::crypto
