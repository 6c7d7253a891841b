// Writing a cluster's files: see cluster_files.h.
#include "chaos/live/cluster_files.h"

#include <nlohmann/json.hpp>

#include "chaos/live/export.h"
#include "chaos/live/ports.h"
#include "common/bitcoin/transaction.h"
#include "common/crypto/schemes.h"
#include "common/crypto/sealed_share.h"
#include "common/runtime/certificates.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/group_file.h"
#include "common/runtime/planted_bug.h"

namespace roulette::chaos {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint32_t kShareEpoch = 1;
constexpr std::int64_t kFeeRateSatPerVb = 10;
constexpr std::int64_t kWithdrawalFeeSat = 10'000;
constexpr std::int64_t kMinAmountSat = 1'000;
constexpr std::int64_t kMaxAmountSat = 100'000'000;
constexpr std::uint32_t kSettleDepth = 3;
// A deployed process' own folder, in the script that starts it (deployment.cpp).
constexpr char kHostFolder[] = "$here";
constexpr std::int64_t kAuthorityS = 730L * 24 * 3600;  // of a cluster on several machines
constexpr std::int64_t kCertificateS = 90L * 24 * 3600;
// bitcoind's -regtest genesis block (chainparams: the same for everybody).
constexpr char kRegtestGenesis[] =
    "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206";

std::string text(const Endpoint& e) {
  return e.host + ":" + std::to_string(e.port);
}

// Ports of every listener, by what listens.
struct Listeners {
  std::vector<Endpoint> signer_tls, signer_http, ledger_tls, ledger_http, coordinator_tls,
      coordinator_http, etcd_client, etcd_peer;
  std::vector<Endpoint> node_rpc, node_p2p;
};

class Maker {
 public:
  Maker(const ClusterPlan& plan, const std::string& run_dir, const Binaries& binaries,
        EntropySource& entropy, const Hosts* hosts)
      : plan_(plan), binaries_(binaries), entropy_(entropy), hosts_(hosts) {
    out_.run_dir = run_dir;
    out_.work = fs::path(run_dir) / "work";
    out_.secrets = fs::path(run_dir) / "secrets";
    out_.state = fs::path(run_dir) / "state";
    out_.faulty_tokens = plan.faulty_tokens;
    out_.accounts = {"alpha", "bravo", "charlie", "delta"};
  }

  Result<ClusterFiles> make() {
    for (const auto step :
         {&Maker::make_folders, &Maker::choose_ports, &Maker::make_certificates,
          &Maker::make_client, &Maker::deal_shares, &Maker::make_token, &Maker::make_signers,
          &Maker::make_token_keys, &Maker::make_ledgers, &Maker::make_coordinators,
          &Maker::make_etcd, &Maker::make_nodes}) {
      if (const Status status = (this->*step)(); !status) return status.error();
    }
    return std::move(out_);
  }

 private:
  Status make_folders() {
    for (const fs::path& folder : {out_.work, out_.secrets, out_.state}) {
      if (const Status status = runtime::create_folder_durably(folder); !status)
        return preflight(status);
    }
    for (const auto& [role, count] : counts()) {
      for (std::uint16_t i = 0; i < count; ++i) {
        const Status status =
            runtime::create_folder_durably(out_.work / ProcessName{role, i}.text() / "data");
        if (!status) return preflight(status);
      }
    }
    return {};
  }

  static Status preflight(const Status& status) {
    return Error{ErrorKind::Preflight, status.error().message};
  }

  std::vector<std::pair<Role, std::uint16_t>> counts() const {
    return {{Role::Signer, plan_.signers},
            {Role::Coordinator, plan_.coordinators},
            {Role::Ledger, plan_.ledgers},
            {Role::Etcd, plan_.etcd},
            {Role::Bitcoind, plan_.nodes}};
  }

