// Kill points: at an armed point the whole process stands still until the tool releases it.
//
// Invariant: announce() of a point outside kill_point_table.h is an assert; an announce without
// arms costs a table look-up and allocates nothing. Without a control fd nothing can be armed.

// The tool hands over one end of a socketpair (`--control-fd N`). Lines, tool -> process:
//   arm <arm_id> <point> <remaining>   stop at the remaining-th pass from now (1 = the next one)
//   disarm <arm_id>
//   release <sequence>
//   command <word>                     the process's own (ledger: end_of_run)
// process -> tool:
//   hit <arm_id> <point> <occurrence> <sequence>   now standing still; occurrence = passes of this
//                                                  point in this process, this one included
//   seen <arm_id> <point>                          an earlier pass of an armed point
//   ready <json>                                   when the process serves
//   not_ready <reason>                             when it stopped serving; ready may follow
//   event <name> [text]                            for example `event shutdown_started`
//   error <text>                                   a line that was not understood (nothing armed)
// An arm is one-shot: after its hit it is gone. EOF on the descriptor ends the process at once,
// exit 70.
#pragma once

#include <functional>
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

  // `command <word>`: what the tool asks of this process besides standing still. One handler,
  // called from the loop (so only after attach() and never while standing still); without one, or
  // for a word it does not take (false), the line is answered `error`.
  void on_command(std::function<bool(std::string_view word)> handler);

  // No-ops without a control fd. `json` and `text` must be one line. A process that serves again
  // after not_ready() says ready() again.
  void ready(std::string_view json);
  void not_ready(std::string_view reason);
  void event(std::string_view name, std::string_view text = {});
  [[nodiscard]] bool connected() const;

 private:
  struct State;
  explicit KillPoints(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace roulette::runtime
