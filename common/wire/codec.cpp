// Messages to protobuf and back. The only file that knows the generated code.
//
// Invariant: decode(encode(x)) == x for every message within its bounds; decode answers Corrupt for
// anything but exactly one message of known kind, sizes and enum values, and never throws. It does
// not judge meaning (ascending ids, one nonce per input): that is the machines', who answer it.
//
// Texts for humans are cut and made printable when they are written, so that a long or odd error
// text never costs the message it explains; all other bounds are the sender's duty.
#include "common/wire/codec.h"

#include <limits>
#include <span>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include "common/base/limits.h"
#include "roulette.pb.h"

namespace roulette::wire {
namespace {

namespace pb = roulette::v1;
using google::protobuf::RepeatedPtrField;

constexpr std::size_t kMaxBalanceNameBytes = 9 + limits::kMaxAccountNameBytes;  // "customer:"
constexpr std::size_t kMaxBalances = 4 + limits::kMaxAccounts;  // pending, fees, wallet, outside

constexpr int kLastMessageField = 99;  // roulette.proto, Envelope

constexpr bool printable(char c) { return c >= 0x20 && c <= 0x7e; }

// ---- writing ------------------------------------------------------------------------------------

std::string octets(ByteSpan bytes) { return std::string(bytes.begin(), bytes.end()); }

std::string human(const std::string& text) {
  std::string out = text.substr(0, limits::kMaxDetailBytes);
  for (char& c : out) {
    if (!printable(c)) c = '?';
  }
  return out;
}

template <class Element>
void add_arrays(RepeatedPtrField<std::string>& out, const std::vector<Element>& in) {
  out.Reserve(static_cast<int>(in.size()));
  for (const auto& bytes : in) *out.Add() = octets(bytes);
}

void add_outputs(RepeatedPtrField<pb::TxOut>& out, const std::vector<bitcoin::TxOut>& in) {
  for (const bitcoin::TxOut& output : in) {
    pb::TxOut& added = *out.Add();
    added.set_amount_sat(output.amount_sat);
    added.set_script(octets(output.script));
  }
}

void put(const WithdrawalView& v, pb::WithdrawalView& out) {
  out.set_id(octets(v.id.value()));
  out.set_key(v.key);
  out.set_account(v.account);
  out.set_script(octets(v.script));
  out.set_amount_sat(v.amount_sat);
  out.set_payload_digest(octets(v.payload_digest));
  out.set_state(static_cast<pb::WithdrawalState>(v.state));
  out.set_reject(static_cast<pb::RejectReason>(v.reject));
  out.set_owner(v.owner.value());
  out.set_requested_at_us(v.requested_at_us);
  if (v.planned) {
    pb::Template& planned = *out.mutable_planned();
    planned.set_txid(octets(v.planned->txid));
    planned.set_unsigned_tx(octets(v.planned->unsigned_tx));
    add_outputs(*planned.mutable_prevouts(), v.planned->prevouts);
    planned.set_fee_sat(v.planned->fee_sat);
  }
  out.set_signed_tx(octets(v.signed_tx));
  add_arrays(*out.mutable_parents(), v.parents);
  out.set_height(v.height);
  if (!v.client) return;
  out.set_client(v.client->client);
  out.set_client_signature(octets(v.client->signature));
}

void put(const Hello& v, pb::Envelope& envelope) {
  pb::Hello& out = *envelope.mutable_hello();
  out.set_major(v.major);
  out.set_minor(v.minor);
  out.set_role(static_cast<pb::Role>(v.name.role));
  out.set_index(v.name.index);
  out.set_boot(octets(v.boot.value()));
}

void put(const SignerPing& v, pb::Envelope& envelope) {
  envelope.mutable_signer_ping()->set_number(v.number);
}

void put(const NonceRequest& v, pb::Envelope& envelope) {
  envelope.mutable_nonce_request()->set_count(v.count);
}

void put(const SignRequest& v, pb::Envelope& envelope) {
  pb::SignRequest& out = *envelope.mutable_sign_request();
  out.set_withdrawal_id(octets(v.withdrawal_id.value()));
  out.set_payload_digest(octets(v.payload_digest));
  out.set_unsigned_tx(octets(v.unsigned_tx));
  add_outputs(*out.mutable_prevouts(), v.prevouts);
  for (const SessionSigner& signer : v.signers) {
    pb::SessionSigner& added = *out.add_signers();
    added.set_id(signer.id.value());
    added.set_epoch(octets(signer.epoch.value()));
    add_arrays(*added.mutable_nonces(), signer.nonces);
  }
  out.set_group(octets(v.group));
  if (!v.client) return;
  pb::ClientRequest& client = *out.mutable_client();
  client.set_key(v.client->key);
  client.set_account(v.client->account);
  client.set_client(v.client->by.client);
  client.set_signature(octets(v.client->by.signature));
}

void put(const JournalCheck& v, pb::Envelope& envelope) {
  pb::JournalCheck& out = *envelope.mutable_journal_check();
  out.set_share_epoch(v.share_epoch);
  out.set_length(v.length);
  out.set_head(octets(v.head));
}

void put(const JournalAnswer& v, pb::Envelope& envelope) {
  pb::JournalAnswer& out = *envelope.mutable_journal_answer();
  out.set_share_epoch(v.share_epoch);
  out.set_length(v.length);
  out.set_standing(static_cast<pb::JournalStanding>(v.standing));
}

void put(const SignerStatus& v, pb::Envelope& envelope) {
  pb::SignerStatus& out = *envelope.mutable_signer_status();
  out.set_number(v.number);
  out.set_epoch(octets(v.epoch.value()));
  out.set_share_epoch(v.share_epoch);
  out.set_journal_length(v.journal_length);
  out.set_journal_head(octets(v.journal_head));
  out.set_draining(v.draining);
  out.set_standing(static_cast<pb::JournalStanding>(v.standing));
  out.set_group(octets(v.group));
  out.set_key_unavailable(v.key_unavailable);
}

void put(const NonceBatch& v, pb::Envelope& envelope) {
  pb::NonceBatch& out = *envelope.mutable_nonce_batch();
  out.set_epoch(octets(v.epoch.value()));
  add_arrays(*out.mutable_nonces(), v.nonces);
}

void put(const SignResponse& v, pb::Envelope& envelope) {
  pb::SignResponse& out = *envelope.mutable_sign_response();
  out.set_session_digest(octets(v.session_digest));
  add_arrays(*out.mutable_shares(), v.shares);
  add_arrays(*out.mutable_next_nonces(), v.next_nonces);
  out.set_journal_length(v.journal_length);
  out.set_journal_head(octets(v.journal_head));
  out.set_share_epoch(v.share_epoch);
}

void put(const SignRefusal& v, pb::Envelope& envelope) {
  pb::SignRefusal& out = *envelope.mutable_sign_refusal();
  out.set_session_digest(octets(v.session_digest));
  out.set_reason(static_cast<pb::RefusalReason>(v.reason));
  out.set_detail(human(v.detail));
  if (v.blamed) out.set_blamed(v.blamed->value());
}

void put(const LedgerSubmit& v, pb::Envelope& envelope) {
  pb::LedgerSubmit& out = *envelope.mutable_ledger_submit();
  out.set_request(v.request);
  out.set_command(octets(encode_command(v.command)));
}

void put(const bitcoin::OutPoint& v, pb::OutPoint& out) {
  out.set_txid(octets(v.txid));
  out.set_vout(v.vout);
}

void put(const PageFrom& v, pb::PageFrom& out) {
  out.set_ordinal(v.ordinal);
  if (v.deposit) put(*v.deposit, *out.mutable_deposit());
}

void put(const QueryPage& v, pb::QueryPage& out) {
  out.set_kind(static_cast<pb::PageKind>(v.kind));
  for (const std::string& account : v.accounts) out.add_accounts(account);
  if (v.state) out.set_state(static_cast<pb::WithdrawalState>(*v.state));
  if (v.requested_after_us) out.set_requested_after_us(*v.requested_after_us);
  if (v.requested_before_us) out.set_requested_before_us(*v.requested_before_us);
  put(v.from, *out.mutable_from());
  out.set_limit(v.limit);
}

void put(const Page& v, pb::Page& out) {
  for (const AccountView& account : v.accounts) {
    pb::AccountView& added = *out.add_accounts();
    added.set_name(account.name);
    added.set_available_sat(account.available_sat);
    added.set_pending_sat(account.pending_sat);
  }
  for (const WithdrawalView& view : v.withdrawals) put(view, *out.add_withdrawals());
  for (const DepositView& deposit : v.deposits) {
    pb::DepositView& added = *out.add_deposits();
    put(deposit.outpoint, *added.mutable_outpoint());
    added.set_amount_sat(deposit.amount_sat);
    added.set_account(deposit.account);
    added.set_coinbase(deposit.coinbase);
    added.set_credited(deposit.credited);
    added.set_height(deposit.height);
    added.set_depth(deposit.depth);
  }
  for (const EntryView& entry : v.entries) {
    pb::EntryView& added = *out.add_entries();
    added.set_amount_sat(entry.amount_sat);
    if (entry.deposit) put(*entry.deposit, *added.mutable_deposit());
    if (entry.withdrawal) added.set_withdrawal(octets(entry.withdrawal->value()));
  }
  if (v.next) put(*v.next, *out.mutable_next());
}

void put(const LedgerQuery& v, pb::Envelope& envelope) {
  pb::LedgerQuery& out = *envelope.mutable_ledger_query();
  out.set_request(v.request);
  struct Put {
    pb::LedgerQuery& out;
    void operator()(const QueryById& q) const { out.mutable_by_id()->set_id(octets(q.id.value())); }
    void operator()(const QueryByKey& q) const { out.mutable_by_key()->set_key(q.key); }
    void operator()(const QueryBalances&) const { out.mutable_balances(); }
    void operator()(const QueryJournals&) const { out.mutable_journals(); }
    void operator()(const QueryPage& q) const { put(q, *out.mutable_page()); }
    void operator()(const QueryEvents& q) const {
      out.mutable_events()->set_id(octets(q.id.value()));
    }
  };
  std::visit(Put{out}, v.query);
}

void put(const LedgerFollow&, pb::Envelope& envelope) { envelope.mutable_ledger_follow(); }

void put(const LedgerStatus& v, pb::Envelope& envelope) {
  pb::LedgerStatus& out = *envelope.mutable_ledger_status();
  out.set_ready(v.ready);
  out.set_index(v.index);
  out.set_reason(human(v.reason));
}

void put(const LedgerApplied& v, pb::Envelope& envelope) {
  pb::LedgerApplied& out = *envelope.mutable_ledger_applied();
  out.set_request(v.request);
  out.set_index(v.index);
  pb::Outcome& outcome = *out.mutable_outcome();
  outcome.set_kind(static_cast<pb::OutcomeKind>(v.outcome.kind));
  outcome.set_detail(human(v.outcome.detail));
  if (v.outcome.withdrawal) outcome.set_withdrawal(octets(v.outcome.withdrawal->value()));
  if (v.view) put(*v.view, *out.mutable_view());
}

void put(const LedgerAnswer& v, pb::Envelope& envelope) {
  pb::LedgerAnswer& out = *envelope.mutable_ledger_answer();
  out.set_request(v.request);
  out.set_index(v.index);
  out.set_available(v.available);
  if (v.view) put(*v.view, *out.mutable_view());
  for (const Balance& balance : v.balances) {
    pb::Balance& added = *out.add_balances();
    added.set_account(balance.account);
    added.set_amount_sat(balance.amount_sat);
  }
  for (const JournalHead& journal : v.journals) {
    pb::JournalHead& added = *out.add_journals();
    added.set_signer(journal.signer.value());
    added.set_share_epoch(journal.share_epoch);
    added.set_length(journal.length);
    added.set_head(octets(journal.head));
  }
  if (v.page != Page{}) put(v.page, *out.mutable_page());
  for (const WithdrawalEvent& event : v.events) {
    pb::WithdrawalEvent& added = *out.add_events();
    added.set_state(static_cast<pb::WithdrawalState>(event.state));
    added.set_revoked(event.revoked);
    added.set_index(event.index);
    added.set_height(event.height);
  }
}

void put(const LedgerFeed& v, pb::Envelope& envelope) {
  pb::LedgerFeed& out = *envelope.mutable_ledger_feed();
  out.set_index(v.index);
  out.mutable_tip()->set_hash(octets(v.tip.hash));
  out.mutable_tip()->set_height(v.tip.height);
  out.set_first(v.first);
  out.set_complete(v.complete);
  out.set_closed(v.closed);
  for (const WithdrawalView& view : v.changed) put(view, *out.add_changed());
}

void put(const CoordinatorHeartbeat& v, pb::Envelope& envelope) {
  envelope.mutable_coordinator_heartbeat()->set_steps(v.steps);
  envelope.mutable_coordinator_heartbeat()->set_draining(v.draining);
}

void put(const LedgerForward& v, pb::Envelope& envelope) {
  pb::LedgerForward& out = *envelope.mutable_ledger_forward();
  for (const Command& command : v.commands) out.add_commands(octets(encode_command(command)));
}

void put(const LedgerHeartbeat& v, pb::Envelope& envelope) {
  envelope.mutable_ledger_heartbeat()->set_index(v.index);
  envelope.mutable_ledger_heartbeat()->set_ready(v.ready);
}

// ---- reading ------------------------------------------------------------------------------------

// Remembers the first violation; after one, what was read is meaningless and thrown away.
class Checked {
 public:
  void refuse(const char* field) {
    if (!violated_) violated_ = field;
  }
  [[nodiscard]] const char* violated() const { return violated_; }

