// Reading the clients file: see clients_file.h.
//
// Invariant: an unknown key, format or version is refused, and an account or an address twice.
#include "common/runtime/clients_file.h"

#include <utility>

#include "common/base/limits.h"
#include "common/bitcoin/address.h"
#include "common/bitcoin/transaction.h"
#include "common/runtime/config_file.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/limits.h"

namespace roulette::runtime {
namespace {

constexpr const char* kFormat = "roulette-clients";
constexpr int kVersion = 1;

wire::Client read_client(ConfigObject& object) {
  wire::Client client;
  client.name = object.text("name");
  const auto key = array_from_hex<32>(object.text("public_key"));
  if (!key) object.fail("public_key", "is not 32 bytes of hex");
  client.public_key = key.value_or(crypto::Ed25519PublicKey{});
  for (const std::string& account : object.texts("accounts")) {
    if (!client.accounts.insert(account).second)
      object.fail("accounts", "names '" + account + "' twice");
  }
  return client;
}

wire::AccountRule read_rule(ConfigObject& object) {
  wire::AccountRule rule;
  rule.max_amount_sat = object.integer("max_amount_sat", 1, bitcoin::kMaxMoneySat);
  if (!object.has("addresses")) return rule;
  rule.scripts.emplace();
  for (const std::string& address : object.texts("addresses")) {
    const auto script = bitcoin::script_from_address(address);
    if (!script) object.fail("addresses", "'" + address + "': " + script.error().message);
    else if (!rule.scripts->insert(*script).second)
      object.fail("addresses", "has '" + address + "' twice");
  }
  if (rule.scripts->size() > limits::kMaxAllowedAddresses)
    object.fail("addresses", "are more than " + std::to_string(limits::kMaxAllowedAddresses));
  return rule;
}

}  // namespace

Result<ClientListPtr> clients_from_json(std::string_view json, std::string name,
                                        const std::string& cluster_id) {
  auto file = ConfigFile::parse(json, name);
  if (!file) return file.error();
  ConfigObject root = file->root();
  root.expect_format(kFormat, kVersion);
  std::vector<wire::Client> clients;
  for (ConfigObject& object : root.objects("clients")) clients.push_back(read_client(object));
  std::map<std::string, wire::AccountRule> accounts;
  for (ConfigObject& object : root.objects("accounts")) {
    const std::string account = object.text("name");
    if (!accounts.emplace(account, read_rule(object)).second)
      object.fail("name", "stands twice");
  }
  if (auto complete = file->finish(); !complete) return complete.error();
  auto list = wire::ClientList::make(cluster_id, std::move(clients), std::move(accounts));
  if (!list) return Error{ErrorKind::Usage, name + ": " + list.error().message};
  return std::make_shared<const wire::ClientList>(std::move(list).value());
}

Result<ClientListPtr> read_clients_file(const std::filesystem::path& path,
                                        const std::string& cluster_id) {
  if (std::error_code unused; !std::filesystem::exists(path, unused))
    return Error{ErrorKind::Preflight, path.string() + ": the clients file is missing"};
  const auto bytes = read_whole_file(path, kMaxConfigFileBytes);
  if (!bytes) return bytes.error();
  return clients_from_json({reinterpret_cast<const char*>(bytes->data()), bytes->size()},
                           path.string(), cluster_id);
}

Result<ClientListPtr> configured_clients(const std::filesystem::path& path,
                                         const std::string& cluster_id) {
  if (path.empty()) return ClientListPtr();
  return read_clients_file(path, cluster_id);
}

void show_listed_clients(Metrics& metrics, const ClientListPtr& list) {
  metrics
      .gauge("roulette_listed_clients",
             "Clients whose signed requests count; 0 without a list, when anybody's do")
      .set(list ? static_cast<double>(list->size()) : 0);
}

}  // namespace roulette::runtime
