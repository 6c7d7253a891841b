// The clients file: who may ask for payments and what each account allows, as JSON.
//
// Invariant: what read_clients_file() returns passed ClientList::make(). Nothing secret is in it;
// whoever may write a signer's copy decides whose requests this signer signs.
//   {"format":"roulette-clients","version":1,
//    "clients":[{"name":"shop","public_key":"<32 bytes, Ed25519>","accounts":["alpha"]}],
//    "accounts":[{"name":"alpha","max_amount_sat":5000000,"addresses":["bcrt1q..."]}]}    hex
// Without `addresses` an account pays to any.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/runtime/metrics.h"
#include "common/wire/client_list.h"

namespace roulette::runtime {

using ClientListPtr = std::shared_ptr<const wire::ClientList>;

// `name` stands in errors where a file's path would.
[[nodiscard]] Result<ClientListPtr> clients_from_json(std::string_view json, std::string name,
                                                      const std::string& cluster_id);
// A missing file is ErrorKind::Preflight; anything wrong in it is Usage and names file and place.
[[nodiscard]] Result<ClientListPtr> read_clients_file(const std::filesystem::path& path,
                                                      const std::string& cluster_id);
// A daemon's list by its configuration: for an empty path none, and anybody's requests count.
[[nodiscard]] Result<ClientListPtr> configured_clients(const std::filesystem::path& path,
                                                       const std::string& cluster_id);
// As the metric `roulette_listed_clients`; 0 without a list.
void show_listed_clients(Metrics& metrics, const ClientListPtr& list);

}  // namespace roulette::runtime
