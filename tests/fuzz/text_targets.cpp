// Decoders of text and of files: see targets.h.
#include "chaos/evidence/operator_key.h"
#include "chaos/evidence/ustar.h"
#include "chaos/plan/experiment.h"
#include "chaos/sim/schedule_file.h"
#include "common/base/assert.h"
#include "common/bitcoin/address.h"
#include "common/runtime/clients_file.h"
#include "common/runtime/group_file.h"
#include "common/wire/idempotency_key.h"
#include "coordinator/app/api.h"
#include "coordinator/app/tokens.h"
#include "ledger/log/etcd_messages.h"
#include "tests/fuzz/targets.h"

namespace roulette::fuzz {
namespace {

const char* const kExperiment = R"(title: A test
description: Kills a signer.
method: [{type: action, name: quorum-roulette, provider: {type: roulette}}]
rollbacks: []
extensions:
  - name: quorum-roulette
    version: 1
    seed: 7
    cluster: {signers: 5, threshold: 3, coordinators: 2, ledgers: 3, log: etcd, chain: bitcoind}
    workload: {clients: 8, rate_per_s: 20, duration_s: 60, undisturbed_s: 8}
    blast_radius: {signers: 2, coordinators: 1}
    faults:
      - target: {role: signer, mode: one}
        trigger: {point: signer.persist.signing_record.after, occurrence: 5}
        signal: SIGKILL
        recover: {how: restart, after_ms: 200}
      - target: {role: coordinator, index: [0, 1]}
        trigger: {every_ms: 4000, jitter_ms: 1000}
        signal: SIGSTOP
        recover: {how: continue, after_ms: 300}
    floor: {settled: 300, kills: 5, points: 2}
    require: [no-duplicate-payment, quorum-continuity]
    expect: progress
)";

const char* const kClients = R"({"format":"roulette-clients","version":1,
 "clients":[{"name":"shop","accounts":["alice"],
  "public_key":"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"}],
 "accounts":[{"name":"alice","max_amount_sat":100000,
  "addresses":["bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"]}]})";

const char* const kTokens = R"({"format":"roulette-tokens","version":1,
 "tokens":[{"name":"shop","scope":"client","accounts":["alice"],"requests_per_s":5,"burst":9,
  "sha256":"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"}]})";

const char* const kGroup = R"({"format":"roulette-group","version":1,"scheme":"BIP 340","n":1,"t":1,
 "threshold_key":"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
 "public_shares":["0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"]})";

// What etcd's JSON gateway answers to the log's requests; the values are base64.
const char* const kEtcd[] = {
    R"({"header":{"revision":"7"},"succeeded":true})",
    R"({"header":{"revision":"7"},"kvs":[{"key":"cXIvYy9oZWFk","mod_revision":"6",
        "value":"MDAwMDAwMDAwMDAwMDAwMg=="}],"count":"1"})",
    R"({"header":{"revision":"9"},"kvs":[{"key":"cXIvYy9lbnRyeS8wMDAwMDAwMDAwMDAwMDAx",
        "mod_revision":"5","value":"AAAAAA=="}],"more":true})",
    R"({"result":{"header":{"revision":"8"},"created":true,"watch_id":"0"}})",
    R"({"result":{"header":{"revision":"8"},"events":[{"type":"DELETE",
        "kv":{"key":"cXIvYy9lbnRyeS8wMDAwMDAwMDAwMDAwMDAx"}}]}})",
};

// "METHOD PATH NAME=VALUE ...", header lines, an empty line, the body: what the server's own parser
// hands over.
runtime::HttpRequest request_of(std::string_view text) {
  runtime::HttpRequest request;
  const auto until = [&text](std::string_view mark) {
    const std::size_t at = text.find(mark);
    const std::string_view found = text.substr(0, at);
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + mark.size());
    return std::string(found);
  };
  const auto pair = [](const std::string& field, char between) {
    const std::size_t at = field.find(between);
    if (at == std::string::npos) return std::pair<std::string, std::string>(field, "");
    return std::pair(field.substr(0, at), field.substr(at + 1));
  };
  request.method = until(" ");
  request.path = until(" ");
  for (std::string field = until("\n"); !field.empty(); field = field.substr(field.find(' ') + 1)) {
    request.query.push_back(pair(field.substr(0, field.find(' ')), '='));
    if (field.find(' ') == std::string::npos) break;
  }
  for (std::string line = until("\n"); !line.empty(); line = until("\n"))
    request.headers.push_back(pair(line, ':'));
  request.body = std::string(text);
  return request;
}

std::vector<Bytes> request_seeds() {
  return {
      bytes_of("POST /v1/withdrawals \nidempotency-key:\"k-1\"\nprefer:wait=5\n"
               "client-signature:client=shop, signature=" +
               std::string(128, 'a') +
               "\n\n{\"account\":\"alice\",\"address\":"
               "\"bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080\",\"amount_sat\":50000}"),
      bytes_of("GET /v1/withdrawals idempotency_key=k-1\n\n"),
      bytes_of("GET /v1/withdrawals/00112233445566778899aabbccddeeff \n\n"),
      bytes_of("GET /v1/withdrawals account=alice state=settled limit=7 requested_after_us=-5 "
               "cursor=w0000000000000011\n\n"),
      bytes_of("GET /v1/accounts/alice/entries cursor=e" + std::string(72, 'a') + "\n\n"),
      bytes_of("GET /v1/balances \n\n"),
      bytes_of("PATCH /v2 a=b c=d\nx:y\n\nbody"),
  };
}

