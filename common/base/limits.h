// Every bound of the system by name, in one place: queues, messages, retries, sessions, buffers.
//
// A bound that is reached is refused, counted and reported; it never grows and never blocks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/base/time.h"

namespace roulette::limits {

// Wire
inline constexpr std::size_t kMaxFrameBytes = 1 << 20;  // DESIGN 2
inline constexpr std::size_t kMaxConnectionQueueBytes = 8 << 20;
inline constexpr std::size_t kMaxFeedViewsPerFrame = 128;
inline constexpr std::size_t kMaxDetailBytes = 1024;  // a reason for humans, printable ASCII
// Of any scheme; which size is right is for the scheme to say (SchemeFacts).
inline constexpr std::size_t kMaxPublicNonceBytes = 66;  // BIP 445, BIP 327: two points
inline constexpr std::size_t kMaxShareBytes = 72;        // 32 or 64 today
inline constexpr std::size_t kMaxWalletKeyBytes = 33;    // ECDSA: compressed; BIP 340: 32
inline constexpr std::size_t kMaxSignatureBytes = 72;    // ECDSA: DER; BIP 340: 64

// Group
inline constexpr std::size_t kMaxSigners = 128;  // BIP 445

// Transactions
inline constexpr std::size_t kMaxInputsPerTransaction = 8;
inline constexpr std::size_t kMaxScriptBytes = 10'000;        // consensus: longer is unspendable
inline constexpr std::size_t kMaxTransactionBytes = 100'000;  // the node's relay limit (400 000 WU)
inline constexpr std::uint32_t kMaxUnsettledAncestors = 20;   // bitcoind's own limit is 25

// Signer
inline constexpr std::size_t kNoncePoolPerConnection = 64;  // unused secret nonces
inline constexpr std::size_t kRetryResponses =
    1024;  // exact answers kept for exact retries, in RAM
inline constexpr std::size_t kPendingSharesPerConnection =
    128;  // requests whose record is not durable yet
inline constexpr std::size_t kWaitingSendsPerConnection =
    512;                                               // outputs waiting for a durable record
inline constexpr std::size_t kSignerConnections = 64;  // coordinators' connections to one signer
inline constexpr std::size_t kMaxUnsignedTxBytes = 4096;
inline constexpr std::size_t kCachedQuorums = 64;  // checked signer sets kept ready

// Coordinator
inline constexpr std::size_t kMaxOpenRequests = 4096;       // client requests waiting for an answer
inline constexpr std::size_t kMaxSigningWithdrawals = 256;  // withdrawals in signing at once
inline constexpr std::size_t kMaxOutstandingPerSigner = 64;   // sign requests without an answer
inline constexpr std::size_t kNoncePoolTarget = 32;           // public nonces kept ready per signer
inline constexpr Duration kSignerOverdue = milliseconds(50);  // DESIGN 6.5: chosen last afterwards
// Company for a session comes between kSignerOverdue and this (coordinator/core/patience.h).
inline constexpr Duration kSessionPatienceMost = milliseconds(200);
inline constexpr Duration kKeyProbe = milliseconds(250);  // a key in a token is tried
inline constexpr Duration kSignerPing = milliseconds(100);
inline constexpr Duration kSignerSilent = milliseconds(400);  // not counted as known afterwards
inline constexpr Duration kHeartbeat = milliseconds(25);      // DESIGN 7
inline constexpr Duration kPeerSilent = milliseconds(250);
inline constexpr Duration kPeerStuck = milliseconds(500);
inline constexpr Duration kChainPoll = milliseconds(100);
inline constexpr Duration kForeignWorkGrace = milliseconds(500);
inline constexpr std::size_t kBlocksPerFetch = 16;
inline constexpr Duration kLedgerRetry = milliseconds(300);       // no answer: ask another replica
inline constexpr Duration kLedgerRetryMost = milliseconds(1200);  // doubling stops here
inline constexpr Duration kClientPatience = seconds(4);           // no ledger answer: 503, unknown
inline constexpr Duration kMaxClientWait = seconds(30);           // Prefer: wait=N, at most
inline constexpr Duration kOwnerPatience =
    seconds(1);  // a live owner's withdrawal stands still: others go on
inline constexpr std::size_t kMaxSendsInFlight =
    64;                                           // to the node: its other answers come in between
inline constexpr Duration kJournalRecheck =
    seconds(1);  // heads that the ledger keeps are compared again
inline constexpr std::size_t kQuorumsKept = 256;  // signer sets with their parsed shares

// Ledger
inline constexpr std::size_t kMaxBatchCommands = 64;
// Every block fits: 4,000,000 WU of the least transactions (60 B, 240 WU) are 16,666 txids of 32 B;
// an output to the wallet (43 B, 172 WU) takes 17 B. Below the frame and etcd's 1.5 MiB a request.
inline constexpr std::size_t kMaxBatchBytes = 640 << 10;
inline constexpr std::size_t kMaxQueuedCommands = 8192;
inline constexpr std::size_t kMaxAccounts = 1024;
inline constexpr std::size_t kMaxClusterIdBytes = 64;
inline constexpr std::size_t kMaxQueuedReads = 8192;
inline constexpr Duration kForwardPatience = milliseconds(100);  // DESIGN 8: then anyone proposes
inline constexpr Duration kMaxReplicaLag = seconds(1);
inline constexpr std::uint64_t kCheckpointInterval = 64;  // log indices
inline constexpr Duration kLedgerHeartbeat = milliseconds(50);
inline constexpr Duration kLedgerPeerSilent =
    milliseconds(150);                                         // no proposer of choice afterwards
inline constexpr Duration kBarrierPeriod = milliseconds(250);  // an idle replica measures its lag
inline constexpr Duration kBarrierRetry = milliseconds(20);    // after a barrier that failed
inline constexpr std::size_t kCheckpointsKept = 64;            // digests remembered for comparison
inline constexpr std::size_t kMaxLedgerPeers = 256;            // open connections
// Log indices. Between two and three intervals of entries and two snapshots stand in the store: at
// 2 KiB an entry 6 MiB, within etcd's default quota of 2 GiB also where every tenth is a full one.
inline constexpr std::uint64_t kSnapshotInterval = 1024;
inline constexpr std::size_t kSnapshotChunkBytes = 512 << 10;       // DESIGN 8
inline constexpr std::size_t kMaxSnapshotBytes = 256 << 20;         // larger: none is taken
inline constexpr Duration kSnapshotRetry = milliseconds(250);       // after an order that failed
inline constexpr std::size_t kSnapshotTries = 8;                    // then the next one's turn
inline constexpr Duration kSnapshotSearch = seconds(1);             // none was fit: look again
inline constexpr std::size_t kSnapshotsConfirmed = 8;               // digests remembered for trims
inline constexpr Duration kFullLogRetry = milliseconds(500);        // after a store without space

// Client
inline constexpr std::size_t kMaxIdempotencyKeyBytes = 255;
inline constexpr std::size_t kMaxAccountNameBytes = 64;
inline constexpr std::size_t kMaxClientNameBytes = 64;
inline constexpr std::size_t kMaxClients = 1024;
inline constexpr std::size_t kMaxAllowedAddresses = 10'000;  // of one account

// Process
inline constexpr Duration kDrain = milliseconds(3000);  // DESIGN 5, SIGTERM

}  // namespace roulette::limits
