// Live tests of roulette-signer: real processes, TLS and SQLite; kills at its named points.
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "common/bitcoin/sighash.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/group_file.h"
#include "common/runtime/http_client.h"
#include "common/runtime/kill_point_table.h"
#include "tests/live/signer_cluster.h"

using namespace roulette;
using namespace roulette::signer;
using namespace roulette::signer::test;
using Catch::Matchers::Contains;
using wire::RefusalReason;

namespace {

std::vector<nlohmann::json> read_events(const ClusterFiles& files, const std::string& name) {
  std::ifstream in(files / (name + "/events.ndjson"));
  std::vector<nlohmann::json> events;
  for (std::string line; std::getline(in, line);) events.push_back(nlohmann::json::parse(line));
  return events;
}

std::size_t count_events(const std::vector<nlohmann::json>& events, const std::string& name) {
  std::size_t count = 0;
  for (const auto& event : events) count += event.value("event", "") == name ? 1 : 0;
  return count;
}

std::vector<nlohmann::json> exported(const ClusterFiles& files,
                                     const std::filesystem::path& config) {
  const Finished finished = run_to_end(files, {"export", "--config", config.string()});
  INFO(finished.err);
  REQUIRE(finished.exit_code == 0);
  std::vector<nlohmann::json> lines;
  std::istringstream in(finished.out);
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

runtime::HttpResponse get(runtime::EventLoop& loop, std::uint16_t port, const std::string& target) {
  runtime::HttpClient client(loop, {.port = port});
  std::optional<Result<runtime::HttpResponse>> answer;
  client.call({.target = target}, [&](Result<runtime::HttpResponse> r) { answer = std::move(r); });
  REQUIRE(loop.run_until([&] { return answer.has_value(); }, seconds(20)));
  REQUIRE(answer->ok());
  return answer->value();
}

}  // namespace

TEST_CASE("three signer processes sign over TLS what the wallet's key verifies") {
  ClusterFiles files;
  std::deque<SignerProcess> signers;
  TestCoordinator coordinator(files);
  for (std::uint16_t i = 0; i < 3; ++i) {
    signers.emplace_back(files.write_config(i));
    REQUIRE(signers[i].wait_ready());
    REQUIRE(coordinator.connect(i, signers[i].tls_port()));
  }
  const Payment pays = payment(5, 2);
  const auto request = coordinator.request(pays, {0, 1, 2});
  REQUIRE(request.has_value());
  std::vector<wire::SignResponse> responses;
  for (std::uint16_t i = 0; i < 3; ++i) {
    coordinator.send(i, *request);
    const auto response = coordinator.receive<wire::SignResponse>(i);
    REQUIRE(response.has_value());
    CHECK(response->journal_length == 2);
    responses.push_back(*response);
  }
  const auto sighashes = bitcoin::taproot_sighashes(pays.tx, pays.prevouts);
  const auto ids = {SignerId(0), SignerId(1), SignerId(2)};
  const auto quorum = crypto::frost::Quorum::create(wallet().dealt.group, wallet().key, ids);
  REQUIRE((sighashes.ok() && quorum.ok()));
  for (std::size_t input = 0; input < 2; ++input) {
    std::vector<crypto::frost::PubNonce> nonces;
    std::vector<crypto::frost::PartialSig> shares;
    for (std::size_t i = 0; i < 3; ++i) {
      nonces.push_back(to_array<66>(request->signers[i].nonces[input]).value());
      shares.push_back(to_array<32>(responses[i].shares[input]).value());
    }
    const auto session = crypto::frost::Session::open(*quorum, nonces, (*sighashes)[input]);
    REQUIRE(session.ok());
    const auto made = crypto::frost::aggregate(std::get<crypto::frost::Session>(*session), shares);
    REQUIRE(made.ok());
    CHECK(std::holds_alternative<crypto::Signature>(*made));
  }
}

// The coordinator here has a coordinator's certificate and says whatever it likes.
TEST_CASE("a coordinator that asks for a payment no client asked for gets no share") {
  ClusterFiles files;
  Secret<32> seed;
  seed.data()[0] = 8;
  const auto shop = crypto::Ed25519Key::from_seed(std::move(seed));
  REQUIRE(shop.ok());
  const std::string list = R"({"format":"roulette-clients","version":1,"clients":[{"name":"shop",)"
                           R"("public_key":")" +
                           to_hex(shop->public_key()) +
                           R"(","accounts":["alpha"]}],"accounts":[{"name":"alpha",)"
                           R"("max_amount_sat":60000}]})";
  REQUIRE(runtime::write_file_durably(files / "clients.json", as_bytes(list)).ok());
  std::deque<SignerProcess> signers;
  TestCoordinator coordinator(files);
  for (std::uint16_t i = 0; i < 3; ++i) {
    signers.emplace_back(files.write_config(i, {{"clients", "\"clients.json\""}}));
    REQUIRE(signers[i].wait_ready());
    REQUIRE(coordinator.connect(i, signers[i].tls_port()));
  }
  Payment pays = payment(5, 1);
  const bitcoin::TxOut& paid = pays.tx.outputs[0];
  const wire::PaymentRequest wanted{"k1", "alpha", paid.script, paid.amount_sat};
  pays.id = wire::withdrawal_id_of("k1");
  pays.payload_digest = wire::payload_digest("alpha", paid.script, paid.amount_sat);
  const auto signature = shop->sign(wire::signed_text("test", "shop", wanted));
  REQUIRE(signature.ok());
  const wire::ClientRequest asked{"k1", "alpha", {"shop", *signature}};
  const auto all_refuse = [&](const Payment& stolen) {
    const auto request = coordinator.request(stolen, {0, 1, 2});
    REQUIRE(request.has_value());
    for (std::uint16_t i = 0; i < 3; ++i) {
      coordinator.send(i, *request);
      const auto no = coordinator.receive<wire::SignRefusal>(i);
      REQUIRE(no.has_value());
      INFO(no->detail);
      CHECK(no->reason == RefusalReason::Unrequested);
    }
  };
  all_refuse(pays);  // nobody's word
  Payment own = pays;
  own.client = asked;
  own.tx.outputs[0].script[5] ^= 1;  // the client's word, another payee
  own.payload_digest =
      wire::payload_digest("alpha", own.tx.outputs[0].script, own.tx.outputs[0].amount_sat);
  all_refuse(own);
  for (std::uint16_t i = 0; i < 3; ++i)
    CHECK(count_events(read_events(files, "signer-" + std::to_string(i)), "share_released") == 0);
  pays.client = asked;  // what the client did ask for
  const auto request = coordinator.request(pays, {0, 1, 2});
  REQUIRE(request.has_value());
  for (std::uint16_t i = 0; i < 3; ++i) {
    coordinator.send(i, *request);
    CHECK(coordinator.receive<wire::SignResponse>(i).has_value());
  }
}

