// `roulette deploy`: the files of a cluster on several machines. See commands.h.
#include <arpa/inet.h>

#include <iostream>
#include <set>

#include "chaos/app/commands.h"
#include "chaos/live/deployment.h"
#include "chaos/plan/cluster_shape.h"
#include "common/runtime/process.h"

namespace roulette::chaos {
namespace {

constexpr std::size_t kMostHosts = 64;
constexpr std::uint32_t kPortsAtMost = 2 * (128 + 8 + 7 + 7 + 2);

bool numeric(const std::string& address) {
  in_addr unused{};
  return inet_pton(AF_INET, address.c_str(), &unused) == 1;
}

Status check(const DeployOptions& options, const ClusterPlan& plan) {
  const auto refuse = [](const std::string& what) { return Error{ErrorKind::Usage, what}; };
  if (options.hosts.size() < 2 || options.hosts.size() > kMostHosts)
    return refuse("--hosts names 2 to " + std::to_string(kMostHosts) + " machines");
  for (const std::string& host : options.hosts)
    if (!numeric(host)) return refuse("--hosts: '" + host + "' is no numeric IPv4 address");
  if (!options.operator_address.empty() && !numeric(options.operator_address))
    return refuse("--operator: '" + options.operator_address + "' is no numeric IPv4 address");
  if (std::set(options.hosts.begin(), options.hosts.end()).size() != options.hosts.size())
    return refuse("--hosts names a machine twice");
  if (key_in_token(plan))
    return refuse("the key of " + plan.scheme +
                  " is made in its token, on its own machine: docs/CONFIG.md says how");
  if (const Status shape = check_shape(plan); !shape) return shape.error();
  if (plan.signers > 128 || plan.coordinators < 1 || plan.coordinators > 8)
    return refuse("--signers is at most 128, --coordinators 1 to 8");
  if (options.first_port < 1024 || options.first_port + kPortsAtMost > 65535)
    return refuse("--first-port is at least 1024 and leaves room for " +
                  std::to_string(kPortsAtMost) + " more");
  if (options.state_dir.empty() || options.state_dir.front() != '/')
    return refuse("--state-dir is an absolute path");
  return {};
}

}  // namespace

int deploy_command(const DeployOptions& options) {
  ClusterPlan plan = options.plan;
  set_shape(plan, options.signers, options.threshold);
  if (const Status sense = check(options, plan); !sense) return report_error(sense.error());
  Hosts hosts{options.hosts, options.first_port, options.operator_address, options.state_dir};
  runtime::KernelEntropy entropy;
  if (const Status made = write_deployment(plan, hosts, options.out, entropy); !made)
    return report_error(made.error());
  // A machine that holds n-t+1 signers ends the quorum with it.
  const std::size_t n = options.hosts.size();
  const std::size_t most = (plan.signers + n - 1) / n;
  if (most > static_cast<std::size_t>(plan.signers - plan.threshold))
    std::cerr << "note: one machine has " << most << " of " << plan.signers << " signers, and "
              << plan.threshold << " must sign: without it nothing is signed" << std::endl;
  std::cerr << "written: " << options.out << "/hosts/ADDRESS goes to each machine, authority/ and "
            << "client/ to none of them (docs/DEPLOY.md)" << std::endl;
  return kExitPass;
}

}  // namespace roulette::chaos
