// Kill points: at an armed point the whole process stands still until the tool releases it.
//
// The tool hands over one end of a socketpair (`--control-fd N`). Lines, tool -> process:
//   arm <arm_id> <point> <remaining>   stop at the remaining-th pass from now (1 = the next one)
//   disarm <arm_id>
//   release <sequence>
// process -> tool:
//   hit <arm_id> <point> <occurrence> <sequence>   now standing still; occurrence = passes of this
//                                                  point in this process, this one included
//   seen <arm_id> <point>                          an earlier pass of an armed point
//   ready <json>                                   once, when the process serves
//   event <name> [text]                            for example `event shutdown_started`
//   error <text>                                   a line that was not understood (nothing armed)
// An arm is one-shot: after its hit it is gone. EOF on the descriptor ends the process at once,
// exit 70.
//
// Invariant: announce() of a point outside kill_point_table.h is an assert; an announce without
// arms costs a table look-up and allocates nothing. Without a control fd nothing can be armed.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/runtime/kill_point_table.h"

namespace roulette::runtime {

class EventLoop;

inline constexpr int kControlLostExitCode = 70;

class KillPoints {
 public:
  // Takes the descriptor over (close-on-exec set; must be a socket). Absent: every announce passes.
  // Commands that are already in the socket are read here, so the tool can arm points of start-up
  // by writing before it spawns. After attach() the loop watches the descriptor.
  [[nodiscard]] static Result<std::unique_ptr<KillPoints>> open(Role role,
                                                                std::optional<int> control_fd);
  ~KillPoints();
  KillPoints(const KillPoints&) = delete;
  KillPoints& operator=(const KillPoints&) = delete;

  // Reads commands and notices EOF while the loop runs.
  void attach(EventLoop& loop);

  // One pass of a point; returns after the release when it was a hit.
  void announce(PointEffect effect, std::string_view subject, PointWhen when);
  // By full name: "signer.persist.signing_record.before".
  void announce(std::string_view point);
  // Whether something is armed there: only then does the transport split a frame for `during`.
  [[nodiscard]] bool is_armed(PointEffect effect, std::string_view subject, PointWhen when) const;

  // No-ops without a control fd. `json` and `text` must be one line.
  void ready(std::string_view json);
  void event(std::string_view name, std::string_view text = {});
  [[nodiscard]] bool connected() const;

 private:
  struct State;
  explicit KillPoints(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace roulette::runtime
