// Pings, nonce pools and outstanding requests per signer.
//
// Invariant: pool + nonces in unanswered requests stay within the target, for every answer brings
// as many fresh ones as were used; so a signer's own pool bound is never hit by an honest
// coordinator.
#include "coordinator/core/signer_pool.h"

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/mutants.h"

namespace roulette::coordinator {

SignerPool::SignerPool(const crypto::SigningGroup& group, std::uint32_t nonce_target,
                       const Cadence& cadence)
    : group_(group.id()),
      scheme_(group.scheme().facts()),
      cadence_(cadence),
      signers_(group.n()),
      // Enough for the widest transaction, and never more than a signer keeps.
      target_(std::clamp<std::size_t>(nonce_target, limits::kMaxInputsPerTransaction,
                                      limits::kNoncePoolPerConnection)) {
  if (ROULETTE_MUTANT("control-nonce-pool"))
    target_ = std::min(2 * target_, limits::kNoncePoolPerConnection);
}

void SignerPool::connected(Step& s, SignerId id, ConnectionId connection) {
  Signer fresh;
  fresh.connection = connection;
  fresh.last_heard = s.now;
  fresh.next_ping = s.now + cadence_.signer_ping;
  fresh.suspicious = signers_[id.value()].suspicious;  // until the epoch changes
  fresh.last_epoch = signers_[id.value()].last_epoch;
  signers_[id.value()] = std::move(fresh);
}

void SignerPool::lost(SignerId id) {
  Signer gone;
  gone.suspicious = signers_[id.value()].suspicious;
  gone.last_epoch = signers_[id.value()].last_epoch;
  signers_[id.value()] = std::move(gone);
}

bool SignerPool::status(Step& s, SignerId id, const wire::SignerStatus& status) {
  Signer& signer = signers_[id.value()];
  heard(id, s.now);
  const bool rejoined = signer.last_epoch != status.epoch;
  if (rejoined) {
    signer.pool.clear();
    signer.nonces_requested = false;
    signer.suspicious = false;
    signer.standing = wire::JournalStanding::Unchecked;
    signer.check.reset();
  }
  signer.epoch = signer.last_epoch = status.epoch;
  signer.draining = status.draining;
  signer.foreign = status.group != group_;
  signer.keyless = status.key_unavailable;
  // It may have been told by another coordinator. That it holds what another one told it says
  // nothing about what the ledger keeps now.
  if (wire::quarantines(status.standing)) stands(s, id, status.standing);
  refill(s, signer, target_ / 2);
  return rejoined;
}

void SignerPool::check_journal(Step& s, SignerId id, const wire::JournalCheck& kept) {
  Signer& signer = signers_[id.value()];
  if (!signer.connection || !signer.epoch || signer.check == kept) return;
  signer.check = kept;
  signer.check_answered = false;
  s.send(*signer.connection, kept);
}

void SignerPool::journal(Step& s, SignerId id, const wire::JournalAnswer& answer) {
  Signer& signer = signers_[id.value()];
  if (!signer.check || signer.check->share_epoch != answer.share_epoch ||
      signer.check->length != answer.length)
    return;  // of an older question
  signer.check_answered = true;
  stands(s, id, answer.standing);
  refill(s, signer, target_ / 2);
}

// A quarantine is for as long as the signer's process lives, so nothing but a new epoch or
// connection ends it here.
void SignerPool::stands(Step& s, SignerId id, wire::JournalStanding standing) {
  Signer& signer = signers_[id.value()];
  if (signer.standing == standing || wire::quarantines(signer.standing)) return;
  signer.standing = standing;
  if (!wire::quarantines(standing)) return;
  signer.pool.clear();
  s.fact(SignerQuarantined{id, standing});
}

void SignerPool::nonces(Step& s, SignerId id, const wire::NonceBatch& batch) {
  Signer& signer = signers_[id.value()];
  heard(id, s.now);
  signer.nonces_requested = false;
  if (signer.epoch != batch.epoch) return;  // of a life that is over
  const std::size_t before = signer.pool.size();
  give(id, batch.nonces);
  if (signer.pool.size() > before) refill(s, signer, target_ / 2);
}

void SignerPool::heard(SignerId id, Instant now) {
  signers_[id.value()].last_heard = now;
}

void SignerPool::forgive_silence(Instant now) {
  for (Signer& signer : signers_) signer.last_heard = std::max(signer.last_heard, now);
}

void SignerPool::draining(SignerId id) {
  signers_[id.value()].draining = true;
}

void SignerPool::tick(Step& s) {
  for (Signer& signer : signers_) {
    if (!signer.connection || signer.next_ping > s.now) continue;
    signer.next_ping = s.now + cadence_.signer_ping;
    s.send(*signer.connection, wire::SignerPing{++signer.pings});
    if (signer.check && !signer.check_answered) s.send(*signer.connection, *signer.check);
    refill(s, signer, target_);
  }
}

std::optional<Instant> SignerPool::next_deadline(Instant now) const {
  // Asked after every step, so plain comparisons.
  Instant due{INT64_MAX};
  for (const Signer& signer : signers_) {
    if (!signer.connection) continue;
    due = std::min(due, signer.next_ping);
    const Instant silent = signer.last_heard + cadence_.signer_silent;
    if (silent >= now) due = std::min(due, silent + microseconds(1));
  }
  if (due.us == INT64_MAX) return std::nullopt;
  return due;
}

// Asks for what the pool lacks when it is at or under the mark; one request at a time.
void SignerPool::refill(Step& s, Signer& signer, std::size_t low_mark) {
  if (scheme_.nonce_size == 0 || !refilling_) return;
  if (!signer.connection || !signer.epoch || signer.draining ||
      signer.nonces_requested || signer.standing != wire::JournalStanding::Holds || signer.foreign)
    return;
  std::size_t have = signer.pool.size();
  for (const Asked& asked : signer.asked) have += asked.nonces;
  if (have > low_mark || have >= target_) return;
  signer.nonces_requested = true;
  s.send(*signer.connection, wire::NonceRequest{static_cast<std::uint32_t>(target_ - have)});
}

std::optional<SignerId> SignerPool::of(ConnectionId connection) const {
  for (std::size_t i = 0; i < signers_.size(); ++i) {
    if (signers_[i].connection == connection) return SignerId(static_cast<std::uint16_t>(i));
  }
  return std::nullopt;
}

bool SignerPool::known(SignerId id, Instant now) const {
  const Signer& signer = signers_[id.value()];
  return signer.connection && signer.epoch && !signer.draining && !signer.foreign &&
         !signer.keyless && signer.standing == wire::JournalStanding::Holds &&
         now - signer.last_heard <= cadence_.signer_silent;
}

bool SignerPool::in_epoch(SignerId id, const BootId& epoch) const {
  return signers_[id.value()].last_epoch == epoch;
}

std::size_t SignerPool::known_count(Instant now) const {
  std::size_t count = 0;
  for (std::uint16_t i = 0; i < size(); ++i) count += known(SignerId(i), now) ? 1 : 0;
  return count;
}

bool SignerPool::usable(SignerId id, std::size_t inputs, Instant now) const {
  const Signer& signer = signers_[id.value()];
  return known(id, now) && signer.pool.size() >= scheme_.nonces_for(inputs) &&
         signer.asked.size() < limits::kMaxOutstandingPerSigner;
}

std::pair<int, std::size_t> SignerPool::reluctance(SignerId id, Instant now) const {
  const Signer& signer = signers_[id.value()];
  const bool overdue =
      !signer.asked.empty() && now - signer.asked.front().at >= limits::kSignerOverdue;
  const bool last = overdue || signer.suspicious || signer.busy_until > now;
  return {last ? 1 : 0, signer.asked.size()};
}

wire::SessionSigner SignerPool::take(SignerId id, std::size_t inputs) {
  Signer& signer = signers_[id.value()];
  const std::size_t nonces = scheme_.nonces_for(inputs);
  ROULETTE_ASSERT(signer.epoch && signer.pool.size() >= nonces);
  wire::SessionSigner out{id, *signer.epoch, {}};
  const auto end = signer.pool.begin() + static_cast<std::ptrdiff_t>(nonces);
  out.nonces.assign(signer.pool.begin(), end);
  signer.pool.erase(signer.pool.begin(), end);
  return out;
}

void SignerPool::ask(Step& s, SignerId id, const Hash32& session,
                     const wire::SignRequest& request) {
  Signer& signer = signers_[id.value()];
  ROULETTE_ASSERT(signer.connection.has_value());
  signer.asked.push_back(Asked{s.now, session, scheme_.nonces_for(request.prevouts.size())});
  s.send(*signer.connection, request);
}

void SignerPool::answered(SignerId id, const Hash32& session) {
  auto& asked = signers_[id.value()].asked;
  std::erase_if(asked, [&](const Asked& a) { return a.session == session; });
}

void SignerPool::give(SignerId id, std::span<const wire::PubNonce> fresh) {
  Signer& signer = signers_[id.value()];
  for (const wire::PubNonce& nonce : fresh) {
    if (signer.pool.size() >= limits::kNoncePoolPerConnection) return;
    // Other signers would refuse a session with it. Who gives nothing else is not usable.
    if (nonce.size() != scheme_.nonce_size || nonce.empty()) continue;
    signer.pool.push_back(nonce);
  }
}

void SignerPool::drop_nonces(Step& s, SignerId id) {
  Signer& signer = signers_[id.value()];
  signer.pool.clear();
  refill(s, signer, target_ / 2);
}

void SignerPool::suspect(SignerId id) {
  signers_[id.value()].suspicious = true;
}

void SignerPool::busy(SignerId id, Instant now) {
  signers_[id.value()].busy_until = now + limits::kSignerOverdue;
}

void SignerPool::keyless(SignerId id) {
  signers_[id.value()].keyless = true;
}

std::vector<std::pair<SignerId, wire::JournalStanding>> SignerPool::quarantined() const {
  std::vector<std::pair<SignerId, wire::JournalStanding>> out;
  for (std::uint16_t i = 0; i < size(); ++i) {
    if (wire::quarantines(signers_[i].standing)) out.emplace_back(i, signers_[i].standing);
  }
  return out;
}

std::size_t SignerPool::pooled() const {
  std::size_t count = 0;
  for (const Signer& signer : signers_) count += signer.pool.size();
  return count;
}

std::size_t SignerPool::most_outstanding() const {
  std::size_t most = 0;
  for (const Signer& signer : signers_) most = std::max(most, signer.asked.size());
  return most;
}

}  // namespace roulette::coordinator
