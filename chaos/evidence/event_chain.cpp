// See event_chain.h.
#include "chaos/evidence/event_chain.h"

#include <nlohmann/json.hpp>

#include "common/crypto/hash.h"

namespace roulette::evidence {
namespace {

using nlohmann::json;

Hash32 leaf_hash(std::string_view leaf) {
  return crypto::Sha256().update_u8(0).update(as_bytes(leaf)).finish();
}
Hash32 node_hash(const Hash32& left, const Hash32& right) {
  return crypto::Sha256().update_u8(1).update(left).update(right).finish();
}

Error malformed(std::uint64_t line, const std::string& what) {
  return Error{ErrorKind::Corrupt, "events.ndjson:" + std::to_string(line) + ": " + what};
}

Status extend(EventChains& chains, std::string_view line) {
  const json event = json::parse(line, nullptr, false);
  if (!event.is_object() || !event.contains("process") || !event["process"].is_string())
    return malformed(chains.lines, "not an object with a process");
  const auto name = event["process"].get<std::string>();
  ProcessChain& chain = chains.processes[name];
  if (chain.events++ == 0)
    chain.head =
        crypto::Sha256().update(as_bytes("roulette-chain")).update(as_bytes(name)).finish();
  chain.head = crypto::Sha256().update(chain.head).update(as_bytes(line)).finish();
  return {};
}

}  // namespace

void MerkleTree::add(std::string_view leaf) {
  Hash32 hash = leaf_hash(leaf);
  unsigned height = 0;
  // Equal heights meet: a binary counter's carry.
  for (auto peak = peaks_.find(height); peak != peaks_.end(); peak = peaks_.find(++height)) {
    hash = node_hash(peak->second, hash);
    peaks_.erase(peak);
  }
  peaks_[height] = hash;
  ++leaves_;
}

Hash32 MerkleTree::root() const {
  if (peaks_.empty()) return crypto::sha256({});
  // The smallest peak is the rightmost: fold from there.
  auto peak = peaks_.rbegin();
  Hash32 root = peak->second;
  for (++peak; peak != peaks_.rend(); ++peak) root = node_hash(peak->second, root);
  return root;
}

Result<EventChains> chain_events(std::string_view text) {
  EventChains chains;
  MerkleTree tree;
  if (text.empty() || text.back() != '\n') return malformed(1, "does not end with a line feed");
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    ++chains.lines;
    tree.add(line);
    if (chains.lines == 1) continue;
    if (const Status status = extend(chains, line); !status) return status.error();
  }
  chains.root = tree.root();
  return chains;
}

std::string chains_json(const EventChains& chains) {
  json processes = json::object();
  for (const auto& [name, chain] : chains.processes)
    processes[name] = {{"events", chain.events}, {"head", to_hex(chain.head)}};
  return json{{"format", "roulette-chains"},
              {"version", 1},
              {"file", "events.ndjson"},
              {"lines", chains.lines},
              {"merkle_root", to_hex(chains.root)},
              {"processes", std::move(processes)}}
             .dump(2, ' ', false, json::error_handler_t::replace) +
         "\n";
}

}  // namespace roulette::evidence