  Status choose_ports() {
    const std::size_t total =
        2u * (plan_.signers + plan_.ledgers + plan_.coordinators + plan_.etcd + plan_.nodes);
    Result<std::vector<std::uint16_t>> ports =
        hosts_ == nullptr ? free_ports(total) : numbered_ports(total);
    if (!ports) return ports.error();
    std::size_t next = 0;
    const auto take = [&](std::vector<Endpoint>& list, std::uint16_t count) {
      for (std::uint16_t i = 0; i < count; ++i)
        list.push_back({hosts_ == nullptr ? "127.0.0.1" : hosts_->of(i), (*ports)[next++]});
    };
    take(at_.signer_tls, plan_.signers);
    take(at_.signer_http, plan_.signers);
    take(at_.ledger_tls, plan_.ledgers);
    take(at_.ledger_http, plan_.ledgers);
    take(at_.coordinator_tls, plan_.coordinators);
    take(at_.coordinator_http, plan_.coordinators);
    take(at_.etcd_client, plan_.etcd);
    take(at_.etcd_peer, plan_.etcd);
    take(at_.node_rpc, plan_.nodes);
    take(at_.node_p2p, plan_.nodes);
    out_.coordinator_http = at_.coordinator_http;
    monitor(Role::Signer, at_.signer_http);
    monitor(Role::Ledger, at_.ledger_http);
    monitor(Role::Coordinator, at_.coordinator_http);
    monitor(Role::Etcd, at_.etcd_client);
    out_.signer_tls = at_.signer_tls;
    out_.ledger_tls = at_.ledger_tls;
    out_.etcd_client = at_.etcd_client;
    for (std::uint16_t i = 0; i < plan_.nodes; ++i)
      out_.nodes.emplace_back(at_.node_rpc[i], out_.work / ProcessName{Role::Bitcoind, i}.text() /
                                                   "data" / "regtest" / ".cookie");
    return {};
  }

  std::vector<std::uint16_t> numbered_ports(std::size_t count) const {
    std::vector<std::uint16_t> out;
    for (std::size_t i = 0; i < count; ++i)
      out.push_back(static_cast<std::uint16_t>(hosts_->first_port + i));
    return out;
  }

  Status make_certificates() {
    ByteArray<4> tag{};
    entropy_.fill(tag);
    cluster_id_ = "run-" + to_hex(tag);
    out_.cluster_id = cluster_id_;
    const auto authority = runtime::ClusterAuthority::create(cluster_id_, authority_validity());
    if (!authority) return authority.error();
    if (hosts_ != nullptr) {
      if (const Status kept = authority->write_key(out_.secrets); !kept) return kept;
      if (const Status made = make_etcd_certificates(); !made) return made;
    }
    if (const Status status = authority->write_certificate(out_.secrets); !status) return status;
    for (const auto& [role, count] : counts()) {
      if (role == Role::Etcd || role == Role::Bitcoind) continue;
      for (std::uint16_t i = 0; i < count; ++i) {
        const Status status =
            authority->issue_into(out_.secrets, {role, i}, certificate_validity());
        if (!status) return status;
      }
    }
    // One that no process runs as: the peer that the tool itself can play.
    return authority->issue_into(out_.secrets, {Role::Coordinator, plan_.coordinators});
  }

  runtime::Validity authority_validity() const {
    return hosts_ == nullptr ? runtime::Validity{} : runtime::Validity{.until_s = kAuthorityS};
  }
  runtime::Validity certificate_validity() const {
    return hosts_ == nullptr ? runtime::Validity{} : runtime::Validity{.until_s = kCertificateS};
  }

  // etcd takes whomever its authority signed for: only members and replicas have one of these.
  Status make_etcd_certificates() {
    const fs::path folder = out_.secrets / "etcd";
    if (const Status made = runtime::create_folder_durably(folder); !made) return preflight(made);
    const auto authority =
        runtime::ClusterAuthority::create(cluster_id_ + "-etcd", authority_validity());
    if (!authority) return authority.error();
    Status status = authority->write_certificate(folder);
    if (status) status = authority->write_key(folder);
    for (std::uint16_t i = 0; status && i < plan_.etcd; ++i)
      status = authority->issue_for_address_into(folder, ProcessName{Role::Etcd, i}.text(),
                                                 hosts_->of(i), certificate_validity());
    for (std::uint16_t i = 0; status && i < plan_.ledgers; ++i)
      status = authority->issue_into(folder, {Role::Ledger, i}, certificate_validity());
    return status;
  }

