// Parties that lie: a signer, a coordinator, a replica with altered state.
//
// Invariant: a liar has what its place gives it (its connections, the nonces handed to them, what
// it saw) and the other parties' real machines; it never gets their secrets. All it asks for here
// must be refused, so the judge's rules hold for the honest ones unchanged: what only a binding
// forbids is asked of who is bound, what the policy forbids of anybody. A coordinator that binds
// coins to a payment of its own before anybody else does lies only where clients sign: elsewhere
// signers cannot tell it from an honest one (docs/THREAT_MODEL.md).
#include <algorithm>

#include "chaos/sim/world.h"
#include "common/base/limits.h"
#include "common/bitcoin/script.h"
#include "common/bitcoin/spend.h"
#include "common/crypto/hash.h"

namespace roulette::sim {
namespace {

constexpr std::size_t kSeenRequests = 64;
constexpr std::size_t kSeenNonces = 64;
constexpr std::uint64_t kForgedRequests = std::uint64_t{1} << 40;  // no machine counts that far
constexpr Range kBetweenAttacks{milliseconds(10), milliseconds(150)};

// Refused for what it is, whatever was signed before.
bool against_policy(CoordinatorLie as) {
  switch (as) {
    case CoordinatorLie::HighFee:
    case CoordinatorLie::WrongChange:
    case CoordinatorLie::ThirdOutput:
    case CoordinatorLie::PrevoutsLie:
    case CoordinatorLie::Annexed:
    case CoordinatorLie::Disordered:
    case CoordinatorLie::Unrequested: return true;
    default: return false;
  }
}

Bytes stranger() { return bitcoin::p2tr_script(crypto::sha256(as_bytes("a stranger"))); }

}  // namespace

// ---- signers ----

// What a lying signer sends in place of what its machine said; nothing: it keeps silent.
std::optional<wire::Message> World::lie(const Seat& seat, const wire::Message& told) {
  const Window* lying = window(FaultKind::BadSigner, seat.name);
  if (lying == nullptr) return told;
  const auto as = static_cast<SignerLie>(lying->fault.amount % kSignerLies);
  wire::Message said = told;
  auto* response = std::get_if<wire::SignResponse>(&said);
  auto* batch = std::get_if<wire::NonceBatch>(&said);
  switch (as) {
    case SignerLie::WrongShare:
      if (response != nullptr) response->shares[0][31] ^= 1;
      break;
    case SignerLie::NoScalar:
      if (response != nullptr) std::ranges::fill(response->shares[0], std::uint8_t{0xff});
      break;
    case SignerLie::OneShareMore:
      if (response != nullptr) response->shares.push_back(response->shares[0]);
      break;
    case SignerLie::NoPoints:
      if (batch != nullptr) for (wire::PubNonce& nonce : batch->nonces) nonce[0] = 9;
      if (response != nullptr) for (wire::PubNonce& nonce : response->next_nonces) nonce[0] = 9;
      break;
    case SignerLie::NoncesTwice:
      if (batch != nullptr && batch->nonces.size() > 1) batch->nonces[1] = batch->nonces[0];
      break;
    case SignerLie::RefusesAll:
      if (response != nullptr) {
        said = wire::SignRefusal{response->session_digest, wire::RefusalReason::BadRequest,
                                 "no", {}};
      }
      break;
    case SignerLie::AnotherSession:
      if (response != nullptr) response->session_digest[0] ^= 1;
      break;
    case SignerLie::Silent:
      if (response != nullptr) return std::nullopt;
      break;
    case SignerLie::Count: break;
  }
  if (said != told) ++counts_.lies;
  if (response != nullptr && (as == SignerLie::WrongShare || as == SignerLie::NoScalar))
    bad_shares_.insert({response->session_digest, response->shares});
  return said;
}

// ---- coordinators ----

// A lying coordinator saw every nonce that came to it, and every request that was ever sent.
void World::overhear(const Link& link, std::size_t to, const wire::Message& message) {
  const ProcessName from = link.ends[1 - to]->name;
  if (from.role != Role::Signer) return;
  Overheard& heard = nonces_heard_[{link.ends[to]->name.index, from.index}];
  const auto take = [&heard](const std::vector<wire::PubNonce>& nonces) {
    for (const wire::PubNonce& nonce : nonces) {
      if (heard.nonces.size() < kSeenNonces) heard.nonces.push_back(nonce);
    }
  };
  if (const auto* batch = std::get_if<wire::NonceBatch>(&message)) {
    if (batch->nonces.empty()) return;  // old ones are still worth a try
    if (heard.epoch != batch->epoch) heard.nonces.clear();
    heard.epoch = batch->epoch;
    take(batch->nonces);
  } else if (const auto* response = std::get_if<wire::SignResponse>(&message)) {
    take(response->next_nonces);
  } else if (const auto* status = std::get_if<wire::SignerStatus>(&message)) {
    if (scheme_.facts().nonce_size == 0) heard.epoch = status->epoch;  // no batch will tell it
  }
}

void World::overhear_request(ProcessName from, const wire::SignRequest& request) {
  if (requests_heard_.size() >= kSeenRequests) requests_heard_.pop_front();
  requests_heard_.emplace_back(from, request);
  forge(request);
}

void World::tell(CoordinatorSeat& liar, ProcessName to, wire::Message message, Duration delay) {
  for (const auto& [id, link] : liar.links) {
    if (link->ends[1]->name != to || !link->open[1]) continue;
    return put(link, 1, travel(std::move(message)), delay);  // not to be heard as an honest one
  }
}

// Signatures that verify under nothing, for whatever the books do not know to be signed yet.
void World::forge(const wire::SignRequest& request) {
  const Window* lying = window(FaultKind::BadCoordinator);
  if (lying == nullptr ||
      static_cast<CoordinatorLie>(lying->fault.amount % kCoordinatorLies) !=
          CoordinatorLie::ForgedSignature) {
    return;
  }
  const auto tx = bitcoin::parse_transaction(request.unsigned_tx);
  CoordinatorSeat& liar = coordinators_[lying->fault.a.index % coordinators_.size()];
  if (!tx || !liar.up || liar.paused) return;
  wire::Signed forged{request.withdrawal_id, bitcoin::txid(*tx), {}, {},
                      CoordinatorId(liar.name.index)};
  forged.signatures.resize(request.prevouts.size(), ByteArray<64>{1});
  const std::uint64_t number = kForgedRequests + counts_.attacks++;
  for (const LedgerSeat& replica : ledgers_) {
    tell(liar, replica.name,
         wire::LedgerSubmit{number, {wire::CommandId{liar.name, liar.boot, number}, forged}}, {});
  }
}

// A conflicting request meets a record that is applied and not durable yet.
void World::hurry(const SignerSeat& signer, const signer::Record& record) {
  const auto* signing = std::get_if<signer::SigningRecord>(&record.body);
  const Window* lying = window(FaultKind::BadCoordinator);
  if (signing == nullptr || lying == nullptr ||
      static_cast<CoordinatorLie>(lying->fault.amount % kCoordinatorLies) !=
          CoordinatorLie::Hurried) {
    return;
  }
  CoordinatorSeat& liar = coordinators_[lying->fault.a.index % coordinators_.size()];
  if (!liar.up || liar.paused) return;
  for (const auto& [from, heard] : requests_heard_) {
    if (heard.withdrawal_id != signing->withdrawal_id) continue;
    wire::SignRequest request = heard;
    // Where the client's word would tell, its own payment is asked for with other coins.
    const auto as =
        options_.clients_sign ? CoordinatorLie::OtherCoins : CoordinatorLie::AnotherPayee;
    if (!renew_nonces(request, signer.name.index, liar.name.index) || !twist(request, as)) {
      return;
    }
    forbid(request, signer.name.index);
    ++counts_.attacks;
    return tell(liar, signer.name, std::move(request), {});
  }
}

void World::attack_later(std::uint64_t window) {
  agenda.after(draw(kBetweenAttacks), [this, window] {
    const auto at = std::find_if(windows_.begin(), windows_.end(),
                                 [&](const Window& open) { return open.number == window; });
    if (at == windows_.end()) return;
    Seat* seat = find_seat(at->fault.a);
    if (seat != nullptr && seat->up && !seat->paused) {
      attack(static_cast<CoordinatorSeat&>(*seat), at->fault.amount);
    }
    attack_later(window);
  });
}

// The signers that already bound the request's coins and withdrawal: they must refuse all else.
std::vector<std::uint16_t> World::bound_to(const wire::SignRequest& request) const {
  const auto tx = bitcoin::parse_transaction(request.unsigned_tx);
  if (!tx) return {};
  const Hash32 txid = bitcoin::txid(*tx);
  std::vector<std::uint16_t> bound;
  for (const SignerSeat& seat : signers_) {
    if (!seat.up) continue;
    const auto holds = [&](const std::vector<signer::Record>& records) {
      return std::any_of(records.begin(), records.end(), [&](const signer::Record& record) {
        const auto* signing = std::get_if<signer::SigningRecord>(&record.body);
        return signing != nullptr && signing->txid == txid;
      });
    };
    // What a quarantined signer forgot it must refuse as well: it signs nothing at all.
    if (holds(seat.durable) || seat.known_at_founding.contains(txid) ||
        (seat.quarantined && holds(seat.taken))) {
      bound.push_back(seat.name.index);
    }
  }
  return bound;
}

// Puts fresh nonces of `whose` connection into the request, for t signers with the target in it.
bool World::renew_nonces(wire::SignRequest& request, std::uint16_t target, std::uint16_t whose) {
  std::vector<std::uint16_t> members{target};
  for (std::uint16_t i = 0; i < signers_.size(); ++i) {
    if (i != target && members.size() < options_.shape.threshold) members.push_back(i);
  }
  std::sort(members.begin(), members.end());
  request.signers.clear();
  request.group = wallet(signers_[target].share_epoch).group->id();
  for (const std::uint16_t member : members) {
    Overheard& heard = nonces_heard_[{whose, member}];
    const std::size_t nonces = scheme_.facts().nonces_for(request.prevouts.size());
    if (heard.nonces.size() < nonces) return false;
    const auto end = heard.nonces.end();
    const auto begin = end - static_cast<std::ptrdiff_t>(nonces);  // the freshest ones
    request.signers.push_back({SignerId(member), heard.epoch, {begin, end}});
    if (member == target) heard.nonces.erase(begin, end);
  }
  return true;
}

// A transaction of other outputs, as this attack wants it. False: it does not fit this one.
bool World::twist(wire::SignRequest& request, CoordinatorLie as) {
  auto tx = bitcoin::parse_transaction(request.unsigned_tx);
  if (!tx || tx->outputs.empty()) return false;
  switch (as) {
    case CoordinatorLie::AnotherPayee: tx->outputs[0].script = stranger(); break;
    case CoordinatorLie::AnotherAmount: tx->outputs[0].amount_sat -= 1; break;
    case CoordinatorLie::HighFee: tx->outputs[0].amount_sat -= 30'000; break;
    case CoordinatorLie::WrongChange:
      if (tx->outputs.size() < 2) return false;
      tx->outputs[1].script = stranger();
      break;
    case CoordinatorLie::ThirdOutput: tx->outputs.push_back({1'000, stranger()}); break;
    case CoordinatorLie::AmountsLie: request.prevouts[0].amount_sat += 1'000; break;
    case CoordinatorLie::PrevoutsLie: request.prevouts[0].script = stranger(); break;
    case CoordinatorLie::AnotherWithdrawal:
      switch (prng_.below(3)) {
        case 0: request.withdrawal_id = WithdrawalId(ByteArray<16>{1}); break;
        case 1: tx->inputs[0].outpoint.vout += 7; break;
        default:  // the coins of one for the payment of another
          request.withdrawal_id = WithdrawalId(ByteArray<16>{2});
          tx->outputs[0].script = stranger();
          break;
      }
      break;
    case CoordinatorLie::PayloadLie: request.payload_digest[0] ^= 1; break;
    case CoordinatorLie::Annexed: tx->inputs[0].script_sig = {0}; break;
    case CoordinatorLie::OtherCoins: tx->inputs[0].outpoint.vout += 7; break;
    case CoordinatorLie::Unrequested: twist_unrequested(request, *tx); break;
    default: return false;
  }
  request.unsigned_tx = bitcoin::serialize(*tx);
  return true;
}

// Coins that nobody bound yet, for a withdrawal of its own: nothing but the client's word can stop
// it (DESIGN 6.3 binds what was signed before).
void World::twist_unrequested(wire::SignRequest& request, bitcoin::Transaction& tx) {
  for (bitcoin::TxIn& input : tx.inputs) input.outpoint.vout += 100;
  ByteArray<16> id{};
  for (std::uint8_t& byte : id) byte = static_cast<std::uint8_t>(prng_.below(256));
  request.withdrawal_id = WithdrawalId(id);
  const std::uint64_t as = prng_.below(4);
  if (as == 0) return;  // a client's one request, paid a second time
  tx.outputs[0].script = stranger();
  request.payload_digest = wire::payload_digest(
      request.client ? request.client->account : "alice", stranger(), tx.outputs[0].amount_sat);
  if (as == 1) request.client.reset();
  if (!request.client) return;
  // In its name and under its key, or under one of the liar's.
  if (as == 2) request.client->key += "'";
  request.withdrawal_id = wire::withdrawal_id_of(request.client->key);
}

void World::attack(CoordinatorSeat& seat, std::uint32_t amount) {
  if (requests_heard_.empty()) return;
  const auto& [from, heard] = requests_heard_[prng_.below(requests_heard_.size())];
  wire::SignRequest request = heard;
  const auto as = static_cast<CoordinatorLie>(amount % kCoordinatorLies);
  if (as == CoordinatorLie::Unrequested && !options_.clients_sign) return;
  const std::vector<std::uint16_t> bound = bound_to(request);
  if (bound.empty()) return;
  std::uint16_t target = bound[prng_.below(bound.size())];
  if (against_policy(as)) target = static_cast<std::uint16_t>(prng_.below(signers_.size()));
  // Without a nonce of its present life even a signer that forgot its quarantine would refuse.
  if (signers_[target].quarantined) {
    const ProcessName forgetful{Role::Signer, target};
    tell(seat, forgetful, wire::NonceRequest{limits::kMaxInputsPerTransaction},
         hop(seat.name, forgetful));
  }
  if (request.group != wallet(signers_[target].share_epoch).group->id() && prng_.below(2) == 0)
    return attack_across_epochs(seat, target, std::move(request));
  // Without nonces the refusal of these two bears the digest of the honest session, and a lone
  // coordinator that asks them of its signers gives up its own work: nobody goes on with it.
  const bool own_session =
      as == CoordinatorLie::AnotherWithdrawal || as == CoordinatorLie::PayloadLie;
  if (own_session && scheme_.facts().nonce_size == 0 && coordinators_.size() < 2) return;
  bool forbidden = true;
  switch (as) {
    case CoordinatorLie::Hurried:
    case CoordinatorLie::ForgedSignature: return;  // they have their own moment
    case CoordinatorLie::Replay: forbidden = false; break;  // the same bytes again, or a refusal
    case CoordinatorLie::Mixed: {  // one signer's nonces of another session
      if (scheme_.facts().nonce_size == 0) return;  // there are none to mix
      const auto& other = requests_heard_[prng_.below(requests_heard_.size())].second;
      if (other.prevouts.size() != request.prevouts.size() || other == request) return;
      for (wire::SessionSigner& signer : request.signers) {
        for (const wire::SessionSigner& theirs : other.signers) {
          if (signer.id == theirs.id) signer = theirs;
        }
      }
      if (request == heard || request == other) return;
      // Else it may: one nonce, one session. Then the same mixture later is a retry.
      const Asked asked{*digest_of(request), target};
      forbidden = consumed(target, request) && !tolerated_.contains(asked);
      if (!forbidden) tolerated_.insert(asked);
      break;
    }
    case CoordinatorLie::NoncesOfOthers: {
      if (coordinators_.size() < 2 || scheme_.facts().nonce_size == 0) return;
      const auto whose = static_cast<std::uint16_t>((seat.name.index + 1) % coordinators_.size());
      if (!renew_nonces(request, target, whose)) return;
      break;
    }
    case CoordinatorLie::Disordered:
      if (options_.shape.threshold < 2) return;  // one signer stands in every order
      if (!renew_nonces(request, target, seat.name.index)) return;
      std::swap(request.signers.front(), request.signers.back());
      break;
    case CoordinatorLie::AnotherWithdrawal:
    case CoordinatorLie::PayloadLie:
      forbidden = false;  // no part of the session's digest: the judge looks at the record itself
      [[fallthrough]];
    default:
      if (!renew_nonces(request, target, seat.name.index) || !twist(request, as)) return;
      break;
  }
  if (forbidden) forbid(request, target);
  if (signers_[target].quarantined) probes.hit(Probe::ConflictAfterRollBack);
  ++counts_.attacks;
  const ProcessName to{Role::Signer, target};
  tell(seat, to, std::move(request), hop(seat.name, to));
}

// Heard before the wallet moved to its present share epoch: the right bytes and nonces that live,
// for a group that is no more.
void World::attack_across_epochs(CoordinatorSeat& liar, std::uint16_t target,
                                 wire::SignRequest request) {
  const Hash32 old_group = request.group;
  if (!renew_nonces(request, target, liar.name.index)) return;
  request.group = old_group;
  forbid(request, target);
  ++counts_.attacks;
  const ProcessName to{Role::Signer, target};
  tell(liar, to, std::move(request), hop(liar.name, to));
}

// That signer spent one of its nonces in the request, or drew them in an earlier life.
bool World::consumed(std::uint16_t signer, const wire::SignRequest& request) const {
  for (const wire::SessionSigner& listed : request.signers) {
    if (listed.id.value() != signer) continue;
    if (listed.epoch != signers_[signer].boot) return true;
    for (const signer::Record& record : signers_[signer].durable) {
      const auto* signing = std::get_if<signer::SigningRecord>(&record.body);
      if (signing == nullptr) continue;
      for (const wire::PubNonce& nonce : signing->own_nonces) {
        if (std::find(listed.nonces.begin(), listed.nonces.end(), nonce) != listed.nonces.end()) {
          return true;
        }
      }
    }
  }
  return false;
}

// If that signer signs this session it is caught by it, whatever it is that was wrong with it.
// Another one may: what is a mixture with a spent nonce for one is a session for the other.
void World::forbid(const wire::SignRequest& request, std::uint16_t signer) {
  if (const auto digest = digest_of(request)) forbidden_.insert({*digest, signer});
}

// Nothing: the request holds no transaction.
std::optional<Hash32> World::digest_of(const wire::SignRequest& request) const {
  const auto tx = bitcoin::parse_transaction(request.unsigned_tx);
  if (!tx) return std::nullopt;
  const auto sighashes = bitcoin::sighashes(scheme_.facts().signatures, *tx, request.prevouts);
  if (!sighashes) return std::nullopt;
  return wire::session_digest(request, scheme_.facts().version, genesis_.wallet_output_key,
                              *sighashes);
}

// ---- replicas ----

bool World::alter_replica(Seat& seat) {
  if (seat.name.role != Role::Ledger || ledgers_.size() < 3 || !seat.up) return false;
  auto& replica = static_cast<LedgerSeat&>(seat);
  if (spare_replicas() == 0) return false;
  if (replica.altered != LedgerSeat::Altered::No || !may_strike(seat)) return false;
  replica.altered = LedgerSeat::Altered::Next;
  ++replica.weak;
  return true;
}

// How many more may be altered or leave for good, whatever the budget. Checkpoints promise nothing
// without a majority that is here and right: the honest rest would stop, or nobody would.
std::size_t World::spare_replicas() const {
  const auto lost = static_cast<std::size_t>(
      std::count_if(ledgers_.begin(), ledgers_.end(), [](const LedgerSeat& other) {
        return other.retired || other.altered != LedgerSeat::Altered::No;
      }));
  return (ledgers_.size() - 1) / 2 - lost;
}

// The entry as the altered replica's memory has it: a withdrawal asked for a moment later.
std::vector<wire::Command> World::altered(LedgerSeat& seat, std::vector<wire::Command> commands) {
  for (wire::Command& command : commands) {
    auto* withdraw = std::get_if<wire::Withdraw>(&command.body);
    if (withdraw == nullptr || seat.altered != LedgerSeat::Altered::Next) continue;
    if (seat.machine->state().by_key(withdraw->key)) continue;  // a duplicate changes nothing
    withdraw->requested_at_us += 1;
    seat.altered = LedgerSeat::Altered::Memory;
    trace.note(agenda.now(), seat.name, "altered", "", seat.delivered);
    ++counts_.altered;
  }
  return commands;
}

// The operator empties its folder; it starts again from the log.
void World::diverged(LedgerSeat& seat, const std::string& reason) {
  if (seat.altered == LedgerSeat::Altered::No) {
    incidents_.push_back(seat.name.text() + " stopped: " + reason);
    return;
  }
  probes.hit(Probe::AlteredReplicaFound);
  seat.altered = LedgerSeat::Altered::No;
  seat.clean_tables.reset();
  --seat.weak;
  seat.tables.clear();
  die(seat, milliseconds(200));
}

// Memory goes with the process; what it wrote meanwhile stays on its disk, and the next start must
// find that the log says otherwise, unless the disk was lost as well. Called at death and at start.
void World::forget_altered(LedgerSeat& seat) {
  if (seat.altered == LedgerSeat::Altered::No || seat.altered == LedgerSeat::Altered::Next) return;
  if (seat.clean_tables && seat.tables.size() > *seat.clean_tables) {
    seat.altered = LedgerSeat::Altered::Disk;
    return;
  }
  seat.altered = LedgerSeat::Altered::No;
  seat.clean_tables.reset();
  --seat.weak;
}

}  // namespace roulette::sim
