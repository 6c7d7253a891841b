// The public face: one step in, effects out.
//
// Invariant: everything the machine knows is behind this pointer, and step() is the only way in.
#include "coordinator/core/coordinator.h"

#include "coordinator/core/machine.h"

namespace roulette::coordinator {

Coordinator::Coordinator(CoordinatorConfig config)
    : machine_(std::make_unique<Machine>(std::move(config))) {}
Coordinator::Coordinator(Coordinator&&) noexcept = default;
Coordinator& Coordinator::operator=(Coordinator&&) noexcept = default;
Coordinator::~Coordinator() = default;

void Coordinator::step(Instant now, const Event& event, EntropySource&, Effects& out) {
  Step s{now, out};
  machine_->step(s, event);
}

std::optional<Instant> Coordinator::next_deadline() const {
  return machine_->next_deadline();
}
Gauges Coordinator::gauges() const {
  return machine_->gauges();
}

}  // namespace roulette::coordinator
