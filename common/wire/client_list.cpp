// See client_list.h.
#include "common/wire/client_list.h"

#include <algorithm>
#include <utility>

#include "common/base/canonical.h"
#include "common/base/limits.h"
#include "common/bitcoin/transaction.h"
#include "common/crypto/hash.h"

namespace roulette::wire {
namespace {

bool fit_name(const std::string& name, std::size_t most) {
  return !name.empty() && name.size() <= most;
}
// It stands in an HTTP header field.
bool fit_client_name(const std::string& name) {
  return fit_name(name, limits::kMaxClientNameBytes) && std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_';
         });
}

ClientDenial no(ClientFault fault, std::string detail) {
  return {fault, std::move(detail)};
}

}  // namespace

Bytes signed_text(const std::string& cluster_id, const std::string& client,
                  const PaymentRequest& request) {
  CanonicalWriter w;
  w.text("roulette/payment-request/1");
  w.text(cluster_id);
  w.text(client);
  w.text(request.key);
  w.text(request.account);
  w.bytes(request.script);
  w.i64(request.amount_sat);
  return w.take();
}

WithdrawalId withdrawal_id_of(const std::string& key) {
  CanonicalWriter w;
  w.text("roulette/withdrawal-id");
  w.text(key);
  const Hash32 digest = crypto::sha256(w.view());
  ByteArray<16> id{};
  std::copy_n(digest.begin(), id.size(), id.begin());
  return WithdrawalId(id);
}

Result<ClientList> ClientList::make(std::string cluster_id, std::vector<Client> clients,
                                    std::map<std::string, AccountRule> accounts, Verify verify) {
  const auto refuse = [](const std::string& what) { return Error{ErrorKind::Usage, what}; };
  if (clients.empty() || clients.size() > limits::kMaxClients)
    return refuse("1 to " + std::to_string(limits::kMaxClients) + " clients are wanted");
  if (accounts.size() > limits::kMaxAccounts) return refuse("too many accounts");
  for (const auto& [name, rule] : accounts) {
    if (!fit_name(name, limits::kMaxAccountNameBytes))
      return refuse("account '" + name + "': a name of 1 to 64 bytes is wanted");
    if (rule.max_amount_sat <= 0 || !bitcoin::is_money(rule.max_amount_sat))
      return refuse("account '" + name + "': its limit is out of range");
  }
  ClientList list;
  for (Client& client : clients) {
    if (!fit_client_name(client.name))
      return refuse("client '" + client.name +
                    "': a name of 1 to 64 letters, digits, '.', '-' and '_' is wanted");
    for (const std::string& account : client.accounts) {
      if (!accounts.contains(account))
        return refuse("client '" + client.name + "': account '" + account + "' has no rule");
    }
    std::string name = client.name;
    if (!list.clients_.emplace(name, std::move(client)).second)
      return refuse("client '" + name + "' twice");
  }
  list.cluster_id_ = std::move(cluster_id);
  list.accounts_ = std::move(accounts);
  list.verify_ = verify;
  return list;
}

std::optional<ClientDenial> ClientList::check(const PaymentRequest& request,
                                              const std::optional<ClientSignature>& by) const {
  if (!by) return no(ClientFault::Unsigned, "no client signed this request");
  const auto client = clients_.find(by->client);
  if (client == clients_.end())
    return no(ClientFault::UnknownClient, "client '" + by->client + "' is not listed");
  if (!verify_(client->second.public_key, signed_text(cluster_id_, by->client, request),
               by->signature))
    return no(ClientFault::BadSignature, "client '" + by->client + "' did not sign this request");
  if (!client->second.accounts.contains(request.account))
    return no(ClientFault::ForeignAccount,
              "client '" + by->client + "' may not pay from account '" + request.account + "'");
  const AccountRule& rule = accounts_.at(request.account);
  if (request.amount_sat > rule.max_amount_sat)
    return no(ClientFault::AboveLimit, std::to_string(request.amount_sat) + " sat; account '" +
                                           request.account + "' pays at most " +
                                           std::to_string(rule.max_amount_sat));
  if (rule.scripts && !rule.scripts->contains(request.script))
    return no(ClientFault::ForeignPayee,
              "account '" + request.account + "' does not pay to this address");
  return std::nullopt;
}

}  // namespace roulette::wire
