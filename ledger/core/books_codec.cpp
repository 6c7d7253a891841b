// The books as bytes and back: what a snapshot of the log holds.
//
// Invariant: decode_books(encode_books(x)) is x in every table, derived ones included, and no other
// bytes decode: what was read is written again and compared. What follows from the rest is left out
// and computed: indices, states, templates' transactions (from inputs, script and change), the
// table of reservations (the inputs of all templates), waiting, unfinished and selectable ones.
// Deliberately ignorant of chunks, manifests and stores: snapshot.h has those.
#include <algorithm>

#include "common/base/canonical.h"
#include "common/base/limits.h"
#include "common/base/mutants.h"
#include "common/bitcoin/spend.h"
#include "common/crypto/hash.h"
#include "ledger/core/books.h"

namespace roulette::ledger {
namespace {

constexpr const char* kFormat = "roulette/ledger-snapshot/3";
constexpr std::string_view kFamily = "roulette/ledger-snapshot/";
constexpr std::size_t kOutPointBytes = 36;
constexpr auto kLastReject = static_cast<std::uint8_t>(wire::RejectReason::BadScript);
// The least that one element of each list takes.
constexpr std::size_t kLeastWithdrawal = 16 + 3 * 4 + 8 + 1 + 2 + 8 + 1 + 4 + 3;
constexpr std::size_t kLeastCoin = kOutPointBytes + 8 + 3 + 4;
constexpr std::size_t kLeastBlock = 32 + 2 * 4;
constexpr std::size_t kLeastJournal = 2 + 4 + 8 + 32;

bitcoin::OutPoint read_outpoint(CanonicalReader& r) {
  bitcoin::OutPoint outpoint;
  outpoint.txid = r.array<32>();
  outpoint.vout = r.u32();
  return outpoint;
}

void write_template(CanonicalWriter& w, const wire::Genesis& genesis,
                    const Withdrawal& withdrawal) {
  const wire::Template& planned = *withdrawal.view.planned;
  w.i64(planned.fee_sat);
  w.i64(withdrawal.change_sat);
  w.count(withdrawal.inputs.size());
  for (std::size_t i = 0; i < withdrawal.inputs.size(); ++i) {
    write_outpoint(w, withdrawal.inputs[i]);
    w.i64(planned.prevouts[i].amount_sat);
  }
  w.boolean(!withdrawal.view.signed_tx.empty());
  if (withdrawal.view.signed_tx.empty()) return;
  const auto tx = bitcoin::parse_transaction(withdrawal.view.signed_tx);
  ROULETTE_ASSERT(tx.ok());  // apply assembled it
  for (const bitcoin::TxIn& input : tx->inputs) {
    const auto signature =
        bitcoin::signature_in(genesis.signature_form, genesis.wallet_output_key, input.witness);
    ROULETTE_ASSERT(signature.has_value());  // likewise
    w.bytes(*signature);
  }
}

void write_withdrawal(CanonicalWriter& w, const wire::Genesis& genesis,
                      const Withdrawal& withdrawal) {
  const wire::WithdrawalView& view = withdrawal.view;
  w.raw(view.id.value());
  w.text(view.key);
  w.text(view.account);
  w.bytes(view.script);
  w.i64(view.amount_sat);
  w.u8(static_cast<std::uint8_t>(view.reject));
  w.u16(view.owner.value());
  w.i64(view.requested_at_us);
  wire::write_client(w, view.client);
  w.u32(view.height);
  w.boolean(withdrawal.broadcast);
  w.boolean(withdrawal.paid);
  w.boolean(view.planned.has_value());
  if (view.planned) write_template(w, genesis, withdrawal);
}

void write_chain(CanonicalWriter& w, const Books& books) {
  w.count(books.chain.size() - 1);  // the anchor is the genesis command's and holds nothing of ours
  for (std::size_t height = 1; height < books.chain.size(); ++height) {
    const Block& block = books.chain[height];
    w.raw(block.hash);
    w.count(block.withdrawals.size());
    for (const Ordinal ordinal : block.withdrawals) w.u32(static_cast<std::uint32_t>(ordinal));
    w.count(block.coins.size());
    for (const bitcoin::OutPoint& outpoint : block.coins) write_outpoint(w, outpoint);
  }
}

// Reads into empty books. After the first violation the reader stays failed and nothing more is
// taken; `why` says what the violation was where it was not the bytes' form.
class Decoder {
 public:
  Decoder(ByteSpan bytes, const crypto::Scheme* verifier) : r_(bytes), books_(verifier) {}