TEST_CASE("a signer killed between its commit and its share refuses a conflict afterwards") {
  ClusterFiles files;
  const auto config = files.write_config(0);
  TestCoordinator coordinator(files);
  {
    SignerProcess signer(config, {"arm 1 signer.persist.signing_record.after 1"});
    REQUIRE(signer.wait_ready());
    REQUIRE(coordinator.connect(0, signer.tls_port()));
    const auto request = coordinator.request(payment(1), {0});
    coordinator.send(0, *request);
    CHECK(signer.hear().starts_with("hit 1 signer.persist.signing_record.after 1 "));
    signer.kill();
    CHECK_FALSE(coordinator.receive(0).has_value());  // no share came before the end
  }
  SignerProcess signer(config);
  REQUIRE(signer.wait_ready());
  REQUIRE(coordinator.connect(0, signer.tls_port()));
  coordinator.send(0, *coordinator.request(rebuilt(payment(1)), {0}));
  CHECK(coordinator.receive<wire::SignRefusal>(0)->reason == RefusalReason::WithdrawalBound);
  coordinator.send(0, *coordinator.request(payment(1), {0}));
  CHECK(coordinator.receive<wire::SignResponse>(0).has_value());
  signer.kill();

  const auto lines = exported(files, config);
  REQUIRE(lines.size() == 4);
  CHECK(lines[0]["format"] == "roulette-signer-journal");
  CHECK(lines[1]["kind"] == "provisioned");
  CHECK(lines[1]["signer"] == "signer-0");
  CHECK(lines[2]["txid"] == bitcoin::txid_to_hex(bitcoin::txid(payment(1).tx)));
  CHECK(lines[3]["txid"] == lines[2]["txid"]);
  CHECK(lines[3]["session_digest"] != lines[2]["session_digest"]);
  CHECK(lines[3]["inputs"][0]["amount_sat"] == 100'000);
  const auto events = read_events(files, "signer-0");
  CHECK(count_events(events, "share_released") == 1);
  CHECK(count_events(events, "refused") == 1);
  CHECK(count_events(events, "journal_opened") == 2);
}

// One conversation that passes every point of a fresh signer.
namespace {
void converse(TestCoordinator& coordinator, std::uint16_t port) {
  if (!coordinator.connect(0, port)) return;
  const auto request = coordinator.request(payment(1), {0});
  if (!request) return;
  coordinator.send(0, *request);
  coordinator.send(0, wire::SignRequest{});
  while (coordinator.receive(0)) continue;
}
}  // namespace

TEST_CASE("a signer stands still at every one of its points, and no share outruns its record") {
  std::size_t points = 0;
  for (const auto& point : runtime::list_kill_points()) {
    if (point.role != Role::Signer || point.when == runtime::PointWhen::AtTime) continue;
    CAPTURE(point.point);
    points += 1;
    ClusterFiles files;
    auto config = files.write_config(0);
    if (point.subject == "reprovisioned") {  // the first start under a new share epoch
      SignerProcess earlier(config);
      REQUIRE(earlier.wait_ready());
      earlier.kill();
      config = files.write_config(0, {{"share_epoch", "2"}, {"share", "\"signer-0.share-2\""}});
    }
    SignerProcess signer(config, {"arm 1 " + point.point + " 1"});
    const bool ready = signer.wait_ready();
    // Speaks in a process of its own: the signer that stands still is killed here meanwhile.
    runtime::test::Child mouth([&] {
      try {
        TestCoordinator coordinator(files);
        if (ready) converse(coordinator, signer.tls_port());
      } catch (...) {
        return 1;
      }
      return 0;
    });
    const std::string hit = ready ? signer.hear() : signer.last_line();
    CHECK(hit.starts_with("hit 1 " + point.point + " 1 "));
    signer.kill();
    CHECK(mouth.wait() == 0);
    std::set<std::string> recorded;
    if (std::filesystem::exists(files / "signer-0/journal.sqlite"))
      for (const auto& line : exported(files, config))
        if (line.value("kind", "") == "signing_record") recorded.insert(line["session_digest"]);
    for (const auto& event : read_events(files, "signer-0"))
      if (event.value("event", "") == "share_released")
        CHECK(recorded.contains(event["session_digest"]));
  }
  CHECK(points >= 27);
}

TEST_CASE("SIGTERM drains: the coordinator is told, the exit code is 0, the records say so") {
  ClusterFiles files;
  const auto config = files.write_config(0);
  SignerProcess signer(config);
  REQUIRE(signer.wait_ready());
  TestCoordinator coordinator(files);
  REQUIRE(coordinator.connect(0, signer.tls_port()));
  coordinator.send(0, *coordinator.request(payment(1), {0}));
  REQUIRE(coordinator.receive<wire::SignResponse>(0).has_value());
  signer.signal(SIGTERM);
  CHECK(signer.hear() == "event shutdown_started");
  const auto status = coordinator.receive<wire::SignerStatus>(0);
  REQUIRE(status.has_value());
  CHECK(status->draining);
  CHECK(coordinator.wait_lost(0));
  const int ended = signer.wait();
  CHECK((WIFEXITED(ended) && WEXITSTATUS(ended) == 0));
  const auto events = read_events(files, "signer-0");
  REQUIRE(count_events(events, "stopped") == 1);
  CHECK(events.back()["event"] == "stopped");
  CHECK(events.back()["drained"] == true);
  CHECK(count_events(events, "shutdown_started") == 1);
  CHECK(count_events(events, "limits") >= 1);
}

TEST_CASE("a signer whose control channel ends is gone") {
  ClusterFiles files;
  std::optional<SignerProcess> signer(std::in_place, files.write_config(0));
  REQUIRE(signer->wait_ready());
  TestCoordinator coordinator(files);
  REQUIRE(coordinator.connect(0, signer->tls_port()));
  signer.reset();  // closes the tool's end, then kills what may be left
  CHECK(coordinator.wait_lost(0));
}

TEST_CASE("only coordinators that greet properly are served") {
  ClusterFiles files;
  SignerProcess signer(files.write_config(0));
  REQUIRE(signer.wait_ready());
  const auto refused = [&](ProcessName self, std::optional<wire::Hello> hello) {
    TestCoordinator peer(files, self);
    peer.greet_with(std::move(hello));
    (void)peer.connect(0, signer.tls_port());
    peer.send(0, wire::SignerPing{1});
    const bool nothing = peer.lost(0) || !peer.receive(0).has_value();
    return nothing && peer.wait_lost(0);
  };
  const ProcessName coordinator{Role::Coordinator, 0};
  CHECK(refused(coordinator, std::nullopt));
  CHECK(refused(coordinator, wire::Hello{wire::kProtocolMajor + 1, 0, coordinator, BootId{}}));
  CHECK(refused(coordinator, wire::Hello{1, 0, {Role::Coordinator, 1}, BootId{}}));
  CHECK(refused(coordinator, wire::Hello{1, 0, {Role::Tool, 0}, BootId{}}));
  TestCoordinator right(files, coordinator);
  CHECK(right.connect(0, signer.tls_port()));
  right.send(0, wire::LedgerFollow{});  // dropped and counted
  right.send(0, wire::SignerPing{8});
  CHECK(right.receive<wire::SignerStatus>(0)->number == 8);
  const auto metrics = get(right.loop(), signer.http_port(), "/metrics").body;
  CHECK_THAT(metrics, Contains("roulette_signer_dropped_total{reason=\"not_for_signers\"} 1"));
  CHECK_THAT(metrics, Contains("roulette_signer_dropped_total{reason=\"greeting\"} 3"));
}

TEST_CASE("a ledger replica's certificate opens no connection to a signer") {
  ClusterFiles files;
  SignerProcess signer(files.write_config(0));
  REQUIRE(signer.wait_ready());
  TestCoordinator coordinator(files);
  bool served = false;
  runtime::TlsTransport::Options options;
  options.identity = files.identity({Role::Ledger, 1});
  options.accepts = [](ProcessName) { return true; };
  options.callbacks.on_connected = [](ConnectionId, ProcessName) {};
  options.callbacks.on_frame = [&](ConnectionId, ByteSpan) { served = true; };
  options.callbacks.on_lost = [](ConnectionId, ProcessName, const std::string&) {};
  auto transport = runtime::TlsTransport::create(coordinator.loop(), std::move(options));
  REQUIRE(transport.ok());
  (*transport)->connect({Role::Signer, 0}, "127.0.0.1", signer.tls_port());
  bool rejected = false;
  for (int i = 0; i < 100 && !rejected; ++i) {
    (void)coordinator.loop().run_until([] { return false; }, milliseconds(10));
    rejected = get(coordinator.loop(), signer.http_port(), "/metrics")
                   .body.find("reason=\"wrong_role\"") != std::string::npos;
  }
  CHECK(rejected);
  CHECK_FALSE(served);
}

TEST_CASE("health, readiness and figures are served") {
  ClusterFiles files;
  SignerProcess signer(files.write_config(0));
  REQUIRE(signer.wait_ready());
  TestCoordinator coordinator(files);
  REQUIRE(coordinator.connect(0, signer.tls_port()));
  coordinator.send(0, *coordinator.request(payment(1), {0}));
  REQUIRE(coordinator.receive<wire::SignResponse>(0).has_value());
  coordinator.send(0, wire::SignRequest{});
  REQUIRE(coordinator.receive<wire::SignRefusal>(0).has_value());
  auto& loop = coordinator.loop();
  CHECK(get(loop, signer.http_port(), "/healthz").status == 200);
  const auto ready = get(loop, signer.http_port(), "/readyz");
  CHECK(ready.status == 200);
  CHECK(nlohmann::json::parse(ready.body)["ready"] == true);
  CHECK(get(loop, signer.http_port(), "/elsewhere").status == 404);
  const std::string metrics = get(loop, signer.http_port(), "/metrics").body;
  CHECK_THAT(metrics, Contains("roulette_signer_shares_total 1"));
  CHECK_THAT(metrics, Contains("roulette_signer_self_checks_total 1"));
  CHECK_THAT(metrics, Contains("roulette_signer_refusals_total{reason=\"bad-request\"} 1"));
  CHECK_THAT(metrics, Contains("roulette_signer_request_seconds_count 2"));
  CHECK_THAT(metrics, Contains("roulette_signer_pooled_nonces 1"));
  CHECK_THAT(metrics, Contains("roulette_journal_commit_seconds_count 2"));
}

TEST_CASE("a process whose journal was wiped says journal-missing and signs nothing") {
  ClusterFiles files;
  const auto config = files.write_config(0);
  wire::JournalCheck kept;
  {
    SignerProcess signer(config);
    REQUIRE(signer.wait_ready());
    TestCoordinator coordinator(files);
    auto& loop = coordinator.loop();
    CHECK_THAT(get(loop, signer.http_port(), "/readyz").body, Contains("journal-unchecked"));
    REQUIRE(coordinator.connect(0, signer.tls_port()));
    CHECK(get(loop, signer.http_port(), "/readyz").status == 200);
    coordinator.send(0, *coordinator.request(payment(1), {0}));
    const auto share = coordinator.receive<wire::SignResponse>(0);
    REQUIRE(share.has_value());
    kept = {share->share_epoch, share->journal_length, share->journal_head};
    signer.kill();
  }
  for (const char* suffix : {"", "-wal", "-shm"})
    std::filesystem::remove(files / (std::string("signer-0/journal.sqlite") + suffix));
  SignerProcess signer(config);
  REQUIRE(signer.wait_ready());
  TestCoordinator coordinator(files);
  REQUIRE(coordinator.connect(0, signer.tls_port()));
  // Told nothing yet, it gives nonces.
  const auto conflict = coordinator.request(rebuilt(payment(1)), {0});
  coordinator.send(0, kept);
  CHECK(signer.hear() == "not_ready journal-missing");
  CHECK(coordinator.receive<wire::SignerStatus>(0)->standing == wire::JournalStanding::Missing);
  CHECK(coordinator.receive<wire::JournalAnswer>(0)->standing == wire::JournalStanding::Missing);
  coordinator.send(0, *conflict);
  CHECK(coordinator.receive<wire::SignRefusal>(0)->reason == RefusalReason::Quarantined);
  coordinator.send(0, wire::NonceRequest{4});
  CHECK(coordinator.receive<wire::NonceBatch>(0)->nonces.empty());
  const auto ready = get(coordinator.loop(), signer.http_port(), "/readyz");
  CHECK(ready.status == 503);
  CHECK_THAT(ready.body, Contains("[\"journal-missing\"]"));
  CHECK_THAT(get(coordinator.loop(), signer.http_port(), "/metrics").body,
             Contains("roulette_signer_quarantined{reason=\"journal-missing\"} 1"));
  CHECK(count_events(read_events(files, "signer-0"), "journal_checked") == 3);
}

TEST_CASE("what does not fit is said by name before anything serves") {
  ClusterFiles files;
  const auto start = [&files](const std::map<std::string, std::string>& replaced) {
    return run_to_end(files, {"--config", files.write_config(0, replaced).string()});
  };
  const auto expect = [&](const std::map<std::string, std::string>& replaced, int code,
                          const std::string& words) {
    const Finished finished = start(replaced);
    CHECK(finished.exit_code == code);
    CHECK_THAT(finished.err, Contains(words));
  };
  expect({{"share_key", "\"signer-1.share-key\""}}, 2, "wrong key");
  expect({{"share", "\"signer-1.share\""}, {"share_key", "\"signer-1.share-key\""}}, 2, "signer");
  expect({{"share", "\"nowhere.share\""}}, 2, "nowhere.share");
  expect({{"share_key", "\"nowhere.key\""}}, 2, "nowhere.key");
  expect({{"share_key", ""}}, 64, "share_key");
  expect({{"share_epoch", "2"}}, 2, "epoch");
  expect({{"group", "\"nowhere.json\""}}, 2, "nowhere.json");
  expect({{"cert", "\"nowhere.pem\""}}, 2, "nowhere.pem");
  expect({{"name", "\"signer-x\""}}, 64, "name");
  expect({{"listen", "\"127.0.0.1\""}}, 64, "listen");
  expect({{"surprise", "1"}}, 64, "surprise");
  expect({{"policy", "{}"}}, 64, "max_fee_sat");
  std::filesystem::permissions(files / "signer-0.share-key", std::filesystem::perms(0644));
  expect({}, 2, "0600");
  std::filesystem::permissions(files / "signer-0.share-key", std::filesystem::perms(0600));
  REQUIRE(runtime::write_group_file(files / "other.json", *foreign_wallet().group).ok());
  expect({{"group", "\"other.json\""}}, 2, "group");
  CHECK(run_to_end(files, {}).exit_code == 64);
  CHECK(run_to_end(files, {"--config"}).exit_code == 64);
  CHECK(run_to_end(files, {"--what"}).exit_code == 64);
  CHECK(run_to_end(files, {"--config", (files / "none.json").string()}).exit_code != 0);
  CHECK(run_to_end(files, {"--version"}).out.starts_with("roulette-signer "));
}

TEST_CASE("another signer's journal and an altered one are refused at start") {
  ClusterFiles files;
  const auto first = files.write_config(0);
  {
    SignerProcess signer(first);
    REQUIRE(signer.wait_ready());
    signer.kill();
  }
  const Finished other =
      run_to_end(files, {"--config", files.write_config(1, {{"folder", "\"signer-0\""}}).string()});
  CHECK(other.exit_code == 2);
  CHECK_THAT(other.err, Contains("another signer: signer-0, not signer-1"));
  CHECK_THAT(other.err, Contains("journal.sqlite"));
  // And without any journal there is nothing to export.
  const Finished none = run_to_end(
      files, {"export", "--config", files.write_config(2, {{"folder", "\"empty\""}}).string()});
  CHECK(none.exit_code == 2);
}
