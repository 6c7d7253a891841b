// The tool as a coordinator with nothing but signers: see signing.h.
#include "chaos/bench/signing.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>

#include "chaos/app/session.h"
#include "chaos/bench/cpu.h"
#include "chaos/bench/steps.h"
#include "common/bitcoin/script.h"
#include "common/bitcoin/spend.h"
#include "common/bitcoin/transaction.h"
#include "common/crypto/hash.h"
#include "common/runtime/group_file.h"
#include "common/runtime/tls_transport.h"
#include "common/wire/codec.h"

namespace roulette::chaos::bench {
namespace {

namespace fs = std::filesystem;

constexpr Duration kStartLimit = seconds(30);
constexpr Duration kSignatureLimit = seconds(20);
constexpr std::uint32_t kPool = 64;  // nonces kept of each signer

}  // namespace

double SigningRow::latency_quantile_us(double q) const {
  if (latency_us.empty()) return 0;
  std::vector<double> sorted = latency_us;
  std::sort(sorted.begin(), sorted.end());
  const auto rank = static_cast<std::size_t>(q * static_cast<double>(sorted.size()));
  return sorted[std::min(rank, sorted.size() - 1)];
}

struct SignerFleet::State {
  struct Wanted {
    Instant since{};
    wire::SignRequest request;
    std::vector<Hash32> sighashes;
    std::size_t waits_for_nonces = 0;
  };
  struct Open {
    Instant since{};
    std::size_t missing = 0;
    std::vector<crypto::SigningSessionPtr> inputs;
    std::map<SignerId, Bytes> shares;
  };
  struct Peer {
    ConnectionId connection{};
    bool connected = false, checked = false;
    BootId epoch;
    std::deque<wire::PubNonce> pool;
    std::deque<std::shared_ptr<Wanted>> asked;  // in the order of their nonce requests
  };

  std::unique_ptr<Session> session;
  crypto::SigningGroupPtr group;
  crypto::SignerSetPtr set;
  std::vector<SignerId> ids;
  Bytes wallet_script;
  std::unique_ptr<runtime::TlsTransport> transport;
  std::vector<Peer> peers;
  std::map<Hash32, Open> open;
  std::uint64_t number = 0;
  std::string broken;
  // Of the measurement under way.
  SigningRow* row = nullptr;
  std::size_t left = 0, in_flight = 0;

  bool has_nonces() const { return group->scheme().facts().nonce_size > 0; }
  Instant now() const { return session->loop.now(); }
  void fail(const std::string& why) {
    if (broken.empty()) broken = why;
  }
  void send(SignerId to, const wire::Message& message) {
    const Peer& peer = peers[to.value()];
    if (!peer.connected) return fail("signer-" + std::to_string(to.value()) + " is gone");
    transport->send(peer.connection, wire::encode_message(message));
  }

  Status connect() {
    const Cluster& cluster = *session->cluster;
    const ProcessName self = cluster.stranger();
    const fs::path secrets = fs::path(session->run_dir) / "secrets";
    runtime::KernelEntropy entropy;
    const BootId boot = runtime::draw_boot_id(entropy);
    runtime::TlsTransport::Options options;
    options.identity = {cluster.cluster_id(), self, secrets / "ca.pem",
                        secrets / (self.text() + ".pem"), secrets / (self.text() + ".key")};
    options.accepts = [](ProcessName peer) { return peer.role == Role::Signer; };
    options.callbacks.on_connected = [this, self, boot](ConnectionId id, ProcessName peer) {
      peers[peer.index].connection = id;
      peers[peer.index].connected = true;
      transport->send(id, wire::encode_message(wire::Hello{
                              wire::kProtocolMajor, wire::kProtocolMinor, self, boot}));
    };
    options.callbacks.on_frame = [this](ConnectionId id, ByteSpan payload) {
      const auto message = wire::decode_message(payload);
      if (!message) return fail(message.error().message);
      for (std::uint16_t i = 0; i < peers.size(); ++i)
        if (peers[i].connected && peers[i].connection == id) heard(SignerId(i), *message);
    };
    options.callbacks.on_lost = [this](ConnectionId, ProcessName peer, const std::string& why) {
      if (!peers[peer.index].connected) return;  // it does not listen yet
      peers[peer.index].connected = false;
      fail(peer.text() + " was lost: " + why);
    };
    auto made = runtime::TlsTransport::create(session->loop, std::move(options));
    if (!made) return made.error();
    transport = std::move(made).value();
    const auto& at = cluster.signers();
    for (std::uint16_t i = 0; i < at.size(); ++i)
      transport->connect({Role::Signer, i}, at[i].host, at[i].port);
    const auto ready = [this] {
      return !broken.empty() || std::all_of(peers.begin(), peers.end(), [](const Peer& peer) {
        return peer.checked;
      });
    };
    if (!session->loop.run_until(ready, kStartLimit)) fail("the signers did not start in time");
    if (!broken.empty()) return Error{ErrorKind::Preflight, broken};
    return {};
  }

