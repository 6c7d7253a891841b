// What a comparison makes of one file: shapes, the same moments for all, budgets, expectations, and
// a `compare:` section that is refused with its line.
#include <catch2/catch.hpp>

#include "chaos/plan/cluster_shape.h"
#include "chaos/plan/compare.h"
#include "chaos/plan/schedule.h"
#include "common/crypto/schemes.h"

using namespace roulette;
using namespace roulette::chaos;

namespace {

constexpr char kFile[] = R"(title: A comparison
description: One signer a second.
steady-state-hypothesis:
  title: t
  probes:
    - {type: probe, name: p, tolerance: [5, 1000],
       provider: {type: roulette, metric: settled_per_second}}
method: [{type: action, name: quorum-roulette, provider: {type: roulette}}]
rollbacks: []
extensions:
  - name: quorum-roulette
    version: 1
    seed: 7
    cluster: {signers: 5, threshold: 3, coordinators: 2, ledgers: 3}
    workload: {clients: 2, rate_per_s: 5, duration_s: 20, undisturbed_s: 5}
    faults:
      - {target: {role: signer, mode: one}, trigger: {every_ms: 1000, jitter_ms: 200},
         signal: SIGKILL, recover: {how: restart, after_ms: 300}}
      - {target: {role: etcd, index: [1]}, trigger: {at_ms: 9000}, signal: SIGKILL}
    stop: [{metric: error_rate, above: 0.5, for_ms: 1000}]
    floor: {settled: 50, kills: 15}
    require: [no-duplicate-payment, nonce-never-reused]
)";

std::string with(const std::string& more) {
  return kFile + more;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

ComparePlan plan_of(const std::string& text, const std::vector<std::string>& schemes = {}) {
  auto plan = plan_compare(text, "file.yaml", {schemes, {}, {}});
  INFO((plan.ok() ? "" : plan.error().message));
  REQUIRE(plan.ok());
  return std::move(plan).value();
}

const Variant& named(const ComparePlan& plan, const std::string& name) {
  for (const Variant& variant : plan.variants)
    if (variant.name == name) return variant;
  FAIL("no variant " + name);
  return plan.variants.front();
}

void check_refusal(const std::string& text, const std::string& place, const std::string& word,
                   const std::vector<std::string>& schemes = {}) {
  const auto plan = plan_compare(text, "file.yaml", {schemes, {}, {}});
  REQUIRE_FALSE(plan.ok());
  INFO(plan.error().message);
  CHECK(plan.error().kind == ErrorKind::Usage);
  CHECK(plan.error().message.starts_with(place));
  CHECK(plan.error().message.find(word) != std::string::npos);
}

std::vector<std::uint32_t> moments(const Experiment& e) {
  std::vector<std::uint32_t> out;
  for (const FaultInstance& instance : draw_schedule(e).instances)
    out.push_back(instance.at_ms.value_or(0));
  return out;
}

}  // namespace

TEST_CASE("every scheme of the build is a variant, the file's own first, each in its shape") {
  const ComparePlan plan = plan_of(kFile);
  CHECK(plan.variants.size() == crypto::all_schemes().size());
  CHECK(plan.reference == "frost");
  CHECK(plan.variants.front().name == "frost");
  CHECK(named(plan, "frost-tr").experiment.cluster.signers == 5);
  CHECK(named(plan, "frost-tr").experiment.cluster.threshold == 3);
  CHECK(named(plan, "musig2").experiment.cluster.signers == 5);
  CHECK(named(plan, "musig2").experiment.cluster.threshold == 5);
  CHECK(named(plan, "single").experiment.cluster.signers == 1);
}

TEST_CASE("all variants are struck at the moments that the file's own schedule draws") {
  const ComparePlan plan = plan_of(kFile);
  const auto own = moments(plan.experiment);
  REQUIRE(own.size() == 15);
  for (const Variant& variant : plan.variants) {
    INFO(variant.name);
    CHECK(moments(variant.experiment) == own);
  }
  const auto drawn = draw_schedule(plan.experiment).instances;
  const auto frost = draw_schedule(named(plan, "frost").experiment).instances;
  const auto single = draw_schedule(named(plan, "single").experiment).instances;
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    CHECK(frost[i].victims == drawn[i].victims);
    const bool signer = drawn[i].victims.front().role == Role::Signer;
    CHECK(single[i].victims.front() ==
          ProcessName{drawn[i].victims.front().role, signer ? std::uint16_t{0} : std::uint16_t{1}});
  }
}

TEST_CASE("a variant bears the file's blows and asks only for what its scheme can show") {
  const ComparePlan plan = plan_of(kFile);
  const Experiment& single = named(plan, "single").experiment;
  CHECK(single.blast_radius.at(Role::Signer) == 1);
  CHECK(named(plan, "musig2").experiment.blast_radius.at(Role::Signer) == 2);
  CHECK(named(plan, "frost").experiment.floor.settled == 50);
  CHECK(single.floor.settled == 1);
  CHECK(single.floor.kills == 15);
  CHECK(single.require == std::vector<std::string>{"no-duplicate-payment"});
  CHECK(named(plan, "musig2").experiment.require.size() == 2);
  for (const Variant& variant : plan.variants) {
    CHECK(variant.experiment.stop.empty());
    CHECK(variant.experiment.steady_state.empty());
    CHECK(variant.experiment.expect == Expectation::Progress);
    CHECK(variant.experiment.seed == 7);
  }
}

