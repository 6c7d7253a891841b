// Feeding and following the withdrawals of a cell: see cell_payments.h.
#include "chaos/app/cell_payments.h"

#include <algorithm>

namespace roulette::chaos {
namespace {

constexpr Duration kTick = milliseconds(10);
constexpr std::uint64_t kTicksPerPoll = 3;

}  // namespace

CellPayments::CellPayments(runtime::EventLoop& loop, Load& load, const Supervisor& supervisor,
                           std::size_t coordinators)
    : loop_(loop),
      load_(load),
      supervisor_(supervisor),
      coordinators_(coordinators),
      timer_(loop, [this] { tick(); }) {
  timer_.arm(loop_.now());
}

void CellPayments::feed(std::size_t at_once, std::size_t most) {
  at_once_ = at_once;
  most_ = numbers_.size() + most;
}

void CellPayments::stop_feeding() {
  at_once_ = 0;
}

std::size_t CellPayments::request(std::size_t coordinator) {
  numbers_.push_back({load_.request(coordinator % coordinators_)});
  return numbers_.back().number;
}

void CellPayments::tick() {
  ++ticks_;
  for (One& one : numbers_) {
    if (one.done) continue;
    const WithdrawalSeen seen = load_.seen(one.number);
    if (!seen.is_signed()) continue;
    one.done = true;
    slowest_ = std::max(slowest_, loop_.now() - seen.sent);
  }
  refill();
  if (ticks_ % kTicksPerPoll == 0) ask();
  timer_.arm(loop_.now() + kTick);
}

void CellPayments::refill() {
  std::size_t under_way = 0;
  for (const One& one : numbers_)
    under_way += one.done || load_.seen(one.number).rejected ? 0 : 1;
  while (under_way < at_once_ && numbers_.size() < most_) {
    request(numbers_.size());
    ++under_way;
  }
}

// At each coordinator in turn, but not at one that the tool knows to be away.
void CellPayments::ask() {
  for (One& one : numbers_) {
    const WithdrawalSeen seen = load_.seen(one.number);
    if (!seen.acknowledged || seen.is_broadcast()) continue;
    for (std::size_t i = 0; i < coordinators_; ++i) {
      const auto coordinator = static_cast<std::uint16_t>(one.polls++ % coordinators_);
      if (!supervisor_.serving({Role::Coordinator, coordinator})) continue;
      load_.poll(one.number, coordinator);
      break;
    }
  }
}

std::vector<std::size_t> CellPayments::unsigned_ones() const {
  std::vector<std::size_t> out;
  for (const One& one : numbers_) {
    if (!load_.seen(one.number).is_signed()) out.push_back(one.number);
  }
  return out;
}

bool CellPayments::signed_all(const std::vector<std::size_t>& numbers) const {
  return std::all_of(numbers.begin(), numbers.end(),
                     [&](std::size_t n) { return load_.seen(n).is_signed(); });
}

bool CellPayments::all_broadcast() const {
  return std::all_of(numbers_.begin(), numbers_.end(),
                     [&](const One& one) { return load_.seen(one.number).is_broadcast(); });
}

std::vector<std::size_t> CellPayments::rejected() const {
  std::vector<std::size_t> out;
  for (const One& one : numbers_) {
    if (load_.seen(one.number).rejected) out.push_back(one.number);
  }
  return out;
}

}  // namespace roulette::chaos
