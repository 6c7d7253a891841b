// The coordinator's machine: client requests, signing sessions (ROAST), broadcast, chain facts,
// takeover.
//
// Invariants (DESIGN 7): nothing is asked of a signer before the template's command is applied;
// only bytes read back from the applied ledger are broadcast; rebroadcast never signs; safety never
// depends on ownership. Stateless: it restarts empty and reads the ledger. Pure: HTTP, the node and
// the peers are effects and events.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/entropy.h"
#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/bitcoin/chain_facts.h"
#include "common/crypto/scheme.h"
#include "common/wire/client_list.h"
#include "common/wire/messages.h"
#include "coordinator/core/cadence.h"

namespace roulette::coordinator {

using RequestId =
    StrongId<struct RequestIdTag, std::uint64_t>;  // the host's number of an open client request

struct CoordinatorConfig {
  CoordinatorId id;
  BootId boot;
  crypto::SigningGroupPtr group;
  Bytes wallet_script;
  crypto::WalletKey wallet_output_key;  // the group's: see SigningGroup::wallet_key
  std::uint32_t nonce_pool = 32;      // public nonces kept ready per signer
  Cadence cadence;
  // Whose requests are proposed; nothing: everybody's.
  std::shared_ptr<const wire::ClientList> clients = nullptr;
};

// ---- events ----
// Requests arrive parsed: the host turned JSON and addresses into values and answered what does not
// parse with 400.
struct CreateWithdrawal {
  wire::PaymentRequest payment;   // its key unquoted (see idempotency_key.h)
  std::int64_t unix_time_us = 0;  // stamped by the host on arrival
  Duration wait{};                // Prefer: wait=N, zero without
  std::optional<wire::ClientSignature> client = {};
};
struct GetWithdrawal {
  WithdrawalId id;
};
struct FindByKey {
  std::string key;
};
struct GetBalances {};
struct GetPage {
  wire::QueryPage query;
};
struct GetEvents {
  WithdrawalId id;
};
using ClientRequestBody = std::variant<CreateWithdrawal, GetWithdrawal, FindByKey, GetBalances,
                                       GetPage, GetEvents>;

struct Started {};
struct ClientRequest {
  RequestId request;
  ClientRequestBody body;
};
struct ClientGone {
  RequestId request;
};  // nobody waits for the answer any more
struct PeerConnected {
  ConnectionId connection;
  ProcessName peer;
  BootId boot;
};
struct PeerLost {
  ConnectionId connection;
};
struct MessageReceived {
  ConnectionId connection;
  wire::Message message;
};
// Answers of the node to NodeCall with the same number.
struct NodeUnavailable {
  std::string reason;
};
struct BlockHashAt {
  std::optional<Hash32> hash;
};  // nothing: no such height in the active chain
struct MempoolTxids {
  std::vector<Hash32> txids;
};
struct SendResult {
  bitcoin::SendOutcome outcome;
  std::string message;
};
using NodeAnswerBody = std::variant<NodeUnavailable, bitcoin::TipFacts, BlockHashAt,
                                    bitcoin::BlockFacts, MempoolTxids, SendResult>;
struct NodeAnswered {
  std::uint64_t call = 0;
  NodeAnswerBody body;
};
struct ShutdownRequested {};
struct DeadlineReached {};
using Event = std::variant<Started, ClientRequest, ClientGone, PeerConnected, PeerLost,
                           MessageReceived, NodeAnswered, ShutdownRequested, DeadlineReached>;

// ---- effects ----
struct Send {
  ConnectionId connection;
  wire::Message message;
};
struct WithdrawalAnswer {
  int status = 200;
  wire::WithdrawalView view;
};  // 202 for POST, 200 for GET
struct BalancesAnswer {
  std::vector<wire::Balance> balances;
  std::uint64_t index = 0;
};
struct PageAnswer {
  wire::QueryPage query;
  wire::Page page;
  std::uint64_t index = 0;
};
struct EventsAnswer {
  wire::WithdrawalView view;
  std::vector<wire::WithdrawalEvent> events;
  std::uint64_t index = 0;
};
struct Problem {  // RFC 9457
  int status = 500;
  std::string type;  // "quorum-lost", "idempotency-key-reused", "not-found", ...
  std::string title;
  std::string detail;
  std::optional<int> retry_after_s;
};
using ReplyBody =
    std::variant<WithdrawalAnswer, BalancesAnswer, Problem, PageAnswer, EventsAnswer>;
struct Reply {
  RequestId request;
  ReplyBody body;
};
struct GetTip {};
struct GetBlockHash {
  std::uint32_t height = 0;
};
struct GetBlock {
  std::uint32_t height = 0;
};  // of the active chain, with the outputs to the wallet's script
struct GetMempool {};
struct SendTransaction {
  WithdrawalId withdrawal_id;
  Hash32 txid{};
  Bytes bytes;
};
using NodeCallBody = std::variant<GetTip, GetBlockHash, GetBlock, GetMempool, SendTransaction>;
struct NodeCall {
  std::uint64_t call = 0;
  NodeCallBody body;
};
// Facts for the event log (docs/RECORDS.md); the host writes them before the effects that follow.
struct SessionOpened {
  WithdrawalId withdrawal_id;
  Hash32 txid{};
  Hash32 session_digest{};
  std::vector<SignerId> signers;
};
struct ShareReceived {
  SignerId signer;
  WithdrawalId withdrawal_id;
  Hash32 txid{};
  Hash32 session_digest{};
  std::vector<wire::PubNonce> nonces;
  std::vector<wire::PartialSignature> shares;
};
struct Aggregated {
  WithdrawalId withdrawal_id;
  Hash32 txid{};
  Hash32 session_digest{};
  std::vector<crypto::WalletSignature> signatures;
};
struct Blamed {
  SignerId signer;
  Hash32 session_digest{};
  std::string why;
  Bytes proof;
};
struct TookOver {
  WithdrawalId withdrawal_id;
  std::string why;
};
struct QuorumChanged {
  std::size_t known = 0;
};
// A signer said no. Not blame: it may be right (StaleEpoch, a bound outpoint), and only its word
// says so.
struct SignerRefused {
  SignerId signer;
  WithdrawalId withdrawal_id;
  Hash32 session_digest{};
  wire::RefusalReason reason{};
  std::string detail;
};
// More than n-t signers are blamed for or refuse this message; taken up again when one of them
// announces a new epoch.
struct SigningGivenUp {
  WithdrawalId withdrawal_id;
  Hash32 txid{};
  std::string why;
};
// Its journal does not hold what the ledger keeps of it: it counts as down until it is provisioned
// again (DESIGN 6.8).
struct SignerQuarantined {
  SignerId signer;
  wire::JournalStanding standing{};
};
struct SignedApplied {
  WithdrawalId withdrawal_id;
  Hash32 txid{};
};  // the ledger holds the bytes
using Fact = std::variant<SessionOpened, ShareReceived, Aggregated, Blamed, TookOver, QuorumChanged,
                          SignerRefused, SigningGivenUp, SignedApplied, SignerQuarantined>;
struct ReadinessChanged {
  bool ready = false;
  std::string reason;
};  // "no-ledger", "quorum-lost", "no-node", ...
struct Drained {};
using Effect = std::variant<Send, Reply, NodeCall, Fact, ReadinessChanged, Drained>;
using Effects = std::vector<Effect>;

struct Gauges {
  std::size_t open_requests = 0;
  std::size_t unfinished = 0;
  std::size_t open_sessions = 0;
  std::size_t known_signers = 0;
  std::size_t pooled_nonces = 0;  // public ones, all signers
  std::uint32_t ledger_height = 0;
  std::int64_t node_height = 0;
  std::uint64_t sessions = 0;        // opened since start
  std::uint64_t signatures = 0;      // transactions completed since start
  std::uint64_t signer_timeouts = 0;  // answers that a session's patience did not see
  std::size_t pending_commands = 0;  // own commands and reads without the ledger's answer
  std::size_t signing = 0;           // withdrawals being signed
  std::size_t sends_in_flight = 0;   // transactions at the node without its answer
  std::vector<std::pair<SignerId, wire::JournalStanding>> quarantined;
  std::size_t most_outstanding = 0;  // sign requests without an answer, of the busiest signer
};

class Coordinator {
 public:
  explicit Coordinator(CoordinatorConfig config);
  Coordinator(Coordinator&&) noexcept;
  Coordinator& operator=(Coordinator&&) noexcept;
  ~Coordinator();

  // Draws nothing: ids follow from keys. The entropy is the machines' common form.
  void step(Instant now, const Event& event, EntropySource& entropy, Effects& out);
  [[nodiscard]] std::optional<Instant> next_deadline() const;
  [[nodiscard]] Gauges gauges() const;

 private:
  struct Machine;
  std::unique_ptr<Machine> machine_;
};

}  // namespace roulette::coordinator