  Result<Books> run() {
    if (const std::string format = r_.text(); format != kFormat) {
      const bool ours = format.starts_with(kFamily) && format.size() <= kFamily.size() + 3;
      return corrupt("of " + (ours ? format : "another format") + "; this program reads " +
                     kFormat);
    }
    if (r_.boolean()) read_all();
    if (!why_.empty()) return corrupt(why_);
    if (!r_.finished()) return corrupt("its bytes are cut short, too long or malformed");
    return std::move(books_);
  }

 private:
  static Error corrupt(const std::string& what) {
    return {ErrorKind::Corrupt, "the ledger's state: " + what};
  }
  void refuse(const char* why) {
    if (why_.empty() && r_.ok()) why_ = why;
    r_.fail();
  }

  void read_all() {
    const auto command = wire::decode_command(r_.bytes());
    const auto* genesis = command ? std::get_if<wire::Genesis>(&command->body) : nullptr;
    if (genesis == nullptr) return refuse("no genesis");
    if (const char* fault = open_books(books_, *genesis)) return refuse(fault);
    const std::size_t withdrawals = r_.count(kLeastWithdrawal);
    for (std::size_t i = 0; i < withdrawals && r_.ok(); ++i) read_withdrawal();
    const std::size_t coins = r_.count(kLeastCoin);
    for (std::size_t i = 0; i < coins && r_.ok(); ++i) read_coin();
    const std::size_t blocks = r_.count(kLeastBlock);
    for (std::size_t i = 0; i < blocks && r_.ok(); ++i) read_block();
    for (auto& [account, amount] : books_.balances) amount = r_.i64();
    const std::size_t journals = r_.count(kLeastJournal);
    for (std::size_t i = 0; i < journals && r_.ok(); ++i) {
      wire::JournalHead head;
      head.signer = SignerId(r_.u16());
      head.share_epoch = r_.u32();
      head.length = r_.u64();
      head.head = r_.array<32>();
      books_.journals.emplace(head.signer, head);
    }
    books_.closed = r_.boolean();
    books_.refused_after_end = r_.u64();
    if (r_.ok()) derive();
  }

  void read_withdrawal() {
    const Ordinal ordinal = books_.withdrawals.size();
    Withdrawal& added = books_.withdrawals.emplace_back();
    wire::WithdrawalView& view = added.view;
    view.id = WithdrawalId(r_.array<16>());
    view.key = r_.text();
    view.account = r_.text();
    view.script = r_.bytes();
    view.amount_sat = r_.i64();
    const std::uint8_t reject = r_.u8();
    if (reject > kLastReject) return refuse("a reason");
    view.reject = static_cast<wire::RejectReason>(reject);
    view.owner = CoordinatorId(r_.u16());
    view.requested_at_us = r_.i64();
    view.client = wire::read_client(r_);
    view.height = r_.u32();
    added.broadcast = r_.boolean();
    added.paid = r_.boolean();
    const bool planned = r_.boolean();
    if (!r_.ok()) return;
    view.payload_digest = wire::payload_digest(view.account, view.script, view.amount_sat);
    added.request_hash = request_hash(view);
    if (!ROULETTE_MUTANT("key-lost-at-snapshot") &&
        !books_.by_key.emplace(view.key, ordinal).second) {
      return refuse("a key twice");
    }
    if (!books_.by_id.emplace(view.id, ordinal).second) return refuse("a withdrawal id twice");
    if (planned && reject != 0) return refuse("a template for a rejected withdrawal");
    if (planned) read_template(ordinal);
  }

  void read_template(Ordinal ordinal) {
    CoinChoice choice;
    choice.fee_sat = r_.i64();
    choice.change_sat = r_.i64();
    const std::size_t inputs = r_.count(kOutPointBytes + 8);
    if (inputs == 0 || inputs > limits::kMaxInputsPerTransaction) return refuse("its inputs");
    std::vector<std::int64_t> amounts;
    std::set<bitcoin::OutPoint> distinct;
    for (std::size_t i = 0; i < inputs; ++i) {
      choice.inputs.push_back(read_outpoint(r_));
      amounts.push_back(r_.i64());
      if (books_.reserved.contains(choice.inputs[i]) || !distinct.insert(choice.inputs[i]).second) {
        return refuse("an outpoint reserved twice");
      }
    }
    const bool has_signatures = r_.boolean();
    if (!r_.ok()) return;
    set_template(books_, ordinal, choice, amounts);
    if (ROULETTE_MUTANT("snapshot-unreadable")) {
      for (const bitcoin::OutPoint& input : choice.inputs) books_.reserved.erase(input);
    }
    if (has_signatures) read_signatures(books_.withdrawals[ordinal]);
  }

