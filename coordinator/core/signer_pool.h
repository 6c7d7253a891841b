// The signers as this coordinator sees them: connection, epoch, public nonces, what they were asked
// and did not answer.
//
// Invariant: a public nonce is handed to take() once and belongs to the connection it came over; a
// new epoch or a new connection starts with none. A signer is *known* while connected, announced
// as a member of our group, not draining, its key at hand, heard within cadence.signer_silent, and
// its journal holds what the ledger keeps of it. Does not know withdrawals, and blames nobody.
#pragma once

#include <deque>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "coordinator/core/cadence.h"
#include "coordinator/core/step.h"

namespace roulette::coordinator {

class SignerPool {
 public:
  SignerPool(const crypto::SigningGroup& group, std::uint32_t nonce_target, const Cadence& cadence);

  void connected(Step& s, SignerId id, ConnectionId connection);
  void lost(SignerId id);  // EOF: gone at once, its nonces with it
  // True when the signer announced an epoch we did not know: it rejoined.
  [[nodiscard]] bool status(Step& s, SignerId id, const wire::SignerStatus& status);
  void nonces(Step& s, SignerId id, const wire::NonceBatch& batch);
  // What the ledger keeps of its journal: asked once a connection, and when it changed.
  void check_journal(Step& s, SignerId id, const wire::JournalCheck& kept);
  void journal(Step& s, SignerId id, const wire::JournalAnswer& answer);
  void heard(SignerId id, Instant now);
  // We were paused ourselves: nobody's silence was observed.
  void forgive_silence(Instant now);
  void draining(SignerId id);
  void stop_refilling() { refilling_ = false; }
  void tick(Step& s);  // pings and what the pools lack
  [[nodiscard]] std::optional<Instant> next_deadline(Instant now) const;

  [[nodiscard]] std::optional<SignerId> of(ConnectionId connection) const;
  [[nodiscard]] bool known(SignerId id, Instant now) const;
  [[nodiscard]] std::size_t known_count(Instant now) const;
  // Whether `epoch` is the last one that it announced: blame is for that life only.
  [[nodiscard]] bool in_epoch(SignerId id, const BootId& epoch) const;
  // Known, with nonces for `inputs` at hand (if the scheme has any) and room for another request.
  [[nodiscard]] bool usable(SignerId id, std::size_t inputs, Instant now) const;
  // The better a signer's chance to answer soon, the smaller: overdue or suspicious ones last, then
  // the least busy.
  [[nodiscard]] std::pair<int, std::size_t> reluctance(SignerId id, Instant now) const;

  // Takes the nonces for `inputs` out; the signer must be usable().
  [[nodiscard]] wire::SessionSigner take(SignerId id, std::size_t inputs);
  // Sends the request and counts it as outstanding.
  void ask(Step& s, SignerId id, const Hash32& session, const wire::SignRequest& request);
  void answered(SignerId id, const Hash32& session);
  void give(SignerId id, std::span<const wire::PubNonce> fresh);  // came with a share
  void drop_nonces(Step& s, SignerId id);  // StaleEpoch, UnknownNonce: the pool is worthless
  void suspect(SignerId id);               // blamed for something in this epoch: chosen last
  void busy(SignerId id, Instant now);     // TooMany: chosen last for a while
  void keyless(SignerId id);               // KeyUnavailable: until a status says otherwise

  // Those whose journal does not hold what the ledger keeps, with how it stands.
  [[nodiscard]] std::vector<std::pair<SignerId, wire::JournalStanding>> quarantined() const;
  [[nodiscard]] std::size_t pooled() const;
  [[nodiscard]] std::size_t most_outstanding() const;
  [[nodiscard]] std::uint16_t size() const { return static_cast<std::uint16_t>(signers_.size()); }

 private:
  struct Asked {
    Instant at;
    Hash32 session{};
    std::size_t nonces = 0;
  };
  struct Signer {
    std::optional<ConnectionId> connection;
    std::optional<BootId> epoch;       // announced on this connection
    std::optional<BootId> last_epoch;  // announced on any: what blame belongs to
    bool draining = false;
    bool foreign = false;  // holds a share of another group or share epoch
    bool keyless = false;  // its token is away, by its last status or a refusal since
    wire::JournalStanding standing = wire::JournalStanding::Unchecked;
    std::optional<wire::JournalCheck> check;  // the last one sent over this connection
    bool check_answered = false;
    bool suspicious = false;
    Instant busy_until;
    Instant last_heard;
    Instant next_ping;
    std::uint64_t pings = 0;
    std::deque<wire::PubNonce> pool;
    bool nonces_requested = false;
    std::vector<Asked> asked;  // oldest first, at most kMaxOutstandingPerSigner
  };
  void refill(Step& s, Signer& signer, std::size_t low_mark);
  void stands(Step& s, SignerId id, wire::JournalStanding standing);

  Hash32 group_{};
  crypto::SchemeFacts scheme_;
  Cadence cadence_;
  std::vector<Signer> signers_;  // by id
  std::size_t target_;
  bool refilling_ = true;
};

}  // namespace roulette::coordinator