  template <std::size_t N>
  [[nodiscard]] ByteArray<N> array(const std::string& in, const char* field) {
    const auto out = to_array<N>(as_bytes(in));
    if (out) return *out;
    refuse(field);
    return {};
  }
  template <std::size_t N>
  [[nodiscard]] std::vector<ByteArray<N>> arrays(const RepeatedPtrField<std::string>& in,
                                                 std::size_t most, const char* field) {
    std::vector<ByteArray<N>> out;
    if (!list(in, most, field)) return out;
    out.reserve(static_cast<std::size_t>(in.size()));
    for (const std::string& bytes : in) out.push_back(array<N>(bytes, field));
    return out;
  }
  // Of a scheme that this file does not know: a bound, not a size.
  template <class Element>
  [[nodiscard]] std::vector<Element> bounded(const RepeatedPtrField<std::string>& in,
                                             std::size_t most, const char* field) {
    std::vector<Element> out;
    if (!list(in, most, field)) return out;
    out.reserve(static_cast<std::size_t>(in.size()));
    for (const std::string& bytes : in) {
      const auto element = Element::from(as_bytes(bytes));
      if (!element) refuse(field);
      out.push_back(element.value_or(Element{}));
    }
    return out;
  }
  // Whether a list is within its bound: ask before copying any of it.
  template <class List>
  [[nodiscard]] bool list(const List& in, std::size_t most, const char* field) {
    if (static_cast<std::size_t>(in.size()) <= most) return true;
    refuse(field);
    return false;
  }
  [[nodiscard]] Bytes bytes(const std::string& in, std::size_t most, const char* field) {
    if (in.size() > most) refuse(field);
    return Bytes(in.begin(), in.end());
  }
  [[nodiscard]] const std::string& text(const std::string& in, std::size_t most,
                                        const char* field) {
    if (in.size() > most) refuse(field);
    return in;
  }
  [[nodiscard]] const std::string& human(const std::string& in, const char* field) {
    for (const char c : in) {
      if (!printable(c)) refuse(field);
    }
    return text(in, limits::kMaxDetailBytes, field);
  }
  [[nodiscard]] std::uint16_t u16(std::uint32_t in, const char* field) {
    if (in > std::numeric_limits<std::uint16_t>::max()) refuse(field);
    return static_cast<std::uint16_t>(in);
  }
  // `first` and `last` bound a gapless enum whose numbers are those of roulette.proto.
  template <class Enum>
  [[nodiscard]] Enum one_of(int in, Enum first, Enum last, const char* field) {
    if (in >= static_cast<int>(first) && in <= static_cast<int>(last)) return static_cast<Enum>(in);
    refuse(field);
    return first;
  }
  [[nodiscard]] Command command(const std::string& in, const char* field) {
    auto decoded = decode_command(as_bytes(in));
    if (decoded) return std::move(decoded).value();
    refuse(field);
    return {};
  }

