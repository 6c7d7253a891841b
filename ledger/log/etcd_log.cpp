// See etcd_log.h.
//
// Following the log:
//   Reading --all pages read--> Opening --created--> Watching
//      ^____ any error, gap, cancelled or silent watch: after a short rest, at another member ____|
//   Reading --the next entry is gone--> Behind --follow()--> Reading
// A watch that merely broke is opened again quietly; on_lost is reported when entries may be
// missing (gap, cancelled, compacted, removed) or when no member let us follow for kPatience.
#include "ledger/log/etcd_log.h"

#include <algorithm>

#include "common/base/assert.h"
#include "common/runtime/event_loop.h"
#include "common/runtime/http_client.h"
#include "ledger/log/etcd_messages.h"

namespace roulette::ledger {
namespace {

constexpr std::size_t kConnectionsPerMember = 4;
constexpr std::size_t kEntriesPerPage = 32;  // 32 full batches stay below the client's bound
constexpr std::size_t kMaxWatchLineBytes = 24 << 20;
constexpr std::size_t kSnapshotKeysPerPage = 16;
constexpr std::uint64_t kTrimSlice = 512;  // entries a transaction
constexpr std::int64_t kUnknownRevision = -1;  // equal to no key's: nothing can be proposed
// etcd's own words: with the write that fills its quota, which it keeps, and with every later one.
constexpr std::string_view kNoSpace = "database space exceeded";
// What a late compaction is told: another replica, or etcd itself, was there before.
constexpr std::string_view kCompacted = "required revision has been compacted";
// Behind a trim: until then every watch that serves has seen it, and none is cancelled.
constexpr Duration kCompactionRest = milliseconds(100);
constexpr Duration kResubscribeRest = milliseconds(20);
constexpr Duration kPatience = milliseconds(250);  // then following is lost, not only interrupted
constexpr Duration kTroubleRest = seconds(1);  // between two words about one member
constexpr Duration kSilentWatch = milliseconds(100);  // behind a known head for so long: look again

std::string path_of(const char* what) {
  return std::string("/v3/") + what;
}

}  // namespace

struct EtcdLog::State : std::enable_shared_from_this<EtcdLog::State> {
  State(runtime::EventLoop& event_loop, Options given)
      : loop(event_loop),
        options(std::move(given)),
        rest(event_loop, [this] { read_page(); }),
        silence(event_loop, [this] { on_silence(); }),
        compaction(event_loop, [this] { compact(); }) {
    ROULETTE_ASSERT(!options.members.empty());
    troubles.resize(options.members.size());
    for (const Member& member : options.members) {
      runtime::HttpClient::Options client;
      client.address = member.address;
      client.port = member.port;
      client.host = member.host;
      client.tls = options.tls;
      client.connections = kConnectionsPerMember;
      clients.push_back(std::make_unique<runtime::HttpClient>(loop, client));
    }
  }

  runtime::EventLoop& loop;
  Options options;
  std::vector<std::unique_ptr<runtime::HttpClient>> clients;
  struct Trouble {
    std::string said;  // empty: it serves
    Instant next{};
  };
  std::vector<Trouble> troubles;
  std::size_t chosen = 0;  // the member asked next
  Callbacks callbacks;
  Counters counters;

  std::uint64_t delivered = 0;     // index of the last entry handed over
  std::int64_t head_revision = 0;  // mod_revision of that entry: the head's, if it is the last
  std::uint64_t known_head = 0;

  std::uint64_t generation = 0;  // of the subscription; answers to older ones are void
  bool watching = false;
  bool behind = false;  // the log's beginning is gone; waits for follow()
  bool lost = false;
  std::optional<Instant> interrupted_at;
  std::size_t watch_member = 0;
  std::unique_ptr<runtime::HttpStream> stream;
  std::unique_ptr<runtime::LineSplitter> lines;
  runtime::Timer rest;
  runtime::Timer silence;
  runtime::Timer compaction;
  std::int64_t trimmed_revision = 0;  // of the last trim here

  using Answered = std::function<void(Result<std::string>)>;
  void ask(const char* what, std::string body, Duration deadline, Answered done);
  void ask_member(std::size_t tries_left, runtime::HttpCall call, Answered done);
  void leave_member(std::size_t failed);
  [[nodiscard]] std::string url_of(std::size_t member) const;
  void tell(std::size_t member, const std::string& why);

