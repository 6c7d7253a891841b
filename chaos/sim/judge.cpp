// One function per invariant; each reads only the records it names.
//
// Invariant: nothing here repairs or skips: a record that is missing is a violation.
#include "chaos/sim/judge.h"

#include "common/bitcoin/sighash.h"
#include "signer/core/founding.h"

namespace roulette::sim {
namespace {

using Violations = std::vector<Violation>;

std::string short_hex(ByteSpan bytes) { return to_hex(bytes.first(4)); }

// The active chain alone counts: one output of the right amount per key, at settle depth.
void payments(const Records& records, Violations& out) {
  for (const ClientKey& key : records.keys) {
    std::size_t paid = 0;
    std::size_t depth = 0;
    bool right_amount = true;
    for (std::size_t height = 0; height < records.chain.size(); ++height) {
      for (const bitcoin::Transaction& tx : records.chain[height].transactions) {
        for (const bitcoin::TxOut& output : tx.outputs) {
          if (output.script != key.script) continue;
          ++paid;
          depth = records.chain.size() - height;
          right_amount = right_amount && output.amount_sat == key.amount_sat;
        }
      }
    }
    if (paid > 1) out.push_back({"no-duplicate-payment", key.key + " paid more than once"});
    if (!right_amount) out.push_back({"no-duplicate-payment", key.key + ": another amount"});
    if (!key.acknowledged) out.push_back({"no-lost-withdrawal", key.key + " never acknowledged"});
    if (paid == 0) out.push_back({"no-lost-withdrawal", key.key + " never paid"});
    if (paid == 1 && depth < records.settle_depth) {
      out.push_back({"no-lost-withdrawal", key.key + " is not at settle depth"});
    }
  }
  if (!records.settled) out.push_back({"no-lost-withdrawal", "not settled within the bound"});
}

void answers(const Records& records, Violations& out) {
  const auto wrong = [&](const Answer& answer, const std::string& why) {
    out.push_back({"idempotency-key-respected", answer.key + " " + why});
  };
  std::map<std::string, WithdrawalId> ids;
  std::map<std::string, Hash32> txids;
  std::map<std::string, Instant> planned;  // when the first txid was known
  std::set<WithdrawalId> distinct;
  for (const Answer& answer : records.answers) {
    const bool withdrawal = answer.status == 200 || answer.status == 202;
    if (!answer.same_payload) {
      if (withdrawal) wrong(answer, "was accepted with another payload");
      continue;
    }
    if (answer.status == 422 || answer.status == 404) wrong(answer, "got " + answer.problem);
    if (!withdrawal) continue;
    if (ids.emplace(answer.key, answer.id).first->second != answer.id) wrong(answer, "has two ids");
    if (!answer.txid) {
      // Of overlapping requests the older state may come last; not of requests in sequence.
      const auto known = planned.find(answer.key);
      if (known != planned.end() && known->second < answer.asked) wrong(answer, "lost its txid");
    } else if (txids.emplace(answer.key, *answer.txid).first->second != *answer.txid) {
      wrong(answer, "has two txids");
    } else {
      planned.emplace(answer.key, answer.answered);
    }
  }
  for (const auto& [key, id] : ids) {
    if (!distinct.insert(id).second) {
      out.push_back({"idempotency-key-respected", key + " shares its id with another key"});
    }
  }
}

// Also what a roll-back took, and what stood in a journal that was replaced: it was signed.
template <class F>
void each_signing(const JournalRecord& journal, F&& f) {
  for (const auto* records : {&journal.superseded, &journal.taken, &journal.records}) {
    for (const signer::Record& record : *records) {
      const auto* signing = std::get_if<signer::SigningRecord>(&record.body);
      if (signing != nullptr) f(*signing);
    }
  }
}

const LedgerRecord* books_of(const Records& records) {
  for (const LedgerRecord& ledger : records.ledgers) {
    if (!ledger.gone) return &ledger;
  }
  return nullptr;
}

// A journal that holds the head which the ledger keeps may sign, any other may not (DESIGN 6.8).
void quarantines(const Records& records, Violations& out) {
  const LedgerRecord* books = books_of(records);
  if (books == nullptr) return;
  for (const wire::JournalHead& kept : books->journal_heads) {
    const JournalRecord& journal = records.journals.at(kept.signer.value());
    if (journal.gone) continue;
    // What is kept of the journal before one that was founded anew forbids nothing any more.
    const auto* founded = signer::founding_of(journal.records);
    const bool replaced = founded != nullptr && kept.share_epoch <= founded->previous_epoch;
    const bool holds = replaced || (kept.length <= journal.records.size() &&
                                    journal.records[kept.length - 1].head == kept.head);
    if (holds != journal.quarantined) continue;
    // Of two journals of one signer the ledger keeps the longer one's head. Who lost records that
    // became known late was quarantined for a head that its own, longer by then, has replaced.
    if (holds && !journal.taken.empty()) continue;
    out.push_back({"journal-quarantine",
                   "signer-" + std::to_string(kept.signer.value()) +
                       (holds ? " is quarantined with a whole journal"
                              : " may sign without the journal that the ledger knows")});
  }
}

void journals(const Records& records, Violations& out) {
  std::map<bitcoin::OutPoint, Hash32> outpoints;
  std::map<WithdrawalId, Hash32> withdrawals;
  std::map<wire::PubNonce, Hash32> nonces;
  const auto bind = [&](auto& table, const auto& what, const Hash32& to, const char* id,
                        const std::string& why) {
    if (table.emplace(what, to).first->second != to) out.push_back({id, why});
  };
  for (std::size_t i = 0; i < records.journals.size(); ++i) {
    const std::string name = "signer-" + std::to_string(i);
    const JournalRecord& journal = records.journals[i];
    each_signing(journal, [&](const signer::SigningRecord& signing) {
      for (const signer::BoundInput& input : signing.inputs) {
        bind(outpoints, input.outpoint, signing.txid, "no-conflicting-signature",
             name + " signed a second transaction for " + bitcoin::to_text(input.outpoint));
      }
      bind(withdrawals, signing.withdrawal_id, signing.txid, "no-conflicting-signature",
           name + " signed a second transaction for a withdrawal");
      for (const wire::PubNonce& nonce : signing.own_nonces) {
        bind(nonces, nonce, signing.session_digest, "nonce-never-reused",
             name + " used a nonce in two sessions");
      }
    });
    if (!journal.gone && journal.live_digest != journal.replayed_digest) {
      out.push_back({"recovery-equality", name + ": replay differs from the live state"});
    }
  }
}

// What was signed is a template of the ledger, with the coins and the payload that it says.
void policy(const Records& records, Violations& out) {
  const LedgerRecord* books = books_of(records);
  if (books == nullptr) return;
  std::map<Hash32, const wire::WithdrawalView*> planned;
  for (const wire::WithdrawalView& view : books->withdrawals) {
    if (view.planned) planned[view.planned->txid] = &view;
  }
  for (std::size_t i = 0; i < records.journals.size(); ++i) {
    each_signing(records.journals[i], [&](const signer::SigningRecord& signing) {
      if (records.forbidden_sessions.contains({signing.session_digest, i})) {
        out.push_back({"signing-policy-respected",
                       "signer-" + std::to_string(i) + " signed what a liar asked for"});
      }
      const auto known = planned.find(signing.txid);
      bool right = known != planned.end() && known->second->id == signing.withdrawal_id &&
                   known->second->payload_digest == signing.payload_digest &&
                   known->second->planned->prevouts.size() == signing.inputs.size();
      for (std::size_t n = 0; right && n < signing.inputs.size(); ++n) {
        right = known->second->planned->prevouts[n] == signing.inputs[n].prevout;
      }
      if (right) return;
      out.push_back({"signing-policy-respected",
                     "signer-" + std::to_string(i) + " signed what the ledger never planned: " +
                         short_hex(signing.txid)});
    });
  }
}

void limits(const Records& records, Violations& out) {
  for (const Limit& limit : records.limits) {
    if (limit.value <= limit.bound) continue;
    out.push_back({"limits-respected", limit.name + ": " + std::to_string(limit.value) + " of " +
                                           std::to_string(limit.bound)});
  }
}

void shares(const Records& records, Violations& out) {
  std::map<wire::PubNonce, std::pair<Hash32, wire::PartialSignature>> used;
  for (const ShareSeen& seen : records.shares) {
    const std::string name = "signer-" + std::to_string(seen.share.signer.value());
    if (!seen.durable_on_arrival) {
      out.push_back({"share-has-its-record", name + ": a share came before its record's commit"});
    }
    bool found = false;
    const JournalRecord& journal = records.journals.at(seen.share.signer.value());
    each_signing(journal, [&](const signer::SigningRecord& signing) {
      found = found || (signing.own_nonces == seen.share.nonces &&
                        signing.session_digest == seen.share.session_digest &&
                        signing.txid == seen.share.txid);
    });
    if (!found) out.push_back({"share-has-its-record", name + ": a share without a record"});
    if (seen.share.nonces.size() != records.scheme.nonces_for(seen.share.shares.size())) {
      out.push_back({"nonce-never-reused", name + ": not one nonce a share"});
      continue;
    }
    for (std::size_t i = 0; i < seen.share.nonces.size(); ++i) {
      const auto share = std::make_pair(seen.share.session_digest, seen.share.shares[i]);
      if (used.emplace(seen.share.nonces[i], share).first->second != share) {
        out.push_back({"nonce-never-reused", name + ": two shares under one nonce"});
      }
    }
  }
}

void ledgers(const Records& records, Violations& out) {
  std::map<std::uint64_t, Hash32> digests;
  for (std::size_t i = 0; i < records.ledgers.size(); ++i) {
    const LedgerRecord& ledger = records.ledgers[i];
    const std::string name = "ledger-" + std::to_string(i);
    if (ledger.gone) continue;
    if (!ledger.ready || ledger.index != records.log_length) {
      out.push_back({"ledger-replicas-agree", name + " is not current"});
    }
    if (digests.emplace(ledger.index, ledger.digest).first->second != ledger.digest) {
      out.push_back({"ledger-replicas-agree", name + " has another digest"});
    }
    if (ledger.digest != ledger.replayed_digest) {
      out.push_back({"recovery-equality", name + ": replay differs from the live state"});
    }
    std::int64_t owed = 0;
    std::int64_t wallet = 0;
    for (const wire::Balance& balance : ledger.balances) {
      if (balance.amount_sat < 0) {
        out.push_back({"books-balance", name + ": " + balance.account + " is negative"});
      }
      if (balance.account == "wallet") wallet = balance.amount_sat;
      else owed += balance.amount_sat;
      const bool transit = balance.account == "pending" || balance.account == "outside";
      if (transit && balance.amount_sat != 0) {
        out.push_back({"books-balance", name + ": " + balance.account + " is not empty"});
      }
    }
    if (wallet != owed) out.push_back({"books-balance", name + ": postings do not sum to zero"});
    if (wallet != records.node_wallet_sat) {
      out.push_back({"books-balance", name + ": the wallet differs from the node's coins"});
    }
    if (records.chain.empty() || ledger.tip.hash != records.chain.back().hash) {
      out.push_back({"chain-matches-ledger", name + ": another tip than the node's"});
    }
  }
}

// What a replica would start from is what the log says, and it can be started from.
void snapshots(const Records& records, Violations& out) {
  bool usable = records.trimmed == 0;
  for (const SnapshotRecord& snapshot : records.snapshots) {
    const std::string name = "snapshot " + std::to_string(snapshot.index);
    // Nobody loads it: it does not open, or the log's checkpoints speak against it.
    if (!snapshot.fault.empty() || snapshot.damaged) continue;
    if (snapshot.digest != snapshot.replayed_digest) {
      out.push_back({"ledger-replicas-agree", name + " is not what the log's replay gives"});
    }
    usable = usable || snapshot.index >= records.trimmed;
  }
  if (!usable) {
    out.push_back({"ledger-replicas-agree", "the log was trimmed to " +
                                                std::to_string(records.trimmed) +
                                                " and no snapshot reaches there"});
  }
}

// A snapshot is complete only by a majority's word, and the log goes only by two that were read
// again (DESIGN 8). By orders, not by what came of them.
void store_orders(const Records& records, Violations& out) {
  for (const StoreOrder& order : records.store_orders) {
    const std::string name = "ledger-" + std::to_string(order.replica.value());
    const std::string did =
        (order.up_to ? " trimmed by snapshots " + std::to_string(*order.up_to) + " and "
                     : std::string(" completed snapshot ")) +
        std::to_string(order.newest);
    const auto wrong = [&](const char* how) {
      out.push_back({"ledger-replicas-agree", name + did + how});
    };
    if (!order.spoken_for) wrong(" without a majority's word");
    if (!order.up_to) continue;
    if (*order.up_to >= order.newest) wrong(", so that one was left");
    if (!order.read_again) wrong(" without having read both");
  }
}

// Where nothing is wrong any more the snapshot of the last interval is there, and the log goes up
// to the one before it.
void snapshots_follow(const Records& records, Violations& out) {
  if (records.snapshots_due.empty()) return;
  const std::set<std::uint64_t> due(records.snapshots_due.begin(), records.snapshots_due.end());
  const std::uint64_t last = *due.rbegin();
  bool there = false;
  for (const SnapshotRecord& snapshot : records.snapshots) {
    const std::string name = "snapshot " + std::to_string(snapshot.index);
    there = there || snapshot.index == last;
    if (snapshot.damaged || !due.contains(snapshot.index)) continue;
    if (!snapshot.fault.empty()) out.push_back({"snapshots-follow", snapshot.fault});
    if (snapshot.index < last && records.trimmed < snapshot.index)
      out.push_back({"snapshots-follow", "the log was not trimmed up to " + name});
  }
  if (!there)
    out.push_back({"snapshots-follow", "snapshot " + std::to_string(last) + " is not there"});
}

// Reservations, templates, and the bytes of every send and of the chain, against the books.
void templates(const Records& records, Violations& out) {
  const LedgerRecord* found = books_of(records);
  if (found == nullptr) {
    return out.push_back({"no-partial-transaction", "no replica is left to compare with"});
  }
  const LedgerRecord& books = *found;
  std::map<WithdrawalId, const wire::WithdrawalView*> by_id;
  std::map<Hash32, const wire::WithdrawalView*> by_txid;
  for (const wire::WithdrawalView& view : books.withdrawals) {
    by_id[view.id] = &view;
    if (view.planned) by_txid[view.planned->txid] = &view;
    if (view.state != wire::WithdrawalState::Settled && view.reject == wire::RejectReason::None) {
      out.push_back({"no-partial-transaction", view.key + " ends " + wire::state_name(view.state)});
    }
  }
  for (const ledger::Reservation& reservation : books.reservations) {
    if (by_id.contains(reservation.withdrawal)) continue;
    out.push_back({"no-partial-transaction", "a reservation without a withdrawal"});
  }
  for (const coordinator::SendTransaction& sent : records.broadcasts) {
    const auto known = by_txid.find(sent.txid);
    if (known != by_txid.end() && known->second->signed_tx == sent.bytes) continue;
    out.push_back({"no-partial-transaction", "bytes were sent that the ledger does not hold: " +
                                                 short_hex(sent.txid)});
  }
  std::set<Hash32> on_chain;
  for (std::size_t height = 2; height < records.chain.size(); ++height) {
    const ToyBlock& block = records.chain[height];
    for (std::size_t i = 0; i < block.txids.size(); ++i) {
      on_chain.insert(block.txids[i]);
      const auto known = by_txid.find(block.txids[i]);
      if (known == by_txid.end() ||
          known->second->signed_tx != bitcoin::serialize(block.transactions[i])) {
        out.push_back({"chain-matches-ledger", "the chain holds bytes that the ledger does not"});
      }
    }
  }
  for (const auto& [txid, view] : by_txid) {
    if (view->state == wire::WithdrawalState::Settled && !on_chain.contains(txid)) {
      out.push_back({"chain-matches-ledger", view->key + " is settled and not on the chain"});
    }
  }
}

// One coin, one template, for ever: over the books, whatever became of the withdrawals.
void reservations(const Records& records, Violations& out) {
  for (const auto& [id, txids] : records.templates) {
    if (txids.size() > 1)
      out.push_back({"no-conflicting-signature", to_hex(id.value()) + " had two templates"});
  }
  const LedgerRecord* books = books_of(records);
  if (books == nullptr) return;
  std::map<bitcoin::OutPoint, Hash32> spent;
  for (const wire::WithdrawalView& view : books->withdrawals) {
    const auto tx = view.planned ? bitcoin::parse_transaction(view.planned->unsigned_tx)
                                 : Result<bitcoin::Transaction>(bitcoin::Transaction{});
    if (!tx) {
      out.push_back({"no-conflicting-signature", view.key + ": the template does not parse"});
      continue;
    }
    for (const bitcoin::TxIn& input : tx->inputs) {
      if (spent.emplace(input.outpoint, view.planned->txid).first->second == view.planned->txid) {
        continue;
      }
      out.push_back({"no-conflicting-signature",
                     "two templates spend " + bitcoin::to_text(input.outpoint)});
    }
  }
}

// ROAST: who has not answered a session of a message is not asked a second time for it (PROTOCOL
// 4), so no message has more open sessions than signers; and who was blamed in one is asked no more
// in that life of its.
void sessions(const Records& records, Violations& out) {
  using Asked = std::map<std::pair<WithdrawalId, SignerId>, Hash32>;
  struct Opened {
    WithdrawalId of;
    std::set<SignerId> members;  // still in the life in which they were asked
  };
  struct Blames {
    std::map<Hash32, Opened> of;  // by session
    std::set<std::pair<WithdrawalId, SignerId>> who;
    void blame(const coordinator::Blamed& told) {
      const Opened& session = of[told.session_digest];
      if (session.members.contains(told.signer)) who.insert({session.of, told.signer});
    }
  };
  std::map<std::pair<CoordinatorId, std::uint64_t>, std::pair<Asked, Blames>> lives;
  struct Visit {
    Asked& asked;
    Blames& blames;
    CoordinatorId who;
    Violations& out;
    void wrong(SignerId signer, const char* why) const {
      out.push_back({"limits-respected", "coordinator-" + std::to_string(who.value()) +
                                             " asks signer-" + std::to_string(signer.value()) +
                                             " again " + why});
    }
    void answered(const Hash32& digest, SignerId from) const {
      std::erase_if(asked, [&](const auto& entry) {
        return entry.first.second == from && entry.second == digest;
      });
    }
    void operator()(const SignerGone& gone) const {
      std::erase_if(asked, [&](const auto& e) { return e.first.second == gone.signer; });
    }
    void operator()(const SignerReborn& reborn) const {
      std::erase_if(blames.who, [&](const auto& e) { return e.second == reborn.signer; });
      for (auto& [digest, session] : blames.of) session.members.erase(reborn.signer);
    }
    void operator()(const SignaturesHeard&) const {}
    void operator()(const coordinator::Fact& fact) const {
      if (const auto* share = std::get_if<coordinator::ShareReceived>(&fact))
        answered(share->session_digest, share->signer);
      if (const auto* refusal = std::get_if<coordinator::SignerRefused>(&fact))
        answered(refusal->session_digest, refusal->signer);
      const auto* blamed = std::get_if<coordinator::Blamed>(&fact);
      if (blamed != nullptr)
        blames.blame(*blamed);
      const auto* opened = std::get_if<coordinator::SessionOpened>(&fact);
      if (opened == nullptr) return;
      blames.of[opened->session_digest] = {opened->withdrawal_id,
                                           {opened->signers.begin(), opened->signers.end()}};
      for (const SignerId signer : opened->signers) {
        const std::pair of(opened->withdrawal_id, signer);
        if (!asked.emplace(of, opened->session_digest).second)
          wrong(signer, "before it answered");
        if (blames.who.contains(of)) wrong(signer, "whom it blamed");
      }
    }
  };
  for (const CoordinatorNote& note : records.notes) {
    auto& [asked, blames] = lives[{note.coordinator, note.life}];
    std::visit(Visit{asked, blames, note.coordinator, out}, note.what);
  }
}

// Nobody signs what another owns without having read it through the barrier in this life.
void takeovers(const Records& records, Violations& out) {
  const LedgerRecord* books = books_of(records);
  if (books == nullptr) return;
  std::map<WithdrawalId, CoordinatorId> owners;
  for (const wire::WithdrawalView& view : books->withdrawals)
    owners.emplace(view.id, view.owner);
  std::set<std::tuple<CoordinatorId, std::uint64_t, WithdrawalId>> read;
  for (const CoordinatorNote& note : records.notes) {
    const auto* fact = std::get_if<coordinator::Fact>(&note.what);
    if (fact == nullptr) continue;
    if (const auto* took = std::get_if<coordinator::TookOver>(fact))
      read.insert({note.coordinator, note.life, took->withdrawal_id});
    const auto* opened = std::get_if<coordinator::SessionOpened>(fact);
    if (opened == nullptr) continue;
    const auto owner = owners.find(opened->withdrawal_id);
    if (owner == owners.end() || owner->second == note.coordinator) continue;
    if (read.contains({note.coordinator, note.life, opened->withdrawal_id})) continue;
    out.push_back({"takeover-reads-first",
                   "coordinator-" + std::to_string(note.coordinator.value()) +
                       " signs what another owns and was not read"});
  }
}

// Old and new shares of one key never meet in a session: who signs goes by the share epoch of the
// coordinator that opened it. That a share of an ended epoch completes an old session is allowed:
// its record was durable before the journals were read.
void share_epochs(const Records& records, Violations& out) {
  std::map<Hash32, std::uint32_t> opened;
  for (const CoordinatorNote& note : records.notes) {
    const auto* fact = std::get_if<coordinator::Fact>(&note.what);
    const auto* session = fact == nullptr ? nullptr : std::get_if<coordinator::SessionOpened>(fact);
    if (session != nullptr) opened.emplace(session->session_digest, note.share_epoch);
  }
  for (const SessionSigned& session : records.sessions_signed) {
    const auto known = opened.find(session.session_digest);
    if (known == opened.end() || known->second == session.share_epoch) continue;
    out.push_back({"share-epochs-apart",
                   "signer-" + std::to_string(session.signer.value()) + " of share epoch " +
                       std::to_string(session.share_epoch) + " signed a session of epoch " +
                       std::to_string(known->second)});
  }
}

// A journal that was founded anew binds all that a complete session with its signer signed before
// (signer/core/founding.h), and its signer is no longer out.
void foundings(const Records& records, Violations& out) {
  std::map<Hash32, std::set<SignerId>> members;
  for (const SessionSigned& session : records.sessions_signed)
    members[session.session_digest].insert(session.signer);
  for (std::size_t i = 0; i < records.journals.size(); ++i) {
    const JournalRecord& journal = records.journals[i];
    const std::string name = "signer-" + std::to_string(i);
    if (signer::founding_of(journal.records) == nullptr) continue;
    if (journal.quarantined && journal.taken.empty() && !journal.gone)
      out.push_back({"provisioned-again-serves", name + " is quarantined in a founded journal"});
    std::map<WithdrawalId, Hash32> bound;
    for (const signer::Record& record : journal.records) {
      const auto* imported = std::get_if<signer::ImportedBinding>(&record.body);
      if (imported != nullptr) bound.emplace(imported->withdrawal_id, imported->txid);
    }
    for (const signer::Record& record : journal.superseded) {
      const auto* signing = std::get_if<signer::SigningRecord>(&record.body);
      if (signing == nullptr || members[signing->session_digest].size() < records.threshold)
        continue;
      const auto known = bound.find(signing->withdrawal_id);
      const bool right = known != bound.end() &&
                         (known->second == signing->txid || known->second == Hash32{});
      if (!right)
        out.push_back({"founded-journal-binds",
                       name + " forgot what its quorum signed: " + short_hex(signing->txid)});
    }
  }
}

// Once a session has all its shares it is added up, and that is when a bad one convicts its signer.
// Not needed any more: shares for what it added up already or knows the signatures of, and of
// sessions that another member spoiled. What a coordinator's death cuts off is the last thing of
// its life.
void blames(const Records& records, Violations& out) {
  struct Session {
    std::set<SignerId> missing, bad;
    WithdrawalId of;
    bool due = false;
    bool spoiled = false;
  };
  using Life = std::pair<CoordinatorId, std::uint64_t>;
  std::map<Life, std::map<Hash32, Session>> lives;
  std::map<Life, const CoordinatorNote*> last;
  std::map<Life, std::set<WithdrawalId>> has_signatures;
  for (const CoordinatorNote& note : records.notes) last[{note.coordinator, note.life}] = &note;
  const auto wrong = [&](const CoordinatorNote& note, const char* why) {
    out.push_back({"bad-share-blamed",
                   "coordinator-" + std::to_string(note.coordinator.value()) + " " + why});
  };
  for (const CoordinatorNote& note : records.notes) {
    const Life life{note.coordinator, note.life};
    auto& sessions = lives[life];
    const auto* fact = std::get_if<coordinator::Fact>(&note.what);
    const auto* blamed = fact == nullptr ? nullptr : std::get_if<coordinator::Blamed>(fact);
    // What it did in an earlier life is never blamed (DESIGN 4.4).
    if (const auto* reborn = std::get_if<SignerReborn>(&note.what))
      for (auto& [digest, session] : sessions) session.bad.erase(reborn->signer);
    if (const auto* heard = std::get_if<SignaturesHeard>(&note.what))
      has_signatures[life].insert(heard->withdrawal);
    if (blamed != nullptr) {
      Session& session = sessions[blamed->session_digest];
      session.spoiled = true;
      // For another fault than a bad share: it was never added up.
      if (session.bad.erase(blamed->signer) == 0) session.due = false;
    }
    // Two liars' errors may cancel out (seed 601322): the sum is a signature, verified once, and
    // nobody need be asked whose it was.
    const auto* added = fact == nullptr ? nullptr : std::get_if<coordinator::Aggregated>(fact);
    if (added != nullptr) {
      Session& session = sessions[added->session_digest];
      if (session.bad.size() == 1) wrong(note, "added up a bad share");
      session.bad.clear();
      has_signatures[life].insert(added->withdrawal_id);
    }
    for (auto& [digest, session] : sessions) {
      const bool others = blamed != nullptr && blamed->session_digest == digest;
      if (session.due && !session.bad.empty() && !others) wrong(note, "did not blame a bad share");
      session.due = session.due && others && !session.bad.empty();
    }
    if (fact == nullptr) continue;
    if (const auto* opened = std::get_if<coordinator::SessionOpened>(fact)) {
      Session& session = sessions[opened->session_digest];
      session.missing = {opened->signers.begin(), opened->signers.end()};
      session.of = opened->withdrawal_id;
    }
    if (const auto* refused = std::get_if<coordinator::SignerRefused>(fact))
      sessions[refused->session_digest].spoiled = true;
    const auto* share = std::get_if<coordinator::ShareReceived>(fact);
    if (share == nullptr) continue;
    Session& session = sessions[share->session_digest];
    session.missing.erase(share->signer);
    if (records.bad_shares.contains({share->session_digest, share->shares}))
      session.bad.insert(share->signer);
    session.due = session.missing.empty() && !session.spoiled && last.at(life) != &note &&
                  !has_signatures[life].contains(session.of);
  }
}

}  // namespace

std::vector<Violation> judge(const Records& records) {
  Violations out;
  for (const std::string& incident : records.incidents) out.push_back({"incident", incident});
  for (const std::string& stop : records.unfinished_stops)
    out.push_back({"orderly-stop-finishes", stop});
  payments(records, out);
  answers(records, out);
  journals(records, out);
  quarantines(records, out);
  policy(records, out);
  limits(records, out);
  shares(records, out);
  ledgers(records, out);
  snapshots(records, out);
  store_orders(records, out);
  snapshots_follow(records, out);
  templates(records, out);
  reservations(records, out);
  sessions(records, out);
  takeovers(records, out);
  share_epochs(records, out);
  foundings(records, out);
  blames(records, out);
  return out;
}

}  // namespace roulette::sim