  void heard(SignerId from, const wire::Message& message) {
    Peer& peer = peers[from.value()];
    if (const auto* status = std::get_if<wire::SignerStatus>(&message)) {
      peer.epoch = status->epoch;
      if (!peer.checked) send(from, wire::JournalCheck{});
    } else if (const auto* answer = std::get_if<wire::JournalAnswer>(&message)) {
      peer.checked = answer->standing == wire::JournalStanding::Holds;
      if (!peer.checked) fail("a new journal does not hold");
    } else if (const auto* batch = std::get_if<wire::NonceBatch>(&message)) {
      nonces(peer, *batch);
    } else if (const auto* refusal = std::get_if<wire::SignRefusal>(&message)) {
      fail("signer-" + std::to_string(from.value()) + " refuses: " +
           wire::refusal_name(refusal->reason) + " " + refusal->detail);
    } else if (const auto* response = std::get_if<wire::SignResponse>(&message)) {
      share(from, *response);
    }
  }

  void nonces(Peer& peer, const wire::NonceBatch& batch) {
    peer.pool.insert(peer.pool.end(), batch.nonces.begin(), batch.nonces.end());
    if (peer.asked.empty()) return;
    const std::shared_ptr<Wanted> wanted = peer.asked.front();
    peer.asked.pop_front();
    if (--wanted->waits_for_nonces == 0) ask(*wanted);
  }

