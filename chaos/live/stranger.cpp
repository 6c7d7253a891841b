// The tool as a coordinator that changes nothing: see stranger.h.
#include "chaos/live/stranger.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "common/runtime/process.h"
#include "common/runtime/tls_transport.h"
#include "common/wire/codec.h"

namespace roulette::chaos {

struct Stranger::State {
  std::unique_ptr<runtime::TlsTransport> transport;
  ProcessName self;
  BootId boot;
  std::map<ConnectionId, ProcessName> open;
  std::uint64_t commands = 0;
};

Stranger::Stranger(std::unique_ptr<State> state) : state_(std::move(state)) {}
Stranger::~Stranger() = default;

Result<std::unique_ptr<Stranger>> Stranger::create(runtime::EventLoop& loop,
                                                   const Cluster& cluster) {
  const ProcessName self = cluster.stranger();
  const std::filesystem::path secrets = std::filesystem::path(cluster.run_dir()) / "secrets";
  runtime::KernelEntropy entropy;
  auto state = std::make_unique<State>();
  State* s = state.get();
  s->self = self;
  s->boot = runtime::draw_boot_id(entropy);
  runtime::TlsTransport::Options options;
  options.identity = {cluster.cluster_id(), self, secrets / "ca.pem",
                      secrets / (self.text() + ".pem"), secrets / (self.text() + ".key")};
  options.accepts = [](ProcessName peer) {
    return peer.role == Role::Signer || peer.role == Role::Ledger;
  };
  options.callbacks.on_connected = [s](ConnectionId id, ProcessName peer) {
    s->open.emplace(id, peer);
    s->transport->send(id, wire::encode_message(wire::Hello{
                               wire::kProtocolMajor, wire::kProtocolMinor, s->self, s->boot}));
  };
  options.callbacks.on_frame = [](ConnectionId, ByteSpan) {};  // the peers' records say it all
  options.callbacks.on_lost = [s](ConnectionId id, ProcessName, const std::string&) {
    s->open.erase(id);
  };
  auto transport = runtime::TlsTransport::create(loop, std::move(options));
  if (!transport) return transport.error();
  s->transport = std::move(transport).value();
  const auto connect = [&](Role role, const std::vector<Endpoint>& at) {
    for (std::uint16_t i = 0; i < at.size(); ++i)
      s->transport->connect({role, i}, at[i].host, at[i].port);
  };
  connect(Role::Signer, cluster.signers());
  connect(Role::Ledger, cluster.ledgers());
  return std::unique_ptr<Stranger>(new Stranger(std::move(state)));
}

void Stranger::ask(Role role) {
  State& s = *state_;
  for (const auto& [id, peer] : s.open) {
    if (peer.role != role || (role == Role::Ledger && peer.index == 0)) continue;
    wire::Message message = wire::SignRequest{};
    if (role == Role::Ledger) {
      const std::uint64_t number = ++s.commands;
      message = wire::LedgerSubmit{
          number,
          wire::Command{wire::CommandId{s.self, s.boot, number}, wire::BlockDisconnected{}}};
    }
    s.transport->send(id, wire::encode_message(message));
  }
}

std::size_t Stranger::connected(Role role) const {
  return static_cast<std::size_t>(std::count_if(
      state_->open.begin(), state_->open.end(),
      [role](const auto& connection) { return connection.second.role == role; }));
}

}  // namespace roulette::chaos