  // One client that may pay from every account. Each daemon gets a list of its own.
  Status make_client() {
    if (!plan_.client_signatures) return {};
    Secret<32> seed;
    entropy_.fill({seed.data(), seed.size()});
    auto key = crypto::Ed25519Key::from_seed(std::move(seed));
    if (!key) return key.error();
    const Result<std::string> pem = crypto::private_key_pem(*key);
    if (!pem) return pem.error();
    json accounts = json::array();
    for (const std::string& name : out_.accounts)
      accounts.push_back({{"name", name}, {"max_amount_sat", kMaxAmountSat}});
    clients_ = {{"format", "roulette-clients"},
                {"version", 1},
                {"clients", {{{"name", kClientName},
                              {"public_key", to_hex(key->public_key())},
                              {"accounts", out_.accounts}}}},
                {"accounts", accounts}};
    const fs::path file = out_.secrets / kClientKeyFile;
    if (const Status status = runtime::write_file_durably(file, as_bytes(*pem), 0600); !status)
      return status;
    out_.client = std::make_shared<RequestSigner>(cluster_id_, kClientName, file.string(),
                                                  std::move(key).value());
    return {};
  }

  Status give_clients(const ProcessName& name, json& config) {
    if (!plan_.client_signatures) return {};
    const fs::path file = out_.work / name.text() / "clients.json";
    config["clients"] = file.string();
    return runtime::write_file_durably(file, as_bytes(clients_.dump(2) + "\n"), 0644);
  }

  Status deal_shares() {
    const crypto::SchemeKind* kind = crypto::scheme_by_name(plan_.scheme);
    if (kind == nullptr)
      return Error{ErrorKind::Usage, "scheme " + plan_.scheme + ": one of " +
                                         crypto::scheme_names()};
    in_token_ = kind->in_token;
    if (in_token_) return {};  // the signers make their keys themselves: make_token_keys()
    auto dealt = kind->deal(plan_.signers, plan_.threshold, entropy_);
    if (!dealt) return dealt.error();
    if (const Status status = take_group(*dealt->group); !status) return status;
    std::vector<crypto::KeySharePtr> kept;
    for (std::uint16_t i = 0; i < plan_.signers; ++i) {
      if (const Status status = seal(SignerId(i), dealt->secrets[i], dealt->group->id()); !status)
        return status;
      if (kept.size() == dealt->group->t()) continue;
      Result<crypto::KeySharePtr> share = kind->share(SignerId(i), std::move(dealt->secrets[i]));
      if (!share) return share.error();
      kept.push_back(std::move(share).value());
    }
    out_.identity = std::make_shared<RunIdentity>(dealt->group, std::move(kept));
    return {};
  }

  Status take_group(const crypto::SigningGroup& group) {
    form_ = group.scheme().facts().signatures;
    out_.wallet_script = runtime::wallet_script_of(group);
    output_key_.assign(group.wallet_key().begin(), group.wallet_key().end());
    return runtime::write_group_file(group_file(), group);
  }

  Status seal(SignerId signer, const Secret<32>& secret, const Hash32& group) {
    Secret<32> key;
    entropy_.fill({key.data(), key.size()});
    const ProcessName name{Role::Signer, signer.value()};
    const auto sealed =
        crypto::seal_with_key_file(secret, {signer, group, kShareEpoch}, key, entropy_);
    if (!sealed) return sealed.error();
    if (const Status status = runtime::write_file_durably(share_key_file(name), key.span());
        !status)
      return status;
    return runtime::write_file_durably(out_.work / name.text() / "share.sealed", *sealed);
  }

  Status make_token() {
    ByteArray<32> token{};
    entropy_.fill(token);
    out_.token = to_hex(token);
    out_.token_file = out_.secrets / "token";
    return runtime::write_file_durably(out_.token_file, as_bytes(out_.token + "\n"));
  }

  fs::path group_file() const { return out_.work / "group.json"; }
  fs::path share_key_file(const ProcessName& name) const {
    return out_.secrets / (name.text() + ".share-key");
  }

  // What every daemon's configuration has.
  json common(const ProcessName& name, const Endpoint& listen, const Endpoint& http) const {
    return {{"cluster_id", cluster_id_},
            {"name", name.text()},
            {"listen", text(listen)},
            {"http", text(http)},
            {"folder", (out_.work / name.text()).string()},
            {"ca", (out_.secrets / "ca.pem").string()},
            {"cert", (out_.secrets / (name.text() + ".pem")).string()},
            {"key", (out_.secrets / (name.text() + ".key")).string()}};
  }

