// ROAST's coordinator with a nonce pool: whom to ask, what came back, whom to blame.
//
// Invariant: sessions_ holds exactly the sessions in which an answer is missing; wants() is the one
// place that decides whether a job needs another. Deliberately silent about ownership and the
// ledger: the caller starts and forgets jobs.
#include "coordinator/core/signing.h"

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/mutants.h"
#include "common/bitcoin/spend.h"

namespace roulette::coordinator {
Signing::Signing(const CoordinatorConfig& config, SignerPool& signers)
    : config_(config), signers_(signers) {
  // The host derives one from the other and refuses a configuration that says otherwise.
  ROULETTE_ASSERT(std::ranges::equal(config.group->wallet_key(), config.wallet_output_key));
}

// ---- jobs ----

Result<Signing::Job> Signing::make_job(const wire::WithdrawalView& view) const {
  Job job;
  job.id = view.id;
  job.plan = *view.planned;
  job.payload_digest = view.payload_digest;
  if (view.client) job.client = wire::ClientRequest{view.key, view.account, *view.client};
  const auto tx = bitcoin::parse_transaction(job.plan.unsigned_tx);
  if (!tx) return tx.error();
  if (bitcoin::txid(*tx) != job.plan.txid)
    return Error{ErrorKind::Corrupt, "the template's txid is another"};
  auto sighashes = bitcoin::sighashes(config_.group->scheme().facts().signatures, *tx,
                                      job.plan.prevouts);
  if (!sighashes) return sighashes.error();
  if (sighashes->size() > limits::kMaxInputsPerTransaction)
    return Error{ErrorKind::Corrupt, "too many inputs"};
  job.sighashes = std::move(*sighashes);
  return job;
}

void Signing::start(Step& s, const wire::WithdrawalView& view) {
  ROULETTE_ASSERT(view.planned.has_value() && view.signed_tx.empty());
  if (jobs_.contains(view.id)) return;
  auto job = make_job(view);
  if (!job) {
    Job broken;
    broken.id = view.id;
    broken.plan = *view.planned;
    broken.given_up = true;
    jobs_.emplace(view.id, std::move(broken));
    s.fact(SigningGivenUp{view.id, view.planned->txid, job.error().message});
    return;
  }
  // Taken up again: its earlier sessions count still, whoever has not answered them is not asked a
  // second time.
  for (const auto& [digest, session] : sessions_) {
    if (session.job == view.id) job->sessions.push_back(digest);
  }
  want(jobs_.emplace(view.id, std::move(*job)).first->second);
}

void Signing::forget(const WithdrawalId& id) {
  jobs_.erase(id);
}

void Signing::give_up(Step& s, const WithdrawalId& id, std::string why) {
  const auto at = jobs_.find(id);
  if (at == jobs_.end() || at->second.given_up) return;
  at->second.given_up = true;
  s.fact(SigningGivenUp{id, at->second.plan.txid, std::move(why)});
}

void Signing::hand_over() {
  wanted_.clear();
  for (auto& [id, job] : jobs_) job.queued = false;
  std::erase_if(jobs_, [&](const auto& entry) {
    const Job& job = entry.second;
    if (job.aggregated) return false;
    return std::none_of(job.sessions.begin(), job.sessions.end(),
                        [&](const Hash32& digest) { return sessions_.at(digest).alive; });
  });
}

std::vector<WithdrawalId> Signing::jobs() const {
  std::vector<WithdrawalId> out;
  for (const auto& [id, job] : jobs_) out.push_back(id);
  return out;
}

// ---- opening ----

// A job needs a session when none of its sessions can still be expected to complete soon.
void Signing::want(Job& job) {
  if (job.aggregated || job.given_up || job.queued) return;
  for (const Hash32& digest : job.sessions) {
    const Session& session = sessions_.at(digest);
    if (session.alive && !session.overdue) return;
  }
  job.queued = true;
  wanted_.push_back(job.id);
}

void Signing::open_wanted(Step& s) {
  std::size_t tries = wanted_.size();
  while (tries-- > 0) {
    // With fewer than t signers that could answer at all, no job in the queue can be helped.
    std::size_t usable = 0;
    for (std::uint16_t i = 0; i < signers_.size(); ++i)
      usable += signers_.usable(SignerId(i), 1, s.now) ? 1 : 0;
    if (usable < config_.group->t()) return;
    const WithdrawalId id = wanted_.front();
    wanted_.pop_front();
    const auto at = jobs_.find(id);
    if (at == jobs_.end()) continue;
    at->second.queued = false;
    if (at->second.aggregated || at->second.given_up) continue;
    if (open(s, at->second)) continue;
    at->second.queued = true;
    wanted_.push_back(id);
  }
}

std::vector<SignerId> Signing::choose(const Job& job, Instant now) const {
  struct Candidate {
    std::pair<int, std::size_t> reluctance;
    std::uint64_t turn = 0;  // ties go round, deterministically
    SignerId id;
    auto operator<=>(const Candidate&) const = default;
  };
  std::vector<Candidate> candidates;
  const std::uint16_t n = config_.group->n();
  for (std::uint16_t i = 0; i < n; ++i) {
    const SignerId id(i);
    const std::uint64_t turn =
        ROULETTE_MUTANT("control-other-quorum") ? n - i : (i + n - opened_ % n) % n;
    if (job.excluded.contains(id) || !signers_.usable(id, job.sighashes.size(), now)) continue;
    const auto later = job.put_off.find(id);
    if (later != job.put_off.end() && later->second > now) continue;
    const bool in_unanswered =
        std::any_of(job.sessions.begin(), job.sessions.end(), [&](const Hash32& digest) {
          const Session& session = sessions_.at(digest);
          const auto member = member_of(session, id);
          return member && session.members[*member].standing == Standing::Asked;
        });
    if (!in_unanswered || ROULETTE_MUTANT("sessions-unbounded"))
      candidates.push_back({signers_.reluctance(id, now), turn, id});
  }
  if (candidates.size() < config_.group->t()) return {};
  std::sort(candidates.begin(), candidates.end());
  std::vector<SignerId> out;
  for (std::size_t i = 0; i < config_.group->t(); ++i) out.push_back(candidates[i].id);
  std::sort(out.begin(), out.end());
  return out;
}

bool Signing::open(Step& s, Job& job) {
  const std::vector<SignerId> chosen = choose(job, s.now);
  if (chosen.empty()) return false;
  wire::SignRequest request;
  request.withdrawal_id = job.id;
  request.payload_digest = job.payload_digest;
  request.client = job.client;
  request.unsigned_tx = job.plan.unsigned_tx;
  request.prevouts = job.plan.prevouts;
  request.group = config_.group->id();
  for (const SignerId id : chosen)
    request.signers.push_back(signers_.take(id, job.sighashes.size()));
  const Hash32 digest =
      wire::session_digest(request, config_.group->scheme().facts().version,
                           config_.wallet_output_key, job.sighashes);
  Session session;
  session.job = job.id;
  session.txid = job.plan.txid;
  session.opened = session.heard = s.now;
  session.signers = request.signers;
  session.messages = job.sighashes.size();
  session.members.resize(chosen.size());
  sessions_.emplace(digest, std::move(session));
  job.sessions.push_back(digest);
  expect(digest, s.now + patience_.now());
  ++opened_;
  s.fact(SessionOpened{job.id, job.plan.txid, digest, chosen});
  for (const SignerId id : chosen) signers_.ask(s, id, digest, request);
  return true;
}

const crypto::SignerSet& Signing::quorum(const std::vector<SignerId>& ids) {
  const auto known = quorums_.find(ids);
  if (known != quorums_.end()) return *known->second;
  if (quorums_.size() >= limits::kQuorumsKept) quorums_.clear();
  auto made = config_.group->signer_set(ids);
  ROULETTE_ASSERT(made.ok());  // t distinct ids of the group
  return *quorums_.emplace(ids, std::move(*made)).first->second;
}

// ---- answers ----

std::optional<wire::Signed> Signing::share(Step& s, SignerId from,
                                           const wire::SignResponse& response) {
  const auto at = sessions_.find(response.session_digest);
  if (at == sessions_.end()) return std::nullopt;
  Session& session = at->second;
  const auto index = member_of(session, from);
  if (!index || session.members[*index].standing != Standing::Asked) return std::nullopt;
  s.fact(ShareReceived{from, session.job, session.txid, response.session_digest,
                       session.signers[*index].nonces, response.shares});
  signers_.answered(from, response.session_digest);
  signers_.give(from, response.next_nonces);
  Member& member = session.members[*index];
  member.standing = Standing::Answered;
  member.shares = response.shares;
  member.journal = wire::JournalHead{from, response.journal_length, response.journal_head,
                                     response.share_epoch};
  std::optional<wire::Signed> done;
  if (session.alive && response.shares.size() != session.messages) {
    Bytes proof;
    for (const auto& part : response.shares) append(proof, part);
    blame(s, response.session_digest, session, *index, "a wrong number of shares",
          std::move(proof));
  } else if (session.alive && prepare(s, response.session_digest, session)) {
    // Only of those that the signature still waits for: others came late because of somebody else.
    patience_.took(s.now - session.opened);
    session.heard = s.now;
    done = complete(s, response.session_digest, session);
  }
  const auto job = jobs_.find(session.job);
  release(response.session_digest);
  if (job != jobs_.end()) want(job->second);
  return done;
}

// Binds nonces and sighashes once, at the first answer. False when a signer's public nonce is no
// pair of points.
bool Signing::prepare(Step& s, const Hash32& digest, Session& session) {
  const auto job = jobs_.find(session.job);
  if (job == jobs_.end() || job->second.aggregated) return false;
  if (!session.inputs.empty()) return true;
  std::vector<SignerId> ids;
  for (const wire::SessionSigner& signer : session.signers) ids.push_back(signer.id);
  const crypto::SignerSet& members = quorum(ids);
  for (std::size_t input = 0; input < job->second.sighashes.size(); ++input) {
    std::vector<ByteSpan> nonces;
    for (const wire::SessionSigner& signer : session.signers)
      nonces.push_back(signer.nonces.empty() ? ByteSpan() : ByteSpan(signer.nonces[input]));
    auto opened = members.open(nonces, job->second.sighashes[input]);
    ROULETTE_ASSERT(opened.ok());
    if (const auto* bad = std::get_if<crypto::InvalidNonce>(&*opened)) {
      blame(s, digest, session, bad->index, "a public nonce that is no point", bad->proof);
      return false;
    }
    session.inputs.push_back(std::get<crypto::SigningSessionPtr>(std::move(*opened)));
  }
  return true;
}

std::optional<wire::Signed> Signing::complete(Step& s, const Hash32& digest, Session& session) {
  for (const Member& member : session.members) {
    if (member.standing != Standing::Answered) return std::nullopt;
  }
  Job& job = jobs_.at(session.job);
  wire::Signed result{job.id, job.plan.txid, {}, {}, config_.id};
  for (std::size_t input = 0; input < session.inputs.size(); ++input) {
    std::vector<ByteSpan> shares;
    for (const Member& member : session.members) shares.emplace_back(member.shares[input]);
    auto aggregate = session.inputs[input]->aggregate(shares);
    ROULETTE_ASSERT(aggregate.ok());  // as many shares as ids
    if (const auto* bad = std::get_if<crypto::BadShares>(&*aggregate)) {
      for (const crypto::BadShare& one : bad->blamed) {
        blame(s, digest, session, *member_of(session, one.signer), "a share that does not verify",
              one.proof);
      }
      return std::nullopt;
    }
    const auto signature = crypto::WalletSignature::from(std::get<Bytes>(*aggregate));
    ROULETTE_ASSERT(signature.has_value());  // limits::kMaxSignatureBytes holds every form's
    result.signatures.push_back(*signature);
  }
  for (const Member& member : session.members) result.journals.push_back(member.journal);
  job.aggregated = true;
  ++aggregated_;
  s.fact(Aggregated{job.id, job.plan.txid, digest, result.signatures});
  return result;
}

void Signing::refusal(Step& s, SignerId from, const wire::SignRefusal& refusal) {
  const auto at = sessions_.find(refusal.session_digest);
  if (at == sessions_.end()) return;
  Session& session = at->second;
  const auto index = member_of(session, from);
  if (!index || session.members[*index].standing != Standing::Asked) return;
  s.fact(SignerRefused{from, session.job, refusal.session_digest, refusal.reason, refusal.detail});
  signers_.answered(from, refusal.session_digest);
  session.members[*index].standing = Standing::Gone;
  const auto job = jobs_.find(session.job);
  switch (refusal.reason) {
    case wire::RefusalReason::StaleEpoch:
    case wire::RefusalReason::UnknownNonce:
      signers_.drop_nonces(s, from);  // never blame: it restarted, or dropped them (DESIGN 4.4)
      break;
    case wire::RefusalReason::Draining:
      signers_.draining(from);
      break;
    case wire::RefusalReason::WrongGroup:
    case wire::RefusalReason::Quarantined:
      // Its status, which came before, said the same: it is not known any more. Never blame.
      signers_.drop_nonces(s, from);
      break;
    case wire::RefusalReason::KeyUnavailable:
      signers_.keyless(from);  // no later than its next status; never blame
      break;
    case wire::RefusalReason::TooMany:
      signers_.busy(from, s.now);
      break;
    case wire::RefusalReason::BadNonce:
      // Its word is not believed: our own look at the nonces names whom to blame, or nobody.
      if (job != jobs_.end() && session.alive && prepare(s, refusal.session_digest, session)) {
        exclude(s, job->second, from, "refuses nonces that are points");
      }
      break;
    case wire::RefusalReason::OutpointBound:
    case wire::RefusalReason::WithdrawalBound:
    case wire::RefusalReason::PolicyFee:
    case wire::RefusalReason::PolicyChange:
    case wire::RefusalReason::PolicyAmount:
    case wire::RefusalReason::PrevoutMismatch:
    case wire::RefusalReason::BadRequest:
    case wire::RefusalReason::Unrequested:
      if (job != jobs_.end()) exclude(s, job->second, from, wire::refusal_name(refusal.reason));
      break;
  }
  // Once is what a restart brings. Whoever refuses again is free at once, while the honest ones are
  // at work in the sessions that it spoiled: it would be in every next one, with too few others.
  if (job != jobs_.end()) {
    const auto [again, first] = job->second.put_off.try_emplace(from, s.now);
    if (!first) again->second = s.now + limits::kSignerOverdue;
  }
  kill(session);
  release(refusal.session_digest);
  if (job != jobs_.end()) want(job->second);
}

void Signing::blame(Step& s, const Hash32& digest, Session& session, std::size_t member,
                    std::string why, Bytes proof) {
  const SignerId signer = session.signers[member].id;
  // Never for a stale epoch (DESIGN 4.4): what it did in an earlier life became known only now,
  // with the last share of the session. Where all must sign, excluding it would end the work.
  if (!signers_.in_epoch(signer, session.signers[member].epoch)) return kill(session);
  if (!ROULETTE_MUTANT("bad-share-unblamed"))
    s.fact(Blamed{signer, digest, why, std::move(proof)});
  if (ROULETTE_MUTANT("blamed-asked-again")) return kill(session);
  signers_.suspect(signer);
  kill(session);
  const auto job = jobs_.find(session.job);
  if (job != jobs_.end()) exclude(s, job->second, signer, why);
}

void Signing::exclude(Step& s, Job& job, SignerId signer, const std::string& why) {
  job.excluded.insert(signer);
  const std::size_t left = config_.group->n() - job.excluded.size();
  if (left < config_.group->t()) {
    give_up(s, job.id,
            std::to_string(job.excluded.size()) +
                " signers refuse or are blamed, the last one for: " + why);
  }
}

// ---- time and connections ----

void Signing::signer_lost(SignerId id) {
  std::vector<Hash32> touched;
  for (auto& [digest, session] : sessions_) {
    const auto index = member_of(session, id);
    if (!index || session.members[*index].standing != Standing::Asked) continue;
    session.members[*index].standing = Standing::Gone;
    kill(session);
    touched.push_back(digest);
  }
  for (const Hash32& digest : touched) {
    const WithdrawalId job = sessions_.at(digest).job;
    release(digest);
    const auto at = jobs_.find(job);
    if (at != jobs_.end()) want(at->second);
  }
}

void Signing::signer_rejoined(SignerId id) {
  for (auto& [withdrawal, job] : jobs_) {
    job.put_off.erase(id);
    if (job.excluded.erase(id) == 0) continue;
    if (job.sighashes.empty()) continue;  // the template itself is broken
    job.given_up = false;
    want(job);
  }
}

// Patience shrinks as well as it grows, so a later session may be due before an earlier one.
void Signing::expect(const Hash32& digest, Instant at) {
  const std::pair entry{at, digest};
  due_.insert(std::upper_bound(due_.begin(), due_.end(), entry), entry);
}

void Signing::overdue(Step& s) {
  while (!due_.empty() && due_.front().first <= s.now) {
    const auto at = sessions_.find(due_.front().second);
    due_.pop_front();
    if (at == sessions_.end()) continue;
    const Instant still = at->second.heard + patience_.now();
    const Instant most = at->second.opened + kSessionDripsMost;
    if (at->second.alive && std::min(still, most) > s.now) {
      expect(at->first, std::min(still, most));
      continue;
    }
    at->second.overdue = true;
    for (const Member& member : at->second.members)
      if (member.standing == Standing::Asked) ++timeouts_;
    if (ROULETTE_MUTANT("sessions-unbounded")) expect(at->first, s.now + patience_.now());
    const auto job = jobs_.find(at->second.job);
    if (job != jobs_.end()) want(job->second);
  }
}

std::optional<Instant> Signing::next_deadline() const {
  if (due_.empty()) return std::nullopt;
  return due_.front().first;
}

std::size_t Signing::active() const {
  return static_cast<std::size_t>(std::count_if(jobs_.begin(), jobs_.end(), [](const auto& entry) {
    return !entry.second.aggregated && !entry.second.given_up;
  }));
}

std::size_t Signing::open_sessions() const {
  return static_cast<std::size_t>(std::count_if(
      sessions_.begin(), sessions_.end(), [](const auto& entry) { return entry.second.alive; }));
}

// The shares that arrived are worthless without the missing one; who has not answered yet still
// owes an answer.
void Signing::kill(Session& session) {
  session.alive = false;
}

void Signing::release(const Hash32& digest) {
  const auto at = sessions_.find(digest);
  const Session& session = at->second;
  for (const Member& member : session.members) {
    if (member.standing == Standing::Asked) return;
  }
  const auto job = jobs_.find(session.job);
  if (job != jobs_.end()) std::erase(job->second.sessions, digest);
  sessions_.erase(at);
}

std::optional<std::size_t> Signing::member_of(const Session& session, SignerId id) const {
  for (std::size_t i = 0; i < session.signers.size(); ++i) {
    if (session.signers[i].id == id) return i;
  }
  return std::nullopt;
}

}  // namespace roulette::coordinator