  void read_signatures(Withdrawal& withdrawal) {
    auto tx = bitcoin::parse_transaction(withdrawal.view.planned->unsigned_tx);
    if (!tx) return refuse("a template that does not parse");
    for (bitcoin::TxIn& input : tx->inputs) {
      const Bytes signature = r_.bytes();
      if (signature.empty() || signature.size() > limits::kMaxSignatureBytes)
        return refuse("a signature");
      input.witness = bitcoin::witness(books_.genesis->signature_form,
                                       books_.genesis->wallet_output_key, signature);
      // What would not be read out of the witness again (write_template) is no signature of it.
      if (!bitcoin::signature_in(books_.genesis->signature_form, books_.genesis->wallet_output_key,
                                 input.witness))
        return refuse("a signature");
    }
    withdrawal.view.signed_tx = bitcoin::serialize(*tx);
    withdrawal.signed_hash = crypto::sha256(withdrawal.view.signed_tx);
  }

  void read_coin() {
    const bitcoin::OutPoint outpoint = read_outpoint(r_);
    Coin coin;
    coin.amount_sat = r_.i64();
    coin.coinbase = r_.boolean();
    coin.credited = r_.boolean();
    if (r_.boolean()) coin.creator = r_.u32();
    coin.height = r_.u32();
    const bool known = !coin.creator || *coin.creator < books_.withdrawals.size();
    if (!known) return refuse("a coin's creator");
    books_.coins.emplace(outpoint, coin);
  }

  void read_block() {
    Block block;
    block.hash = r_.array<32>();
    const std::size_t withdrawals = r_.count(4);
    for (std::size_t i = 0; i < withdrawals; ++i) {
      block.withdrawals.push_back(r_.u32());
      if (block.withdrawals.back() >= books_.withdrawals.size()) return refuse("a block's payment");
    }
    const std::size_t coins = r_.count(kOutPointBytes);
    for (std::size_t i = 0; i < coins; ++i) {
      block.coins.push_back(read_outpoint(r_));
      if (!books_.coins.contains(block.coins.back())) return refuse("a block's coin");
    }
    books_.chain.push_back(std::move(block));
  }

  void derive() {
    const std::uint32_t tip = books_.tip_height();
    for (Ordinal ordinal = 0; ordinal < books_.withdrawals.size(); ++ordinal) {
      Withdrawal& withdrawal = books_.withdrawals[ordinal];
      if (withdrawal.view.height > tip) return refuse("a payment above the tip");
      withdrawal.view.state = state_by_facts(books_, withdrawal);
      const bool rejected = withdrawal.view.state == wire::WithdrawalState::Rejected;
      if (!rejected && !withdrawal.view.planned) books_.waiting.insert(ordinal);
      if (!rejected && !books_.settled(ordinal)) books_.unfinished.insert(ordinal);
    }
    for (const auto& [outpoint, coin] : books_.coins) {
      if (coin.height > tip) return refuse("a coin above the tip");
      books_.refresh_coin(outpoint);
    }
  }

  CanonicalReader r_;
  Books books_;
  std::string why_;
};

}  // namespace

Bytes encode_books(const Books& books) {
  CanonicalWriter w;
  w.text(kFormat);
  w.boolean(books.genesis.has_value());
  if (!books.genesis) return w.take();
  w.bytes(wire::encode_command({{}, *books.genesis}));
  w.count(books.withdrawals.size());
  for (const Withdrawal& withdrawal : books.withdrawals)
    write_withdrawal(w, *books.genesis, withdrawal);
  w.count(books.coins.size());
  for (const auto& [outpoint, coin] : books.coins) {
    write_outpoint(w, outpoint);
    w.i64(coin.amount_sat);
    w.boolean(coin.coinbase);
    w.boolean(coin.credited);
    w.boolean(coin.creator.has_value());
    if (coin.creator) w.u32(static_cast<std::uint32_t>(*coin.creator));
    w.u32(coin.height);
  }
  write_chain(w, books);
  for (const auto& [account, amount] : books.balances) w.i64(amount);  // names: the genesis command
  write_journals(w, books);
  w.boolean(books.closed);
  w.u64(books.refused_after_end);
  return w.take();
}

Result<Books> decode_books(ByteSpan bytes, const crypto::Scheme* verifier) {
  auto books = Decoder(bytes, verifier).run();
  if (!books) return books;
  // One spelling: what is unordered, redundant or out of range does not come back as it was.
  const Bytes again = encode_books(*books);
  if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) {
    return Error{ErrorKind::Corrupt, "the ledger's state: not its canonical encoding"};
  }
  return books;
}

}  // namespace roulette::ledger
