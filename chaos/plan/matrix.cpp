// The tables of the matrix and the selection of cells: see matrix.h.
#include "chaos/plan/matrix.h"

#include <algorithm>
#include <array>

#include "chaos/plan/cluster_shape.h"
#include "chaos/plan/prng.h"

namespace roulette::chaos {
namespace {

using runtime::PointEffect;

struct ProvocationRow {
  Role role;
  PointEffect effect;
  std::string_view subject;
  Provocation provocation;
};

// One row for each of kKillPointRows. Whoever adds a kill point adds the row that provokes it.
constexpr auto kProvocations = std::to_array<ProvocationRow>({
    {Role::Signer, PointEffect::Persist, "provisioned", Provocation::FirstStart},
    {Role::Signer, PointEffect::Persist, "reprovisioned", Provocation::Reprovision},
    {Role::Signer, PointEffect::Persist, "signing_record", Provocation::Payments},
    {Role::Signer, PointEffect::Send, "nonce_batch", Provocation::Restart},
    {Role::Signer, PointEffect::Send, "partial_signature", Provocation::Payments},
    {Role::Signer, PointEffect::Send, "refusal", Provocation::Request},
    {Role::Signer, PointEffect::Send, "signer_status", Provocation::Payments},
    {Role::Signer, PointEffect::Send, "journal_answer", Provocation::Restart},
    {Role::Signer, PointEffect::Restore, "journal_opened", Provocation::Restart},
    {Role::Signer, PointEffect::Restore, "journal_replayed", Provocation::Restart},
    {Role::Signer, PointEffect::Restore, "first_announcement", Provocation::Restart},
    {Role::Signer, PointEffect::Process, "", Provocation::Clock},

    {Role::Coordinator, PointEffect::Send, "nonce_request", Provocation::SignerRestart},
    {Role::Coordinator, PointEffect::Send, "sign_request", Provocation::Payments},
    {Role::Coordinator, PointEffect::Send, "journal_check", Provocation::SignerRestart},
    {Role::Coordinator, PointEffect::Propose, "withdraw", Provocation::Payments},
    {Role::Coordinator, PointEffect::Propose, "signed", Provocation::Payments},
    {Role::Coordinator, PointEffect::Propose, "broadcast", Provocation::Payments},
    {Role::Coordinator, PointEffect::Propose, "block_connected", Provocation::Block},
    {Role::Coordinator, PointEffect::Propose, "block_disconnected", Provocation::Reorganisation},
    {Role::Coordinator, PointEffect::Broadcast, "transaction", Provocation::Payments},
    {Role::Coordinator, PointEffect::Reply, "withdrawal", Provocation::Payments},
    {Role::Coordinator, PointEffect::Reply, "status", Provocation::Payments},
    {Role::Coordinator, PointEffect::Watch, "block_connected", Provocation::Block},
    {Role::Coordinator, PointEffect::Watch, "block_disconnected", Provocation::Reorganisation},
    {Role::Coordinator, PointEffect::Restore, "ledger_read", Provocation::Restart},
    {Role::Coordinator, PointEffect::Restore, "first_announcement", Provocation::Restart},
    {Role::Coordinator, PointEffect::Process, "", Provocation::Clock},

    {Role::Ledger, PointEffect::Append, "command_batch", Provocation::Payments},
    {Role::Ledger, PointEffect::Append, "snapshot_chunk", Provocation::Snapshot},
    {Role::Ledger, PointEffect::Append, "snapshot_manifest", Provocation::Snapshot},
    {Role::Ledger, PointEffect::Append, "trim", Provocation::Snapshot},
    {Role::Ledger, PointEffect::Apply, "command_batch", Provocation::Payments},
    {Role::Ledger, PointEffect::Persist, "tables", Provocation::Payments},
    {Role::Ledger, PointEffect::Send, "applied", Provocation::Payments},
    {Role::Ledger, PointEffect::Send, "query_result", Provocation::Payments},
    {Role::Ledger, PointEffect::Send, "feed", Provocation::Payments},
    {Role::Ledger, PointEffect::Send, "ledger_status", Provocation::Restart},
    {Role::Ledger, PointEffect::Send, "forward", Provocation::Request},
    {Role::Ledger, PointEffect::Restore, "log_opened", Provocation::Restart},
    {Role::Ledger, PointEffect::Restore, "snapshot_loaded", Provocation::SnapshotRestart},
    {Role::Ledger, PointEffect::Restore, "log_replayed", Provocation::Restart},
    {Role::Ledger, PointEffect::Restore, "first_announcement", Provocation::Restart},
    {Role::Ledger, PointEffect::Process, "", Provocation::Clock},

    {Role::Etcd, PointEffect::Process, "", Provocation::Clock},
    {Role::Bitcoind, PointEffect::Process, "", Provocation::Clock},
});

struct ExpectationRow {
  CellVictims victims;
  std::optional<CellBlow> blow;  // nothing: any
  std::string_view point;        // a glob
  CellExpectation expected;
  std::optional<bool> spare = {};  // of MatrixScheme; nothing: any
};

// The first row that fits decides.
constexpr auto kExpectations = std::to_array<ExpectationRow>({
    {CellVictims::SignerInSession, {}, "*", CellExpectation::Refusal, false},
    {CellVictims::SignerInSession, {}, "*", CellExpectation::Progress},
    {CellVictims::SignerOutside, {}, "*", CellExpectation::Progress},
    {CellVictims::SignersSpare, {}, "*", CellExpectation::Progress},
    {CellVictims::SignersTooMany, {}, "*", CellExpectation::Refusal},
    {CellVictims::CoordinatorAtWork, {}, "*", CellExpectation::Progress},
    {CellVictims::CoordinatorOther, {}, "*", CellExpectation::Progress},
    {CellVictims::LedgerAsked, {}, "*", CellExpectation::Progress},
    {CellVictims::LedgerAnother, {}, "*", CellExpectation::Progress},
    {CellVictims::EtcdLeader, {}, "*", CellExpectation::Progress},
    {CellVictims::EtcdFollower, {}, "*", CellExpectation::Progress},
    // Signing needs no node; broadcasting waits for it (DESIGN 9, quorum-continuity).
    {CellVictims::Node, {}, "*", CellExpectation::Progress},
});

// What a scheme without nonces never sends.
constexpr std::string_view kOfNonces[] = {"nonce_batch", "nonce_request"};

constexpr CellVictims kSignerVictims[] = {CellVictims::SignerInSession, CellVictims::SignerOutside,
                                          CellVictims::SignersSpare, CellVictims::SignersTooMany};
constexpr CellVictims kOnlySignerVictims[] = {CellVictims::SignerInSession};
constexpr CellVictims kCoordinatorVictims[] = {CellVictims::CoordinatorAtWork,
                                               CellVictims::CoordinatorOther};
constexpr CellVictims kLedgerVictims[] = {CellVictims::LedgerAsked, CellVictims::LedgerAnother};
constexpr CellVictims kEtcdVictims[] = {CellVictims::EtcdLeader, CellVictims::EtcdFollower};
constexpr CellVictims kNodeVictims[] = {CellVictims::Node};

// A tenth of the later occurrences, rounded up: Fisher and Yates over the indices.
std::vector<std::size_t> draw_tenth(std::size_t size, Prng& prng) {
  std::vector<std::size_t> order(size);
  for (std::size_t i = 0; i < size; ++i) order[i] = i;
  const std::size_t wanted = (size + 9) / 10;
  for (std::size_t i = 0; i < wanted; ++i) std::swap(order[i], order[i + prng.below(size - i)]);
  order.resize(wanted);
  std::sort(order.begin(), order.end());
  return order;
}

Error missing(const runtime::KillPoint& point, const char* what) {
  return Error{ErrorKind::Internal, "chaos/plan/matrix.cpp has no " + std::string(what) + " for " +
                                        point.point};
}

}  // namespace

std::string_view blow_name(CellBlow blow) {
  switch (blow) {
    case CellBlow::Term: return "SIGTERM";
    case CellBlow::Kill: return "SIGKILL";
    case CellBlow::Pause: return "pause";
    case CellBlow::Remove: return "kill-without-restart";
  }
  ROULETTE_ASSERT(false);
}

std::string_view victims_name(CellVictims victims) {
  switch (victims) {
    case CellVictims::SignerInSession: return "in-session";
    case CellVictims::SignerOutside: return "outside";
    case CellVictims::SignersSpare: return "n-t";
    case CellVictims::SignersTooMany: return "n-t+1";
    case CellVictims::CoordinatorAtWork: return "at-work";
    case CellVictims::CoordinatorOther: return "other";
    case CellVictims::LedgerAsked: return "asked";
    case CellVictims::LedgerAnother: return "another";
    case CellVictims::EtcdLeader: return "leader";
    case CellVictims::EtcdFollower: return "follower";
    case CellVictims::Node: return "node";
  }
  ROULETTE_ASSERT(false);
}

std::string_view occurrence_name(CellOccurrence occurrence) {
  switch (occurrence) {
    case CellOccurrence::First: return "first";
    case CellOccurrence::Middle: return "middle";
    case CellOccurrence::Last: return "last";
  }
  ROULETTE_ASSERT(false);
}

std::string_view provocation_name(Provocation provocation) {
  switch (provocation) {
    case Provocation::Payments: return "payments";
    case Provocation::Block: return "block";
    case Provocation::Reorganisation: return "reorganisation";
    case Provocation::Request: return "request";
    case Provocation::Restart: return "restart";
    case Provocation::SignerRestart: return "signer-restart";
    case Provocation::FirstStart: return "first-start";
    case Provocation::Reprovision: return "reprovision";
    case Provocation::Snapshot: return "snapshot";
    case Provocation::SnapshotRestart: return "snapshot-restart";
    case Provocation::Clock: return "clock";
  }
  ROULETTE_ASSERT(false);
}

std::string_view expectation_name(CellExpectation expectation) {
  switch (expectation) {
    case CellExpectation::Progress: return "progress";
    case CellExpectation::Refusal: return "refusal";
    case CellExpectation::Quarantine: return "quarantine";
    case CellExpectation::Down: return "down";
  }
  ROULETTE_ASSERT(false);
}

std::span<const CellVictims> victims_of(Role role, MatrixScheme scheme) {
  switch (role) {
    case Role::Signer:
      if (scheme.spare) return kSignerVictims;
      return kOnlySignerVictims;
    case Role::Coordinator: return kCoordinatorVictims;
    case Role::Ledger: return kLedgerVictims;
    case Role::Etcd: return kEtcdVictims;
    case Role::Bitcoind: return kNodeVictims;
    case Role::Tool: return {};
  }
  ROULETTE_ASSERT(false);
}

std::optional<Provocation> provocation_of(Role role, PointEffect effect,
                                          std::string_view subject) {
  for (const ProvocationRow& row : kProvocations) {
    if (row.role == role && row.effect == effect && row.subject == subject) return row.provocation;
  }
  return std::nullopt;
}

std::vector<std::string> provocations_without_point() {
  std::vector<std::string> out;
  for (const ProvocationRow& row : kProvocations) {
    const bool known = std::any_of(
        runtime::kKillPointRows.begin(), runtime::kKillPointRows.end(), [&](const auto& point) {
          return point.role == row.role && point.effect == row.effect &&
                 point.subject == row.subject;
        });
    if (!known)
      out.push_back(std::string(role_name(row.role)) + "." +
                    std::string(runtime::effect_name(row.effect)) + "." +
                    std::string(row.subject));
  }
  return out;
}

MatrixScheme matrix_scheme(const ClusterPlan& plan) {
  return {plan.signers > plan.threshold, facts_of(plan).nonce_size > 0};
}

bool passed_under(const runtime::KillPoint& point, MatrixScheme scheme) {
  return scheme.nonces || std::ranges::find(kOfNonces, point.subject) == std::end(kOfNonces);
}

std::optional<CellExpectation> expectation_of(const runtime::KillPoint& point, CellBlow blow,
                                              CellVictims victims, MatrixScheme scheme) {
  for (const ExpectationRow& row : kExpectations) {
    if (row.victims == victims && (!row.blow || *row.blow == blow) &&
        (!row.spare || *row.spare == scheme.spare) && matches_glob(row.point, point.point))
      return row.expected;
  }
  return std::nullopt;
}

bool passes_often(Provocation provocation) {
  return provocation == Provocation::Payments;
}

std::string Cell::id() const {
  std::string out = point.point;
  for (const std::string_view part :
       {blow_name(blow), victims_name(victims), occurrence_name(occurrence)})
    out.append("/").append(part);
  return out;
}

bool matches_glob(std::string_view glob, std::string_view text) {
  std::size_t g = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      resume = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g;
      ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

Result<ClusterPlan> plan_of(const MatrixSelection& selection) {
  ClusterPlan plan;
  plan.scheme = selection.scheme;
  set_shape(plan, {}, {});
  if (const Status fits = check_shape(plan); !fits) return fits.error();
  return plan;
}

Result<std::vector<Cell>> select_cells(const MatrixSelection& selection) {
  const auto plan = plan_of(selection);
  if (!plan) return plan.error();
  const MatrixScheme scheme = matrix_scheme(*plan);
  std::vector<Cell> cells, later;
  for (const runtime::KillPoint& point : runtime::list_kill_points()) {
    if (!passed_under(point, scheme)) continue;
    const auto provocation = provocation_of(point.role, point.effect, point.subject);
    if (!provocation) return missing(point, "provocation");
    // No cluster of a slice passes these.
    const bool out_of_reach = *provocation == Provocation::Reprovision ||
                              (*provocation == Provocation::FirstStart && !scheme.spare);
    for (const CellBlow blow : kCellBlows) {
      for (const CellVictims victims : victims_of(point.role, scheme)) {
        const auto expected = expectation_of(point, blow, victims, scheme);
        if (!expected) return missing(point, "expectation");
        const Cell cell{point, blow, victims, CellOccurrence::First, *provocation, *expected};
        const bool wanted = !selection.slice || (blow == CellBlow::Kill && !out_of_reach &&
                                                 victims == victims_of(point.role).front());
        if (wanted) cells.push_back(cell);
        if (selection.slice || !passes_often(*provocation)) continue;
        for (const CellOccurrence which : {CellOccurrence::Middle, CellOccurrence::Last}) {
          later.push_back(cell);
          later.back().occurrence = which;
        }
      }
    }
  }
  if (selection.full) {
    cells.insert(cells.end(), later.begin(), later.end());
  } else {
    // Drawn over the whole matrix, so that a narrower glob selects a part of the same cells.
    Prng prng(selection.seed ^ 0x6d6174726978ULL);
    for (const std::size_t i : draw_tenth(later.size(), prng)) cells.push_back(later[i]);
  }
  std::erase_if(cells, [&](const Cell& cell) {
    return !matches_glob(selection.points, cell.point.point);
  });
  return cells;
}

}  // namespace roulette::chaos
