// `roulette client-signature`: the header field of one request. See commands.h.
#include <filesystem>
#include <iostream>

#include "chaos/app/commands.h"
#include "chaos/evidence/operator_key.h"
#include "chaos/live/request_signer.h"
#include "common/bitcoin/address.h"
#include "common/bitcoin/transaction.h"
#include "common/wire/idempotency_key.h"

namespace roulette::chaos {
namespace {

Result<std::string> header_of(const ClientSignatureOptions& options) {
  const auto usage = [](const std::string& what) { return Error{ErrorKind::Usage, what}; };
  const auto idempotency_key = wire::parse_idempotency_key(options.idempotency_key);
  if (!idempotency_key) return usage("--idempotency-key: " + idempotency_key.error().message);
  const auto script = bitcoin::script_from_address(options.address);
  if (!script) return usage("--address: " + script.error().message);
  if (options.amount_sat <= 0 || !bitcoin::is_money(options.amount_sat))
    return usage("--amount-sat is out of range");
  if (!std::filesystem::exists(options.key_file))
    return Error{ErrorKind::Preflight, "no client's key at " + options.key_file};
  Result<crypto::Ed25519Key> key = evidence::read_operator_key(options.key_file);
  if (!key) return key.error();
  const RequestSigner signer(options.cluster, options.client, options.key_file,
                             std::move(key).value());
  return signer.header({*idempotency_key, options.account, *script, options.amount_sat});
}

}  // namespace

int client_signature_command(const ClientSignatureOptions& options) {
  const Result<std::string> header = header_of(options);
  if (!header) return report_error(header.error());
  std::cout << *header << std::endl;
  return kExitPass;
}

}  // namespace roulette::chaos
