// Signers' effects and their journals' disk.
//
// Invariant: a commit is atomic and takes time; what it took survives every death, what waits for
// it goes with the process. A torn transaction is none: SQLite's WAL ends at the last commit whose
// checksums hold, so a death in between leaves either all of it or nothing.
#include "chaos/sim/world.h"
#include "signer/core/founding.h"

namespace roulette::sim {

void World::execute(SignerSeat& seat, signer::Effect& effect) {
  struct Visit {
    World& world;
    SignerSeat& seat;
    // The order only: its record becomes durable with the next group commit, another place.
    void operator()(const signer::Persist& persist) const {
      world.at_place(seat, "order", signer::record_name(persist.record.body), [this, &persist] {
        seat.waiting.push_back(persist.record);
        if (seat.quarantined && std::holds_alternative<signer::SigningRecord>(persist.record.body))
          world.incidents_.push_back(seat.name.text() + " signs though it is quarantined");
        world.hurry(seat, persist.record);
        if (!std::exchange(seat.committing, true)) {
          world.agenda.after(world.draw(world.options_.disk),
                             [w = &world, s = &seat, life = seat.life] {
                               if (s->life != life) return;
                               w->when_running(*s, [w, s] { w->commit(*s); });
                             });
        }
        if (!world.plants_.lying_disks.contains(seat.name.index)) return;
        world.agenda.after({}, [w = &world, s = &seat, life = seat.life,
                                sequence = persist.record.sequence] {
          if (s->life == life) w->step(*s, signer::Event{signer::RecordDurable{sequence}});
        });
      });
    }
    void operator()(signer::Send& order) const {
      world.at_place(seat, "send", wire::message_name(order.message),
                     [this, &order] {
                       if (const auto* share = std::get_if<wire::SignResponse>(&order.message)) {
                         seat.released.insert(share->session_digest);
                         if (signer::founding_of(seat.durable) != nullptr)
                           world.probes.hit(Probe::ProvisionedAgainSigns);
                       }
                       const auto* no = std::get_if<wire::SignRefusal>(&order.message);
                       if (no != nullptr && no->reason == wire::RefusalReason::WrongGroup)
                         world.probes.hit(Probe::OldEpochRefused);
                       if (no != nullptr && no->reason == wire::RefusalReason::Unrequested)
                         world.probes.hit(Probe::UnrequestedRefused);
                       world.send(seat, order.connection, std::move(order.message));
                     });
    }
    void operator()(const signer::CloseConnection& order) const {
      world.at_place(seat, "close", "connection", [this, &order] {
        world.incidents_.push_back(seat.name.text() + " closed a connection: " + order.reason);
      });
    }
    void operator()(const signer::StandingChanged& order) const {
      seat.checked = true;
      if (!wire::quarantines(order.standing)) return;  // every start, and nothing to see
      world.at_place(seat, "record", wire::standing_name(order.standing), [this, &order] {
        seat.quarantined = true;
        const bool lost = !seat.taken.empty() ||
                          world.plants_.lying_disks.contains(seat.name.index);
        if (lost) return;
        world.incidents_.push_back(seat.name.text() + ", which lost nothing, was quarantined: " +
                                   wire::standing_name(order.standing));
      });
    }
    void operator()(const signer::Drained&) const { world.drained(seat); }
  };
  std::visit(Visit{*this, seat}, effect);
}

// Places: before BEGIN, and after COMMIT returned with nothing stepped yet.
void World::commit(SignerSeat& seat) {
  const std::uint64_t life = seat.life;
  const char* subject = signer::record_name(seat.waiting.front().body);
  const auto commit_now = [this, &seat] {
    seat.committing = false;
    if (window(FaultKind::FullDisk, seat.name) == nullptr) return write(seat);
    ++counts_.failed_commits;
    die(seat, milliseconds(50));
  };
  if (!at_place(seat, "persist", subject, commit_now) || seat.life != life || !seat.up) return;
  step(seat, signer::Event{signer::RecordDurable{seat.durable.back().sequence}});
}

void World::write(SignerSeat& seat) {
  for (signer::Record& record : std::exchange(seat.waiting, {})) {
    if (const auto* signing = std::get_if<signer::SigningRecord>(&record.body))
      signed_.push_back({SignerId(seat.name.index), signing->session_digest, seat.share_epoch});
    seat.durable.push_back(std::move(record));
  }
}

}  // namespace roulette::sim
