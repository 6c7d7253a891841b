// The kill matrix as data: every point x blow x victims x occurrence, how each point is provoked,
// and what each cell must lead to.
//
// Invariant: every row of kill_point_table.h has exactly one provocation and every cell exactly one
// expectation (a unit test names what is missing); the same seed selects the same cells in the same
// order. Pure: carrying cells out is chaos/app's business, judging records chaos/check's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chaos/plan/experiment.h"
#include "common/base/assert.h"
#include "common/base/result.h"
#include "common/runtime/kill_point_table.h"

namespace roulette::chaos {

enum class CellBlow : std::uint8_t {
  Term,    // SIGTERM, started again shortly after
  Kill,    // SIGKILL, started again shortly after
  Pause,   // SIGSTOP, continued only when the others have shown what they do meanwhile
  Remove,  // SIGKILL, not started again before the others have shown the same
};
enum class CellVictims : std::uint8_t {
  SignerInSession,  // the one that passes the point
  SignerOutside,    // one that is not in the session of the one that passes it
  SignersSpare,     // n-t at once, the one that passes the point among them
  SignersTooMany,   // n-t+1 at once, likewise: no quorum is left
  CoordinatorAtWork,
  CoordinatorOther,
  LedgerAsked,
  LedgerAnother,
  EtcdLeader,
  EtcdFollower,
  Node,
};
// What a scheme's rules make of the matrix.
struct MatrixScheme {
  bool spare = true;   // n > t; without, every signer is in every session and one away is a lost
                       // quorum: the sets "outside" and "n-t" are empty, "n-t+1" is any one
  bool nonces = true;  // without, nobody asks for any: their points are never passed
};
[[nodiscard]] MatrixScheme matrix_scheme(const ClusterPlan& plan);

enum class CellOccurrence : std::uint8_t { First, Middle, Last };

// What makes a process pass a point.
enum class Provocation : std::uint8_t {
  Payments,       // withdrawals through both coordinators
  Block,          // a block is mined
  Reorganisation, // the tip is invalidated and another block mined
  Request,        // a coordinator that the tool plays asks: a signer what it must refuse, a
                  // replica that others do not prefer to pass a command on
  Restart,        // the process is killed and started again
  SignerRestart,  // a signer is killed and started again: its nonces are new
  FirstStart,     // a signer that never ran is started
  Reprovision,    // none: the operator's command and a start under a new share epoch, which no
                  // cluster of a matrix has. Its cells are unreachable, and a slice leaves them
                  // out; tests/live/signer_test.cpp stands still there
  Snapshot,       // withdrawals until the log has grown by a snapshot's interval, which is short in
                  // a matrix: the preferred replica stores one, and trims behind the one before
  SnapshotRestart,  // as Restart, of a replica whose log begins behind its start: after that many
  Clock,          // nothing: a timed kill while a withdrawal is outstanding
};

enum class CellExpectation : std::uint8_t {
  Progress,    // what was outstanding and what is new gets signed, the victims still away or not
  Refusal,     // new keys get 503 quorum-lost until the victims are back; then progress
  Quarantine,  // the victim stays out until it is provisioned again; the others make progress
  Down,        // nothing is promised until the victims are back; then progress
};

[[nodiscard]] std::string_view blow_name(CellBlow blow);           // "SIGTERM", "pause", ...
[[nodiscard]] std::string_view victims_name(CellVictims victims);  // "in-session", "n-t+1", ...
[[nodiscard]] std::string_view occurrence_name(CellOccurrence occurrence);  // "first", ...
[[nodiscard]] std::string_view provocation_name(Provocation provocation);
[[nodiscard]] std::string_view expectation_name(CellExpectation expectation);
[[nodiscard]] std::span<const CellVictims> victims_of(Role role, MatrixScheme scheme = {});
inline constexpr CellBlow kCellBlows[] = {CellBlow::Term, CellBlow::Kill, CellBlow::Pause,
                                          CellBlow::Remove};

// Nothing for a row that nobody taught the matrix to provoke.
[[nodiscard]] std::optional<Provocation> provocation_of(Role role, runtime::PointEffect effect,
                                                        std::string_view subject);
// Rows of the provocations that no kill point has any more.
[[nodiscard]] std::vector<std::string> provocations_without_point();
[[nodiscard]] std::optional<CellExpectation> expectation_of(const runtime::KillPoint& point,
                                                            CellBlow blow, CellVictims victims,
                                                            MatrixScheme scheme = {});
// False: a point that only signers with nonces pass, of a scheme without.
[[nodiscard]] bool passed_under(const runtime::KillPoint& point, MatrixScheme scheme);
// A point that a process passes again and again while it lives: only such a one has a middle.
[[nodiscard]] bool passes_often(Provocation provocation);

struct Cell {
  runtime::KillPoint point;
  CellBlow blow = CellBlow::Kill;
  CellVictims victims = CellVictims::SignerInSession;
  CellOccurrence occurrence = CellOccurrence::First;
  Provocation provocation = Provocation::Payments;
  CellExpectation expected = CellExpectation::Progress;
  [[nodiscard]] std::string id() const;  // "<point>/<blow>/<victims>/<occurrence>"
};

struct MatrixSelection {
  std::string points = "*";  // a glob over point names: * and ?
  std::uint64_t seed = 1;
  bool full = false;   // all middle and last occurrences, not a drawn tenth
  bool slice = false;  // one cell a point: SIGKILL of the one that passes it, first occurrence
  std::string scheme = "frost";  // in the shape that an experiment has it by default
};
// Usage for a scheme that nobody knows.
[[nodiscard]] Result<ClusterPlan> plan_of(const MatrixSelection& selection);
// In the order of the table. A row without provocation or expectation is an error that names it.
[[nodiscard]] Result<std::vector<Cell>> select_cells(const MatrixSelection& selection);

[[nodiscard]] bool matches_glob(std::string_view glob, std::string_view text);

}  // namespace roulette::chaos