  Status add_daemon(const ProcessName& name, const std::string& program, const json& config) {
    const fs::path file = out_.work / name.text() / "config.json";
    const std::string body = config.dump(2) + "\n";
    if (const Status status = runtime::write_file_durably(file, as_bytes(body)); !status)
      return status;
    ProcessSpec spec = base_spec(name, {program, "--config", file.string()});
    spec.control = true;
    out_.specs.push_back(spec);
    if (name.role != Role::Coordinator)
      out_.exports.push_back({name, {program, "export", "--config", file.string()}});
    return {};
  }

  ProcessSpec base_spec(const ProcessName& name, std::vector<std::string> argv) const {
    ProcessSpec spec;
    spec.name = name;
    spec.argv = std::move(argv);
    spec.environment = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8",
                        "HOME=" + (out_.work / name.text()).string()};
    if (const std::string bug = runtime::planted_bug_wanted(); !bug.empty())
      spec.environment.push_back(runtime::kPlantedBugVariable + ("=" + bug));
    spec.work_dir = (out_.work / name.text()).string();
    spec.stderr_path = (out_.work / name.text() / "stderr.log").string();
    return spec;
  }

  Status make_signers() {
    for (std::uint16_t i = 0; i < plan_.signers; ++i) {
      const ProcessName name{Role::Signer, i};
      json config = common(name, at_.signer_tls[i], at_.signer_http[i]);
      config["group"] = group_file().string();
      if (const Status status = give_clients(name, config); !status) return status;
      if (in_token_ || plan_.vault == "token") {
        if (const Status status = prepare_token(name, config); !status) return status;
      }
      if (!in_token_) config["share"] = (out_.work / name.text() / "share.sealed").string();
      if (plan_.vault == "file" && !in_token_)
        config["share_key"] = share_key_file(name).string();
      config["share_epoch"] = kShareEpoch;
      if (plan_.commit_delay_ms > 0) config["commit_delay_ms"] = plan_.commit_delay_ms;
      config["policy"] = {{"max_fee_sat", kWithdrawalFeeSat},
                          {"max_fee_rate_sat_per_vb", 2 * kFeeRateSatPerVb},
                          {"max_amount_sat", kMaxAmountSat}};
      if (plan_.vault == "token")
        if (const Status status = move_into_token(name, config); !status) return status;
      if (const Status status = add_daemon(name, binaries_.signer, config); !status) return status;
      if (config.contains("token"))
        for (const std::string& variable : token_environment(name))
          out_.specs.back().environment.push_back(variable);
    }
    return {};
  }

  // ---- a SoftHSM token for a signer, in a folder of its own ----

  fs::path softhsm_config(const ProcessName& name) const {
    return out_.secrets / (name.text() + ".softhsm2.conf");
  }
  std::vector<std::string> token_environment(const ProcessName& name) const {
    std::vector<std::string> out{"SOFTHSM2_CONF=" + softhsm_config(name).string()};
    if (plan_.faulty_tokens) {
      out.push_back("FAULTY_TOKEN_MODULE=" + binaries_.pkcs11);
      out.push_back("FAULTY_TOKEN_CONTROL=" + token_control(out_, name).string());
    }
    return out;
  }
  // A command of a signer's own, run for it before it is started.
  std::vector<std::string> with_token(const ProcessName& name,
                                      std::vector<std::string> argv) const {
    std::vector<std::string> out{"/usr/bin/env"};
    for (const std::string& variable : token_environment(name)) out.push_back(variable);
    out.insert(out.end(), argv.begin(), argv.end());
    return out;
  }
  fs::path pin_file(const ProcessName& name, const char* whose) const {
    return out_.secrets / (name.text() + whose);
  }

  Status prepare_token(const ProcessName& name, json& config) {
    if (binaries_.pkcs11.empty())
      return Error{ErrorKind::Preflight,
                   "libsofthsm2.so was not found: install softhsm2, or choose another scheme"};
    const fs::path folder = out_.secrets / (name.text() + ".token");
    if (const Status status = runtime::create_folder_durably(folder); !status) return status;
    const std::string text = "directories.tokendir = " + folder.string() +
                             "\nobjectstore.backend = file\nlog.level = ERROR\n"
                             // As PKCS#11 has it: a child has no session of its parent's.
                             "library.reset_on_fork = true\n";
    if (const Status status = runtime::write_file_durably(softhsm_config(name), as_bytes(text));
        !status)
      return status;
    for (const char* whose : {".pin", ".so-pin"}) {
      ByteArray<16> pin{};
      entropy_.fill(pin);
      const std::string line = to_hex(pin) + "\n";
      if (const Status status = runtime::write_file_durably(pin_file(name, whose), as_bytes(line));
          !status)
        return status;
    }
    config["token"] = {{"module", plan_.faulty_tokens ? binaries_.faulty_token : binaries_.pkcs11},
                       {"label", name.text()},
                       {"pin_file", pin_file(name, ".pin").string()},
                       {"patience_ms", plan_.token_patience_ms}};
    return {};
  }

