// The commands of the ordered log, and their canonical encoding.
//
// Time and randomness come inside commands, stamped by the proposer. `Withdraw` is deduplicated by
// its key, for ever; every other command is idempotent by state (DESIGN 8). What a command *does*
// is ledger/core's business.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/bitcoin/transaction.h"
#include "common/crypto/signature_form.h"
#include "common/wire/withdrawal.h"

namespace roulette::wire {

// Who stamped the command. Lets a proposer recognise its own commands after an Unknown outcome.
struct CommandId {
  ProcessName proposer;
  BootId boot;
  std::uint64_t counter = 0;
  friend auto operator<=>(const CommandId&, const CommandId&) = default;
};

// Index 1 of every log; every replica has the same one in its configuration, the first proposal
// wins.
struct Genesis {
  std::string cluster_id;
  Bytes wallet_script;  // every coin of the wallet pays to it
  // What `Signed` is verified as, and under which key; the script follows from both (spend.h).
  crypto::SignatureForm signature_form = crypto::SignatureForm::Bip340;
  crypto::WalletKey wallet_output_key;  // Bip340: x-only, tweaked
  std::vector<std::string> accounts;  // deposit output `vout` is credited to accounts[vout % size]
  std::int64_t fee_rate_sat_per_vb = 10;
  std::int64_t withdrawal_fee_sat =
      10000;  // what a customer pays; the network fee comes out of it and never exceeds it
  std::int64_t min_amount_sat = 1000;
  std::int64_t max_amount_sat = 100'000'000;
  std::uint32_t settle_depth = 3;
  Hash32 anchor_block{};  // the chain's genesis block (internal byte order), height 0
  friend bool operator==(const Genesis&, const Genesis&) = default;
};

struct Withdraw {
  WithdrawalId id;  // withdrawal_id_of(key), where signers check requests
  std::string key;
  std::string account;
  Bytes script;
  std::int64_t amount_sat = 0;
  Hash32 payload_digest{};
  CoordinatorId owner;
  std::int64_t requested_at_us = 0;  // Unix time
  std::optional<ClientSignature> client;
  friend bool operator==(const Withdraw&, const Withdraw&) = default;
};

// What a signer's share said about its journal (DESIGN 6.8).
struct JournalHead {
  SignerId signer;
  std::uint64_t length = 0;
  Hash32 head{};
  // Provisioning begins an epoch; heads are ordered by (share_epoch, length).
  std::uint32_t share_epoch = 0;
  friend bool operator==(const JournalHead&, const JournalHead&) = default;
};

struct Signed {
  WithdrawalId withdrawal_id;
  Hash32 txid{};
  std::vector<crypto::WalletSignature> signatures;  // one per input, in the genesis' form
  std::vector<JournalHead> journals;
  CoordinatorId by;
  friend bool operator==(const Signed&, const Signed&) = default;
};

// The node took the transaction into its mempool (or had it already).
struct Broadcast {
  WithdrawalId withdrawal_id;
  Hash32 txid{};
  friend bool operator==(const Broadcast&, const Broadcast&) = default;
};

struct WalletOutput {  // an output of a block that pays the wallet's script
  bitcoin::OutPoint outpoint;
  std::int64_t amount_sat = 0;
  bool coinbase = false;  // selectable and credited 100 blocks deep only
  friend bool operator==(const WalletOutput&, const WalletOutput&) = default;
};

struct BlockConnected {  // every wallet output is of one of the txids
  Hash32 hash{};
  Hash32 prev{};
  std::uint32_t height = 0;
  std::vector<Hash32> txids;
  std::vector<WalletOutput> wallet_outputs;
  friend bool operator==(const BlockConnected&, const BlockConnected&) = default;
};

struct BlockDisconnected {
  Hash32 hash{};
  friend bool operator==(const BlockDisconnected&, const BlockDisconnected&) = default;
};

// Not part of the digest it reports.
struct Checkpoint {
  LedgerId replica;
  std::uint64_t index = 0;
  Hash32 digest{};
  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

// New withdrawals behind it are refused and counted (DESIGN 9).
struct EndOfRun {
  friend bool operator==(const EndOfRun&, const EndOfRun&) = default;
};

using CommandBody = std::variant<Genesis, Withdraw, Signed, Broadcast, BlockConnected,
                                 BlockDisconnected, Checkpoint, EndOfRun>;

struct Command {
  CommandId id;
  CommandBody body;
  friend bool operator==(const Command&, const Command&) = default;
};

// "withdraw", "signed", "block_connected", ...: as kill points and records spell it.
[[nodiscard]] const char* command_name(const CommandBody& body);

// Canonical bytes and back; decoding refuses every deviation (Corrupt).
[[nodiscard]] Bytes encode_command(const Command& command);
[[nodiscard]] Result<Command> decode_command(ByteSpan bytes);

// A log entry: one batch of commands at one index, at most kMaxBatchBytes of which the commands'
// own bytes leave kBatchOverheadBytes.
inline constexpr std::size_t kBatchOverheadBytes = 4;
[[nodiscard]] Bytes encode_batch(const std::vector<Command>& batch);
[[nodiscard]] Result<std::vector<Command>> decode_batch(ByteSpan bytes);

// SHA-256 over the canonical encoding of the *parsed* values (account, scriptPubKey, amount): two
// spellings of one address are one payload (DESIGN 7).
[[nodiscard]] Hash32 payload_digest(const std::string& account, ByteSpan script,
                                    std::int64_t amount_sat);

enum class OutcomeKind : std::uint8_t {
  Applied = 1,      // state changed
  Duplicate = 2,    // the key is known with the same payload: the first withdrawal stands
  KeyConflict = 3,  // the key is known with another payload
  Rejected = 4,     // a business refusal, recorded under the key and final
  Ignored = 5,      // idempotent by state, or a chain fact that does not fit the tip
  Invalid = 6,      // signatures that do not verify, another txid, an unknown withdrawal
  Closed = 7        // a withdrawal behind EndOfRun
};
[[nodiscard]] const char* outcome_name(OutcomeKind kind);  // "applied", "key-conflict", ...

struct Outcome {
  OutcomeKind kind = OutcomeKind::Ignored;
  std::string detail;  // for humans and records
  std::optional<WithdrawalId>
      withdrawal;  // the withdrawal concerned (the first one for a Duplicate)
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

}  // namespace roulette::wire
