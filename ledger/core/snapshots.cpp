// Snapshots of this replica's making, trims behind them, and starting from one of another's.
//
// Invariants (DESIGN 8): a manifest is stored only after a majority of replicas reported the
// snapshot's digest in the log; entries are removed only up to a snapshot that was read again and
// has such a digest, while a newer one of that kind stands; so the last two always stay, and the
// log reaches back to the older. A loaded state is served only after the log's own checkpoints
// spoke for it, and what it was loaded with is never reported as this replica's finding.

// Who: the preferred proposer, at every multiple of snapshot_interval. What fails is tried again a
// few times, then given up: the next interval is the next chance; one that is slow is finished, and
// of those that wait behind it the newest is next. Chunks without a manifest go with a later trim.
#include <algorithm>

#include "common/base/assert.h"
#include "common/base/mutants.h"
#include "common/crypto/hash.h"
#include "ledger/core/machine.h"

namespace roulette::ledger {
namespace {

constexpr std::uint64_t kNewest = ~std::uint64_t{0};
// Whoever trims must know the majority's word on the older of two snapshots, which may be as many
// intervals apart as the largest one waits for, and this life may have written neither.
constexpr std::size_t kConfirmedMost =
    limits::kSnapshotsConfirmed * (limits::kMaxSnapshotBytes / kSnapshotBytesPerInterval);

}  // namespace

// ---- writing ----

bool Machine::snapshot_due() const {
  const std::uint64_t intervals =
      std::max<std::uint64_t>(1, snapshot_bytes / config.snapshot_bytes_per_interval);
  std::uint64_t last = newest_snapshot;
  if (job) last = std::max(last, job->index);
  if (next_job) last = std::max(last, next_job->index);
  return applied >= last + intervals * config.snapshot_interval;
}

void Machine::start_snapshot(const Hash32& digest) {
  if (!serving() || preferred() || !snapshot_due()) return;
  Bytes bytes = state.encode();
  snapshot_bytes = bytes.size();
  if (bytes.size() > limits::kMaxSnapshotBytes) {
    ++snapshots_given_up;
    return;
  }
  SnapshotJob made;
  made.index = applied;
  made.digest = digest;
  made.chunks = cut_into_chunks(bytes, config.snapshot_chunk_bytes);
  made.manifest =
      encode_manifest(make_manifest(config.genesis.cluster_id, applied, digest, made.chunks));
  // One that moves is finished first: a store that takes longer than an interval would never get to
  // a manifest otherwise. One that waits for a majority's word may wait for ever.
  const bool moves = job && job->phase != SnapshotJob::Phase::Confirming;
  if (moves ? next_job.has_value() : job.has_value()) ++snapshots_given_up;
  (moves ? next_job : job) = std::move(made);
}

void Machine::end_job() {
  job = std::exchange(next_job, std::nullopt);
  snapshot_not_before.reset();
}

void Machine::advance_snapshot() {
  if (loading && loading->again_at && now >= *loading->again_at) {
    search_again();
  }
  if (!job || order || loading || log_lost) return;
  if (snapshot_not_before && now < *snapshot_not_before) return;
  snapshot_not_before.reset();
  using Phase = SnapshotJob::Phase;
  if (job->phase == Phase::Confirming) {
    // The majority's word on another state stops this replica before it comes to this.
    if (checkpoints.majority(job->index) == job->digest ||
        ROULETTE_MUTANT("snapshot-without-majority")) {
      job->phase = Phase::Manifest;
    } else if (next_job) {
      ++snapshots_given_up;
      end_job();
    } else {
      return;
    }
  }
  switch (job->phase) {
    case Phase::Chunks:
      out->push_back(StoreChunk{order_write(), job->index,
                                static_cast<std::uint32_t>(job->stored),
                                job->chunks[job->stored]});
      return;
    case Phase::Confirming:
    case Phase::Manifest:
      out->push_back(StoreManifest{order_write(), job->index, job->manifest});
      return;
    case Phase::Rereading: return order_read(job->index);
    case Phase::Older: return order_read(job->older);
    case Phase::Trimming:
      ROULETTE_ASSERT(job->older < job->index);  // the last two stay
      out->push_back(TrimLog{order_write(), job->older, job->index});
      return;
  }
}

std::uint64_t Machine::order_write() {
  order = SnapshotOrder{next_order++, SnapshotOrder::Kind::Write, 0};
  return order->number;
}

void Machine::order_read(std::uint64_t at_most) {
  order = SnapshotOrder{next_order++, SnapshotOrder::Kind::Read, at_most};
  out->push_back(ReadSnapshot{order->number, at_most});
}

void Machine::handle(const SnapshotOrderDone& event) {
  using Kind = SnapshotOrder::Kind;
  if (!order || order->number != event.order || order->kind != Kind::Write) return;
  order.reset();
  if (!job) return;
  if (!event.done) return snapshot_failed();
  job->failures = 0;
  using Phase = SnapshotJob::Phase;
  switch (job->phase) {
    case Phase::Chunks:
      if (++job->stored < job->chunks.size()) return;
      job->phase = Phase::Confirming;
      return;
    case Phase::Manifest:
      job->phase = Phase::Rereading;
      if (ROULETTE_MUTANT("trim-before-confirmation")) {
        job->phase = Phase::Older;
        job->older = job->index - 1;
      }
      return;
    case Phase::Trimming:
      trimmed_to = job->older;
      log_first = std::max(log_first, job->older + 1);
      return end_job();
    case Phase::Confirming:
    case Phase::Rereading:
    case Phase::Older:
      return;
  }
}

void Machine::handle(const SnapshotRead& event) {
  using Kind = SnapshotOrder::Kind;
  if (!order || order->number != event.order || order->kind != Kind::Read) return;
  const std::uint64_t at_most = order->at_most;
  order.reset();
  // Above what was asked for: trimming by it would leave one snapshot, and a search would not end.
  const bool answers = event.snapshot && event.snapshot->index <= at_most;
  if (loading) {
    if (answers) return judge_snapshot(*event.snapshot);
    if (event.snapshot) note_refused("the store answers with a snapshot nobody asked for");
    loading->again_at = now + limits::kSnapshotRetry;
    return;
  }
  if (!job) return;
  if (!answers) return snapshot_failed();
  if (job->phase == SnapshotJob::Phase::Rereading) return snapshot_read_again(*event.snapshot);
  if (job->phase == SnapshotJob::Phase::Older) return older_snapshot_read(*event.snapshot);
}

void Machine::snapshot_read_again(const StoredSnapshot& snapshot) {
  const auto opened = open_snapshot(snapshot, config.genesis, config.verifier);
  if (!opened || opened->manifest.index != job->index || opened->manifest.digest != job->digest) {
    ++snapshots_given_up;  // it stands there damaged: nothing is ever removed on its account
    return end_job();
  }
  newest_snapshot = job->index;
  older_manifest = std::exchange(newest_manifest, crypto::sha256(snapshot.manifest));
  job->chunks.clear();
  job->phase = SnapshotJob::Phase::Older;
  job->older = job->index - 1;
}

// What this life opened need not be opened again: under the same manifest, the same bytes.
Result<Manifest> Machine::judge_older(const StoredSnapshot& snapshot) const {
  if (older_manifest != Hash32{} && crypto::sha256(snapshot.manifest) == older_manifest)
    return check_chunks(snapshot);
  auto opened = open_snapshot(snapshot, config.genesis, config.verifier);
  if (!opened) return opened.error();
  return std::move(opened->manifest);
}

void Machine::older_snapshot_read(const StoredSnapshot& snapshot) {
  if (snapshot.index == 0) return end_job();  // there is none yet: everything stays
  const auto spoken_for = confirmed.find(snapshot.index);
  const auto manifest = judge_older(snapshot);
  if (manifest && spoken_for != confirmed.end() && manifest->digest == spoken_for->second) {
    job->phase = SnapshotJob::Phase::Trimming;
    job->older = snapshot.index;
    return;
  }
  // Damaged, or older than what this replica knows a majority's word on.
  job->older = snapshot.index - 1;
  if (job->older > 0 && ++job->judged < limits::kSnapshotTries) return;
  end_job();
}

void Machine::snapshot_failed() {
  if (++job->failures >= limits::kSnapshotTries) {
    ++snapshots_given_up;
    return end_job();
  }
  snapshot_not_before = now + limits::kSnapshotRetry;
}

void Machine::checkpoint_logged(std::uint64_t index) {
  const std::optional<Hash32> digest = checkpoints.majority(index);
  if (!digest) return;
  // Whoever wrote it may have been told another interval than this replica, which may have none.
  if (unconfirmed && unconfirmed->index == index && !loading) {
    if (*digest != unconfirmed->digest) {
      return refuse_snapshot(index, "a majority of the log's checkpoints has another digest");
    }
    unconfirmed.reset();
  }
  if (config.snapshot_interval == 0 || index % config.snapshot_interval != 0) return;
  confirmed.insert_or_assign(index, *digest);
  while (confirmed.size() > kConfirmedMost) confirmed.erase(confirmed.begin());
}

// ---- loading ----

void Machine::handle(const LogTrimmed& event) {
  log_first = event.first;
  begin_loading();
  begin_search();
}

void Machine::begin_loading() {
  log_lost = "its beginning is gone";
  caught_up = false;
  catch_up_to.reset();
  refuse_reads();
  job.reset();
  next_job.reset();
  unconfirmed.reset();
  loading = Loading{};  // clang cannot emplace() a nested class with defaults
  loading->first = log_first;
}

// The newest one, but where the log still reaches back to the tables' end an older one is better:
// the tables keep their history then.
void Machine::begin_search() {
  loading->for_tables = loaded && loaded->last_entry + 1 >= loading->first;
  search_snapshot(loading->for_tables ? loaded->last_entry : kNewest);
}

void Machine::no_snapshot_left(const std::string& why) {
  if (std::exchange(loading->for_tables, false)) return search_snapshot(kNewest);
  if (!why.empty()) note_refused(why);
  if (loading->refused.empty()) loading->refused.emplace_back("the store holds none");
  loading->again_at = now + limits::kSnapshotSearch;
}

void Machine::search_again() {
  loading->judged = 0;
  if (loading->goes_on > 0) return search_snapshot(std::exchange(loading->goes_on, 0));
  loading->refused.clear();
  begin_search();
}

void Machine::search_snapshot(std::uint64_t at_most) {
  loading->again_at.reset();
  order_read(at_most);
}

void Machine::judge_snapshot(const StoredSnapshot& stored) {
  const std::string name = "snapshot " + std::to_string(stored.index);
  if (stored.index == 0) return no_snapshot_left("");
  if (stored.index + 1 < loading->first) {  // older ones even more
    return no_snapshot_left(name + ": the log does not reach back to it");
  }
  auto opened = open_snapshot(stored, config.genesis, config.verifier);
  if (opened && contradicts_tables(opened->manifest)) {
    opened = Error{ErrorKind::Corrupt, name + ": the tables hold another digest for its index"};
  }
  if (opened) return adopt(std::move(opened).value());
  note_refused(opened.error().message);
  if (++loading->judged < limits::kSnapshotTries) return search_snapshot(stored.index - 1);
  loading->goes_on = stored.index - 1;
  loading->again_at = now + limits::kSnapshotSearch;
}

void Machine::note_refused(const std::string& why) {
  auto& refused = loading->refused;
  if (refused.size() >= limits::kSnapshotTries) return;  // the newest ones tell most
  if (std::find(refused.begin(), refused.end(), why) == refused.end()) refused.push_back(why);
}

std::optional<Hash32> Machine::tables_digest(std::uint64_t index) const {
  if (!loaded) return std::nullopt;
  if (loaded->index == index) return loaded->digest;
  const auto earlier = loaded->earlier.find(index);
  return earlier == loaded->earlier.end() ? std::nullopt : std::optional(earlier->second);
}

bool Machine::contradicts_tables(const Manifest& manifest) const {
  const auto held = tables_digest(manifest.index);
  return held && *held != manifest.digest;
}

void Machine::adopt(OpenedSnapshot snapshot) {
  const Manifest& manifest = snapshot.manifest;
  state = std::move(snapshot.state);
  applied = manifest.index;
  history = {};  // of entries that were jumped nothing is known
  newest_snapshot = manifest.index;
  newest_manifest = {};
  snapshot_bytes = manifest.bytes;
  checkpoints = Checkpoints(config.id, config.replicas);
  checkpoints.loaded(manifest.index, manifest.digest);
  unconfirmed = Loaded{manifest.index, manifest.digest};
  loading.reset();
  log_lost = "not followed yet behind snapshot " + std::to_string(applied);
  // Entries were jumped: the proposal under way may stand in one of them. What the books do not
  // show of it is proposed again, which every command's idempotence allows (DESIGN 8).
  if (in_flight) {
    in_flight->jumped = true;
    if (in_flight->phase != InFlight::Phase::Outstanding) {
      in_flight->phase = InFlight::Phase::CatchingUp;
      in_flight->head = applied;
    }
  }
  withdraw_genesis();
  // Followers missed the changes of those entries and hear everything again.
  for (auto& [connection, peer] : peers) {
    if (!peer.follows) continue;
    peer.follows = false;
    peer.wants_follow = true;
  }
  out->push_back(RestoreTables{applied, manifest.digest, std::move(snapshot.bytes),
                               std::exchange(restored_tables, true)});
  out->push_back(FollowLog{applied});
}

// The state stands on a snapshot that is not what the majority had: an older one has to do. Tables
// that hold it as well were begun by it in an earlier life, which never came to what the log says;
// they go with it (RestoreTables.over), and what they say behind it binds nobody.
void Machine::refuse_snapshot(std::uint64_t index, const std::string& why) {
  if (unconfirmed && tables_digest(index) == unconfirmed->digest) loaded.reset();
  begin_loading();
  loading->for_tables = loaded && index <= loaded->last_entry;  // newer ones were passed over
  loading->refused.push_back("snapshot " + std::to_string(index) + ": " + why);
  search_snapshot(index - 1);
}

std::string Machine::why_loading() const {
  if (!loading->again_at) return "behind the log's beginning: loading a snapshot";
  if (loading->refused.empty()) return "behind the log's beginning: the store does not answer";
  std::string why = "no usable snapshot";
  for (std::size_t i = 0; i < loading->refused.size(); ++i) {
    why += (i == 0 ? ": " : "; ") + loading->refused[i];
  }
  return why;
}

std::optional<Instant> Machine::snapshot_deadline() const {
  if (loading) return loading->again_at;
  if (job && !order && !log_lost) return snapshot_not_before;
  return std::nullopt;
}

}  // namespace roulette::ledger