  // The signer's own command makes the token and moves the share there; its key file goes.
  Status move_into_token(const ProcessName& name, json config) {
    config["folder"] = (out_.work / name.text()).string();
    config["share_key"] = share_key_file(name).string();
    const fs::path file = out_.secrets / (name.text() + ".sealing.json");
    const std::string body = config.dump(2) + "\n";
    if (const Status status = runtime::write_file_durably(file, as_bytes(body)); !status)
      return status;
    const Status moved = run_to_file(
        "the share of " + name.text(),
        with_token(name, {binaries_.signer, "seal-into-token", "--config", file.string(),
                          "--so-pin-file", pin_file(name, ".so-pin").string()}),
        out_.secrets / (name.text() + ".sealing.out"));
    if (!moved) return Error{ErrorKind::Preflight, moved.error().message};
    std::error_code failed;
    if (!fs::remove(share_key_file(name), failed) || !fs::remove(file, failed))
      return Error{ErrorKind::Io, share_key_file(name).string() + ": cannot be removed"};
    return {};
  }

  // The signer's own command makes token and key; what it prints becomes the group.
  Status make_token_keys() {
    if (!in_token_) return {};
    crypto::GroupKeys keys{plan_.signers, plan_.threshold, {}, {}};
    for (std::uint16_t i = 0; i < plan_.signers; ++i) {
      const auto key = make_token_key({Role::Signer, i});
      if (!key) return key.error();
      keys.public_shares.push_back(*key);
    }
    keys.threshold_key = keys.public_shares.front();
    auto group = crypto::scheme_by_name(plan_.scheme)->group(keys);
    return group ? take_group(**group) : Status(group.error());
  }

  Result<crypto::PubKey33> make_token_key(const ProcessName& name) {
    const fs::path told = out_.secrets / (name.text() + ".public-key.json");
    const Status made = run_to_file(
        "the key of " + name.text(),
        with_token(name, {binaries_.signer, "make-token-key", "--config",
                          (out_.work / name.text() / "config.json").string(), "--so-pin-file",
                          pin_file(name, ".so-pin").string()}),
        told);
    if (!made) return Error{ErrorKind::Preflight, made.error().message};
    const auto bytes = runtime::read_whole_file(told, 4096);
    if (!bytes) return bytes.error();
    const json read = json::parse(bytes->begin(), bytes->end(), nullptr, false);
    const auto key = read.is_object() ? array_from_hex<33>(read.value("public_key", ""))
                                      : std::nullopt;
    if (!key) return Error{ErrorKind::Internal, told.string() + ": names no public key"};
    return *key;
  }

  static json peers(Role role, const std::vector<Endpoint>& endpoints,
                    std::optional<std::uint16_t> but = std::nullopt) {
    json out = json::array();
    for (std::uint16_t i = 0; i < endpoints.size(); ++i) {
      if (i != but)
        out.push_back({{"name", ProcessName{role, i}.text()}, {"address", text(endpoints[i])}});
    }
    return out;
  }

