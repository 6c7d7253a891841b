// Cluster shape and globs: see cluster_shape.h.
#include "chaos/plan/cluster_shape.h"

#include <string>

#include "common/crypto/schemes.h"

namespace roulette::chaos {

void set_shape(ClusterPlan& plan, std::optional<std::uint16_t> signers,
               std::optional<std::uint16_t> threshold) {
  const crypto::SchemeKind* kind = crypto::scheme_by_name(plan.scheme);
  const auto form = kind ? kind->facts().form : crypto::SignerForm::AnyThreshold;
  switch (form) {
    case crypto::SignerForm::AnyThreshold: break;  // the plan's own defaults
    case crypto::SignerForm::AllSigners: plan.signers = 3; break;
    case crypto::SignerForm::OneSigner: plan.signers = 1; break;
  }
  plan.signers = signers.value_or(plan.signers);
  if (form != crypto::SignerForm::AnyThreshold) plan.threshold = plan.signers;
  plan.threshold = threshold.value_or(plan.threshold);
}

Status check_shape(const ClusterPlan& plan) {
  const crypto::SchemeKind* kind = crypto::scheme_by_name(plan.scheme);
  const auto refuse = [](const std::string& why) { return Error{ErrorKind::Usage, why}; };
  if (kind == nullptr)
    return refuse("scheme " + plan.scheme + " is unknown: one of " + crypto::scheme_names());
  if (plan.vault != "file" && plan.vault != "token")
    return refuse("vault " + plan.vault + " is unknown: file or token");
  if (plan.vault == "token" && kind->in_token)
    return refuse("the key of " + plan.scheme + " lies in a token: there is no share to seal");
  if (kind->facts().form != crypto::SignerForm::AnyThreshold)
    return kind->check_shape(plan.threshold, plan.signers);
  if (plan.threshold > plan.signers)
    return refuse("threshold " + std::to_string(plan.threshold) + " is more than the " +
                  std::to_string(plan.signers) + " signers");
  if (2 * plan.threshold <= plan.signers)
    return refuse("two quorums of " + std::to_string(plan.threshold) + " out of " +
                  std::to_string(plan.signers) +
                  " signers need not meet, so one outpoint could be signed twice: 2t > n is "
                  "required");
  return kind->check_shape(plan.threshold, plan.signers);
}

void set_log(ClusterPlan& plan) {
  if (plan.log == "etcd") return;
  plan.etcd = 0;
  if (plan.log == "sqlite") plan.ledgers = 1;
}

Status check_log(const ClusterPlan& plan) {
  if (plan.log == kRemoteEtcd && plan.etcd != 0)
    return Error{ErrorKind::Usage, "log: remote-etcd is of members that you run: leave `etcd` out"};
  if (plan.log != "sqlite") return {};
  if (plan.ledgers != 1) {
    return Error{ErrorKind::Usage, "log: sqlite is a file of one ledger: ledgers must be 1, not " +
                                       std::to_string(plan.ledgers)};
  }
  if (plan.etcd == 0) return {};
  return Error{ErrorKind::Usage, "log: sqlite needs no etcd: leave `etcd` out"};
}

bool key_in_token(const ClusterPlan& plan) {
  const crypto::SchemeKind* kind = crypto::scheme_by_name(plan.scheme);
  return kind != nullptr && kind->in_token;
}

const crypto::SchemeFacts& facts_of(const ClusterPlan& plan) {
  const crypto::SchemeKind* kind = crypto::scheme_by_name(plan.scheme);
  ROULETTE_ASSERT(kind != nullptr);
  return kind->facts();
}

std::uint16_t instances_of(const ClusterPlan& plan, Role role) {
  switch (role) {
    case Role::Signer:
      return plan.signers;
    case Role::Coordinator:
      return plan.coordinators;
    case Role::Ledger:
      return plan.ledgers;
    case Role::Etcd:
      return plan.etcd;
    case Role::Bitcoind:
      return plan.nodes;
    case Role::Tool:
      return 0;
  }
  return 0;
}

bool glob_match(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    for (std::size_t skip = 0; skip <= text.size(); ++skip) {
      if (glob_match(pattern.substr(1), text.substr(skip))) return true;
    }
    return false;
  }
  return !text.empty() && pattern[0] == text[0] && glob_match(pattern.substr(1), text.substr(1));
}

}  // namespace roulette::chaos