void take_request(ByteSpan in) {
  const auto parsed = coordinator::parse_request(request_of(text_of(in)), 1'700'000'000'000'000);
  if (const auto* body = std::get_if<coordinator::ClientRequestBody>(&parsed)) {
    ROULETTE_ASSERT(coordinator::request_kind(*body) != nullptr);
  } else {
    const auto& problem = std::get<coordinator::Problem>(parsed);
    ROULETTE_ASSERT(problem.status >= 400 && problem.status < 500);
  }
}

void take_etcd_answer(ByteSpan in) {
  namespace etcd = ledger::etcd;
  const std::string_view text = text_of(in);
  (void)etcd::parse_append(text);
  (void)etcd::parse_head(text);
  (void)etcd::parse_entries(text, "c");
  (void)etcd::parse_newest_snapshot(text, "c");
  (void)etcd::parse_first_entry(text, "c");
  (void)etcd::parse_snapshot(text, "c", 1);
  (void)etcd::parse_watch_line(text, "c", 0);
}

void take_archive(ByteSpan in) {
  const auto files = evidence::read_ustar(text_of(in));
  if (!files) return;
  // An archive has one spelling: what was read is what its files make.
  const auto again = evidence::write_ustar(*files);
  ROULETTE_ASSERT(again.ok() && *again == text_of(in));
}

std::vector<Bytes> archive_seeds() {
  const auto archive = evidence::write_ustar({{"a/manifest.json", "{}"}, {"b.txt", "two\n"}});
  ROULETTE_ASSERT(archive.ok());
  return {bytes_of(*archive)};
}

std::vector<Bytes> schedule_seeds() {
  std::vector<Bytes> out;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    sim::ScheduleFile file;
    file.schedule = sim::draw_schedule(seed);
    out.push_back(bytes_of(sim::encode_schedule_file(file)));
  }
  return out;
}

void take_schedule(ByteSpan in) {
  const auto file = sim::decode_schedule_file(std::string(text_of(in)), "fuzz");
  if (!file) return;
  const auto again = sim::decode_schedule_file(sim::encode_schedule_file(*file), "fuzz");
  ROULETTE_ASSERT(again.ok() && *again == *file);
}

void take_address(ByteSpan in) {
  const auto script = bitcoin::script_from_address(text_of(in));
  if (!script) return;
  const auto address = bitcoin::address_from_script(*script);
  ROULETTE_ASSERT(address.ok() && *bitcoin::script_from_address(*address) == *script);
}

void take_group(ByteSpan in) {
  const auto group = runtime::group_from_json(text_of(in), "fuzz");
  if (!group) return;
  const auto again = runtime::group_from_json(runtime::group_to_json(**group), "fuzz");
  ROULETTE_ASSERT(again.ok() && (*again)->id() == (*group)->id());
}

std::vector<Bytes> etcd_seeds() {
  std::vector<Bytes> out;
  for (const char* text : kEtcd) out.push_back(bytes_of(text));
  return out;
}

std::vector<Bytes> one(const char* text) {
  return {bytes_of(text)};
}

}  // namespace

std::vector<Target> text_targets() {
  return {
      {"http-request", request_seeds, take_request},
      {"idempotency-key", [] { return one(R"("a\"b\\c")"); },
       [](ByteSpan in) {
         const auto key = wire::parse_idempotency_key(text_of(in));
         if (key) ROULETTE_ASSERT(!key->empty() && key->size() <= 255);
       }},
      {"address", [] { return one("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"); }, take_address},
      {"experiment", [] { return one(kExperiment); },
       [](ByteSpan in) { (void)chaos::parse_experiment(std::string(text_of(in)), "fuzz.yaml"); }},
      {"schedule", schedule_seeds, take_schedule},
      {"clients-file", [] { return one(kClients); },
       [](ByteSpan in) { (void)runtime::clients_from_json(text_of(in), "fuzz", "cluster"); }},
      {"tokens-file", [] { return one(kTokens); },
       [](ByteSpan in) { (void)coordinator::tokens_from_json(text_of(in), "fuzz", {}); }},
      {"group-file", [] { return one(kGroup); }, take_group},
      {"etcd-answer", etcd_seeds, take_etcd_answer},
      {"archive", archive_seeds, take_archive},
      {"public-key", [] {
         return one("-----BEGIN PUBLIC KEY-----\n"
                    "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
                    "-----END PUBLIC KEY-----\n");
       },
       [](ByteSpan in) { (void)evidence::public_key_from_pem(text_of(in)); }},
  };
}

}  // namespace roulette::fuzz