  // A payment of one coin, new each time, that the signers' policy allows.
  Wanted next_payment() {
    Wanted wanted;
    wanted.since = now();
    ByteArray<32> name{};
    ++number;
    for (std::size_t i = 0; i < 8; ++i)
      name[i] = static_cast<std::uint8_t>(number >> (8 * i));
    bitcoin::Transaction tx;
    bitcoin::TxIn input;
    input.outpoint.txid = crypto::sha256(name);
    tx.inputs.push_back(input);
    tx.outputs.push_back({50'000, bitcoin::p2wsh_script(crypto::sha256(name))});
    tx.outputs.push_back({48'000, wallet_script});
    wire::SignRequest& request = wanted.request;
    ByteArray<16> id{};
    std::copy_n(name.begin(), id.size(), id.begin());
    request.withdrawal_id = WithdrawalId(id);
    request.payload_digest = name;
    request.unsigned_tx = bitcoin::serialize_without_witness(tx);
    request.prevouts = {{100'000, wallet_script}};
    request.group = group->id();
    wanted.sighashes =
        bitcoin::sighashes(group->scheme().facts().signatures, tx, request.prevouts).value();
    return wanted;
  }

  void want() {
    --left;
    ++in_flight;
    auto wanted = std::make_shared<Wanted>(next_payment());
    if (!has_nonces()) return ask(*wanted);
    const bool pooled = row->setup.rounds == Rounds::Pooled;
    const bool all_there = std::all_of(ids.begin(), ids.end(), [this](SignerId id) {
      return !peers[id.value()].pool.empty();
    });
    if (pooled && all_there) return ask(*wanted);
    wanted->waits_for_nonces = ids.size();
    for (const SignerId id : ids) {
      peers[id.value()].asked.push_back(wanted);
      send(id, wire::NonceRequest{pooled ? kPool : 1});
    }
  }

  void ask(Wanted& wanted) {
    std::vector<ByteSpan> listed;
    for (const SignerId id : ids) {
      Peer& peer = peers[id.value()];
      wire::SessionSigner signer{id, peer.epoch, {}};
      if (has_nonces()) {
        if (peer.pool.empty()) return fail("a signer gave no nonce");
        signer.nonces.push_back(peer.pool.front());
        peer.pool.pop_front();
      }
      wanted.request.signers.push_back(std::move(signer));
    }
    const Hash32 digest =
        wire::session_digest(wanted.request, group->scheme().facts().version, group->wallet_key(),
                             wanted.sighashes);
    for (const SignerId id : ids) send(id, wanted.request);
    Open session_open;
    session_open.since = wanted.since;
    session_open.missing = ids.size();
    for (const wire::SessionSigner& signer : wanted.request.signers)
      listed.push_back(signer.nonces.empty() ? ByteSpan() : ByteSpan(signer.nonces[0]));
    auto opened = set->open(listed, wanted.sighashes[0]);
    if (!opened || !std::holds_alternative<crypto::SigningSessionPtr>(*opened))
      return fail("a signer's nonce is none");
    session_open.inputs.push_back(std::get<crypto::SigningSessionPtr>(std::move(*opened)));
    open.emplace(digest, std::move(session_open));
  }

  void share(SignerId from, const wire::SignResponse& response) {
    const auto at = open.find(response.session_digest);
    if (at == open.end() || response.shares.size() != 1) return fail("an answer to no question");
    Peer& peer = peers[from.value()];
    // Two rounds: what comes along is not used, or the second signature would have one round.
    if (row->setup.rounds == Rounds::Pooled)
      peer.pool.insert(peer.pool.end(), response.next_nonces.begin(), response.next_nonces.end());
    const auto& bytes = response.shares[0];
    at->second.shares[from] = Bytes(bytes.begin(), bytes.end());
    if (--at->second.missing > 0) return;
    std::vector<ByteSpan> shares;
    for (const SignerId id : ids) shares.emplace_back(at->second.shares.at(id));
    const auto made = at->second.inputs[0]->aggregate(shares);
    if (!made || !std::holds_alternative<Bytes>(*made)) return fail("the shares make no signature");
    row->latency_us.push_back(static_cast<double>((now() - at->second.since).us));
    ++row->signatures;
    open.erase(at);
    --in_flight;
    if (left > 0) want();
  }

  double signers_cpu_us() {
    double sum = 0;
    for (std::uint16_t i = 0; i < peers.size(); ++i) {
      const auto pid = session->supervisor->pid({Role::Signer, i});
      const auto used = pid ? cpu_us_of(*pid) : std::nullopt;
      if (!used) fail("signer-" + std::to_string(i) + " has no CPU time");
      sum += used.value_or(0);
    }
    return sum;
  }
};

SignerFleet::SignerFleet(std::unique_ptr<State> state) : state_(std::move(state)) {}

SignerFleet::~SignerFleet() {
  const std::string folder = state_->session ? state_->session->run_dir : "";
  state_->transport.reset();
  state_->session.reset();
  std::error_code ignored;  // a folder that stays hurts nobody
  if (!folder.empty()) fs::remove_all(folder, ignored);
}

Result<std::unique_ptr<SignerFleet>> SignerFleet::create(const std::string& runs_dir,
                                                         const std::string& scheme,
                                                         std::uint16_t t, std::uint16_t n,
                                                         const BinaryOptions& options) {
  ClusterPlan plan;
  plan.scheme = scheme;
  plan.threshold = t;
  plan.signers = n;
  plan.client_signatures = false;  // the tool is the coordinator here, and no client asks
  const Result<Binaries> binaries = Session::preflight(plan, options);
  if (!binaries) return binaries.error();
  auto session = Session::create(runs_dir, "bench-" + scheme);
  if (!session) return session.error();
  std::unique_ptr<SignerFleet> fleet(new SignerFleet(std::make_unique<State>()));
  State& s = *fleet->state_;
  s.session = std::move(session).value();
  if (const Status made = s.session->prepare(plan, 1, *binaries); !made) return made.error();
  auto group = runtime::read_group_file(fs::path(s.session->run_dir) / "work" / "group.json");
  if (!group) return group.error();
  s.group = std::move(group).value();
  s.wallet_script = runtime::wallet_script_of(*s.group);
  s.peers.resize(n);
  for (std::uint16_t i = 0; i < t; ++i) s.ids.emplace_back(i);
  auto set = s.group->signer_set(s.ids);
  if (!set) return set.error();
  s.set = std::move(set).value();
  if (const Status started = s.session->cluster->start_signers(); !started) return started.error();
  if (const Status connected = s.connect(); !connected) return connected.error();
  return fleet;
}

Status SignerFleet::measure(SigningRow& row, std::size_t count) {
  State& s = *state_;
  s.row = &row;
  s.left = count;
  s.in_flight = 0;
  for (State::Peer& peer : s.peers) peer.pool.clear();
  if (row.setup.rounds == Rounds::Pooled && s.has_nonces()) {
    // The pool is filled before the clock starts.
    for (const SignerId id : s.ids) s.send(id, wire::NonceRequest{kPool});
    const auto filled = [&s] {
      return !s.broken.empty() || std::all_of(s.ids.begin(), s.ids.end(), [&s](SignerId id) {
        return !s.peers[id.value()].pool.empty();
      });
    };
    if (!s.session->loop.run_until(filled, kSignatureLimit)) s.fail("no nonces came");
  }
  const double signers_before = s.signers_cpu_us();
  const double own_before = own_cpu_us();
  const std::size_t signed_before = row.signatures;
  const Instant began = s.now();
  for (unsigned i = 0; i < row.setup.in_flight && s.left > 0; ++i) s.want();
  const auto done = [&s] { return !s.broken.empty() || (s.left == 0 && s.in_flight == 0); };
  while (!done()) {
    const std::size_t before = row.signatures;
    const auto moved = [&] { return done() || row.signatures != before; };
    if (!s.session->loop.run_until(moved, kSignatureLimit)) s.fail("no signature in time");
  }
  row.seconds += static_cast<double>((s.now() - began).us) / 1e6;
  s.row = nullptr;
  if (!s.broken.empty())
    return Error{ErrorKind::Internal, row.setup.scheme + ": " + s.broken};
  const double before = static_cast<double>(signed_before);
  const double now = static_cast<double>(row.signatures);
  const auto mean = [&](double& of, double used) { of = (of * before + used) / now; };
  mean(row.signer_cpu_us, s.signers_cpu_us() - signers_before);
  mean(row.coordinator_cpu_us, own_cpu_us() - own_before);
  return {};
}

Result<std::vector<SigningRow>> measure_signing(
    const SigningOptions& options, const std::function<void(const std::string&)>& on_progress) {
  std::map<std::tuple<std::string, std::uint16_t, std::uint16_t>, std::unique_ptr<SignerFleet>>
      fleets;
  std::vector<SigningRow> rows;
  for (const SigningSetup& setup : options.setups) {
    rows.push_back({setup, 0, 0, {}, 0, 0});
    auto& fleet = fleets[{setup.scheme, setup.t, setup.n}];
    if (fleet) continue;
    auto made = SignerFleet::create(options.runs_dir, setup.scheme, setup.t, setup.n,
                                    options.binaries);
    if (!made) return made.error().with_context(setup.scheme);
    fleet = std::move(made).value();
  }
  for (unsigned visit = 0; visit < options.visits; ++visit) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      SigningRow& row = rows[(i + visit) % rows.size()];  // nobody is always first
      const SigningSetup& of = row.setup;
      const std::size_t count = std::max<std::size_t>(1, options.signatures / options.visits);
      const Status measured = fleets.at({of.scheme, of.t, of.n})->measure(row, count);
      if (!measured) return measured.error();
    }
    on_progress("signing: turn " + std::to_string(visit + 1) + " of " +
                std::to_string(options.visits));
  }
  return rows;
}

}  // namespace roulette::chaos::bench