TEST_CASE("where the last spare signer is lost for good, the variant expects the refusal") {
  const std::string lost = replaced(kFile, "every_ms: 1000, jitter_ms: 200}", "at_ms: 6000}");
  const ComparePlan plan =
      plan_of(replaced(lost, "{how: restart, after_ms: 300}", "{how: none}"));
  CHECK(named(plan, "frost").experiment.expect == Expectation::Progress);
  CHECK(named(plan, "musig2").experiment.expect == Expectation::Refusal);
  CHECK(named(plan, "single").experiment.expect == Expectation::Refusal);
  CHECK(named(plan, "single").experiment.floor.settled == 1);
  CHECK(named(plan, "frost").experiment.floor.kills == 2);
}

TEST_CASE("a file may name its variants, and one without etcd leaves etcd's faults out") {
  const ComparePlan plan = plan_of(with(R"(    compare:
      late_ms: 500
      variants:
        - {name: redundant}
        - {name: alone, cluster: {scheme: single, coordinators: 1, log: sqlite, ledgers: 1}}
)"));
  REQUIRE(plan.variants.size() == 2);
  CHECK(plan.late_ms == 500);
  CHECK(plan.reference == "redundant");
  const Variant& alone = named(plan, "alone");
  CHECK(alone.experiment.cluster.log == "sqlite");
  CHECK(alone.experiment.cluster.etcd == 0);
  CHECK(alone.experiment.faults.size() == 14);
  REQUIRE(alone.notes.size() == 1);
  CHECK(alone.notes[0].find("no etcd") != std::string::npos);
  CHECK(plan_of(with("    compare: {variants: [{name: a}, {name: b}]}\n"), {"b"}).reference == "b");
}

TEST_CASE("a compare section that makes no sense is refused with its line") {
  const std::string head = "    compare:\n      variants:\n        - {name: a}\n";
  check_refusal(with(head + "        - {name: a}\n"), "file.yaml:26: ", "named on line 25");
  check_refusal(with(head + "        - {name: b, clutser: {}}\n"), "file.yaml:26: ", "clutser");
  check_refusal(with(head + "        - {name: b, cluster: {threshold: 2}}\n"),
                "file.yaml:26: variant 'b'", "2t > n");
  check_refusal(with(head + "        - {name: b, cluster: {log: sqlite}}\n"),
                "file.yaml:26: variant 'b'", "ledgers must be 1");
  check_refusal(with("    compare: {late_ms: 0}\n"), "file.yaml:23: ", "late_ms");
  check_refusal(kFile, "--schemes: 'rsa'", "frost", {"rsa"});
  check_refusal(kFile, "--schemes names 'frost' twice", "frost", {"frost", "frost"});
}

TEST_CASE("variants that cannot be are all named, with what can be run without them") {
  const auto refused = [](const std::string& text) {
    const auto plan = plan_compare(text, "file.yaml", {});
    REQUIRE_FALSE(plan.ok());
    CHECK(exit_code(plan.error().kind) == 64);
    return plan.error().message;
  };
  const std::string sealed = replaced(kFile, "cluster: {", "cluster: {vault: token, ");
  CHECK(refused(sealed).find("variant 'hsm'") != std::string::npos);
  CHECK(refused(sealed).find("there is no share to seal\nnothing is run; without what cannot be: "
                             "--schemes frost,frost-tr,musig2,single") != std::string::npos);
  CHECK(plan_of(sealed, {"frost", "musig2"}).variants.size() == 2);
  const std::string two = refused(with(R"(    compare:
      variants:
        - {name: a}
        - {name: b, cluster: {threshold: 2}}
        - {name: c, cluster: {log: sqlite}}
)"));
  CHECK(two.find("variant 'b'") != std::string::npos);
  CHECK(two.find("variant 'c'") != std::string::npos);
  CHECK(two.ends_with("--schemes a"));
}

TEST_CASE("a log of sqlite is one ledger without etcd, and anything else is refused by line") {
  const auto parsed = [](const std::string& cluster) {
    return parse_experiment(replaced(replaced(kFile, "signers: 5, threshold: 3, coordinators: 2, "
                                                     "ledgers: 3",
                                              cluster),
                                     "{role: etcd, index: [1]}", "{role: signer}"),
                            "file.yaml");
  };
  const auto good = parsed("log: sqlite, ledgers: 1");
  INFO((good.ok() ? "" : good.error().message));
  REQUIRE(good.ok());
  CHECK(good->cluster.etcd == 0);
  CHECK(good->cluster.ledgers == 1);
  CHECK(good->blast_radius.at(Role::Etcd) == 0);
  CHECK(parsed("log: sqlite").ok());
  const auto three = parsed("log: sqlite, ledgers: 3");
  REQUIRE_FALSE(three.ok());
  CHECK(three.error().message == "file.yaml:14: log: sqlite is a file of one ledger: ledgers must "
                                 "be 1, not 3");
  const auto etcd = parsed("log: sqlite, ledgers: 1, etcd: 3");
  REQUIRE_FALSE(etcd.ok());
  CHECK(etcd.error().message.find("needs no etcd") != std::string::npos);
}
