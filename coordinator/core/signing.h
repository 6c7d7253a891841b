// Signing sessions after ROAST (ePrint 2022/550), for all inputs of a template at once.
//
// Invariants: a job exists only for a template that the applied ledger showed; a signer is never in
// two unanswered sessions of one message, so at most n-t+1 sessions of a message are open; a share
// is aggregated only under the session it was asked for. Aggregate, verify once, check shares one
// by one only to find whom to blame (DESIGN 6.6).

//   session   open --all answered--> complete --good--> job aggregated
//             open --member lost or refused--> dead (its answered members are free at once)
//             open --no answer for the length of the patience--> overdue: another is opened beside
//                  it, it may still complete
//             complete --bad share--> dead, the signer is blamed for this message
//   A dead session never completes, and an aggregated job never opens one.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <vector>

#include "common/base/limits.h"
#include "coordinator/core/patience.h"
#include "coordinator/core/signer_pool.h"
#include "coordinator/core/step.h"

namespace roulette::coordinator {

class Signing {
 public:
  Signing(const CoordinatorConfig& config, SignerPool& signers);

  void start(Step& s, const wire::WithdrawalView& view);  // planned, applied, not signed
  void forget(const WithdrawalId& id);  // the ledger has bytes, or it is nobody's any more
  void give_up(Step& s, const WithdrawalId& id, std::string why);
  // A complete signature: what the ledger is to be told.
  [[nodiscard]] std::optional<wire::Signed> share(Step& s, SignerId from,
                                                  const wire::SignResponse& response);
  void refusal(Step& s, SignerId from, const wire::SignRefusal& refusal);
  void signer_lost(SignerId id);
  void signer_rejoined(SignerId id);
  void overdue(Step& s);      // sessions that stand still for longer than others do get company
  void open_wanted(Step& s);  // as many sessions as signers and nonces allow
  void hand_over();           // draining: only open sessions go on
  [[nodiscard]] std::optional<Instant> next_deadline() const;

  [[nodiscard]] bool has(const WithdrawalId& id) const { return jobs_.contains(id); }
  [[nodiscard]] std::vector<WithdrawalId> jobs() const;
  [[nodiscard]] std::size_t size() const { return jobs_.size(); }
  [[nodiscard]] std::size_t active() const;  // neither aggregated nor given up
  [[nodiscard]] std::size_t open_sessions() const;
  [[nodiscard]] std::uint64_t sessions_opened() const { return opened_; }
  [[nodiscard]] std::uint64_t aggregated() const { return aggregated_; }
  // Answers that were not there when a session's patience ended, one a signer and session.
  [[nodiscard]] std::uint64_t timeouts() const { return timeouts_; }

 private:
  struct Job {
    WithdrawalId id;
    wire::Template plan;
    Hash32 payload_digest{};
    std::optional<wire::ClientRequest> client;
    std::vector<Hash32> sighashes;
    std::set<SignerId> excluded;   // blamed for, or refusing, this message
    std::map<SignerId, Instant> put_off;  // refused for a reason that may pass: not before then
    std::vector<Hash32> sessions;  // with somebody's answer missing
    bool aggregated = false;
    bool given_up = false;
    bool queued = false;  // in wanted_
  };
  enum class Standing : std::uint8_t { Asked, Answered, Gone };
  struct Member {
    Standing standing = Standing::Asked;
    std::vector<wire::PartialSignature> shares;
    wire::JournalHead journal;
  };
  struct Session {
    WithdrawalId job;
    Hash32 txid{};
    Instant opened;
    Instant heard;  // the last answer of use; at first, when it was opened
    std::vector<wire::SessionSigner> signers;    // ascending ids
    std::vector<Member> members;                 // same order
    std::size_t messages = 0;                    // one per input: so many shares are owed
    std::vector<crypto::SigningSessionPtr> inputs;  // prepared at the first answer
    bool alive = true;
    bool overdue = false;
  };

  void expect(const Hash32& digest, Instant at);
  [[nodiscard]] Result<Job> make_job(const wire::WithdrawalView& view) const;
  void want(Job& job);
  bool open(Step& s, Job& job);
  [[nodiscard]] std::vector<SignerId> choose(const Job& job, Instant now) const;
  [[nodiscard]] const crypto::SignerSet& quorum(const std::vector<SignerId>& ids);
  bool prepare(Step& s, const Hash32& digest, Session& session);
  [[nodiscard]] std::optional<wire::Signed> complete(Step& s, const Hash32& digest,
                                                     Session& session);
  void blame(Step& s, const Hash32& digest, Session& session, std::size_t member, std::string why,
             Bytes proof);
  void exclude(Step& s, Job& job, SignerId signer, const std::string& why);
  void kill(Session& session);
  void release(const Hash32& digest);  // forgets a session nobody owes an answer to
  [[nodiscard]] std::optional<std::size_t> member_of(const Session& session, SignerId id) const;

  const CoordinatorConfig& config_;
  SignerPool& signers_;
  std::map<WithdrawalId, Job> jobs_;
  std::map<Hash32, Session> sessions_;  // by digest; also those of forgotten jobs, until answered
  std::deque<std::pair<Instant, Hash32>> due_;  // the soonest first
  std::deque<WithdrawalId> wanted_;             // jobs that want a session, first come first served
  // Of a session without a new answer. Answers that still come in are progress: of 67 signers on
  // two cores they take longer than any fixed time, and company makes all of them later.
  Patience patience_{limits::kSignerOverdue, limits::kSessionPatienceMost};
  std::map<std::vector<SignerId>, crypto::SignerSetPtr> quorums_;
  std::uint64_t opened_ = 0;
  std::uint64_t aggregated_ = 0;
  std::uint64_t timeouts_ = 0;
};

}  // namespace roulette::coordinator
