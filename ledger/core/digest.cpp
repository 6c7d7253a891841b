// The digest of the books: SHA-256 over one canonical encoding of everything that apply depends on.
//
// Invariant: equal books, equal digest; what is derived (indices, waiting list, selectable coins)
// is left out because it follows from the rest. What never changes enters as a hash that was made
// when it was recorded, so that a digest of thousands of withdrawals takes milliseconds.
#include "common/base/canonical.h"
#include "common/crypto/hash.h"
#include "ledger/core/books.h"

namespace roulette::ledger {
namespace {

void write_withdrawals(CanonicalWriter& w, const Books& books) {
  w.count(books.withdrawals.size());
  for (const Withdrawal& withdrawal : books.withdrawals) {
    const wire::WithdrawalView& view = withdrawal.view;
    w.raw(withdrawal.request_hash);
    w.u8(static_cast<std::uint8_t>(view.state));
    w.u32(view.height);
    w.boolean(withdrawal.broadcast);
    w.boolean(withdrawal.paid);
    w.boolean(view.planned.has_value());
    if (view.planned) {  // the txid covers the transaction; a sighash the inputs' amounts, too
      w.raw(view.planned->txid);
      w.i64(view.planned->fee_sat);
      for (const bitcoin::TxOut& prevout : view.planned->prevouts) w.i64(prevout.amount_sat);
    }
    w.raw(withdrawal.signed_hash);
  }
}

void write_coins(CanonicalWriter& w, const Books& books) {
  w.count(books.coins.size());
  for (const auto& [outpoint, coin] : books.coins) {
    write_outpoint(w, outpoint);
    w.i64(coin.amount_sat);
    w.boolean(coin.coinbase);
    w.boolean(coin.credited);
    w.boolean(coin.creator.has_value());
    if (coin.creator) w.u64(*coin.creator);
    w.u32(coin.height);
  }
  w.count(books.reserved.size());
  for (const auto& [outpoint, ordinal] : books.reserved) {
    write_outpoint(w, outpoint);
    w.u64(ordinal);
  }
}

void write_chain(CanonicalWriter& w, const Books& books) {
  w.count(books.chain.size());
  for (const Block& block : books.chain) {
    w.raw(block.hash);
    w.count(block.withdrawals.size());
    for (const Ordinal ordinal : block.withdrawals) w.u64(ordinal);
    w.count(block.coins.size());
    for (const bitcoin::OutPoint& outpoint : block.coins) write_outpoint(w, outpoint);
  }
}

}  // namespace

void write_outpoint(CanonicalWriter& w, const bitcoin::OutPoint& outpoint) {
  w.raw(outpoint.txid);
  w.u32(outpoint.vout);
}

void write_journals(CanonicalWriter& w, const Books& books) {
  w.count(books.journals.size());
  for (const auto& [signer, head] : books.journals) {
    w.u16(signer.value());
    w.u32(head.share_epoch);
    w.u64(head.length);
    w.raw(head.head);
  }
}

Hash32 request_hash(const wire::WithdrawalView& view) {
  CanonicalWriter w;
  w.raw(view.id.value());
  w.text(view.key);
  w.text(view.account);
  w.bytes(view.script);
  w.i64(view.amount_sat);
  w.raw(view.payload_digest);
  w.u8(static_cast<std::uint8_t>(view.reject));
  w.u16(view.owner.value());
  w.i64(view.requested_at_us);
  wire::write_client(w, view.client);
  return crypto::sha256(w.view());
}

Hash32 books_digest(const Books& books) {
  CanonicalWriter w;
  w.text("roulette/ledger-state/2");
  w.boolean(books.genesis.has_value());
  if (books.genesis) w.bytes(wire::encode_command({{}, *books.genesis}));
  write_withdrawals(w, books);
  write_coins(w, books);
  write_chain(w, books);
  w.count(books.balances.size());
  for (const auto& [account, amount] : books.balances) {
    w.text(account);
    w.i64(amount);
  }
  write_journals(w, books);
  w.boolean(books.closed);
  w.u64(books.refused_after_end);
  return crypto::sha256(w.view());
}

}  // namespace roulette::ledger