  void start_reading();
  void read_page();
  void on_page(Result<std::string> answer, std::uint64_t head_before);
  void open_watch(std::int64_t revision);
  void on_watch_line(std::string_view line);
  void fell_behind(std::uint64_t first);
  void interrupted(const std::string& why, bool entries_may_be_missing);
  void following();
  void on_silence();
  void head_seen(std::uint64_t head);
  void store(std::string body, DoneCallback done);
  struct Reading {
    StoredSnapshot snapshot;
    SnapshotCallback done;
  };
  void read_snapshot_page(std::shared_ptr<Reading> reading, const std::string& last_key);
  void trim_slice(etcd::TrimRange range, DoneCallback done);
  void compact();
  // False when it is neither known nor the next one, or does not parse.
  bool take(const etcd::Entry& entry);
  void deliver(std::uint64_t index, std::int64_t revision, std::vector<wire::Command> commands);
};

// ---- asking ----

// One request to the current member, and to the others where it certainly was not sent.
void EtcdLog::State::ask(const char* what, std::string body, Duration deadline, Answered done) {
  runtime::HttpCall call;
  call.method = "POST";
  call.target = path_of(what);
  call.body = std::move(body);
  call.deadline = deadline;
  ask_member(clients.size(), std::move(call), std::move(done));
}

void EtcdLog::State::ask_member(std::size_t tries_left, runtime::HttpCall call, Answered done) {
  const std::size_t asked = chosen;
  auto on_answer = [weak = weak_from_this(), asked, tries_left, call,
                    done = std::move(done)](Result<runtime::HttpResponse> answer) {
    const auto self = weak.lock();
    if (!self) return;
    if (answer && answer->status == 200) {
      self->troubles[asked].said.clear();
      return done(std::move(answer->body));
    }
    const auto says = [&answer](std::string_view words) {
      return answer && answer->body.find(words) != std::string::npos;
    };
    if (!says(kNoSpace) && !says(kCompacted)) self->leave_member(asked);
    const std::string why =
        answer ? "HTTP " + std::to_string(answer->status) + ": " + answer->body.substr(0, 200)
               : answer.error().message;
    self->tell(asked, why);
    if (answer) return done(Error{ErrorKind::Network, self->url_of(asked) + ": " + why});
    if (tries_left > 1 && runtime::HttpClient::not_sent(answer.error())) {
      return self->ask_member(tries_left - 1, call, done);
    }
    // "not sent" stays in front.
    done(Error{ErrorKind::Network, why + " (" + self->url_of(asked) + ")"});
  };
  clients[asked]->call(std::move(call), std::move(on_answer));
}

std::string EtcdLog::State::url_of(std::size_t member) const {
  const Member& m = options.members[member];
  return (options.tls ? "https://" : "http://") + (m.host.empty() ? m.address : m.host) + ":" +
         std::to_string(m.port);
}

void EtcdLog::State::tell(std::size_t member, const std::string& why) {
  Trouble& trouble = troubles[member];
  if (!options.on_trouble || trouble.said == why || loop.now() < trouble.next) return;
  trouble.said = why;
  trouble.next = loop.now() + kTroubleRest;
  options.on_trouble("etcd " + url_of(member) + ": " + why);
}

void EtcdLog::State::leave_member(std::size_t failed) {
  if (chosen != failed) return;  // left already
  chosen = (chosen + 1) % clients.size();
  ++counters.failovers;
  // A member that does not answer would keep our watch silent, too.
  if (watching && watch_member == failed && clients.size() > 1) {
    loop.post([weak = weak_from_this(), current = generation] {
      const auto self = weak.lock();
      if (self && self->generation == current)
        self->interrupted("its member does not answer", false);
    });
  }
}

// ---- following ----

void EtcdLog::State::start_reading() {
  ++generation;
  ++counters.subscriptions;
  watching = false;
  stream.reset();
  lines.reset();
  silence.cancel();
  if (!interrupted_at) interrupted_at = loop.now();
}

void EtcdLog::State::read_page() {
  if (behind) return;
  ask("kv/range", etcd::entries_request(options.cluster, delivered + 1, kEntriesPerPage),
      options.page_deadline,
      [weak = weak_from_this(), current = generation,
       head_before = known_head](Result<std::string> answer) {
        const auto self = weak.lock();
        if (self && self->generation == current) self->on_page(std::move(answer), head_before);
      });
}

void EtcdLog::State::on_page(Result<std::string> answer, std::uint64_t head_before) {
  if (!answer) return interrupted(answer.error().message, false);
  const auto page = etcd::parse_entries(*answer, options.cluster);
  if (!page) return interrupted(page.error().message, true);
  const auto& entries = page.value().entries;
  if (!entries.empty() && entries.front().index > delivered + 1) {
    return fell_behind(entries.front().index);
  }
  // A head was seen before the page was asked for, and its entry must be there. Of one that was
  // seen since, the page may be the older answer.
  if (entries.empty() && head_before > delivered) return fell_behind(head_before + 1);
  for (const etcd::Entry& entry : entries) {
    if (!take(entry)) return;
  }
  if (page.value().more) return read_page();
  open_watch(page.value().revision + 1);
}

void EtcdLog::State::open_watch(std::int64_t revision) {
  runtime::HttpCall call;
  call.method = "POST";
  call.target = path_of("watch");
  call.body = etcd::watch_request(options.cluster, revision);
  call.deadline = options.deadline;
  const auto for_this_one = [weak = weak_from_this(), current = generation](auto action) {
    return [weak, current, action](auto&&... given) {
      const auto self = weak.lock();
      if (self && self->generation == current) action(*self, given...);
    };
  };
  watch_member = chosen;
  lines = std::make_unique<runtime::LineSplitter>(kMaxWatchLineBytes);
  runtime::HttpClient::StreamCallbacks watch;
  watch.on_data = for_this_one([current = generation](State& self, std::string_view data) {
    const auto splitter = self.lines.get();
    const bool fits = splitter->feed(data, [&self, current](std::string_view line) {
      if (self.generation == current) self.on_watch_line(line);
    });
    if (!fits && self.generation == current) self.interrupted("a watch line is too long", true);
  });
  watch.on_end = for_this_one([](State& self, const Status& end) {
    self.leave_member(self.watch_member);
    const std::string why = end ? "the watch ended" : end.error().message;
    self.interrupted(self.url_of(self.watch_member) + ": " + why, false);
  });
  stream = clients[watch_member]->stream(std::move(call), std::move(watch));
}

void EtcdLog::State::on_watch_line(std::string_view text) {
  const auto line = etcd::parse_watch_line(text, options.cluster, delivered);
  if (!line) return interrupted(line.error().message, true);
  if (line.value().cancelled)
    return interrupted("watch cancelled: " + *line.value().cancelled, true);
  if (line.value().created) following();
  for (const etcd::Entry& entry : line.value().entries) {
    if (!take(entry)) return;
  }
  // A trim removes what was handed over long ago.
  if (line.value().last_deleted > delivered) interrupted("an entry was removed", true);
}

void EtcdLog::State::fell_behind(std::uint64_t first) {
  ++generation;
  watching = false;
  behind = true;
  lost = true;  // until it is followed again
  callbacks.on_trimmed(first);
}

// The subscription ends here and starts again after a rest; its objects go in a later turn, for
// this may run inside their callbacks.
void EtcdLog::State::interrupted(const std::string& why, bool entries_may_be_missing) {
  ++generation;
  watching = false;
  if (!interrupted_at) interrupted_at = loop.now();
  const bool too_long = loop.now() - *interrupted_at > kPatience;
  if (!lost && (entries_may_be_missing || too_long)) {
    lost = true;
    callbacks.on_lost(why);
  }
  loop.post([weak = weak_from_this(), current = generation] {
    const auto self = weak.lock();
    if (!self || self->generation != current) return;
    self->start_reading();
    self->rest.arm(self->loop.now() + kResubscribeRest);
  });
}

void EtcdLog::State::following() {
  watching = true;
  interrupted_at.reset();
  if (!lost) return;
  lost = false;
  callbacks.on_restored();
}

void EtcdLog::State::head_seen(std::uint64_t head) {
  known_head = std::max(known_head, head);
  if (delivered < known_head && watching && !silence.armed()) {
    silence.arm(loop.now() + kSilentWatch);
  }
}

// A head was read a while ago and its entry has not come: the watch may hang on a member that
// stands still.
void EtcdLog::State::on_silence() {
  if (!watching || delivered >= known_head) return;
  if (chosen == watch_member) chosen = (chosen + 1) % clients.size();
  interrupted("the watch is silent", false);
}

bool EtcdLog::State::take(const etcd::Entry& entry) {
  if (entry.index <= delivered) return true;
  if (entry.index != delivered + 1) {
    interrupted("a gap behind index " + std::to_string(delivered), true);
    return false;
  }
  auto commands = wire::decode_batch(entry.batch);
  if (!commands) {
    interrupted("entry " + std::to_string(entry.index) + " does not parse", true);
    return false;
  }
  deliver(entry.index, entry.mod_revision, std::move(commands).value());
  return true;
}

void EtcdLog::State::deliver(std::uint64_t index, std::int64_t revision,
                             std::vector<wire::Command> commands) {
  delivered = index;
  head_revision = revision;
  if (delivered >= known_head) silence.cancel();
  callbacks.on_entry(index, std::move(commands));
}

// ---- the interface ----

EtcdLog::EtcdLog(runtime::EventLoop& loop, Options options)
    : state_(std::make_shared<State>(loop, std::move(options))) {}

EtcdLog::~EtcdLog() {
  // Callbacks hold weak pointers; clients and timers go with the state.
  state_->stream.reset();
}

void EtcdLog::subscribe(Callbacks callbacks) {
  ROULETTE_ASSERT(!state_->callbacks.on_entry);
  state_->callbacks = std::move(callbacks);
  state_->start_reading();
  state_->read_page();
}

void EtcdLog::propose(const std::vector<wire::Command>& batch, ProposeCallback done) {
  State& state = *state_;
  ++state.counters.appends;
  const std::uint64_t index = state.delivered + 1;
  std::string body = etcd::append_request(state.options.cluster, index, state.head_revision,
                                          wire::encode_batch(batch));
  state.ask("kv/txn", std::move(body), state.options.deadline,
            [weak = std::weak_ptr(state_), index, batch,
             done = std::move(done)](Result<std::string> answer) {
              const auto self = weak.lock();
              if (!self) return;
              if (!answer) {
                // Nothing left this process, so nothing can be in the log.
                const bool unsent = runtime::HttpClient::not_sent(answer.error());
                if (answer.error().message.find(kNoSpace) != std::string::npos) {
                  ++self->counters.no_space;
                  return done(ProposeOutcome::NoSpace);
                }
                if (!unsent) ++self->counters.unknown;
                return done(unsent ? ProposeOutcome::NotLeader : ProposeOutcome::Unknown);
              }
              const auto result = etcd::parse_append(*answer);
              if (!result) {
                ++self->counters.unknown;
                return done(ProposeOutcome::Unknown);
              }
              if (!result.value().succeeded) {
                ++self->counters.stale_heads;
                return done(ProposeOutcome::NotLeader);
              }
              done(ProposeOutcome::Accepted);
              // It stands right behind what was handed over, so it need not wait for the watch.
              if (self->delivered + 1 == index)
                self->deliver(index, result.value().revision, batch);
            });
}

void EtcdLog::read_barrier(BarrierCallback done) {
  State& state = *state_;
  state.ask("kv/range", etcd::head_request(state.options.cluster), state.options.deadline,
            [weak = std::weak_ptr(state_), done = std::move(done)](Result<std::string> answer) {
              const auto self = weak.lock();
              if (!self) return;
              if (!answer) return done(std::nullopt);
              const auto head = etcd::parse_head(*answer);
              if (!head) return done(std::nullopt);
              self->head_seen(head.value());
              done(head.value());
            });
}

void EtcdLog::follow(std::uint64_t after) {
  State& state = *state_;
  state.delivered = after;
  state.head_revision = kUnknownRevision;
  state.behind = false;
  state.lost = true;
  state.start_reading();
  state.loop.post([weak = std::weak_ptr(state_), current = state.generation] {
    const auto self = weak.lock();
    if (self && self->generation == current) self->read_page();
  });
}

// ---- snapshots ----

void EtcdLog::State::store(std::string body, DoneCallback done) {
  ask("kv/txn", std::move(body), options.page_deadline,
      [done = std::move(done)](Result<std::string> answer) {
        if (!answer) return done(answer.error());
        // Not succeeded: it is complete already. Whoever cares reads it again.
        const auto result = etcd::parse_append(*answer);
        done(result ? Status() : Status(result.error()));
      });
}

void EtcdLog::store_chunk(std::uint64_t index, std::uint32_t number, ByteSpan bytes,
                          DoneCallback done) {
  const std::string& cluster = state_->options.cluster;
  const std::string key = etcd::chunk_key(cluster, index, number);
  state_->store(etcd::snapshot_put_request(cluster, index, key, bytes), std::move(done));
}

void EtcdLog::store_manifest(std::uint64_t index, ByteSpan bytes, DoneCallback done) {
  const std::string& cluster = state_->options.cluster;
  const std::string key = etcd::manifest_key(cluster, index);
  state_->store(etcd::snapshot_put_request(cluster, index, key, bytes), std::move(done));
}

void EtcdLog::read_snapshot(std::uint64_t at_most, SnapshotCallback done) {
  State& state = *state_;
  state.ask("kv/range", etcd::snapshots_request(state.options.cluster, at_most),
            state.options.page_deadline,
            [weak = std::weak_ptr(state_), done = std::move(done)](Result<std::string> answer) {
              const auto self = weak.lock();
              if (!self) return;
              if (!answer) return done(std::nullopt);
              const auto index = etcd::parse_newest_snapshot(*answer, self->options.cluster);
              if (!index) return done(std::nullopt);
              if (index.value() == 0) return done(StoredSnapshot{});
              auto reading = std::make_shared<State::Reading>();
              reading->snapshot.index = index.value();
              reading->done = done;
              self->read_snapshot_page(reading, "");
            });
}

void EtcdLog::State::read_snapshot_page(std::shared_ptr<Reading> reading,
                                        const std::string& last_key) {
  const std::uint64_t index = reading->snapshot.index;
  ask("kv/range",
      etcd::snapshot_request(options.cluster, index, last_key, kSnapshotKeysPerPage),
      options.page_deadline,
      [weak = weak_from_this(), reading, index](Result<std::string> answer) {
        const auto self = weak.lock();
        if (!self) return;
        if (!answer) return reading->done(std::nullopt);
        auto page = etcd::parse_snapshot(*answer, self->options.cluster, index);
        if (!page) return reading->done(std::nullopt);
        reading->snapshot.chunks.merge(page->chunks);
        if (page->manifest) reading->snapshot.manifest = std::move(*page->manifest);
        if (page->more) return self->read_snapshot_page(reading, page->last_key);
        reading->done(std::move(reading->snapshot));
      });
}

void EtcdLog::trim(std::uint64_t up_to, std::uint64_t newest, DoneCallback done) {
  State& state = *state_;
  state.ask("kv/range", etcd::first_entry_request(state.options.cluster),
            state.options.page_deadline,
            [weak = std::weak_ptr(state_), up_to, newest,
             done = std::move(done)](Result<std::string> answer) {
              const auto self = weak.lock();
              if (!self) return;
              if (!answer) return done(answer.error());
              const auto first = etcd::parse_first_entry(*answer, self->options.cluster);
              if (!first) return done(first.error());
              self->trim_slice({std::min(first.value(), up_to), 0, up_to, newest, false}, done);
            });
}

// The oldest first, so that the log is without a gap at every moment.
void EtcdLog::State::trim_slice(etcd::TrimRange range, DoneCallback done) {
  range.to = std::min(range.up_to, range.from + kTrimSlice - 1);
  range.older_snapshots = range.to == range.up_to;
  ask("kv/txn", etcd::trim_request(options.cluster, range), options.page_deadline,
      [weak = weak_from_this(), range, done = std::move(done)](Result<std::string> answer) {
        const auto self = weak.lock();
        if (!self) return;
        if (!answer) return done(answer.error());
        const auto result = etcd::parse_append(*answer);
        if (!result) return done(result.error());
        if (!result.value().succeeded) {
          return done(Error{ErrorKind::Refused, "not both snapshots are complete"});
        }
        if (range.to == range.up_to) {
          self->trimmed_revision = result.value().revision;
          if (self->options.own && !self->compaction.armed())
            self->compaction.arm(self->loop.now() + kCompactionRest);
          return done({});
        }
        etcd::TrimRange next = range;
        next.from = range.to + 1;
        self->trim_slice(next, done);
      });
}

// Missed, it is made up for behind the next trim.
void EtcdLog::State::compact() {
  ask("kv/compaction", etcd::compaction_request(trimmed_revision), options.page_deadline,
      [](const Result<std::string>&) {});
}

const EtcdLog::Counters& EtcdLog::counters() const {
  return state_->counters;
}

}  // namespace roulette::ledger