  Status make_ledgers() {
    json etcd = json::array();
    for (const Endpoint& e : at_.etcd_client) etcd.push_back(hosts_ ? url(e) : text(e));
    const EtcdAccess& remote = binaries_.remote_etcd;
    for (const runtime::HttpUrl& member : remote.members) etcd.push_back(member.text());
    for (std::uint16_t i = 0; i < plan_.ledgers; ++i) {
      const ProcessName name{Role::Ledger, i};
      json config = common(name, at_.ledger_tls[i], at_.ledger_http[i]);
      config["replicas"] = plan_.ledgers;
      config["snapshot_interval"] = plan_.snapshot_interval;
      if (plan_.commit_delay_ms > 0) config["commit_delay_ms"] = plan_.commit_delay_ms;
      config["peers"] = peers(Role::Ledger, at_.ledger_tls, i);
      if (const Status status = give_clients(name, config); !status) return status;
      if (plan_.log == "sqlite")
        config["log"] = plan_.log;
      else
        config["etcd"] = etcd;
      if (plan_.log != "sqlite" && remote.members.empty()) config["own_etcd"] = true;
      for (const auto& [key, file] :
           {std::pair{"etcd_ca", remote.ca}, std::pair{"etcd_cert", remote.cert},
            std::pair{"etcd_key", remote.key}})
        if (!file.empty()) config[key] = file;
      if (hosts_ != nullptr) {
        config["etcd_ca"] = (out_.secrets / "etcd" / "ca.pem").string();
        config["etcd_cert"] = (out_.secrets / "etcd" / (name.text() + ".pem")).string();
        config["etcd_key"] = (out_.secrets / "etcd" / (name.text() + ".key")).string();
      }
      config["genesis"] = {{"signature_form", crypto::form_name(form_)},
                           {"wallet_output_key", to_hex(output_key_)},
                           {"accounts", out_.accounts},
                           {"fee_rate_sat_per_vb", kFeeRateSatPerVb},
                           {"withdrawal_fee_sat", kWithdrawalFeeSat},
                           {"min_amount_sat", kMinAmountSat},
                           {"max_amount_sat", kMaxAmountSat},
                           {"settle_depth", kSettleDepth},
                           {"anchor_block", kRegtestGenesis}};
      if (const Status status = add_daemon(name, binaries_.ledger, config); !status) return status;
    }
    return {};
  }

  Status make_coordinators() {
    for (std::uint16_t i = 0; i < plan_.coordinators; ++i) {
      const ProcessName name{Role::Coordinator, i};
      json config = common(name, at_.coordinator_tls[i], at_.coordinator_http[i]);
      config["group"] = group_file().string();
      if (const Status status = give_clients(name, config); !status) return status;
      config["token"] = out_.token_file.string();
      config["signers"] = peers(Role::Signer, at_.signer_tls);
      config["ledgers"] = peers(Role::Ledger, at_.ledger_tls);
      config["coordinators"] = peers(Role::Coordinator, at_.coordinator_tls, i);
      for (std::size_t n = 0; n < out_.nodes.size(); ++n)
        config[n == 0 ? "node" : "fallback_node"] = {{"rpc", text(out_.nodes[n].first)},
                                                     {"cookie", out_.nodes[n].second.string()}};
      if (const Status status = add_daemon(name, binaries_.coordinator, config); !status)
        return status;
    }
    return {};
  }

  std::string url(const Endpoint& e) const {
    return runtime::HttpUrl{hosts_ != nullptr, e.host, e.port}.text();
  }

  void monitor(Role role, const std::vector<Endpoint>& endpoints) {
    for (std::size_t i = 0; i < endpoints.size(); ++i)
      out_.monitored.emplace_back(ProcessName{role, static_cast<std::uint16_t>(i)}, endpoints[i]);
  }

  // Between members and for their clients: only whom etcd's own authority signed for.
  static void add_tls(std::vector<std::string>& argv) {
    const std::string here = kHostFolder;
    for (const std::string side : {"", "peer-"}) {
      argv.push_back("--" + side + "cert-file=" + here + "/cert.pem");
      argv.push_back("--" + side + "key-file=" + here + "/key.pem");
      argv.push_back("--" + side + "trusted-ca-file=" + here + "/ca.pem");
      argv.push_back("--" + side + "client-cert-auth");
    }
  }