 private:
  const char* violated_ = nullptr;
};

std::vector<bitcoin::TxOut> outputs(const RepeatedPtrField<pb::TxOut>& in, Checked& check) {
  std::vector<bitcoin::TxOut> out;
  if (!check.list(in, limits::kMaxInputsPerTransaction, "prevouts")) return out;
  for (const pb::TxOut& output : in) {
    out.push_back({output.amount_sat(),
                   check.bytes(output.script(), limits::kMaxScriptBytes, "prevouts.script")});
  }
  return out;
}

WithdrawalView get(const pb::WithdrawalView& in, Checked& check) {
  WithdrawalView v;
  v.id = WithdrawalId(check.array<16>(in.id(), "view.id"));
  v.key = check.text(in.key(), limits::kMaxIdempotencyKeyBytes, "view.key");
  v.account = check.text(in.account(), limits::kMaxAccountNameBytes, "view.account");
  v.script = check.bytes(in.script(), limits::kMaxScriptBytes, "view.script");
  v.amount_sat = in.amount_sat();
  v.payload_digest = check.array<32>(in.payload_digest(), "view.payload_digest");
  v.state = check.one_of(in.state(), WithdrawalState::Requested, WithdrawalState::Rejected,
                         "view.state");
  v.reject = check.one_of(in.reject(), RejectReason::None, RejectReason::BadScript, "view.reject");
  v.owner = CoordinatorId(check.u16(in.owner(), "view.owner"));
  v.requested_at_us = in.requested_at_us();
  if (in.has_planned()) {
    Template planned;
    planned.txid = check.array<32>(in.planned().txid(), "planned.txid");
    planned.unsigned_tx = check.bytes(in.planned().unsigned_tx(), limits::kMaxTransactionBytes,
                                      "planned.unsigned_tx");
    planned.prevouts = outputs(in.planned().prevouts(), check);
    planned.fee_sat = in.planned().fee_sat();
    v.planned = std::move(planned);
  }
  v.signed_tx = check.bytes(in.signed_tx(), limits::kMaxTransactionBytes, "view.signed_tx");
  v.parents = check.arrays<32>(in.parents(), limits::kMaxUnsettledAncestors, "view.parents");
  v.height = in.height();
  if (in.client().empty() && in.client_signature().empty()) return v;
  v.client = ClientSignature{
      check.text(in.client(), limits::kMaxClientNameBytes, "view.client"),
      check.array<64>(in.client_signature(), "view.client_signature")};
  return v;
}

Hello get(const pb::Hello& in, Checked& check) {
  Hello v;
  v.major = check.u16(in.major(), "major");
  v.minor = check.u16(in.minor(), "minor");
  v.name.role = check.one_of(in.role(), Role::Signer, Role::Tool, "role");
  v.name.index = check.u16(in.index(), "index");
  v.boot = BootId(check.array<16>(in.boot(), "boot"));
  return v;
}

SignRequest get(const pb::SignRequest& in, Checked& check) {
  SignRequest v;
  v.withdrawal_id = WithdrawalId(check.array<16>(in.withdrawal_id(), "withdrawal_id"));
  v.payload_digest = check.array<32>(in.payload_digest(), "payload_digest");
  v.unsigned_tx = check.bytes(in.unsigned_tx(), limits::kMaxTransactionBytes, "unsigned_tx");
  v.prevouts = outputs(in.prevouts(), check);
  v.group = check.array<32>(in.group(), "group");
  if (in.has_client()) {
    const pb::ClientRequest& client = in.client();
    v.client = ClientRequest{
        check.text(client.key(), limits::kMaxIdempotencyKeyBytes, "client.key"),
        check.text(client.account(), limits::kMaxAccountNameBytes, "client.account"),
        {check.text(client.client(), limits::kMaxClientNameBytes, "client.client"),
         check.array<64>(client.signature(), "client.signature")}};
  }
  if (!check.list(in.signers(), limits::kMaxSigners, "signers")) return v;
  for (const pb::SessionSigner& signer : in.signers()) {
    SessionSigner added;
    added.id = SignerId(check.u16(signer.id(), "signers.id"));
    added.epoch = BootId(check.array<16>(signer.epoch(), "signers.epoch"));
    added.nonces = check.bounded<PubNonce>(signer.nonces(), limits::kMaxInputsPerTransaction,
                                           "signers.nonces");
    v.signers.push_back(std::move(added));
  }
  return v;
}

JournalCheck get(const pb::JournalCheck& in, Checked& check) {
  return {in.share_epoch(), in.length(), check.array<32>(in.head(), "head")};
}

JournalAnswer get(const pb::JournalAnswer& in, Checked& check) {
  return {in.share_epoch(), in.length(),
          check.one_of(in.standing(), JournalStanding::Holds, JournalStanding::Forked,
                       "standing")};
}

SignerStatus get(const pb::SignerStatus& in, Checked& check) {
  SignerStatus v;
  v.number = in.number();
  v.epoch = BootId(check.array<16>(in.epoch(), "epoch"));
  v.share_epoch = in.share_epoch();
  v.journal_length = in.journal_length();
  v.journal_head = check.array<32>(in.journal_head(), "journal_head");
  v.draining = in.draining();
  v.standing = check.one_of(in.standing(), JournalStanding::Unchecked, JournalStanding::Forked,
                            "standing");
  v.group = check.array<32>(in.group(), "group");
  v.key_unavailable = in.key_unavailable();
  return v;
}

NonceBatch get(const pb::NonceBatch& in, Checked& check) {
  NonceBatch v;
  v.epoch = BootId(check.array<16>(in.epoch(), "epoch"));
  v.nonces = check.bounded<PubNonce>(in.nonces(), limits::kNoncePoolPerConnection, "nonces");
  return v;
}

SignResponse get(const pb::SignResponse& in, Checked& check) {
  SignResponse v;
  v.session_digest = check.array<32>(in.session_digest(), "session_digest");
  v.shares = check.bounded<PartialSignature>(in.shares(), limits::kMaxInputsPerTransaction,
                                              "shares");
  v.next_nonces =
      check.bounded<PubNonce>(in.next_nonces(), limits::kNoncePoolPerConnection, "next_nonces");
  v.journal_length = in.journal_length();
  v.journal_head = check.array<32>(in.journal_head(), "journal_head");
  v.share_epoch = in.share_epoch();
  return v;
}

SignRefusal get(const pb::SignRefusal& in, Checked& check) {
  SignRefusal v;
  v.session_digest = check.array<32>(in.session_digest(), "session_digest");
  v.reason =
      check.one_of(in.reason(), RefusalReason::StaleEpoch, RefusalReason::Unrequested, "reason");
  v.detail = check.human(in.detail(), "detail");
  if (in.has_blamed()) v.blamed = SignerId(check.u16(in.blamed(), "blamed"));
  return v;
}

WithdrawalState state(int in, Checked& check, const char* field) {
  return check.one_of(in, WithdrawalState::Requested, WithdrawalState::Rejected, field);
}

bitcoin::OutPoint get(const pb::OutPoint& in, Checked& check) {
  return {check.array<32>(in.txid(), "outpoint.txid"), in.vout()};
}

PageFrom get(const pb::PageFrom& in, Checked& check) {
  PageFrom v{in.ordinal(), std::nullopt};
  if (in.has_deposit()) v.deposit = get(in.deposit(), check);
  return v;
}

QueryPage get(const pb::QueryPage& in, Checked& check) {
  QueryPage v;
  v.kind = check.one_of(in.kind(), PageKind::Accounts, PageKind::Entries, "page.kind");
  if (!check.list(in.accounts(), limits::kMaxAccounts, "page.accounts")) return v;
  for (const std::string& account : in.accounts()) {
    v.accounts.push_back(check.text(account, limits::kMaxAccountNameBytes, "page.accounts"));
  }
  if (in.has_state()) v.state = state(in.state(), check, "page.state");
  if (in.has_requested_after_us()) v.requested_after_us = in.requested_after_us();
  if (in.has_requested_before_us()) v.requested_before_us = in.requested_before_us();
  v.from = get(in.from(), check);
  v.limit = in.limit();
  if (v.limit > limits::kMaxPageItems) check.refuse("page.limit");
  return v;
}

EntryView get(const pb::EntryView& in, Checked& check) {
  EntryView v{in.amount_sat(), std::nullopt, std::nullopt};
  if (in.has_deposit()) v.deposit = get(in.deposit(), check);
  if (in.has_withdrawal())
    v.withdrawal = WithdrawalId(check.array<16>(in.withdrawal(), "entries.withdrawal"));
  if (v.deposit.has_value() == v.withdrawal.has_value()) check.refuse("entries");
  return v;
}

Page get(const pb::Page& in, Checked& check) {
  Page v;
  if (!check.list(in.accounts(), limits::kMaxAccounts, "page.accounts") ||
      !check.list(in.withdrawals(), limits::kMaxPageItems, "page.withdrawals") ||
      !check.list(in.deposits(), limits::kMaxPageItems, "page.deposits") ||
      !check.list(in.entries(), limits::kMaxPageItems, "page.entries"))
    return v;
  for (const pb::AccountView& account : in.accounts()) {
    v.accounts.push_back({check.text(account.name(), limits::kMaxAccountNameBytes, "accounts.name"),
                          account.available_sat(), account.pending_sat()});
  }
  for (const pb::WithdrawalView& view : in.withdrawals()) v.withdrawals.push_back(get(view, check));
  for (const pb::DepositView& deposit : in.deposits()) {
    v.deposits.push_back(
        {get(deposit.outpoint(), check), deposit.amount_sat(),
         check.text(deposit.account(), limits::kMaxAccountNameBytes, "deposits.account"),
         deposit.coinbase(), deposit.credited(), deposit.height(), deposit.depth()});
  }
  for (const pb::EntryView& entry : in.entries()) v.entries.push_back(get(entry, check));
  if (in.has_next()) v.next = get(in.next(), check);
  return v;
}

LedgerQuery get(const pb::LedgerQuery& in, Checked& check) {
  LedgerQuery v;
  v.request = in.request();
  switch (in.query_case()) {
    case pb::LedgerQuery::kById:
      v.query = QueryById{WithdrawalId(check.array<16>(in.by_id().id(), "by_id.id"))};
      break;
    case pb::LedgerQuery::kByKey:
      v.query = QueryByKey{check.text(in.by_key().key(), limits::kMaxIdempotencyKeyBytes,
                                      "by_key.key")};
      break;
    case pb::LedgerQuery::kBalances: v.query = QueryBalances{}; break;
    case pb::LedgerQuery::kJournals: v.query = QueryJournals{}; break;
    case pb::LedgerQuery::kPage: v.query = get(in.page(), check); break;
    case pb::LedgerQuery::kEvents:
      v.query = QueryEvents{WithdrawalId(check.array<16>(in.events().id(), "events.id"))};
      break;
    case pb::LedgerQuery::QUERY_NOT_SET: check.refuse("query"); break;
  }
  return v;
}

LedgerApplied get(const pb::LedgerApplied& in, Checked& check) {
  LedgerApplied v;
  v.request = in.request();
  v.index = in.index();
  // An absent outcome reads as kind 0, which is refused.
  v.outcome.kind = check.one_of(in.outcome().kind(), OutcomeKind::Applied, OutcomeKind::Closed,
                                "outcome.kind");
  v.outcome.detail = check.human(in.outcome().detail(), "outcome.detail");
  if (in.outcome().has_withdrawal()) {
    v.outcome.withdrawal =
        WithdrawalId(check.array<16>(in.outcome().withdrawal(), "outcome.withdrawal"));
  }
  if (in.has_view()) v.view = get(in.view(), check);
  return v;
}

LedgerAnswer get(const pb::LedgerAnswer& in, Checked& check) {
  LedgerAnswer v;
  v.request = in.request();
  v.index = in.index();
  v.available = in.available();
  if (in.has_view()) v.view = get(in.view(), check);
  if (!check.list(in.balances(), kMaxBalances, "balances")) return v;
  for (const pb::Balance& balance : in.balances()) {
    v.balances.push_back({check.text(balance.account(), kMaxBalanceNameBytes, "balances.account"),
                          balance.amount_sat()});
  }
  if (!check.list(in.journals(), limits::kMaxSigners, "journals")) return v;
  for (const pb::JournalHead& journal : in.journals()) {
    v.journals.push_back({SignerId(check.u16(journal.signer(), "journals.signer")),
                          journal.length(), check.array<32>(journal.head(), "journals.head"),
                          journal.share_epoch()});
  }
  if (in.has_page()) v.page = get(in.page(), check);
  if (!check.list(in.events(), limits::kMaxEventsKept, "events")) return v;
  for (const pb::WithdrawalEvent& event : in.events()) {
    v.events.push_back({state(event.state(), check, "events.state"), event.revoked(),
                        event.index(), event.height()});
  }
  return v;
}

LedgerFeed get(const pb::LedgerFeed& in, Checked& check) {
  LedgerFeed v;
  v.index = in.index();
  v.tip.hash = check.array<32>(in.tip().hash(), "tip.hash");
  v.tip.height = in.tip().height();
  v.first = in.first();
  v.complete = in.complete();
  v.closed = in.closed();
  if (!check.list(in.changed(), limits::kMaxFeedViewsPerFrame, "changed")) return v;
  for (const pb::WithdrawalView& view : in.changed()) v.changed.push_back(get(view, check));
  return v;
}

LedgerForward get(const pb::LedgerForward& in, Checked& check) {
  LedgerForward v;
  if (!check.list(in.commands(), limits::kMaxQueuedCommands, "commands")) return v;
  for (const std::string& bytes : in.commands()) {
    v.commands.push_back(check.command(bytes, "commands"));
  }
  return v;
}

Message get(const pb::Envelope& in, Checked& check) {
  switch (in.message_case()) {
    case pb::Envelope::kHello: return get(in.hello(), check);
    case pb::Envelope::kSignerPing: return SignerPing{in.signer_ping().number()};
    case pb::Envelope::kNonceRequest: return NonceRequest{in.nonce_request().count()};
    case pb::Envelope::kSignRequest: return get(in.sign_request(), check);
    case pb::Envelope::kJournalCheck: return get(in.journal_check(), check);
    case pb::Envelope::kJournalAnswer: return get(in.journal_answer(), check);
    case pb::Envelope::kSignerStatus: return get(in.signer_status(), check);
    case pb::Envelope::kNonceBatch: return get(in.nonce_batch(), check);
    case pb::Envelope::kSignResponse: return get(in.sign_response(), check);
    case pb::Envelope::kSignRefusal: return get(in.sign_refusal(), check);
    case pb::Envelope::kLedgerSubmit:
      return LedgerSubmit{in.ledger_submit().request(),
                          check.command(in.ledger_submit().command(), "command")};
    case pb::Envelope::kLedgerQuery: return get(in.ledger_query(), check);
    case pb::Envelope::kLedgerFollow: return LedgerFollow{};
    case pb::Envelope::kLedgerStatus:
      return LedgerStatus{in.ledger_status().ready(), in.ledger_status().index(),
                          check.human(in.ledger_status().reason(), "reason")};
    case pb::Envelope::kLedgerApplied: return get(in.ledger_applied(), check);
    case pb::Envelope::kLedgerAnswer: return get(in.ledger_answer(), check);
    case pb::Envelope::kLedgerFeed: return get(in.ledger_feed(), check);
    case pb::Envelope::kCoordinatorHeartbeat:
      return CoordinatorHeartbeat{in.coordinator_heartbeat().steps(),
                                  in.coordinator_heartbeat().draining()};
    case pb::Envelope::kLedgerForward: return get(in.ledger_forward(), check);
    case pb::Envelope::kLedgerHeartbeat:
      return LedgerHeartbeat{in.ledger_heartbeat().index(), in.ledger_heartbeat().ready()};
    case pb::Envelope::MESSAGE_NOT_SET: break;
  }
  check.refuse("message");
  return LedgerFollow{};
}

// Protobuf merges repeated members of a oneof or keeps the last one; two messages in one frame are
// a violation here, lest two readers of one frame see different messages. Fields above the range
// kept for messages are a newer minor's and may accompany the message.
bool carries_one_message(ByteSpan bytes) {
  using google::protobuf::internal::WireFormatLite;
  google::protobuf::io::CodedInputStream in(bytes.data(), static_cast<int>(bytes.size()));
  int messages = 0;
  for (std::uint32_t tag = in.ReadTag(); tag != 0; tag = in.ReadTag()) {
    const int field = WireFormatLite::GetTagFieldNumber(tag);
    if (field <= kLastMessageField) ++messages;
    if (!WireFormatLite::SkipField(&in, tag)) return false;
  }
  return messages == 1;
}

Error corrupt(const std::string& what) { return Error{ErrorKind::Corrupt, "message: " + what}; }

}  // namespace

Bytes encode_message(const Message& message) {
  pb::Envelope envelope;
  std::visit([&envelope](const auto& m) { put(m, envelope); }, message);
  Bytes out(envelope.ByteSizeLong());
  ROULETTE_ASSERT(envelope.SerializeToArray(out.data(), static_cast<int>(out.size())));
  return out;
}

Result<Message> decode_message(ByteSpan bytes) {
  if (bytes.size() > limits::kMaxFrameBytes) return corrupt("longer than a frame may be");
  pb::Envelope envelope;
  if (!carries_one_message(bytes)) return corrupt("not exactly one message");
  if (!envelope.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return corrupt("not an Envelope");
  }
  Checked check;
  Message message = get(envelope, check);
  if (check.violated()) return corrupt(std::string("bad field ") + check.violated());
  return message;
}

}  // namespace roulette::wire
