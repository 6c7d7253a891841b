// The table of kill points: one row per (role, effect, subject), points derived from it.
//
// Invariant: a process announces only points of this table (kill_points.h asserts it), so the list
// that `roulette killpoints --json` prints is the list of places where a process can be stopped.
// Whether every row is really announced is shown by tests and by campaign coverage, not here.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"

namespace roulette::runtime {

enum class PointEffect : std::uint8_t {
  Persist,    // before BEGIN of the batch | after COMMIT returned, nothing stepped yet
  Send,       // no byte written | a proper prefix written | the kernel took the last byte
  Propose,    // before the command leaves for the ledger | after
  Broadcast,  // before the transaction leaves for the node | after the node answered
  Reply,      // HTTP answer: no byte written | the kernel took the last byte
  Append,     // before the log's transaction leaves | after its outcome is known
  Apply,      // before a committed batch is applied | after, nothing answered yet
  Watch,      // a fact of the chain or the log was seen: before it is stepped | after
  Restore,    // a phase of start-up: before | after
  Process,    // no effect: a timed kill, `<role>.process.at_time`; never announced
};
enum class PointWhen : std::uint8_t { Before, During, After, AtTime };

struct KillPointRow {
  Role role;
  PointEffect effect;
  std::string_view subject;
};

// Keep grouped by role. A subject is the name of a record, message, command or phase.
inline constexpr auto kKillPointRows = std::to_array<KillPointRow>({
    {Role::Signer, PointEffect::Persist, "provisioned"},
    {Role::Signer, PointEffect::Persist, "reprovisioned"},
    {Role::Signer, PointEffect::Persist, "signing_record"},
    {Role::Signer, PointEffect::Send, "nonce_batch"},
    {Role::Signer, PointEffect::Send, "partial_signature"},
    {Role::Signer, PointEffect::Send, "refusal"},
    {Role::Signer, PointEffect::Send, "signer_status"},
    {Role::Signer, PointEffect::Send, "journal_answer"},
    {Role::Signer, PointEffect::Restore, "journal_opened"},
    {Role::Signer, PointEffect::Restore, "journal_replayed"},
    {Role::Signer, PointEffect::Restore, "first_announcement"},
    {Role::Signer, PointEffect::Process, ""},

    {Role::Coordinator, PointEffect::Send, "nonce_request"},
    {Role::Coordinator, PointEffect::Send, "sign_request"},
    {Role::Coordinator, PointEffect::Send, "journal_check"},
    {Role::Coordinator, PointEffect::Propose, "withdraw"},
    {Role::Coordinator, PointEffect::Propose, "signed"},
    {Role::Coordinator, PointEffect::Propose, "broadcast"},
    {Role::Coordinator, PointEffect::Propose, "block_connected"},
    {Role::Coordinator, PointEffect::Propose, "block_disconnected"},
    {Role::Coordinator, PointEffect::Broadcast, "transaction"},
    {Role::Coordinator, PointEffect::Reply, "withdrawal"},
    {Role::Coordinator, PointEffect::Reply, "status"},
    {Role::Coordinator, PointEffect::Watch, "block_connected"},
    {Role::Coordinator, PointEffect::Watch, "block_disconnected"},
    {Role::Coordinator, PointEffect::Restore, "ledger_read"},
    {Role::Coordinator, PointEffect::Restore, "first_announcement"},
    {Role::Coordinator, PointEffect::Process, ""},

    {Role::Ledger, PointEffect::Append, "command_batch"},
    {Role::Ledger, PointEffect::Append, "snapshot_chunk"},
    {Role::Ledger, PointEffect::Append, "snapshot_manifest"},
    {Role::Ledger, PointEffect::Append, "trim"},
    {Role::Ledger, PointEffect::Apply, "command_batch"},
    {Role::Ledger, PointEffect::Persist, "tables"},
    {Role::Ledger, PointEffect::Send, "applied"},
    {Role::Ledger, PointEffect::Send, "query_result"},
    {Role::Ledger, PointEffect::Send, "feed"},
    {Role::Ledger, PointEffect::Send, "ledger_status"},
    {Role::Ledger, PointEffect::Send, "forward"},
    {Role::Ledger, PointEffect::Restore, "log_opened"},
    {Role::Ledger, PointEffect::Restore, "snapshot_loaded"},
    {Role::Ledger, PointEffect::Restore, "log_replayed"},
    {Role::Ledger, PointEffect::Restore, "first_announcement"},
    {Role::Ledger, PointEffect::Process, ""},

    {Role::Etcd, PointEffect::Process, ""},
    {Role::Bitcoind, PointEffect::Process, ""},
});

[[nodiscard]] std::string_view effect_name(PointEffect effect);  // "persist"
[[nodiscard]] std::string_view when_name(PointWhen when);        // "before", "at_time"
// In the order a process passes them.
[[nodiscard]] std::span<const PointWhen> whens_of(PointEffect effect);

struct KillPoint {
  std::string point;  // "signer.send.partial_signature.during", "etcd.process.at_time"
  Role role;
  PointEffect effect;
  std::string_view subject;  // empty for Process
  PointWhen when;
};

// All points in table order.
[[nodiscard]] std::vector<KillPoint> list_kill_points();
// A JSON array of {point, role, effect, subject, when} on one line per point.
[[nodiscard]] std::string kill_points_json();

}  // namespace roulette::runtime