  Status make_etcd() {
    std::string initial;
    for (std::uint16_t i = 0; i < plan_.etcd; ++i) {
      initial +=
          (i == 0 ? "" : ",") + ProcessName{Role::Etcd, i}.text() + "=" + url(at_.etcd_peer[i]);
    }
    for (std::uint16_t i = 0; i < plan_.etcd; ++i) {
      const ProcessName name{Role::Etcd, i};
      const std::string client = url(at_.etcd_client[i]);
      const std::string peer = url(at_.etcd_peer[i]);
      out_.specs.push_back(base_spec(name, {binaries_.etcd,
                                            "--name",
                                            name.text(),
                                            "--data-dir",
                                            data_of(name),
                                            "--listen-client-urls",
                                            client,
                                            "--advertise-client-urls",
                                            client,
                                            "--listen-peer-urls",
                                            peer,
                                            "--initial-advertise-peer-urls",
                                            peer,
                                            "--initial-cluster",
                                            initial,
                                            "--initial-cluster-state",
                                            "new",
                                            "--initial-cluster-token",
                                            cluster_id_,
                                            "--heartbeat-interval",
                                            "30",
                                            "--election-timeout",
                                            "300",
                                            "--auto-compaction-mode",
                                            "periodic",
                                            "--auto-compaction-retention",
                                            "5m",
                                            "--log-level",
                                            "error"}));
      if (hosts_ != nullptr) add_tls(out_.specs.back().argv);
    }
    return {};
  }

  std::string data_of(const ProcessName& name) const {
    const fs::path folder = hosts_ == nullptr ? out_.work : fs::path(hosts_->state_dir);
    return (folder / name.text() / "data").string();
  }

  // PROTOCOL 5: loopback (or the hosts) only, no peers but the cluster's other node, no wallet.
  Status make_nodes() {
    if (plan_.chain != "bitcoind") return {};
    for (std::uint16_t i = 0; i < plan_.nodes; ++i) {
      const ProcessName name{Role::Bitcoind, i};
      std::vector<std::string> argv = binaries_.bitcoind;
      for (const std::string& flag :
           {std::string("-regtest"), "-datadir=" + data_of(name),
            std::string("-server=1"), std::string("-dnsseed=0"), std::string("-fixedseeds=0"),
            "-rpcbind=" + at_.node_rpc[i].host,
            "-rpcport=" + std::to_string(at_.node_rpc[i].port), std::string("-txindex=1"),
            std::string("-disablewallet=1"), std::string("-printtoconsole=0"),
            std::string("-rpcthreads=4"), std::string("-par=1")}) {
        argv.push_back(flag);
      }
      for (const std::string& from : who_asks_nodes())
        argv.push_back("-rpcallowip=" + from + "/32");
      if (hosts_ != nullptr) argv.push_back("-conf=" + std::string(kHostFolder) + "/bitcoin.conf");
      const std::vector<std::string> peers = peers_of_node(i);
      argv.insert(argv.end(), peers.begin(), peers.end());
      out_.specs.push_back(base_spec(name, std::move(argv)));
    }
    return {};
  }

  std::vector<std::string> who_asks_nodes() const {
    if (hosts_ == nullptr) return {"127.0.0.1"};
    std::vector<std::string> out = hosts_->addresses;
    if (!hosts_->operator_address.empty()) out.push_back(hosts_->operator_address);
    return out;
  }

  // Whichever starts last connects to the other; as trusted peers they tell each other of
  // transactions at once (others hear of them seconds later, for privacy).
  std::vector<std::string> peers_of_node(std::uint16_t node) const {
    if (plan_.nodes == 1) return {"-listen=0"};
    std::vector<std::string> flags{"-listen=1", "-bind=" + text(at_.node_p2p[node]),
                                   "-listenonion=0"};
    for (std::uint16_t i = 0; i < plan_.nodes; ++i)
      if (i != node) {
        flags.push_back("-addnode=" + text(at_.node_p2p[i]));
        flags.push_back("-whitelist=in,out,noban@" + at_.node_p2p[i].host);
      }
    return flags;
  }

  const ClusterPlan& plan_;
  const Binaries& binaries_;
  EntropySource& entropy_;
  const Hosts* hosts_;  // null: all on loopback
  ClusterFiles out_;
  Listeners at_;
  std::string cluster_id_;
  json clients_;
  crypto::SignatureForm form_ = crypto::SignatureForm::Bip340;
  Bytes output_key_;
  bool in_token_ = false;
};

}  // namespace

fs::path token_control(const ClusterFiles& files, const ProcessName& signer) {
  return files.work / signer.text() / "token-control";
}

Result<ClusterFiles> make_cluster_files(const ClusterPlan& plan, const std::string& run_dir,
                                        const Binaries& binaries, EntropySource& entropy,
                                        const Hosts* hosts) {
  return Maker(plan, run_dir, binaries, entropy, hosts).make();
}

}  // namespace roulette::chaos
