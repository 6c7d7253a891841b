// The planted bugs: what each does wrong, what brings it out, what must notice. See mutants.h.
//
// Invariant: a row is written before the bug is hunted; `must_fail` lists ids of DESIGN 9 and of
// the simulator's judge, one of which has to fail, or the bug counts as found by the wrong check.
// Every name is used by the code that it breaks, and no other is (tests/lint shows it).
#include "common/base/mutants.h"

namespace roulette::mutants {
namespace {

constexpr Mutant kMutants[] = {
    // ---- signer ----
    {"share-before-durable", "a share leaves before its record is durable", "any signing",
     "share-has-its-record",
     "record-not-yet-durable", "share-has-its-record"},
    {"epoch-reused", "boot epoch and nonces repeat after a restart", "a signer restarts",
     "nonce-never-reused",
     "signers-restarted", "nonce-never-reused"},
    {"last-record-skipped", "recovery leaves out the journal's last record",
     "a restart, the judge's own at the end too", "recovery-equality share-has-its-record"},
    {"outpoints-in-ram", "what an outpoint is bound to is not restored",
     "a restart, the judge's own at the end too", "recovery-equality no-conflicting-signature"},
    {"quarantine-skipped", "a signer goes on with a journal that was put back",
     "a journal is put back", "journal-quarantine",
     "journals-put-back", "share-has-its-record"},
    {"record-applied-late", "bindings wait for the disk's word", "a lying coordinator that hurries",
     "no-conflicting-signature"},
    {"nonce-back-to-pool", "a nonce that was used returns to the pool",
     "a lying coordinator that mixes sessions", "nonce-never-reused"},
    {"nonce-by-index", "the pool's oldest nonce is taken, whatever the request names",
     "a lying coordinator that mixes sessions or uses another's nonces",
     "nonce-never-reused signing-policy-respected"},
    {"outpoint-unbound", "a coin signed for once may be signed for otherwise",
     "a lying coordinator, a coin for another payment", "no-conflicting-signature"},
    {"amounts-unbound", "a coin is bound without its amount and script",
     "a lying coordinator, other amounts", "signing-policy-respected"},
    {"withdrawal-unbound", "a withdrawal may get a second transaction",
     "a lying coordinator, other coins", "no-conflicting-signature"},
    {"payload-unbound", "a withdrawal may get another payload",
     "a lying coordinator, another payload", "signing-policy-respected"},
    {"change-unchecked", "change may go anywhere", "a lying coordinator, foreign change",
     "signing-policy-respected"},
    {"fee-unchecked", "any fee is signed", "a lying coordinator, a high fee",
     "signing-policy-respected"},
    {"client-unchecked", "a payment is signed that no client asked for",
     "a lying coordinator, a payment of its own", "signing-policy-respected"},
    {"prevout-trusted", "a coin's script is taken from the request, not from the configuration",
     "a lying coordinator, another script", "signing-policy-respected"},
    {"founded-empty", "a journal that is founded anew imports nothing",
     "a journal is lost and its signer provisioned again", "founded-journal-binds"},
    {"old-epoch-signed", "a request of another share epoch's group is signed",
     "a lying coordinator that keeps requests behind a move to a new share epoch",
     "signing-policy-respected share-epochs-apart"},
    {"bad-share-unblamed", "who sent a bad share is not told",
     "a lying signer", "bad-share-blamed"},

    // ---- signer, of one scheme ----
    {"musig2-nonce-twice", "MuSig2's nonces come in pairs with one secret", "any two sessions",
     "nonce-never-reused",
     "musig2-pays", "nonce-never-reused", "musig2"},
    {"high-s-accepted", "a token's S is taken as it comes: not made low, not demanded low",
     "any signing: half of a token's signatures have high S, and no node relays them (BIP 146)",
     "no-lost-withdrawal",
     "hsm-pays", "no-lost-withdrawal", "hsm"},
    {"hsm-session-after-fork", "a process uses the token session that its parent opened",
     "a token that ends its sessions at a fork, as PKCS#11 has it", "",
     "hsm-pays", "key-unavailable", "hsm"},

    // ---- ledger ----
    {"signed-unverified", "the books take any bytes for a signature",
     "a lying coordinator that forges", "no-lost-withdrawal"},
    {"last-bytes-win", "a second signature replaces the first one's bytes",
     "two coordinators sign one template", "no-partial-transaction",
     "coordinators-paused", "no-partial-transaction"},
    {"checkpoint-ignored", "a replica goes on though the majority has another digest",
     "a replica's state is altered", "ledger-replicas-agree"},
    {"barrier-skipped", "a read is answered from what was applied so far",
     "a replica that lags", "idempotency-key-respected"},
    {"key-lost-at-snapshot", "a loaded snapshot knows no idempotency key",
     "a replica starts behind the trim, a client repeats its request",
     "ledger-replicas-agree idempotency-key-respected"},
    {"trim-before-confirmation", "the log is trimmed by a snapshot that was not read again",
     "any log that is trimmed", "ledger-replicas-agree"},
    {"snapshot-without-majority", "a snapshot is completed before a majority reported its digest",
     "any snapshot", "ledger-replicas-agree"},
    {"snapshot-unreadable", "a snapshot that is read lacks its reservations",
     "any log that could be trimmed", "snapshots-follow"},
    {"template-rebuilt", "a retried request gets a new template", "a client repeats its request",
     "no-conflicting-signature idempotency-key-respected",
     "requests-retried", "no-conflicting-signature"},
    {"coin-freed-by-roll-back", "a block that leaves the chain frees the coins it spent",
     "the node forgets blocks", "no-conflicting-signature",
     "blocks-forgotten", "no-conflicting-signature"},
    {"coins-in-map-order", "coin selection depends on a table's seed", "any withdrawal",
     "ledger-replicas-agree no-conflicting-signature",
     "replicas-restarted", "ledger-replicas-agree"},
    {"key-without-payload", "a key with another payload counts as a retry",
     "a client changes its payload", "idempotency-key-respected",
     "requests-retried", "idempotency-key-respected"},
    {"answer-before-apply", "the ledger answers when it queues a withdrawal",
     "a request is sent to both coordinators",
     "idempotency-key-respected no-lost-withdrawal",
     "requests-retried", "idempotency-key-respected"},
    {"batch-applied-twice", "the batch that the tables end with is posted again at the start",
     "a replica restarts", "ledger-replicas-agree recovery-equality books-balance",
     "replicas-restarted", "ledger-replicas-agree"},
    {"stale-block-accepted", "a block is connected whatever it builds on",
     "both coordinators report a block",
     "chain-matches-ledger books-balance no-lost-withdrawal"},
    {"confirmation-final", "a block that leaves the chain takes nothing back",
     "the node forgets blocks", "no-lost-withdrawal",
     "blocks-forgotten", "no-lost-withdrawal"},
    {"settlement-posted-again", "a payment that settles again is posted again",
     "the node forgets settled blocks", "books-balance",
     "blocks-forgotten", "books-balance"},
    {"waiting-never-planned", "new change does not help who waits for coins",
     "more withdrawals than coins", "no-lost-withdrawal"},

    // ---- coordinator ----
    {"mempool-believed-once", "what the node once took is never missed again",
     "the node forgets its mempool and blocks", "no-lost-withdrawal",
     "blocks-forgotten-alone", "no-lost-withdrawal"},
    {"rebroadcast-signs-again", "what the node lost is signed again instead of sent again",
     "the node forgets its mempool and blocks", "no-lost-withdrawal no-partial-transaction",
     "blocks-forgotten", "signing-policy-respected"},
    {"own-aggregate-sent", "the own aggregate is sent, not the bytes read back",
     "two coordinators sign one template", "no-partial-transaction",
     "coordinators-paused", "no-partial-transaction"},
    {"sessions-unbounded", "an overdue session is followed by new ones with the same signers",
     "a signer that is slow or paused", "limits-respected"},
    {"takeover-unread", "another's withdrawal is continued without a read through the barrier",
     "a coordinator dies or stands still", "takeover-reads-first"},
    {"stop-drops-work", "SIGTERM ends the process with work in flight", "SIGTERM",
     "orderly-stop-finishes"},
    {"blamed-asked-again", "a signer whose share was bad is asked again",
     "a lying signer", "limits-respected"},

    // ---- engines and disks ----
    {"head-not-compared", "the log takes a batch of a proposer that is behind",
     "two replicas propose", "ledger-replicas-agree recovery-equality",
     "appends-paused", "ledger-replicas-agree"},
    {"synchronous-off", "a commit returns before the disk has it", "power loss",
     "share-has-its-record"},

    // ---- negative controls: harmless, the run must stay green ----
    {"control-heartbeat", "coordinators' heartbeats come half as often", "", "",
     "replicas-restarted"},
    {"control-nonce-pool", "twice as many public nonces are kept ready", "", "",
     "signers-restarted"},
    {"control-quiet", "a change of the number of signers is not recorded", "", "",
     "record-not-yet-durable"},
    {"control-other-quorum", "signers with high ids are asked first", "", "",
     "coordinators-paused"},
    // Planted as a bug ("reserved coins are free after a snapshot"); found harmless: who writes a
    // snapshot reads it again, refuses this one, and nothing is trimmed.
    {"control-slow-poll", "the node is asked half as often", "", "",
     "blocks-forgotten"},
};

}  // namespace

namespace detail {
std::uint64_t selected = 0;
std::atomic<std::uint64_t> reached = 0;
thread_local std::uint64_t process_salt = 0;
}  // namespace detail

std::span<const Mutant> all() { return kMutants; }

const Mutant* find(std::string_view name) {
  for (const Mutant& mutant : kMutants) {
    if (mutant.name == name) return &mutant;
  }
  return nullptr;
}

bool select(std::string_view name) {
  if (!name.empty() && find(name) == nullptr) return false;
  detail::selected = name.empty() ? 0 : number_of(name);
  detail::reached = 0;
  return true;
}

std::uint64_t reached() { return detail::reached; }

}  // namespace roulette::mutants
