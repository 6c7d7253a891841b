// The tool as a coordinator that is refused: see stranger.h.
#include "chaos/live/stranger.h"

#include <filesystem>
#include <set>

#include "common/runtime/process.h"
#include "common/runtime/tls_transport.h"
#include "common/wire/codec.h"

namespace roulette::chaos {

struct Stranger::State {
  std::unique_ptr<runtime::TlsTransport> transport;
  std::set<ConnectionId> open;
  std::size_t refused = 0;

  void on_frame(ByteSpan payload) {
    const auto message = wire::decode_message(payload);
    if (message.ok() && std::holds_alternative<wire::SignRefusal>(*message)) ++refused;
  }
};

Stranger::Stranger(std::unique_ptr<State> state) : state_(std::move(state)) {}
Stranger::~Stranger() = default;

Result<std::unique_ptr<Stranger>> Stranger::create(runtime::EventLoop& loop,
                                                   const Cluster& cluster) {
  const ProcessName self = cluster.stranger();
  const std::filesystem::path secrets = std::filesystem::path(cluster.run_dir()) / "secrets";
  runtime::KernelEntropy entropy;
  const BootId boot = runtime::draw_boot_id(entropy);
  auto state = std::make_unique<State>();
  State* s = state.get();
  runtime::TlsTransport::Options options;
  options.identity = {cluster.cluster_id(), self, secrets / "ca.pem",
                      secrets / (self.text() + ".pem"), secrets / (self.text() + ".key")};
  options.accepts = [](ProcessName peer) { return peer.role == Role::Signer; };
  options.callbacks.on_connected = [s, self, boot](ConnectionId id, ProcessName) {
    s->open.insert(id);
    s->transport->send(id, wire::encode_message(wire::Hello{wire::kProtocolMajor,
                                                            wire::kProtocolMinor, self, boot}));
  };
  options.callbacks.on_frame = [s](ConnectionId, ByteSpan payload) { s->on_frame(payload); };
  options.callbacks.on_lost = [s](ConnectionId id, ProcessName, const std::string&) {
    s->open.erase(id);
  };
  auto transport = runtime::TlsTransport::create(loop, std::move(options));
  if (!transport) return transport.error();
  s->transport = std::move(transport).value();
  for (std::uint16_t i = 0; i < cluster.signers().size(); ++i) {
    const Endpoint& at = cluster.signers()[i];
    s->transport->connect({Role::Signer, i}, at.host, at.port);
  }
  return std::unique_ptr<Stranger>(new Stranger(std::move(state)));
}

void Stranger::ask_all() {
  const Bytes request = wire::encode_message(wire::SignRequest{});
  for (const ConnectionId id : state_->open) state_->transport->send(id, request);
}

std::size_t Stranger::connected() const {
  return state_->open.size();
}
std::size_t Stranger::refused() const {
  return state_->refused;
}

}  // namespace roulette::chaos
