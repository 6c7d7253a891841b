// `roulette client-signature`: the header field of one request. See commands.h.
#include <iostream>

#include "chaos/app/commands.h"
#include "chaos/live/request_signer.h"
#include "common/bitcoin/address.h"
#include "common/runtime/durable_file.h"

namespace roulette::chaos {
namespace {

constexpr std::size_t kMaxKeyFile = 4096;

Result<std::string> header_of(const ClientSignatureOptions& options) {
  const Result<Bytes> pem = runtime::read_whole_file(options.key_file, kMaxKeyFile);
  if (!pem) return Error{ErrorKind::Preflight, options.key_file + ": " + pem.error().message};
  auto key = crypto::private_key_from_pem(std::string(pem->begin(), pem->end()));
  if (!key) return Error{ErrorKind::Usage, options.key_file + ": " + key.error().message};
  const auto script = bitcoin::script_from_address(options.address);
  if (!script) return Error{ErrorKind::Usage, "--address: " + script.error().message};
  const RequestSigner signer(options.cluster, options.client, options.key_file,
                             std::move(key).value());
  return signer.header(
      {options.idempotency_key, options.account, *script, options.amount_sat});
}

}  // namespace

int client_signature_command(const ClientSignatureOptions& options) {
  const Result<std::string> header = header_of(options);
  if (!header) return report_error(header.error());
  std::cout << *header << std::endl;
  return kExitPass;
}

}  // namespace roulette::chaos
